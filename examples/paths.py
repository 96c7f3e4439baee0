"""Four rules in a long valley: the same gradients, four ways down."""

import numpy as np
from picture import draw

import gradstep as gs

CURVATURE = np.array([1.0, 20.0])  # of f(x, y) = (x**2 + 20 * y**2) / 2, whose least value is 0 at (0, 0)
START = np.array([-4.0, 1.2])
RULES = {"sgd": 0.09, "momentum": 0.01, "rmsprop": 0.08, "adam": 0.25}

paths = {}
for rule, lr in RULES.items():
    x = START.copy()
    opt = gs.Optimizer(x, rule, lr=lr)
    paths[rule] = [x.copy()]
    for _ in range(60):
        opt.step(CURVATURE * x)  # x changes in place
        paths[rule].append(x.copy())
    print(f"{rule:9} lr={lr:<5} after 60 steps f = {0.5 * (CURVATURE * x) @ x:.4f}")

turn = np.linspace(0, 2 * np.pi, 80)
rings = [[(r * np.cos(a), r * np.sin(a) / np.sqrt(20)) for a in turn] for r in (0.5, 1, 2, 3, 4)]
draw(paths, "Sixty steps of four rules, on f = (x² + 20 y²) / 2", x="x", y="y", levels=rings)
