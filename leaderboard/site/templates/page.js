"use strict";

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const drawnBoxes = new Set(); // the elements that contain a chart
const toggledViews = new Map(); // element -> Vega view, for the charts that the strategy buttons control

function config() {
  const [ink, rule] = dark.matches ? ["#c3cad2", "#333a42"] : ["#3b434c", "#e3e7eb"];
  const text = { labelColor: ink, titleColor: ink };
  const axis = { ...text, domainColor: ink, tickColor: ink, gridColor: rule, labelFontSize: 12, titleFontSize: 12,
    titleFontWeight: 500, labelOverlap: "greedy", labelSeparation: 6 };
  return { background: "transparent", font: "system-ui, sans-serif", view: { stroke: null }, axis, legend: text };
}

function hidden() {
  const off = document.querySelectorAll('.toggle[aria-pressed="false"]');
  return Array.from(new Set(Array.from(off, (button) => button.dataset.strategy)));
}

function update(view) {
  view.signal("hidden", hidden()).runAsync();
}

async function draw(box) {
  const spec = JSON.parse(document.getElementById(box.dataset.spec).textContent);
  const options = { actions: false, logLevel: 1, renderer: "svg", config: config(),
    tooltip: { theme: dark.matches ? "dark" : "light" } };
  const { view } = await vegaEmbed(box, spec, options);
  drawnBoxes.add(box);
  if (box.dataset.toggled === undefined) return;
  toggledViews.set(box, view);
  update(view);
}

// Draw a chart when it comes near the screen or its details element is opened: in a closed one it has no width.
const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (isIntersecting) {
      near.unobserve(target);
      draw(target);
    }
  }
}, { rootMargin: "1200px" });
for (const box of document.querySelectorAll("[data-spec]")) near.observe(box);
// On paper, all of the page is near.
window.addEventListener("beforeprint", () => {
  for (const box of document.querySelectorAll("[data-spec]")) {
    if (drawnBoxes.has(box) || !box.clientWidth) continue;
    near.unobserve(box);
    draw(box);
  }
});
dark.addEventListener("change", () => drawnBoxes.forEach(draw));

function setPressed(buttons, on) {
  for (const button of buttons) button.setAttribute("aria-pressed", on);
  toggledViews.forEach(update);
}

// All legends of a page show the same strategies.
const toggles = Array.from(document.querySelectorAll(".toggle"));
for (const button of toggles) {
  button.addEventListener("click", () => {
    const same = toggles.filter((other) => other.dataset.strategy === button.dataset.strategy);
    setPressed(same, button.getAttribute("aria-pressed") === "false");
  });
}
for (const button of document.querySelectorAll(".every")) {
  button.addEventListener("click", () => setPressed(toggles, button.dataset.show === "all"));
}

function sort(table, column, direction) {
  const key = (row) => {
    const cell = row.cells[column];
    if (table.tHead.rows[0].cells[column].classList.contains("text")) return cell.textContent.trim();
    return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
  };
  const rows = Array.from(table.tBodies[0].rows, (row) => [key(row), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return direction * (typeof a === "string" ? a.localeCompare(b) : a - b);
  });
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

for (const button of document.querySelectorAll(".sort")) {
  button.addEventListener("click", () => {
    const heading = button.closest("th");
    const table = heading.closest("table");
    const ascending = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of heading.parentElement.cells) if (other.ariaSort) other.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    sort(table, heading.cellIndex, ascending ? 1 : -1);
  });
}
