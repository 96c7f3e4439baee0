"use strict";
// Charts: figures of Plotly in the colours of the page. A colour named after one of the page's own, such as "ink", is it.
const narrow = matchMedia("(max-width: 40rem)");
const dark = matchMedia("(prefers-color-scheme: dark)");
const SMALL = 600; // a chart less wide has its legend below
const TONES = ["paper", "ink", "muted", "rule", "deep", "low", "high"];

function drawChart(id, figure) {
  const style = getComputedStyle(document.body);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const own = (key, value) => (TONES.includes(value) && !["name", "xref", "yref"].includes(key) ? colour(value) : value);
  const { data, layout, config } = JSON.parse(JSON.stringify(figure), own);
  const small = document.getElementById(id).clientWidth < SMALL;
  const axis = { color: colour("ink"), gridcolor: colour("rule"), linecolor: colour("rule"), zeroline: false, automargin: true };
  return Plotly.react(id, data, {
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    font: { family: style.fontFamily, size: 13, color: colour("ink") },
    legend: small ? { orientation: "h", x: 0, y: -0.25, yanchor: "top" } : { x: 1.02, y: 1 },
    ...layout,
    margin: { l: 60, r: 10, t: 12, b: 50, ...layout.margin },
    xaxis: { ...axis, ...layout.xaxis },
    yaxis: { ...axis, ...layout.yaxis },
  }, { responsive: true, displayModeBar: false, ...config });
}
