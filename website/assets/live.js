// A surface, optimizers that move over it, and sliders for all their numbers. <div class="gs-live" data-chains="adam sgd">
// becomes one; with data-choose its optimizers can be changed. What stands in it is shown where this can't run.
"use strict";
(() => {
  const DASHES = ["", "9 4", "2 4", "9 4 2 4", "14 5", ""];
  const MOST_STEPS = 1000, MOST = 6, GRID = 120, BEYOND = 1e9;
  const SVG = "http://www.w3.org/2000/svg";
  let count = 0; // of ids

  const power = (p) => (p === 0 ? "1" : p === 1 ? "10" : `10${[...`${p}`].map((x) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(x)]).join("")}`);

  const put = (element, own, children) => {
    for (const [key, value] of Object.entries(own)) {
      if (key === "text") element.textContent = value;
      else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...children);
    return element;
  };
  const make = (tag, own = {}, ...children) => put(document.createElement(tag), own, children);
  const draw = (tag, own = {}, ...children) => put(document.createElementNS(SVG, tag), own, children);
  const short = (x) => (x === undefined || !Number.isFinite(x) ? "–" : String(Number(x.toPrecision(4))));
  const option = (value, text = value) => make("option", { value, text });
  const colour = (i) => `gs-colour-${i % MOST}`; // a class

  function nearest(stops, value) {
    let best = 0;
    stops.forEach((x, i) => { if (Math.abs(x - value) < Math.abs(stops[best] - value)) best = i; });
    return best;
  }

  // A slider with a number beside it: the slider goes from stop to stop, the number takes any value.
  function knob(name, stops, value, change) {
    const id = `gs-${(count += 1)}`;
    const slider = make("input", { id, type: "range", min: 0, max: stops.length - 1, step: 1, value: nearest(stops, value) });
    const number = make("input", { type: "number", step: "any", value, "aria-label": `${name}, as a number` });
    slider.setAttribute("aria-valuetext", String(value));
    slider.addEventListener("input", () => {
      number.value = stops[slider.value];
      slider.setAttribute("aria-valuetext", number.value);
      change(stops[slider.value]);
    });
    number.addEventListener("change", () => {
      if (!Number.isFinite(number.valueAsNumber)) { number.value = stops[slider.value]; return; }
      slider.value = nearest(stops, number.valueAsNumber);
      change(number.valueAsNumber);
    });
    return make("div", { class: "gs-knob" }, make("label", { for: id, text: name }), slider, number);
  }

  class Live {
    constructor(box) {
      this.box = box;
      this.choose = "choose" in box.dataset;
      this.players = box.dataset.chains.split(" ").map((name) => ({ name, given: {} }));
      this.surface = { name: box.dataset.surface || "quadratic", numbers: {} };
      this.start = null;
      this.steps = Number(box.dataset.steps || 120);
      this.moment = this.steps;
      this.build();
      this.settle();
    }

    get ground() { return gradstep.surfaces[this.surface.name]; }
    get numbers() { return { ...Object.fromEntries(this.ground.knobs.map((k) => [k.name, k.value])), ...this.surface.numbers }; }
    get begin() { return this.start || this.ground.start; }
    at(x, y) { return this.ground.at({ x, y, ...this.numbers }); }

    build() {
      const surface = make("select", { id: `gs-${(count += 1)}`, onchange: () => {
        this.surface = { name: surface.value, numbers: {} };
        this.start = null;
        this.settle();
      } }, ...Object.entries(gradstep.surfaces).map(([name, own]) => option(name, own.title)));
      surface.value = this.surface.name;
      this.canvas = make("canvas", { width: GRID, height: GRID });
      this.over = draw("svg", { viewBox: "0 0 600 600", role: "img" });
      this.picture = make("div", { class: "gs-picture", onclick: (event) => this.clicked(event) }, this.canvas, this.over);
      this.curve = draw("svg", { viewBox: "0 0 600 240", role: "img", class: "gs-curve" });
      this.surfaceKnobs = make("div");
      this.cards = make("div", { class: "gs-cards" });
      this.rows = make("tbody");
      this.when = make("output");
      this.slider = make("input", { type: "range", min: 0, step: 1, id: `gs-${(count += 1)}`, oninput: () => {
        this.pause();
        this.moment = Number(this.slider.value);
        this.showMoment();
      } });
      this.button = make("button", { type: "button", text: "Play", class: "md-button gs-button", onclick: () => (this.timer ? this.pause() : this.play()) });
      this.said = make("p", { class: "gs-said", role: "status" });
      const heads = [["optimizer"], ["x"], ["y"], ["loss above the least", "loss"]].map(([long, brief]) => make("th", { scope: "col", text: brief || long, title: long }));
      const table = make("table", { class: "gs-rows" }, make("thead", {}, make("tr", {}, ...heads)), this.rows);
      const moment = make("div", { class: "gs-moment" }, this.button, make("label", { for: this.slider.id, text: "step" }), this.slider, this.when);
      const add = make("button", { type: "button", class: "md-button gs-button", text: "Add an optimizer", onclick: () => {
        const there = this.players.map(({ name }) => name);
        this.players.push({ name: Object.keys(gradstep.chains).find((x) => gradstep.chains[x].isRule && !there.includes(x)), given: {} });
        this.settle();
      } });
      this.add = add;
      const where = make("fieldset", { class: "gs-card" }, make("legend", { text: "Surface" }),
        make("div", { class: "gs-knob" }, make("label", { for: surface.id, text: "shape" }), surface), this.surfaceKnobs);
      const controls = make("div", { class: "gs-controls" }, this.cards, ...(this.choose ? [add] : []), where);
      const shown = make("div", { class: "gs-shown" }, this.picture, moment,
        make("div", { class: "gs-table", tabindex: 0, role: "region", "aria-label": "Where each optimizer is" }, table),
        make("p", { class: "gs-axis", text: "loss above the least, at each step (log axis)" }), this.curve, this.said);
      this.box.replaceChildren(shown, controls);
      this.box.classList.add("gs-alive");
    }

    // Another set of optimizers, or another surface: controls anew, then all paths.
    settle() {
      const change = () => { this.run(); };
      this.surfaceKnobs.replaceChildren(...this.ground.knobs.map((own) => knob(own.name, own.stops, this.numbers[own.name], (x) => {
        this.surface.numbers[own.name] = x;
        this.paint();
        change();
      })), ...["x", "y"].map((axis, i) => {
        const [low, high] = this.ground.box.slice(2 * i, 2 * i + 2);
        const stops = Array.from({ length: 81 }, (_, k) => Number((low + ((high - low) * k) / 80).toPrecision(4)));
        return knob(`start ${axis}`, stops, this.begin[i], (x) => { this.start = [...this.begin]; this.start[i] = x; change(); });
      }), knob("steps", [10, 20, 30, 50, 80, 120, 200, 300, 500, 800, MOST_STEPS], this.steps, (x) => {
        this.steps = Math.max(1, Math.min(MOST_STEPS, Math.round(x)));
        this.moment = this.steps;
        change();
      }));
      this.cards.replaceChildren(...this.players.map((player, i) => this.card(player, i, change)));
      this.add.hidden = this.players.length >= MOST;
      this.paint();
      this.run();
    }

    hyper(player) {
      const chain = gradstep.chains[player.name];
      const fits = this.ground.scale[chain.unit]; // a rate that fits the surface by order of magnitude
      return { ...chain.hyper, ...(fits !== undefined && "lr" in chain.hyper ? { lr: fits } : {}), ...player.given };
    }

    card(player, i, change) {
      const chain = gradstep.chains[player.name];
      const values = this.hyper(player);
      const title = make("legend", {}, this.swatch(i), make("span", { text: player.name }));
      const knobs = chain.knobs.map(({ name, stops }) => knob(name, stops, values[name], (x) => { player.given[name] = x; change(); }));
      const own = [];
      if (this.choose) {
        const select = make("select", { id: `gs-${(count += 1)}`, onchange: () => { this.players[i] = { name: select.value, given: {} }; this.settle(); } },
          ...Object.entries(gradstep.chains).filter(([, x]) => x.isRule).map(([name]) => option(name)));
        select.value = player.name;
        own.push(make("div", { class: "gs-knob" }, make("label", { for: select.id, text: "rule" }), select));
        if (this.players.length > 1) {
          own.push(make("button", { type: "button", class: "gs-remove", text: "remove", "aria-label": `remove ${player.name}`, onclick: () => {
            this.players.splice(i, 1);
            this.settle();
          } }));
        }
      }
      return make("fieldset", { class: "gs-card" }, title, ...own, ...knobs);
    }

    swatch(i) {
      return draw("svg", { viewBox: "0 0 28 6", width: 28, height: 6, "aria-hidden": "true" },
        draw("line", { x1: 0, y1: 3, x2: 28, y2: 3, "stroke-width": 3, class: `gs-swatch ${colour(i)}`, "stroke-dasharray": DASHES[i % DASHES.length] }));
    }

    // The surface from above: half by the height's logarithm, which shows valleys, half by rank, which shows hills.
    paint() {
      const [low, high, bottom, top] = this.ground.box;
      const heights = [];
      for (let j = 0; j < GRID; j++) {
        for (let i = 0; i < GRID; i++) {
          const x = low + ((high - low) * (i + 0.5)) / GRID, y = top - ((top - bottom) * (j + 0.5)) / GRID;
          heights.push(this.at(x, y).value - this.ground.least);
        }
      }
      const logs = heights.map((z) => Math.log10(Math.max(z, 1e-4)));
      const order = heights.map((_, k) => k).sort((a, b) => heights[a] - heights[b]);
      const rank = new Float64Array(heights.length);
      order.forEach((k, place) => { rank[k] = place / heights.length; });
      const least = logs[order[0]], span = logs[order[order.length - 1]] - least || 1;
      const pixels = new ImageData(GRID, GRID);
      heights.forEach((_, k) => {
        const shade = (logs[k] - least) / (2 * span) + rank[k] / 2;
        const band = Math.floor(shade * 14) / 14;
        pixels.data.set([0, 114, 178, Math.round(255 * (0.42 * (1 - band) + 0.02))], 4 * k);
      });
      this.canvas.getContext("2d").putImageData(pixels, 0, 0);
    }

    trace(player) {
      const chain = gradstep.chains[player.name];
      const path = { x: [this.begin[0]], y: [this.begin[1]], loss: [], ended: "" };
      let opt;
      try {
        opt = new gradstep.Optimizer(chain, this.hyper(player), this.begin);
        let here = this.at(...this.begin);
        path.loss.push(here.value - this.ground.least);
        for (let t = 1; t <= this.steps; t++) {
          const more = { loss: here.value };
          if (chain.parts.some((part) => part.inputs.length)) more.curvature = this.curvature(opt.theta);
          opt.step([here.dx, here.dy], more);
          here = this.at(opt.theta[0], opt.theta[1]);
          if (!Number.isFinite(here.value) || Math.max(...opt.theta.map(Math.abs)) > BEYOND) {
            path.ended = `${player.name} diverged at step ${t}.`;
            break;
          }
          path.x.push(opt.theta[0]);
          path.y.push(opt.theta[1]);
          path.loss.push(here.value - this.ground.least);
        }
      } catch (error) {
        path.ended = `${player.name}: ${error.message}.`;
      }
      return path;
    }

    // The diagonal of the Hessian, which sophia asks for, from differences of gradients.
    curvature([x, y]) {
      const h = 1e-4;
      return [(this.at(x + h, y).dx - this.at(x - h, y).dx) / (2 * h), (this.at(x, y + h).dy - this.at(x, y - h).dy) / (2 * h)];
    }

    run() {
      this.paths = this.players.map((player) => this.trace(player));
      this.said.textContent = this.paths.map((path) => path.ended).filter(Boolean).join(" ");
      this.slider.max = this.steps;
      this.moment = Math.min(this.moment, this.steps);
      this.showMoment();
    }

    showMoment() {
      const t = this.moment;
      this.slider.value = t;
      this.when.textContent = `${t} of ${this.steps}`;
      const at = (values) => values[Math.min(t, values.length - 1)];
      this.rows.replaceChildren(...this.paths.map((path, i) => make("tr", {},
        make("th", { scope: "row" }, this.swatch(i), make("span", { text: ` ${this.players[i].name}` })),
        ...[at(path.x), at(path.y), at(path.loss)].map((x) => make("td", { text: short(x) })))));
      this.drawPaths(t);
      this.drawCurves(t);
    }

    drawPaths(t) {
      const [low, high, bottom, top] = this.ground.box;
      const px = (x) => Math.max(-900, Math.min(1500, (600 * (x - low)) / (high - low))).toFixed(1);
      const py = (y) => Math.max(-900, Math.min(1500, (600 * (top - y)) / (top - bottom))).toFixed(1);
      const [x, y] = this.begin;
      const marks = [draw("path", { d: `M${px(x) - 7} ${py(y)}h14M${px(x)} ${py(y) - 7}v14`, class: "gs-start" })];
      this.paths.forEach((path, i) => {
        const points = path.x.slice(0, t + 1).map((u, k) => `${px(u)} ${py(path.y[k])}`);
        const d = `M${points.join("L")}`;
        const own = { d, "stroke-dasharray": DASHES[i % DASHES.length], class: `gs-path ${colour(i)}` };
        marks.push(draw("path", { d, class: "gs-halo" }), draw("path", own));
        const [cx, cy] = points[points.length - 1].split(" ");
        marks.push(draw("circle", { cx, cy, r: 6, class: `gs-end ${colour(i)}` }));
      });
      const words = this.paths.map((path, i) => `${this.players[i].name} is at ${short(path.x[Math.min(t, path.x.length - 1)])}, ${short(path.y[Math.min(t, path.y.length - 1)])}`);
      this.over.setAttribute("aria-label", `${this.ground.title} from above after ${t} steps: ${words.join("; ")}. A click moves the start.`);
      this.over.replaceChildren(...marks);
    }

    drawCurves(t) {
      const [left, right, high, low] = [58, 590, 12, 206];
      const seen = this.paths.flatMap((path) => path.loss).filter((z) => z > 0 && Number.isFinite(z));
      const most = Math.ceil(Math.log10(Math.max(...seen, 1e-3)) + 1e-9);
      const least = Math.max(Math.floor(Math.log10(Math.min(...seen, 1))), most - 20);
      const px = (k) => left + ((right - left) * k) / Math.max(1, this.steps);
      const py = (z) => low + ((high - low) * (Math.max(Math.log10(z), least) - least)) / Math.max(1, most - least);
      const every = Math.max(1, Math.ceil((most - least) / 5));
      const marks = [];
      for (let p = least; p <= most; p += every) {
        marks.push(draw("line", { x1: left, x2: right, y1: py(10 ** p), y2: py(10 ** p), class: "gs-grid" }));
        marks.push(draw("text", { x: left - 8, y: py(10 ** p) + 5, "text-anchor": "end", text: power(p) }));
      }
      marks.push(draw("text", { x: left, y: 230, text: "0" }), draw("text", { x: right, y: 230, "text-anchor": "end", text: `step ${this.steps}` }));
      this.paths.forEach((path, i) => {
        const points = path.loss.map((z, k) => (z > 0 && Number.isFinite(z) ? `${px(k).toFixed(1)} ${py(z).toFixed(1)}` : null)).filter(Boolean);
        if (points.length) marks.push(draw("path", { d: `M${points.join("L")}`, "stroke-dasharray": DASHES[i % DASHES.length], class: `gs-path ${colour(i)}` }));
      });
      marks.push(draw("line", { x1: px(t), x2: px(t), y1: high, y2: low, class: "gs-now" }));
      const words = this.paths.map((path, i) => `${this.players[i].name} ends at ${short(path.loss[path.loss.length - 1])}`);
      this.curve.setAttribute("aria-label", `Loss above the least against steps: ${words.join("; ")}.`);
      this.curve.replaceChildren(...marks);
    }

    clicked(event) {
      const box = this.picture.getBoundingClientRect();
      const [low, high, bottom, top] = this.ground.box;
      const x = low + ((high - low) * (event.clientX - box.left)) / box.width;
      const y = top - ((top - bottom) * (event.clientY - box.top)) / box.height;
      this.start = [x, y].map((z) => Number(z.toPrecision(4)));
      this.settle();
    }

    play() {
      if (this.moment >= this.steps) this.moment = 0;
      const from = this.moment, begun = performance.now(), speed = Math.max(15, this.steps / 8);
      this.button.textContent = "Pause";
      const frame = (now) => {
        this.moment = Math.min(this.steps, from + Math.floor(((now - begun) / 1000) * speed));
        this.showMoment();
        if (this.moment >= this.steps) this.pause();
        else this.timer = requestAnimationFrame(frame);
      };
      this.timer = requestAnimationFrame(frame);
    }

    pause() {
      cancelAnimationFrame(this.timer);
      this.timer = 0;
      this.button.textContent = "Play";
    }
  }

  if (location.protocol === "file:") document.documentElement.classList.add("gs-disk"); // browsers allow no search there

  // Wide tables scroll, by the keyboard too.
  addEventListener("load", () => {
    for (const wide of document.querySelectorAll(".md-typeset__scrollwrap")) wide.tabIndex = 0;
  });

  const begin = async () => {
    const boxes = document.querySelectorAll(".gs-live:not(.gs-alive)");
    if (!boxes.length || !gradstep.ready) return;
    await gradstep.ready;
    for (const box of boxes) box.live = new Live(box);
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
