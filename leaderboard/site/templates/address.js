"use strict";

// The state of a page stands in its address, so that a link leads back to what is seen: index.html#kind=detection&labels=few.
// An address that names an element of the page (index.html#method) holds no state.

const holdsState = () => location.hash.includes("=");

function readAddress(defaults) {
  const given = new URLSearchParams(holdsState() ? location.hash.slice(1) : "");
  return Object.fromEntries(Object.entries(defaults).map(([name, value]) => [name, given.get(name) ?? value]));
}

function addressOf(state, defaults) {
  const changed = Object.entries(state).filter(([name, value]) => value !== defaults[name]);
  return changed.length ? `#${new URLSearchParams(changed)}` : "";
}

function writeAddress(state, defaults) {
  const anchor = holdsState() ? "" : location.hash;
  history.replaceState(null, "", addressOf(state, defaults) || anchor || location.pathname + location.search);
}
