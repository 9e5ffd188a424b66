"use strict";
// Sorting, filtering, limits and the theme. Without JavaScript every table and figure is still there.
(() => {
  const key = (row, column) => {
    const cell = row.cells[column];
    const value = cell.dataset.v;
    return value === undefined ? cell.textContent.trim().toLowerCase() : value === "" ? null : Number(value);
  };
  const compare = (a, b) => {
    if (a === null || b === null) return a === b ? 0 : a === null ? 2 : -2;
    return a < b ? -1 : a > b ? 1 : 0;
  };
  const sort = (button) => {
    const head = button.closest("th");
    const table = head.closest("table");
    const column = head.cellIndex;
    const up = head.getAttribute("aria-sort") === "descending" || (!head.hasAttribute("aria-sort") && head.dataset.first === "up");
    for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row, index) => ({ row, index, value: key(row, column) }));
    rows.sort((a, b) => {
      const order = compare(a.value, b.value);
      return (Math.abs(order) === 2 ? order : up ? order : -order) || a.index - b.index; // rows without a figure stay last
    });
    body.append(...rows.map((entry) => entry.row));
  };
  const filter = (input) => {
    const table = document.getElementById(input.getAttribute("aria-controls"));
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    input.closest(".tools").querySelector("[role=status]").textContent = words.length ? `${shown} rows` : "";
  };
  const group = (box) => {
    const table = document.getElementById(box.getAttribute("aria-controls"));
    for (const cell of table.querySelectorAll(`[data-g="${box.value}"]`)) cell.hidden = !box.checked;
  };
  const limit = (form) => {
    const most = (name) => (form.elements[name]?.value ? Number(form.elements[name].value) : Infinity);
    const methods = JSON.parse(form.dataset.methods);
    const fits = methods.filter((m) => ["ratio", "macs", "latency"].every((k) => most(k) === Infinity || (m[k] !== null && m[k] <= most(k))));
    const output = form.querySelector("output");
    if (!fits.length) { output.textContent = "No method is within these limits."; return; }
    const best = fits[0];
    const close = fits.slice(1).filter((m) => best.close.includes(m.id)).map((m) => m.label);
    const doubt = form.dataset.seeds === "1" ? " One seed: the highest figure, not evidence that it is the best."
      : close.length ? ` Not told apart from it: ${close.join(", ")}.` : "";
    output.textContent = `${best.label}: ${best.figure}, ${best.costs}.${doubt}`;
  };
  const root = document.documentElement;
  const store = (value) => { try { localStorage.setItem("mtlbench-theme", value); } catch { /* no storage on this page */ } };
  try { const kept = localStorage.getItem("mtlbench-theme"); if (kept) root.dataset.theme = kept; } catch { /* as above */ }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.matches("th button")) sort(button);
    if (button.id === "theme") {
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      store(root.dataset.theme);
    }
  });
  document.addEventListener("input", (event) => {
    const target = event.target;
    if (target.type === "search") filter(target);
    if (target.type === "checkbox" && target.hasAttribute("aria-controls")) group(target);
    const form = target.closest("form.limits");
    if (form) limit(form);
  });
  document.addEventListener("submit", (event) => event.preventDefault());
  for (const form of document.querySelectorAll("form.limits")) limit(form);
})();
