"use strict";
// The page only asks and draws: every number comes from the server, which steps the library's own rules.
const $ = (id) => document.getElementById(id);
const make = (tag, own = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(own)) key in element ? (element[key] = value) : element.setAttribute(key, value);
  element.append(...children);
  return element;
};
const fetched = async (path) => {
  const reply = await fetch(path);
  const found = await reply.json();
  if (found.error) throw new Error(found.error);
  return found;
};

let names; // surfaces and optimizers that there are
let now; // what the settings are, as far as they were chosen: all that the address holds
let picture; // what the server made of them
let map; // the rate map

// The settings in an address, and as the server reads them.
const written = ({ name, given }) => {
  const pairs = Object.entries(given).map(([key, x]) => `${key}=${x}`);
  return pairs.length ? `${name}:${pairs.join(",")}` : name;
};
function query() {
  const fields = { surface: written(now.surface), optimizers: now.optimizers.map(written).join(","), steps: now.steps, shown: now.shown };
  if (now.start) fields.start = now.start.join(",");
  return Object.entries(fields).map(([key, x]) => `${key}=${encodeURIComponent(x).replace(/%3A/g, ":").replace(/%2C/g, ",").replace(/%3D/g, "=")}`).join("&");
}
function take(found) {
  picture = found;
  now = {
    surface: { name: found.surface.name, given: { ...found.surface.given } },
    optimizers: found.optimizers.map(({ name, given }) => ({ name, given: { ...given } })),
    start: found.start.join() === found.surface.begins.join() ? null : found.start,
    steps: found.steps,
    shown: found.shown,
  };
}

// One question of a kind at a time; while it is answered the last change waits, and those before it are forgotten.
const inTurn = (task) => {
  let busy = false;
  let again = false;
  return async () => {
    again = true;
    if (busy) return;
    busy = true;
    while (again) {
      again = false;
      await task(() => again);
    }
    busy = false;
  };
};
const ask = inTurn(async (changed) => {
  const asked = query();
  try {
    const found = await fetched(`/picture?${asked}`);
    if (changed()) return;
    take(found);
    history.replaceState(null, "", `/?${asked}`);
    complain("");
    show();
    askMap();
  } catch (error) {
    complain(error.message);
    if (!changed() && picture) { take(picture); showControls(); } // back to what is drawn
  }
});
const askMap = inTurn(async (changed) => {
  const found = await fetched(`/rate?${picture.query}`).catch((error) => ({ text: error.message, figure: null }));
  if (changed()) return;
  map = found;
  showMap();
});
// Beside what caused it: the setting that was changed last; at the top, where there is none.
const alert = $("alert");
let cause = null;
$("controls").addEventListener("input", (event) => { cause = event.target; }, true);
$("controls").addEventListener("change", (event) => { cause = event.target; }, true);
function complain(text) {
  const beside = text && cause?.isConnected ? cause.closest(".knob") : null;
  (beside ?? document.querySelector("header > .banner")).after(alert);
  alert.hidden = !text;
  alert.textContent = text;
}

// Controls: made anew only where what there is to turn has changed, so that a slider in use stays.
const listed = (select, groups, value) => {
  select.replaceChildren(...groups.map(([label, options]) => {
    const made = options.map(([name, text]) => make("option", { value: name }, text));
    return label ? make("optgroup", { label }, ...made) : made;
  }).flat());
  select.value = value;
};
// A number that is being typed stays; one that was given shows what became of it.
const typed = (input, change) => {
  input.addEventListener("input", () => { input.dataset.typing = ""; });
  input.addEventListener("change", () => { delete input.dataset.typing; change(); });
};
const put = (input, value) => { if (input.dataset.typing === undefined) input.value = value; };
const shape = (knobs) => knobs.map((knob) => knob.name).join();

function knobs(box, owner, found, change) {
  if (box.dataset.shape !== `${owner} ${shape(found)}`) {
    box.dataset.shape = `${owner} ${shape(found)}`;
    box.replaceChildren(...found.map((knob) => {
      const id = `${owner}-${knob.name}`;
      const label = make("label", { htmlFor: id }, knob.name);
      if (knob.switch) {
        const input = make("input", { id, type: "checkbox" });
        input.addEventListener("change", () => change(knob.name, input.checked ? 1 : 0));
        return make("div", { className: "knob switch" }, label, input);
      }
      const slider = make("input", { id, type: "range", min: 0, step: 1 });
      const number = make("input", { id: `${id}-number`, type: "number", step: "any" });
      number.setAttribute("aria-label", `${knob.name}, as a number`);
      slider.addEventListener("input", () => change(knob.name, JSON.parse(slider.dataset.stops)[slider.value]));
      typed(number, () => (number.value === "" ? showControls() : change(knob.name, number.valueAsNumber)));
      return make("div", { className: "knob" }, label, slider, number);
    }));
  }
  for (const knob of found) {
    const input = $(`${owner}-${knob.name}`);
    if (knob.switch) { input.checked = knob.value === 1; continue; }
    input.dataset.stops = JSON.stringify(knob.stops);
    input.max = knob.stops.length - 1;
    input.value = knob.at;
    input.setAttribute("aria-valuetext", knob.value);
    put($(`${owner}-${knob.name}-number`), knob.value);
  }
}

function swatch({ colour, dash }) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  const dashes = { solid: "", dash: "7 4", dot: "2 3", dashdot: "7 3 2 3", longdash: "11 4", longdashdot: "11 3 2 3" };
  for (const [key, value] of Object.entries({ width: 26, height: 6, "aria-hidden": "true" })) svg.setAttribute(key, value);
  const own = { x1: 0, y1: 3, x2: 26, y2: 3, "stroke-width": 3, "stroke-dasharray": dashes[dash] };
  for (const [key, value] of Object.entries(own)) line.setAttribute(key, value);
  line.style.stroke = colour === "ink" ? "var(--ink)" : colour;
  svg.append(line);
  return svg;
}

function showControls() {
  $("surface").value = picture.surface.name;
  $("summary").textContent = picture.surface.summary + (picture.surface.seed === null ? "" : ` Seed ${picture.surface.seed}.`);
  knobs($("surface-knobs"), "surface", picture.surface.knobs, (name, x) => { now.surface.given[name] = x; ask(); });
  ["x", "y"].forEach((axis, k) => {
    put($(`start-${axis}`), picture.start[k]);
  });
  $("steps").value = picture.steps;
  $("steps-value").textContent = picture.steps;
  const box = $("optimizers");
  while (box.children.length > picture.optimizers.length) box.lastElementChild.remove();
  picture.optimizers.forEach((optimizer, i) => {
    if (!box.children[i]) box.append(card(i));
    const own = box.children[i];
    own.querySelector("legend").replaceChildren(swatch(picture.rows[i]), optimizer.name);
    own.querySelector("select").value = optimizer.name;
    own.querySelector(".remove").hidden = picture.optimizers.length === 1;
    own.querySelector(".remove").setAttribute("aria-label", `Remove ${optimizer.name}`);
    const box2 = own.querySelector(".knobs");
    if (box2.dataset.name !== optimizer.name) { box2.dataset.name = optimizer.name; delete box2.dataset.shape; }
    knobs(box2, `optimizer-${i}`, optimizer.knobs, (name, x) => { now.optimizers[i].given[name] = x; ask(); });
  });
  $("add").hidden = picture.optimizers.length >= names.most.optimizers;
  listed($("shown"), [["", picture.optimizers.map(({ label }, i) => [i, label])]], picture.shown);
}
function card(i) {
  const select = make("select", { id: `optimizer-${i}` });
  const titles = { rules: "Rules", variants: "Variants of rules" };
  listed(select, Object.entries(names.optimizers).map(([group, all]) => [titles[group] || group, all.map((x) => [x, x])]), "");
  select.addEventListener("change", () => { now.optimizers[i] = { name: select.value, given: {} }; ask(); });
  const remove = make("button", { type: "button", className: "remove" }, "Remove");
  remove.addEventListener("click", () => {
    now.optimizers.splice(i, 1);
    now.shown = Math.min(now.shown, now.optimizers.length - 1);
    ask();
    $("add").focus();
  });
  const label = make("label", { htmlFor: select.id }, "Rule");
  return make("fieldset", { className: "card" }, make("legend"), make("div", { className: "knob" }, label, select), make("div", { className: "knobs" }), remove);
}

// Pictures, and the moment at which they are looked at.
function show() {
  showControls();
  $("command").textContent = picture.command;
  $("stage").textContent = picture.optimizers[picture.shown].stage;
  $("ends").textContent = picture.rows.filter((row) => row.ended).map((row) => `${row.label}: ${row.ended}.`.replace("..", ".")).join(" ");
  const moment = $("moment"); // at first before the first step; one who stands at the end stays there
  const atEnd = moment.max && moment.max !== "0" && moment.value === moment.max;
  moment.max = picture.steps;
  if (atEnd) moment.value = picture.steps;
  showStates();
  draw();
}
function showStates() {
  const found = Object.keys(picture.state);
  $("stateless").hidden = found.length > 0;
  if ($("states").dataset.names === found.join()) return;
  $("states").dataset.names = found.join();
  $("states").replaceChildren(...found.flatMap((name, k) => {
    const label = `Line chart: the array ${name} of the state, for x and for y, against steps.`;
    return [make("h4", {}, make("code", {}, name)), make("div", { className: "chart low", id: `state-${k}`, role: "img", "aria-label": label })];
  }));
}
function draw() {
  for (const [id, figure] of Object.entries(picture.figures)) drawChart(id, figure);
  Object.values(picture.state).forEach((figure, k) => drawChart(`state-${k}`, figure));
  showMoment();
}
function showMap() {
  $("map-text").textContent = map.text;
  $("map").hidden = $("map-note").hidden = !map.figure;
  if (map.figure) drawChart("map", map.figure);
}
// A number as a person writes it: four digits, and a power of ten where it would be long.
const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const shortly = (x) => {
  if (x === undefined) return "";
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "-" : x > 0 ? "∞" : "−∞";
  if (x === 0 || (Math.abs(x) >= 1e-4 && Math.abs(x) < 1e6)) return String(Number(x.toPrecision(4)));
  const [digits, power] = x.toExponential(3).split("e");
  return `${digits} · 10${power.replace("+", "").replace("-", "⁻").replace(/\d/g, (k) => RAISED[k])}`;
};
function showMoment() {
  const step = Number($("moment").value);
  $("moment-value").textContent = `${step} of ${picture.steps}`;
  const at = (values) => values[Math.min(step, values.length - 1)];
  $("rows").replaceChildren(...picture.rows.map((row) => {
    const last = step > 0 && row.moved.length ? row.moved[Math.min(step, row.moved.length) - 1] : undefined;
    const cells = [row.rate, at(row.x), at(row.y), at(row.above), last].map((x) => make("td", {}, shortly(x)));
    return make("tr", {}, make("th", { scope: "row" }, swatch(row), row.label), ...cells);
  }));
  // The paths up to that step, each with its halo beneath, and a point at its end.
  const { data } = picture.figures.contour;
  const many = picture.rows.length;
  const first = data.length - many;
  const part = [...Array(2 * many).keys()].map((k) => ({ x: data[1 + k].x.slice(0, step + 1), y: data[1 + k].y.slice(0, step + 1) }));
  const points = picture.rows.map((row) => ({ x: [at(row.x)], y: [at(row.y)] }));
  const drawn = [...part, ...points];
  const places = [...part.map((_, k) => 1 + k), ...points.map((_, i) => first + i)];
  Plotly.restyle("contour", { x: drawn.map(({ x }) => x), y: drawn.map(({ y }) => y) }, places);
}
let playing = 0;
function play(wanted) {
  cancelAnimationFrame(playing);
  playing = 0;
  $("run").textContent = wanted ? "Pause" : "Play";
  $("run").setAttribute("aria-pressed", wanted);
  if (!wanted) return;
  const slider = $("moment");
  if (Number(slider.value) >= picture.steps) slider.value = 0;
  const from = Number(slider.value);
  const begun = performance.now();
  const perSecond = Math.max(15, picture.steps / 8);
  const frame = (time) => {
    const step = Math.min(picture.steps, from + Math.floor(((time - begun) / 1000) * perSecond));
    if (step !== Number(slider.value)) { slider.value = step; showMoment(); }
    if (step >= picture.steps) play(false); else playing = requestAnimationFrame(frame);
  };
  playing = requestAnimationFrame(frame);
}

// What the hand does.
function startAt(x, y) {
  now.start = [x, y].map((value) => Number(value.toPrecision(6)));
  ask();
}
$("contour").addEventListener("click", (event) => {
  const { xaxis, yaxis } = $("contour")._fullLayout;
  const box = $("contour").getBoundingClientRect();
  const x = xaxis.p2d(event.clientX - box.left - xaxis._offset);
  const y = yaxis.p2d(event.clientY - box.top - yaxis._offset);
  const [low, high, bottom, top] = picture.surface.box;
  if (x >= low && x <= high && y >= bottom && y <= top) startAt(x, y);
});
$("contour").addEventListener("keydown", (event) => {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
  if (!way) return;
  event.preventDefault();
  const [low, high, bottom, top] = picture.surface.box;
  const [x, y] = now.start || picture.start;
  startAt(x + (way[0] * (high - low)) / 50, y + (way[1] * (top - bottom)) / 50);
});
$("controls").addEventListener("submit", (event) => event.preventDefault());
$("surface").addEventListener("change", () => { now.surface = { name: $("surface").value, given: {} }; now.start = null; ask(); });
for (const axis of ["x", "y"]) {
  typed($(`start-${axis}`), () => {
    const [x, y] = ["x", "y"].map((name) => $(`start-${name}`).valueAsNumber);
    if (Number.isFinite(x) && Number.isFinite(y)) startAt(x, y);
    else showControls();
  });
}
$("steps").addEventListener("input", () => { now.steps = Number($("steps").value); ask(); });
$("shown").addEventListener("change", () => { now.shown = Number($("shown").value); ask(); });
$("add").addEventListener("click", () => {
  const there = now.optimizers.map(({ name }) => name);
  const name = names.optimizers.rules.find((x) => !there.includes(x));
  now.optimizers.push({ name, given: {} });
  ask();
});
$("moment").addEventListener("input", () => { play(false); showMoment(); });
$("run").addEventListener("click", () => play(!playing));
$("share").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(location.href);
    $("shared").textContent = "copied";
  } catch {
    $("shared").textContent = "copy it from the address bar";
  }
});
$("theme").addEventListener("change", () => {
  const media = { light: "not all", dark: "all" }[$("theme").value] || "(prefers-color-scheme: dark)";
  for (const sheet of document.querySelectorAll("link.dark")) sheet.media = media;
  redraw();
});
function redraw() {
  if (!picture) return;
  draw();
  if (map) showMap();
}
narrow.addEventListener("change", redraw);
dark.addEventListener("change", redraw);

async function begin() {
  try {
    names = await fetched("/names");
    listed($("surface"), [["", names.surfaces.map(({ name, title }) => [name, title])]], "");
    $("steps").max = names.most.steps;
    let wrong = "";
    const found = await fetched(`/picture${location.search}`).catch((error) => {
      wrong = error.message;
      return fetched("/picture");
    });
    take(found);
    await ask();
    if (wrong) complain(wrong);
  } catch (error) {
    complain(error.message);
  }
}
begin();
