"use strict";

// Strategies side by side. All numbers are computed here from the scores of the runs, which the page holds.

const data = JSON.parse(document.getElementById("compare-data").textContent);
const byId = (name) => document.getElementById(name);
const form = byId("compare-form");
const DEFAULTS = { task: "", strategies: "" };
// Quantiles of Student's t for a 95 % interval, from one degree of freedom on; 1.96 beyond.
const QUANTILES = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131,
  2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042];
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [520, 280, 60, 12, 10, 36];

function interval(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (values.length < 2) return { mean, lower: null, upper: null, count: values.length };
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  const half = (QUANTILES[values.length - 2] ?? 1.96) * Math.sqrt(variance / values.length);
  return { mean, lower: mean - half, upper: mean + half, count: values.length };
}

const scoresOf = (section, name) => section.scores[section.names.indexOf(name)] ?? {};
const sharedSeeds = (runs) => Object.keys(runs[0] ?? {}).filter((seed) => runs.every((own) => seed in own));
const number = (value, digits, sign = true) =>
  (Number(value.toFixed(digits)) < 0 ? "\u2212" : sign ? "+" : "") + Math.abs(value).toFixed(digits);

// The difference of two strategies at every label count, over the seeds that both have.
function differences(section, first, second) {
  const runs = [scoresOf(section, first), scoresOf(section, second)];
  const seeds = sharedSeeds(runs);
  if (!seeds.length) return null;
  return section.labels.map((_, place) => interval(seeds.map((seed) => runs[0][seed][place] - runs[1][seed][place])));
}

function made(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function drawn(tag, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

const mark = ({ color, shape }, x, y) => drawn("path", { d: data.marks[shape], fill: color, transform: `translate(${x} ${y})` });

// A piece of a strategy's line.
function swatch(style) {
  const svg = drawn("svg", { class: "swatch", viewBox: "0 0 24 10", "aria-hidden": "true" });
  const { color, dash } = style;
  svg.append(drawn("line", { x1: 0, x2: 24, y1: 5, y2: 5, stroke: color, "stroke-width": 2, "stroke-dasharray": dash[1] ? dash.join(" ") : "none" }));
  svg.append(mark(style, 12, 5));
  return svg;
}

function ticks(low, high) {
  const rough = (high - low) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough * (1 - 1e-9));
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, place) => (first + place) * step);
}

// A line chart: curves are lists of intervals, one per label count.
function chart(section, curves, title, signed) {
  const svg = drawn("svg", { class: "panel", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title });
  const all = curves.flatMap(({ points }) => points.map((each) => each.mean));
  const spread = Math.max(...all) - Math.min(...all) || 1;
  // Bands of few seeds may be very wide: they are cut where they go far beyond the means.
  const [lowest, highest] = [Math.min(...all) - spread, Math.max(...all) + spread];
  const bands = curves.flatMap(({ points }) => points.flatMap((each) => (each.lower === null ? [] : [each.lower, each.upper])));
  const ends = [...all, ...bands].map((value) => Math.min(Math.max(value, lowest), highest));
  const [low, high] = [Math.min(...ends) - spread / 20, Math.max(...ends) + spread / 20];
  const [least, most] = [section.labels[0], section.labels.at(-1)];
  const x = (label) => LEFT + (most > least ? (label - least) / (most - least) : 0.5) * (WIDTH - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - ((Math.min(Math.max(value, low), high) - low) / (high - low)) * (HEIGHT - BOTTOM - TOP);
  const steps = ticks(low, high);
  const digits = Math.max(0, Math.min(section.decimals, Math.ceil(-Math.log10((steps[1] ?? 1) - steps[0] || 1)) + 1));
  for (const value of steps) {
    svg.append(drawn("line", { class: signed && Math.abs(value) < 1e-12 ? "zero" : "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }));
    svg.append(drawn("text", { class: "y", x: LEFT - 6, y: y(value) + 4 }, number(value, digits, signed)));
  }
  for (const [place, label] of section.labels.entries()) {
    const [last, every] = [section.labels.length - 1, Math.ceil(section.labels.length / 8)];
    if (place !== last && (place % every || last - place < every)) continue;
    svg.append(drawn("text", { class: "x", x: x(label), y: HEIGHT - BOTTOM + 16, "text-anchor": !place ? "start" : label === section.labels.at(-1) ? "end" : "middle" }, label.toLocaleString("en")));
  }
  svg.append(drawn("text", { class: "unit", x: WIDTH - RIGHT, y: HEIGHT - 3 }, "labels"));
  for (const { name, points } of curves) {
    const { color, dash } = data.strategies[name];
    const place = (value, index) => `${x(section.labels[index]).toFixed(1)},${y(value).toFixed(1)}`;
    if (points[0].lower !== null) {
      const edge = [...points.map((each, index) => place(each.upper, index)), ...points.map((each, index) => place(each.lower, index)).reverse()];
      svg.append(drawn("polygon", { class: "band", fill: color, points: edge.join(" ") }));
    }
    svg.append(drawn("polyline", { class: "line", stroke: color, "stroke-dasharray": dash[1] ? dash.join(" ") : "none",
      points: points.map((each, index) => place(each.mean, index)).join(" ") }));
    svg.append(...points.map((each, index) => mark(data.strategies[name], x(section.labels[index]).toFixed(1), y(each.mean).toFixed(1))));
  }
  return [made("figcaption", {}, title), svg];
}

function table(target, headings, rows) {
  const inside = (content) => {
    const [text, note] = Array.isArray(content) ? content : [content];
    return note ? [text, made("small", {}, note)] : [text];
  };
  const cell = (content, place) => (place ? made("td", {}, ...inside(content)) : made("th", { scope: "row" }, ...inside(content)));
  target.replaceChildren(
    made("thead", {}, made("tr", {}, ...headings.map((each) => made("th", { scope: "col" }, ...inside(each))))),
    made("tbody", {}, ...rows.map((row) => made("tr", {}, ...row.map(cell)))));
}

function drawCharts(section, names) {
  const runs = names.map((name) => scoresOf(section, name));
  const seeds = sharedSeeds(runs);
  const points = (own) => section.labels.map((_, place) => interval(seeds.map((seed) => own[seed][place])));
  const curves = seeds.length ? names.map((name, place) => ({ name, points: points(runs[place]) })) : [];
  const gains = names.filter((name) => name !== data.baseline).map((name) => ({ name, points: differences(section, name, data.baseline) }));
  const known = gains.filter((curve) => curve.points);
  byId("compare-scores").replaceChildren(...(curves.length ? chart(section, curves, section.metric, false) : []));
  byId("compare-gains").replaceChildren(...(known.length ? chart(section, known, `minus ${data.baseline}`, true) : []));
  byId("compare-key").replaceChildren(...names.map((name) => made("li", {},
    swatch(data.strategies[name]), made("a", { href: data.strategies[name].link }, name))));
  const better = section.sign < 0 ? " Smaller is better." : "";
  byId("compare-facts").textContent = `${section.title}; seeds of all: ${seeds.join(", ") || "none"}.${better}`;
}

let shownRows = [];

function drawDifferences(section, names) {
  const ordered = [...names.filter((name) => name !== data.baseline), ...names.filter((name) => name === data.baseline)];
  const pairs = ordered.flatMap((first, place) => ordered.slice(place + 1).map((second) => [first, second]));
  const own = pairs.map(([first, second]) => [`${first} \u2212 ${second}`, differences(section, first, second)]);
  const digits = section.decimals;
  const text = (each) => [`${number(each.mean, digits)}${each.lower > 0 || each.upper < 0 ? " \u2713" : ""}`,
    each.lower === null ? "one seed" : `${number(each.lower, digits)} \u2026 ${number(each.upper, digits)}`];
  const seeds = own.map(([, each]) => (each ? `${each[0].count} seed${each[0].count === 1 ? "" : "s"}` : "no seed in common"));
  table(byId("compare-differences"), ["labels", ...own.map(([title], place) => [title, seeds[place]])],
    section.labels.map((label, place) => [label.toLocaleString("en"), ...own.map(([, each]) => (each ? text(each[place]) : "\u2013"))]));
  shownRows = own.flatMap(([pair, each]) => (each ?? []).map((one, place) =>
    ({ protocol: section.title, pair, labels: section.labels[place], difference: one.mean, lower: one.lower, upper: one.upper, seeds: one.count })));
}

function drawRest(section, names) {
  const place = (name) => section.names.indexOf(name);
  const share = (value) => (value === null ? "\u2013" : `${(100 * value).toFixed(0)} %`);
  table(byId("compare-overlap"), ["picked by", ...names],
    names.map((first) => [first, ...names.map((second) => (first === second ? "" : share(section.overlaps[place(first)][place(second)])))]));
  const cost = (value) => (value === null ? "\u2013" : String(Number(value.toPrecision(3))));
  table(byId("compare-cost"), ["seconds a round", "forward", "score", "pick", "training", "peak memory, MiB"],
    names.map((name) => [name, ...section.seconds[place(name)].map(cost)]));
  byId("compare-machine").textContent = `Runs on ${section.machine}. Selection is forward, score and pick.`;
}

function options(select, names, kept, chosen) {
  select.replaceChildren(...kept, ...names.map((name) => made("option", {}, name)));
  select.value = chosen;
}

let wanted = []; // as chosen: some may not have been run on the protocol that is shown

function show(task, chosen) {
  wanted = [...new Set(chosen)].filter((name) => Object.hasOwn(data.strategies, name)).slice(0, 3);
  const section = data.sections.find((each) => each.id === task) ?? data.sections[0];
  const others = [...new Set([data.baseline, ...section.names])].filter((name) => section.names.includes(name) && !wanted.includes(name));
  const names = wanted.filter((name) => section.names.includes(name));
  const missing = wanted.filter((name) => !names.includes(name));
  while (names.length < 2 && others.length) names.push(others.shift());
  form.elements.task.value = section.id;
  options(form.elements.first, section.names, [], names[0]);
  options(form.elements.second, section.names, [], names[1] ?? names[0]);
  options(form.elements.third, section.names, [made("option", { value: "" }, "none")], names[2] ?? "");
  drawCharts(section, names);
  drawDifferences(section, names);
  drawRest(section, names);
  if (missing.length) byId("compare-facts").textContent += ` Not run on this protocol: ${missing.join(", ")}.`;
  const state = { task: section.id, strategies: (missing.length ? wanted : names).join(",") };
  writeAddress(state, DEFAULTS);
  byId("compare-link").href = addressOf(state, DEFAULTS);
}

function showAddress() {
  const { task, strategies } = readAddress(DEFAULTS);
  show(task, strategies.split(",").filter(Boolean));
}

if (data.sections.length) {
  form.elements.task.append(...data.sections.map((each) => made("option", { value: each.id }, each.title)));
  form.addEventListener("input", (event) => {
    const names = ["first", "second", "third"].map((name) => form.elements[name].value).filter(Boolean);
    show(form.elements.task.value, event.target.name === "task" && wanted.length ? wanted : names);
  });
  byId("compare-csv").addEventListener("click", () => saveCsv("lossbench-differences", shownRows));
  byId("compare-json").addEventListener("click", () => saveJson("lossbench-differences", shownRows));
  window.addEventListener("hashchange", showAddress);
  showAddress();
}
