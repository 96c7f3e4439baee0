// Steps of Gradstep's rules in a browser. The elementwise half of each rule is WebAssembly, compiled from the rule itself;
// the host's half (the numbers of a step, from t, hyperparameters, memory and sums) is printed from its Python: rules.js.
"use strict";
var gradstep = (() => {
  // What rules.js calls. A test puts other powers in here, to show that they are all that may differ from Python.
  const words = { pow: Math.pow, log: Math.log, exp: Math.exp, sin: Math.sin, cos: Math.cos };
  const MOST = 16; // elements of an array, each in its lane of the sum
  const FIRST = 128; // the first double of the module's memory that is used
  let module = null; // exports of the module, and its memory as doubles

  async function load(base64) {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const { instance } = await WebAssembly.instantiate(bytes);
    module = { exports: instance.exports, memory: new Float64Array(instance.exports.memory.buffer) };
  }

  // The sum of up to sixteen numbers in the library's order: lanes, halved again and again.
  function sum(values) {
    const lanes = new Float64Array(MOST);
    lanes.set(values);
    for (let n = MOST / 2; n >= 1; n /= 2) for (let i = 0; i < n; i++) lanes[i] += lanes[i + n];
    return lanes[0];
  }

  const picked = (names, known) => names.map((name) => known[name]);

  class Optimizer {
    constructor(chain, hyper, theta) {
      this.chain = chain;
      this.hyper = { ...chain.hyper, ...hyper };
      this.t = 0;
      this.theta = Float64Array.from(theta);
      this.memory = chain.parts.map((part) => ({ ...part.memory }));
      this.state = chain.parts.map((part) => part.state.map(([, start]) => {
        if (start === "theta") return Float64Array.from(theta);
        return new Float64Array(theta.length).fill(typeof start === "string" ? this.hyper[part.keys[start]] : start);
      }));
    }

    // One update by the gradients g; `more` has what the rule takes beside them, such as the loss.
    step(g, more = {}) {
      const { chain, memory: own } = this;
      const { exports, memory } = module;
      const n = this.theta.length;
      this.t += 1;
      chain.parts.forEach((part, k) => part.inputs.forEach((name, j) => more[name] && this.state[k][j].set(more[name])));
      const arrays = [this.theta, Float64Array.from(g), ...this.state.flat()];
      const places = arrays.map((_, k) => FIRST + MOST * k);
      const table = FIRST + MOST * (arrays.length + 8); // eight sums at most
      arrays.forEach((x, k) => memory.set(x, places[k]));
      const row = []; // the numbers of all parts
      let slots = 2;
      chain.parts.forEach((part, k) => {
        const known = { ...own[k], ...more, t: this.t };
        for (const [key, flat] of Object.entries(part.keys)) known[key] = this.hyper[flat];
        if (part.early) Object.assign(known, part.early(known));
        slots += part.state.length;
        if (part.sums.length) {
          memory.set([...row, ...picked(part.earlyNumbers, known)], table);
          const terms = part.sums.map((_, j) => FIRST + MOST * (arrays.length + j));
          exports[`${chain.name}_measure${k}`](n, ...[...places.slice(0, slots), table, ...terms].map((at) => 8 * at));
          part.sums.forEach((name, j) => { known[name] = sum(memory.subarray(terms[j], terms[j] + n)); });
        }
        const found = part.scalars(known);
        for (const key of Object.keys(own[k])) own[k][key] = found[key];
        row.push(...picked(part.numbers, { ...known, ...found }));
      });
      memory.set(row, table);
      exports[chain.name](n, ...[...places, table].map((at) => 8 * at));
      arrays.forEach((x, k) => x.set(memory.subarray(places[k], places[k] + n)));
    }
  }

  return { words, load, Optimizer, chains: {}, surfaces: {}, ready: null };
})();
