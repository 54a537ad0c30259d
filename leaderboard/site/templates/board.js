"use strict";

// The table of overall ranks: what is ranked, which columns are shown, and the search are all in the address.

const data = JSON.parse(document.getElementById("board-data").textContent);
const SPANS = ["", "few", "some", "many"];
const MOST_COMPARED = 3;
const FILTERS = ["kind", "regime", "labels", "search"];
const DEFAULTS = { kind: "", regime: "", labels: "", search: "", columns: "points,won,seconds,about,gain", chosen: "", sort: "rank" };
const byId = (name) => document.getElementById(name);
const filters = byId("board-filters");
let state = stateOfAddress();
let shownRows = [];

// What the address says; unknown values count as none.
function stateOfAddress() {
  const given = readAddress(DEFAULTS);
  const known = { kind: data.kinds, regime: data.regimes, labels: SPANS };
  for (const [name, values] of Object.entries(known)) if (!values.includes(given[name])) given[name] = "";
  given.chosen = comparable(given.chosen.split(",")).join(",");
  return given;
}

// The strategies among some names, each once; of more than can be compared the last ones.
function comparable(names) {
  return [...new Set(names)].filter((name) => Object.hasOwn(data.strategies, name)).slice(-MOST_COMPARED);
}

const signed = (value, digits) => (Number(value.toFixed(digits)) < 0 ? "\u2212" : "+") + Math.abs(value).toFixed(digits);
const seconds = (value) => (value < 10 ? String(Number(value.toPrecision(2))) : value.toFixed(0));
const range = (values, format) => {
  const known = values.filter((value) => value !== null && value !== undefined);
  if (!known.length) return "\u2013";
  const [low, high] = [Math.min(...known), Math.max(...known)].map(format);
  return low === high ? low : `${low} to ${high}`;
};

const selections = (row) => row.values.map((each) => each.seconds).filter((value) => value !== null && value !== undefined);
const least = (row) => (selections(row).length ? Math.min(...selections(row)) : null);
const most = (row) => (selections(row).length ? Math.max(...selections(row)) : null);

// Columns: title, note, the number to sort by (missing ones last), the text of a cell and its small print, and its numbers for files.
const columns = {
  rank: { title: "rank", note: "best and worst possible", fixed: true, descends: false, key: (row) => row.rank || null,
    cell: (row) => (row.rank ? [String(row.rank), `(${row.best} to ${row.worst})`] : ["\u2013", "too few runs"]),
    values: (row) => ({ rank: row.rank || null, best_rank: row.best || null, worst_rank: row.worst || null }) },
  points: { title: "Elo points", note: `above ${data.baseline}`, key: (row) => row.points,
    cell: (row) => (row.points === null ? ["\u2013"] : [signed(row.points, 0), row.name === data.baseline ? "" :
      `${signed(row.lower, 0)} \u2026 ${signed(row.upper, 0)}`]),
    values: (row) => ({ elo_points: row.points, elo_lower: row.lower, elo_upper: row.upper }) },
  won: { title: `runs that beat ${data.baseline}`, note: "same protocol and seed",
    key: (row) => (row.runs && row.name !== data.baseline ? row.won / row.runs : null),
    cell: (row) => (row.name === data.baseline ? ["\u2013"] : [`${row.won} of ${row.runs}`, `on ${row.protocols} of ${row.ranking.protocols.length} protocols`]),
    values: (row) => ({ runs_won: row.won, runs: row.runs, protocols: row.protocols }) },
  protocols: { title: "protocols", note: "run with random", key: (row) => row.protocols,
    cell: (row) => [`${row.protocols} of ${row.ranking.protocols.length}`], values: (row) => ({ protocols: row.protocols }) },
  seconds: { title: "selection", note: "s a round", descends: false, key: most,
    cell: (row) => {
      const share = range(row.values.map((each) => each.share), (each) => String(Number((100 * each).toPrecision(2))));
      return [range(row.values.map((each) => each.seconds), seconds), share === "\u2013" ? "" : `${share} % of training`];
    },
    values: (row) => ({ selection_seconds_least: least(row), selection_seconds_most: most(row) }) },
  about: { title: "picks by", text: true, key: (row) => row.about.kind, cell: (row) => [row.about.kind],
    values: (row) => ({ picks_by: row.about.kind }) },
  year: { title: "year", note: "of the paper", key: (row) => row.about.year, cell: (row) => [row.about.year ? String(row.about.year) : "\u2013"],
    values: (row) => ({ year: row.about.year || null }) },
};

// A column per protocol: the gain over random there, in the unit of its metric.
const gainColumns = (sections) => sections.map((section) => ({
  title: section.protocol, note: `gain, ${section.metric}, version ${section.version}`, link: section.link, descends: section.sign > 0,
  key: (row) => section.values[row.name]?.gains[row.span][0] ?? null,
  cell: (row) => {
    const own = section.values[row.name];
    if (!own) return ["not run"];
    const [mean, lower, upper] = own.gains[row.span];
    if (mean === null) return ["\u2013"];
    const interval = lower === null ? "" : `${signed(lower, section.decimals)} \u2026 ${signed(upper, section.decimals)}`;
    return [signed(mean, section.decimals), interval, `${own.seeds} seed${own.seeds === 1 ? "" : "s"}`];
  },
  values: (row) => {
    const own = section.values[row.name];
    const [mean, lower, upper] = own ? own.gains[row.span] : [null, null, null];
    const name = `${section.protocol}_v${section.version}_gain`;
    return { [name]: mean, [`${name}_lower`]: lower, [`${name}_upper`]: upper, [`${name}_seeds`]: own ? own.seeds : 0 };
  },
}));

function selectedSections() {
  return data.sections.filter((each) => (!state.kind || each.kind === state.kind) && (!state.regime || each.regime === state.regime));
}

function currentRows() {
  const span = SPANS.indexOf(state.labels);
  const ranking = data.rankings[`${state.kind}|${state.regime}`]?.[span];
  if (!ranking) return [];
  const sections = selectedSections();
  return ranking.places.map(([name, rank, best, worst, points, lower, upper, won, runs, protocols]) => ({
    name, rank, best, worst, points, lower, upper, won, runs, protocols, span, ranking, about: data.strategies[name],
    values: sections.map((section) => section.values[name]).filter(Boolean),
  }));
}

function currentColumns() {
  const wanted = state.columns.split(",");
  const own = Object.entries(columns).filter(([id, column]) => column.fixed || wanted.includes(id)).map(([id, column]) => ({ id, ...column }));
  const gains = wanted.includes("gain") ? gainColumns(selectedSections()).map((column) => ({ id: `gain-${column.title}`, ...column })) : [];
  return [...own, ...gains];
}

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== false) made.setAttribute(name, value === true ? "" : value);
  made.append(...children);
  return made;
}

const small = (text) => element("small", {}, text);

const sortedBy = () => state.sort.replace(/^-/, ""); // ids have hyphens, too

function heading(column) {
  const [sorted, descending] = [sortedBy() === column.id, state.sort.startsWith("-")];
  const button = element("button", { type: "button", class: "sort", "data-column": column.id }, column.title);
  const order = sorted ? (descending ? "descending" : "ascending") : "none";
  return element("th", { scope: "col", class: column.text ? "text" : false, "aria-sort": order }, button, column.note ? small(column.note) : "");
}

function tableRow(row, shown) {
  const chosen = state.chosen.split(",").includes(row.name);
  const box = element("input", { type: "checkbox", "data-strategy": row.name, checked: chosen, "aria-label": `compare ${row.name}` });
  const mark = element("span", { class: "dot", style: `background:${row.about.color}`, "aria-hidden": "true" });
  const badge = row.about.badge ? [element("span", { class: `badge ${row.about.badge}` }, row.about.badge)] : [];
  const name = element("th", { scope: "row" }, box, mark, element("a", { href: row.about.link }, row.name), ...badge);
  const cells = shown.map((column) => {
    const [text, ...notes] = column.cell(row);
    return element("td", { class: column.text ? "text" : false }, text, ...notes.filter(Boolean).map(small));
  });
  return element("tr", {}, name, ...cells);
}

function fill(table, rows, shown) {
  const head = element("tr", {}, element("th", { scope: "col" }, "strategy ", small("tick to compare")), ...shown.map(heading));
  table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows.map((row) => tableRow(row, shown))));
}

function ordered(rows, shown) {
  const column = shown.find((each) => each.id === sortedBy());
  if (!column) return rows;
  const direction = state.sort.startsWith("-") ? -1 : 1;
  return rows.map((row) => [column.key(row), row]).sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return direction * (typeof a === "string" ? a.localeCompare(b) : a - b);
  }).map(([, row]) => row);
}

function found(row) {
  const words = `${row.name} ${row.about.kind}`.toLowerCase();
  return words.includes(state.search.trim().toLowerCase());
}

function draw() {
  const [shown, all] = [currentColumns(), currentRows()];
  const rows = ordered(all.filter(found), shown);
  shownRows = rows;
  const [ranked, few] = [rows.filter((row) => row.rank), rows.filter((row) => !row.rank)];
  fill(byId("board"), ranked, shown);
  fill(byId("board-few"), few, shown);
  byId("board").parentElement.hidden = !ranked.length;
  byId("board-few-details").hidden = !few.length;
  byId("board-few-summary").textContent = `${few.length} with fewer than ${data.fewest} paired runs: too few for a rank`;
  const details = byId("board-few-details");
  if (!ranked.length || details.dataset.alone) details.open = !ranked.length;
  details.dataset.alone = ranked.length ? "" : "yes";
  const protocols = all.length ? all[0].ranking.protocols : [];
  const missing = selectedSections().length ? `There is no run of ${data.baseline} to compare with.` : "Nothing of this kind was run on the shared track.";
  byId("board-count").textContent = !all.length ? missing :
    `${ranked.length} ranked on ${protocols.join(", ")}.${protocols.length === 1 ? " With one protocol, the intervals are over its seeds alone." : ""}`;
  showKind();
  drawChosen();
  writeAddress(state, DEFAULTS);
  byId("board-link").href = addressOf(state, DEFAULTS) || "#ranks";
}

// The answers and the charts of the chosen kind of task, or of all.
function showKind() {
  for (const row of document.querySelectorAll("tr[data-kind], figure[data-kind]")) row.hidden = Boolean(state.kind) && row.dataset.kind !== state.kind;
  for (const button of byId("kinds")?.querySelectorAll("button") ?? []) button.setAttribute("aria-pressed", String(button.dataset.kind === state.kind));
}

function drawChosen() {
  const chosen = state.chosen.split(",").filter(Boolean);
  const link = byId("board-compare");
  const shared = (sections) => sections.find((section) => chosen.every((name) => section.values[name]));
  const first = shared(selectedSections()) ?? shared(data.sections) ?? selectedSections()[0];
  const task = first ? `&task=${first.protocol}-${first.version}-shared` : "";
  link.href = `compare.html#strategies=${chosen.join(",")}${task}`;
  link.textContent = chosen.length > 1 ? `Compare ${chosen.join(", ")}` : "Compare strategies: tick two or three";
}

function seen() {
  const shown = currentColumns();
  return shownRows.map((row) => Object.assign({ strategy: row.name }, ...shown.map((column) => column.values(row))));
}

function choose(box) {
  const chosen = state.chosen.split(",").filter((name) => name !== box.dataset.strategy);
  if (box.checked) chosen.push(box.dataset.strategy);
  state.chosen = comparable(chosen).join(",");
  draw();
  document.querySelector(`[data-strategy="${box.dataset.strategy}"]`)?.focus();
}

function sortBy(id, table) {
  const column = currentColumns().find((each) => each.id === id);
  const first = column.descends === false || column.text ? id : `-${id}`;
  const other = first === id ? `-${id}` : id;
  state.sort = state.sort === first ? other : first;
  draw();
  table.querySelector(`[data-column="${id}"]`)?.focus();
}

// The form as the state has it.
function showState() {
  for (const name of FILTERS) filters.elements[name].value = state[name];
  for (const box of filters.querySelectorAll("[name=column]")) box.checked = state.columns.split(",").includes(box.value);
}

function setUp() {
  for (const [name, values] of [["kind", data.kinds], ["regime", data.regimes]]) {
    filters.elements[name].append(...values.map((value) => element("option", {}, value)));
  }
  const names = { ...Object.fromEntries(Object.entries(columns).map(([id, column]) => [id, column.title])), gain: "gain on every protocol" };
  for (const [id, title] of Object.entries(names)) {
    if (columns[id]?.fixed) continue;
    const box = element("input", { type: "checkbox", name: "column", value: id });
    byId("board-columns").append(element("label", {}, box, ` ${title}`));
  }
  showState();
  window.addEventListener("hashchange", () => {
    if (location.hash && !holdsState()) return; // a place on the page
    state = stateOfAddress();
    showState();
    draw();
  });
  filters.addEventListener("input", () => {
    for (const name of FILTERS) state[name] = filters.elements[name].value;
    state.columns = Array.from(filters.querySelectorAll("[name=column]:checked"), (box) => box.value).join(",");
    draw();
  });
  if (byId("kinds")) {
    byId("kinds").hidden = false;
    byId("kinds").addEventListener("click", (event) => {
      if (event.target.dataset.kind === undefined) return;
      state.kind = filters.elements.kind.value = event.target.dataset.kind;
      draw();
    });
  }
  filters.addEventListener("submit", (event) => event.preventDefault());
  for (const table of [byId("board"), byId("board-few")]) {
    table.addEventListener("change", (event) => choose(event.target));
    table.addEventListener("click", (event) => event.target.dataset.column && sortBy(event.target.dataset.column, table));
  }
  byId("board-csv").addEventListener("click", () => saveCsv("lossbench-ranks", seen()));
  byId("board-json").addEventListener("click", () => saveJson("lossbench-ranks", seen()));
  draw();
}

if (byId("board")) setUp();
