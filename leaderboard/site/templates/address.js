"use strict";

// The state of a page stands in its address, so that a link leads back to what is seen: index.html#kind=detection&labels=few.
// An address that names an element of the page (index.html#method) holds no state.

function readAddress(defaults) {
  const text = location.hash.slice(1);
  const given = new URLSearchParams(text.includes("=") ? text : "");
  return Object.fromEntries(Object.entries(defaults).map(([name, value]) => [name, given.get(name) ?? value]));
}

function addressOf(state, defaults) {
  const changed = Object.entries(state).filter(([name, value]) => value !== defaults[name]);
  return changed.length ? `#${new URLSearchParams(changed)}` : "";
}

function writeAddress(state, defaults) {
  history.replaceState(null, "", addressOf(state, defaults) || location.pathname);
}
