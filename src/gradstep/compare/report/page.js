// The report's charts, drawn again when the theme or the width class changes.
const figures = JSON.parse(document.getElementById("figures").textContent);
const draw = () => Object.entries(figures).forEach(([id, figure]) => drawChart(id, figure));
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
