const dark = window.matchMedia("(prefers-color-scheme: dark)");

function draw() {
  const [ink, rule] = dark.matches ? ["#c3cad2", "#333a42"] : ["#3b434c", "#e3e7eb"];
  const axis = { labelColor: ink, titleColor: ink, domainColor: ink, tickColor: ink, gridColor: rule,
    labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500, labelOverlap: "greedy" };
  const config = { background: "transparent", font: "system-ui, sans-serif", view: { stroke: null }, axis };
  const options = { actions: false, renderer: "svg", config, tooltip: { theme: dark.matches ? "dark" : "light" } };
  for (const chart of document.querySelectorAll("[data-spec]")) {
    vegaEmbed(chart, JSON.parse(document.getElementById(chart.dataset.spec).textContent), options);
  }
}

draw();
dark.addEventListener("change", draw);
