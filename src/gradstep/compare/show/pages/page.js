// The report: charts drawn one after the other and again when theme or width class changes, what is chosen, tables.
let figures = {};
const chosen = {}; // of each kind of select, what it was last
let round = 0; // of drawing; a newer one ends those before it

async function draw() {
  const mine = ++round;
  const axis = document.querySelector("[data-axis]")?.value ?? "steps";
  for (const [id, figure] of Object.entries(figures)) {
    const place = document.getElementById(id);
    if (place === null || place.closest("[hidden]")) continue;
    await drawChart(id, over(figure, axis));
    await new Promise((resolve) => setTimeout(resolve)); // a page of many charts stays at hand meanwhile
    if (mine !== round) return;
  }
}

// A figure over steps, over another axis: seconds are steps times what a step costs.
function over(figure, axis) {
  if (!figure.axes || axis === "steps") return figure;
  const factor = (trace) => (axis === "seconds" ? trace.meta.seconds : 1);
  const data = figure.data
    .filter((trace) => factor(trace) !== undefined)
    .map((trace) => ({ ...trace, x: trace.x.map((x) => (x === null ? null : x * factor(trace))) }));
  const { title, range } = figure.layout.xaxis;
  const xaxis = { ...figure.layout.xaxis, title: { ...title, text: figure.axes[axis] } };
  if (range) xaxis.range = [0, Math.max(...data.flatMap((trace) => trace.x))];
  return { ...figure, data, layout: { ...figure.layout, xaxis } };
}

// Selects of one kind, in several sections, say the same; those of a problem show what belongs to it alone.
function choose(kind, value) {
  chosen[kind] = value;
  for (const select of document.querySelectorAll(`[data-${kind}]`)) select.value = value;
  if (kind === "choice")
    for (const part of document.querySelectorAll("[data-problem]")) part.hidden = part.dataset.problem !== value;
}

// A click on a heading sorts by the cells' data-value; a second click turns the order round.
function sort(button) {
  const heading = button.parentElement;
  const rising = heading.getAttribute("aria-sort") !== "ascending";
  for (const other of heading.parentElement.children) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const body = heading.closest("table").tBodies[0];
  const value = (row) => row.cells[heading.cellIndex].dataset.value;
  const compare = (a, b) => (heading.dataset.text === undefined ? Number(a) - Number(b) : a.localeCompare(b));
  const rows = [...body.rows].sort((a, b) => (rising ? 1 : -1) * (compare(value(a), value(b)) || 0));
  body.append(...rows);
}

// A table that is cut off says that it scrolls; one that fits, or is hidden, does not.
const fits = new ResizeObserver((found) => {
  for (const { target } of found) target.nextElementSibling.hidden = target.scrollWidth <= target.clientWidth;
});

// What a page says at first, and each time that it is written anew.
function present(found) {
  figures = found;
  for (const table of document.querySelectorAll(".scroll")) fits.observe(table);
  for (const button of document.querySelectorAll("thead button")) button.addEventListener("click", () => sort(button));
  for (const kind of ["choice", "axis"]) {
    const all = document.querySelectorAll(`[data-${kind}]`);
    for (const select of all) select.addEventListener("change", () => { choose(kind, select.value); draw(); });
    if (all.length) choose(kind, chosen[kind] ?? all[0].value);
  }
  for (const link of document.querySelectorAll("a[data-still]")) {
    const still = link.closest("figure").querySelector("noscript").textContent;
    link.href = URL.createObjectURL(new Blob([still.trim()], { type: "image/svg+xml" }));
  }
  return draw();
}

const given = document.getElementById("figures");
if (given !== null) present(JSON.parse(given.textContent));
narrow.addEventListener("change", draw);
dark.addEventListener("change", draw);
