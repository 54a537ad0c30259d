"use strict";

// Files made from what the page shows: a list of objects as CSV or JSON.

function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

function csvOf(rows) {
  const quoted = (value) => (/[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value ?? "");
  const names = [...new Set(rows.flatMap(Object.keys))];
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((cells) => cells.map(quoted).join(",")).join("\n") + "\n";
}

function saveCsv(name, rows) {
  save(`${name}.csv`, "text/csv", csvOf(rows));
}

function saveJson(name, rows) {
  save(`${name}.json`, "application/json", JSON.stringify(rows, null, 1) + "\n");
}
