"""Rules in a browser: their steps have the library's bits, and their scalars too, but for a last bit of ``**``."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from website import live, wasm

from browser import chromium, needs_browser
from gradstep.compare.show.play import surfaces
from gradstep.form.chain import program
from gradstep.optimizer import Optimizer

pytestmark = [
    *needs_browser,
    pytest.mark.skipif(not wasm.can_link(), reason="no wasm-ld in PATH: Debian has it as lld"),
]

SIZE, STEPS, LAST_BITS = 7, 40, 1
CHAINS = live.chains()
ENGINE = Path(live.__file__).parent / "assets/engine.js"
RUN = """async ({ chain, hyper, theta, gradients, more }) => {
  await gradstep.ready;
  const opt = new gradstep.Optimizer(gradstep.chains[chain], hyper, theta);
  const bits = (x) => Array.from(new BigUint64Array(Float64Array.from(x).buffer), String);
  const rows = [];
  gradients.forEach((g, i) => {
    opt.step(g, more[i]);
    rows.push([opt.theta, ...opt.state.flat()].map(bits));
  });
  return { rows, asked };
}"""
# Powers, logarithms and sines are noted; those that Python was asked for are had from it.
WORDS = """(known) => { globalThis.asked = [];
  for (const [word, own] of Object.entries({ pow: Math.pow, log: Math.log, exp: Math.exp })) {
    gradstep.words[word] = (...x) => {
      const key = `${word} ${x.map((y) => new BigUint64Array(new Float64Array([y]).buffer)[0]).join(' ')}`;
      if (!(key in known)) { known[key] = own(...x); asked.push([word, x, own(...x)]); }
      return known[key];
    };
  } }"""
PYTHON = {"pow": lambda a, b: a**b, "log": math.log, "exp": math.exp}


@pytest.fixture(scope="module")
def page():
    with chromium() as browser:
        page = browser.new_page()
        page.add_script_tag(content=ENGINE.read_text("utf-8"))
        page.add_script_tag(content=live.script())
        yield page


def bits(x):
    return [str(int(y)) for y in np.asarray(x, np.float64).reshape(-1).view(np.uint64)]


def example(name, made):
    """A parameter, gradients, what comes with each step: a zero and numbers of all sizes among them."""
    rng = np.random.default_rng(sum(map(ord, name)))
    theta = rng.standard_normal(SIZE)
    gradients = rng.standard_normal((STEPS, SIZE)) * np.exp(rng.standard_normal((STEPS, 1)))
    gradients[3] = 0.0
    more = [{"loss": float(x)} for x in rng.random(STEPS)] if "loss" in made.takes else [{} for _ in gradients]
    for own in more:
        own.update({key: rng.random(SIZE) for key in made.inputs})
    return theta, gradients, more


def others(name, made):
    """Hyperparameters that differ from their defaults where a slider can: of each, a stop near the middle."""
    rng = np.random.default_rng(len(name))
    stops = {knob["name"]: knob["stops"] for knob in live.knobs(made)}
    picked = {key: own[len(own) // 2 + int(rng.integers(-3, 4))] for key, own in stops.items() if len(own) > 6}
    return {key: x for key, x in picked.items() if key not in ("low", "high")}


def stepped(made, theta, gradients, more):
    """The library's parameters and slots after each step, as bits."""
    theta = theta.copy()
    opt, rows = Optimizer({"x": theta}, live.stage_of(made), engine="compiled", threads=1), []
    state = opt.state["x"]
    for g, own in zip(gradients, more, strict=True):
        opt.step({"x": g.copy()}, **{key: x if isinstance(x, float) else {"x": x} for key, x in own.items()})
        slots = [state[key] for keys in made.slots for key in keys]
        rows.append([bits(theta), *map(bits, slots)])
    return rows


def in_browser(page, name, hyper, case):
    """The same in the browser, where each power is Python's; those that the browser finds are at most a bit off."""
    theta, gradients, more = case
    plain = [{key: x if isinstance(x, float) else x.tolist() for key, x in own.items()} for own in more]
    given = {"chain": name, "hyper": hyper, "theta": theta.tolist(), "gradients": gradients.tolist(), "more": plain}
    known = {}
    while True:  # a power may be of a power
        page.evaluate(WORDS, known)
        found = page.evaluate(RUN, given)
        if not found["asked"]:
            return found["rows"]
        for word, x, own in found["asked"]:
            exact = PYTHON[word](*x)
            assert abs(own - exact) <= LAST_BITS * math.ulp(exact), (word, x)
            known[f"{word} {' '.join(bits(x))}"] = exact


@pytest.mark.parametrize("name", sorted(CHAINS))
def test_a_browser_makes_the_librarys_steps(page, name):
    made = CHAINS[name]
    case = example(name, made)
    for hyper in ({}, others(name, made)):
        given = program(live.stage_of(made, hyper))
        rows = zip(in_browser(page, name, hyper, case), stepped(given, *case), strict=True)
        for t, (got, want) in enumerate(rows, 1):
            assert got == want, f"step {t} with {hyper}"


def test_a_wrong_bit_is_seen(page):
    case = example("adam", CHAINS["adam"])
    rows = in_browser(page, "adam", {"beta1": math.nextafter(0.9, 1)}, case)
    assert rows != stepped(CHAINS["adam"], *case)


@pytest.mark.parametrize("name", surfaces.SURFACES)
def test_surfaces_are_those_of_the_play_page(page, name):
    surface = surfaces.SURFACES[name]
    points = [list(x) for x in itertools.product((-1.5, 0.25, 1.1), (-0.7, 2.0))]
    numbers = {knob.name: knob.default for knob in surface.knobs}
    ask = "([name, points, numbers]) => points.map(([x, y]) => gradstep.surfaces[name].at({ x, y, ...numbers }))"
    got = [[p["value"], p["dx"], p["dy"]] for p in page.evaluate(ask, [name, points, numbers])]
    want = [[value, *gradient] for value, gradient in map(surface.make(numbers), map(np.array, points))]
    np.testing.assert_allclose(got, np.array(want, float), rtol=1e-14, atol=1e-14)
