"use strict";
// Charts: drawn in the colours of the page, and again when the theme or the width class changes.
const figures = JSON.parse(document.getElementById("figures").textContent);
const narrow = matchMedia("(max-width: 40rem)");
const dark = matchMedia("(prefers-color-scheme: dark)");

function draw() {
  const style = getComputedStyle(document.body);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { color: colour("--ink"), gridcolor: colour("--rule"), linecolor: colour("--rule"), zeroline: false, automargin: true };
  for (const [id, text] of Object.entries(figures)) {
    const { data, layout } = JSON.parse(JSON.stringify(text), (key, value) => (value === "ink" ? colour("--ink") : value));
    Plotly.react(id, data, {
      ...layout,
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: { family: style.fontFamily, size: 13, color: colour("--ink") },
      xaxis: { ...axis, ...layout.xaxis },
      yaxis: { ...axis, ...layout.yaxis },
      legend: narrow.matches ? { orientation: "h", x: 0, y: -0.25, yanchor: "top" } : { x: 1.02, y: 1 },
      margin: { l: 60, r: 10, t: 36, b: 50 }, // above: the mode bar
      modebar: { color: colour("--muted"), activecolor: colour("--ink"), bgcolor: "transparent" },
    }, { responsive: true, displaylogo: false });
  }
}
draw();
narrow.addEventListener("change", draw);
dark.addEventListener("change", draw);

// Table: a click on a heading sorts by the cells' data-value; a second click turns the order round.
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const heading = button.parentElement;
    const rising = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of heading.parentElement.children) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const body = heading.closest("table").tBodies[0];
    const value = (row) => row.cells[heading.cellIndex].dataset.value;
    const compare = (a, b) => (heading.dataset.text === undefined ? Number(a) - Number(b) : a.localeCompare(b));
    const rows = [...body.rows].sort((a, b) => (rising ? 1 : -1) * (compare(value(a), value(b)) || 0));
    body.append(...rows);
  });
}
