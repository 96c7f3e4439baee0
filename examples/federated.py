"""A federated average, and the same with an optimizer at the server: ten clients whose data differ.

A client sends by how much its own training has moved the model. The server takes the mean of these moves: as it is
(the federated average), or as minus a gradient for a rule of its own (Reddi et al. 2021, arXiv:2003.00295). In Flower,
``gs.interop.flower.Strategy("adam", lr=0.1)`` is this server.
"""

import numpy as np
from picture import draw

import gradstep as gs

CLIENTS, FEATURES, ROUNDS = 10, 20, 60
rng = np.random.default_rng(0)
scales = np.logspace(-1.5, 0.5, FEATURES)  # features of very different size, as counts and ages are
truth = rng.standard_normal(FEATURES) / scales
data = []
for _ in range(CLIENTS):
    x = (rng.standard_normal((50, FEATURES)) + 0.3 * rng.standard_normal(FEATURES)) * scales
    data.append((x, (rng.random(50) < 1 / (1 + np.exp(-x @ truth))).astype(float)))


def loss_and_grad(w, x, y):
    """Return the logistic loss and its gradient."""
    z = x @ w
    return float(np.mean(np.logaddexp(0, z) - y * z)), x.T @ (1 / (1 + np.exp(-z)) - y) / len(y)


def move(w, x, y):
    """Return how far five local steps of gradient descent go from the server's model."""
    own = w.copy()
    opt = gs.Optimizer(own, "sgd", lr=0.1)
    for _ in range(5):
        opt.step(loss_and_grad(own, x, y)[1])
    return own - w


curves = {}
for name, rule, lr in (("average", "sgd", 1.0), ("server adam", "adam", 0.3), ("server yogi", "yogi", 0.3)):
    w = np.zeros(FEATURES)
    server, curves[name] = gs.Optimizer(w, rule, lr=lr), []
    for _ in range(ROUNDS):
        curves[name].append(np.mean([loss_and_grad(w, *own)[0] for own in data]))
        server.step(-np.mean([move(w, *own) for own in data], axis=0))
    print(f"{name:11} loss over all clients after {ROUNDS} rounds {curves[name][-1]:.4f}")
draw(curves, "Loss over all clients, by rounds", x="round")
