"""What three errors in a pasted optimizer do to its numbers: the tables of docs/pasted.md.

``python benchmarks/pasted.py`` prints them. Seeded, in float64; nothing is timed.
"""

import numpy as np

import gradstep as gs

LR, BETA1, BETA2, EPS = 0.01, 0.9, 0.999, 1e-8
STEPS, SIZE, SEEDS = 200, 100, 10


def stays_at_one(theta, gradient):
    """Adam that divides by 1 - beta at every step, where the formula has 1 - beta**t."""
    m = v = 0.0
    while True:
        g = gradient(theta)
        m, v = BETA1 * m + (1 - BETA1) * g, BETA2 * v + (1 - BETA2) * g**2
        theta = theta - LR * m / (1 - BETA1) / (np.sqrt(v / (1 - BETA2)) + EPS)
        yield theta


def one_too_high(theta, gradient):
    """Adam that divides by 1 - beta**(t + 1)."""
    m = v = 0.0
    t = 1
    while True:
        g = gradient(theta)
        m, v = BETA1 * m + (1 - BETA1) * g, BETA2 * v + (1 - BETA2) * g**2
        t += 1
        theta = theta - LR * m / (1 - BETA1**t) / (np.sqrt(v / (1 - BETA2**t)) + EPS)
        yield theta


def root_of_root(theta, gradient):
    """Yogi with a root taken where v is kept, and once more where it is used: v to the power of a quarter."""
    m, v = 0.0, 1e-6
    while True:
        g = gradient(theta)
        v = v - (1 - BETA2) * np.sign(v - g**2) * g**2
        m = BETA1 * m + (1 - BETA1) * g
        theta = theta - LR * m / (np.sqrt(np.sqrt(v)) + 1e-3)
        yield theta


def formula(rule):
    """Return the rule itself in the shape of a copy."""

    def steps(theta, gradient):
        x = theta.copy()
        opt = gs.Optimizer(x, rule)
        while True:
            opt.step(gradient(x))
            yield x.copy()

    return steps


ADAM, YOGI = formula(gs.adam(lr=LR)), formula(gs.yogi(lr=LR))
COPIES = {
    "Adam, corrected as if t were 1 for ever": (stays_at_one, ADAM),
    "Adam, exponent t + 1 in the corrections": (one_too_high, ADAM),
    "Yogi, root of the root of v": (root_of_root, YOGI),
}


def after(make, steps, gradient, theta=None):
    """Return the parameters after so many steps."""
    walk = make(np.zeros(SIZE) if theta is None else theta, gradient)
    for _ in range(steps - 1):
        next(walk)
    return next(walk)


def off(copy, right):
    """Return how far a copy ends from the formula, over the way that this went, on a noisy quadratic; mean of seeds."""
    found = []
    for seed in range(SEEDS):
        ends = []
        for make in (copy, right):
            rng = np.random.default_rng(seed)
            goal, curvature = rng.standard_normal(SIZE), 10 ** rng.uniform(-1, 1, SIZE)
            noise = iter(rng.standard_normal((STEPS, SIZE)))
            ends.append(after(make, STEPS, lambda x, a=curvature, b=goal, z=noise: a * (x - b) + 0.5 * next(z)))
        found.append(np.linalg.norm(ends[0] - ends[1]) / np.linalg.norm(ends[1]))
    return float(np.mean(found))


def ratio(copy, right, t, size=1.0):
    """Return the copy's step t over the formula's, where every gradient is ``size``."""
    steps = []
    for make in (copy, right):
        before = after(make, t - 1, lambda x: np.full_like(x, size)) if t > 1 else np.zeros(SIZE)
        steps.append((after(make, t, lambda x: np.full_like(x, size)) - before)[0])
    return float(steps[0] / steps[1])


def defects():
    """Return the first table as lines of Markdown."""
    head = [
        "what was pasted",
        "step 1",
        "step 10",
        "step 1000",
        "step 1000, gradients of 0.0001",
        "distance after 200 noisy steps",
    ]
    lines = [f"| {' | '.join(head)} |", "|---|---|---|---|---|---|"]
    for name, (copy, right) in COPIES.items():
        ratios = [ratio(copy, right, t) for t in (1, 10, 1000)] + [ratio(copy, right, 1000, 1e-4)]
        lines.append(f"| {name} | {' | '.join(f'{x:.3f}' for x in ratios)} | {off(copy, right):.1%} |")
    return lines


def numbers():
    """Return where one number stands after each of four gradients, so that anyone can hold a copy to it."""
    x = np.zeros(1)
    opt, lines = gs.Optimizer(x, "adam", lr=0.1), ["| gradient | theta after it |", "|---|---|"]
    for g in (1.0, -2.0, 0.5, 3.0):
        opt.step(np.array([g]))
        lines.append(f"| {g:g} | {x[0]:.15f} |")
    return lines


if __name__ == "__main__":
    print("\n".join([*defects(), "", *numbers()]))
