"""Variational inference: the best independent normals for the weights of a linear model, from noisy gradients.

For this model the answer is known, so the optimizer can be judged: the means are the posterior's, and a spread is one
over the root of the posterior's precision. Gradients come by the reparametrization trick, from four draws a step; a
rate that falls and an average of the parameters (``gs.ema``) take their noise away.
"""

import numpy as np
from picture import draw

import gradstep as gs

SIZE, STEPS, NOISE = 6, 2000, 0.5
rng = np.random.default_rng(2)
x = rng.standard_normal((40, SIZE)) @ (np.eye(SIZE) + 0.4)
y = x @ rng.standard_normal(SIZE) + NOISE * rng.standard_normal(40)
precision = x.T @ x / NOISE**2 + np.eye(SIZE)  # the prior of a weight is normal, of variance 1
mean, spread = np.linalg.solve(precision, x.T @ y / NOISE**2), 1 / np.sqrt(np.diag(precision))


def gradients(q):
    """Return the gradients of minus the evidence bound, by mean and logarithm of the spread."""
    z = rng.standard_normal((4, SIZE))
    weights = q["mean"] + np.exp(q["log_spread"]) * z
    slope = weights @ precision - x.T @ y / NOISE**2
    return {"mean": slope.mean(axis=0), "log_spread": (slope * z).mean(axis=0) * np.exp(q["log_spread"]) - 1}


curves = {}
for name, rate in (("rate 0.05", 0.05), ("rate falling to 0", gs.schedules.cosine(0.05, STEPS))):
    q = {"mean": np.zeros(SIZE), "log_spread": np.full(SIZE, -1.0)}
    opt, curves[name] = gs.Optimizer(q, gs.chain(gs.adam(lr=rate), gs.ema(decay=0.99))), []
    for _ in range(STEPS):
        opt.step(gradients(q))
        curves[name].append(float(np.linalg.norm((q["mean"] - mean) / spread)))
    end = opt.averaged()
    off, wide = abs(end["mean"] - mean) / spread, np.exp(end["log_spread"]) / spread
    print(
        f"{name:17} means off by {off.max():.3f} spreads at most; spreads {wide.min():.3f} to {wide.max():.3f} of right"
    )
draw(curves, "Distance of the means from the posterior's, in spreads", log=True)
