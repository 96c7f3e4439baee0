"""A network from scratch: layers of your own, which an optimizer walks through. Two spirals, told apart.

The optimizer and its names are those of the blog post that Gradstep grew from (docs/the-post.md): it asks of a layer
``weights``, ``biases``, ``delta_weights``, ``delta_biases`` (minus the gradients) and ``parameters``, and changes the
first two in place.
"""

import numpy as np
from picture import draw

from gradstep.layers import Optimizer


class Dense:
    """A dense layer with tanh, or without it at the end."""

    def __init__(self, rng, inputs, outputs, last=False):
        self.weights = rng.standard_normal((inputs, outputs)) / np.sqrt(inputs)
        self.biases = np.zeros(outputs)
        self.parameters = self.weights.size + self.biases.size
        self.last = last

    def forward(self, x):
        self.x = x
        self.y = x @ self.weights + self.biases if self.last else np.tanh(x @ self.weights + self.biases)
        return self.y

    def backward(self, delta):
        """Take minus the derivative by what came out; return that by what went in."""
        delta = delta if self.last else delta * (1 - self.y**2)
        self.delta_weights, self.delta_biases = self.x.T @ delta, delta.sum(axis=0)
        return delta @ self.weights.T


angle = np.linspace(0.5, 3 * np.pi, 100)
arm = np.stack([angle * np.cos(angle), angle * np.sin(angle)], axis=1) / 8
points, labels = np.concatenate([arm, -arm]), np.repeat([[1.0], [0.0]], len(arm), axis=0)

curves = {}
for name, rate in (("iterative", 1.0), ("momentum", 0.5), ("rmsprop", 0.003), ("adam", 0.01)):
    rng = np.random.default_rng(0)
    layers = [Dense(rng, 2, 24), Dense(rng, 24, 24), Dense(rng, 24, 1, last=True)]
    step, curves[name] = Optimizer(layers, name=name, learning_rate=rate).opt_dict[name], []
    for _ in range(600):
        out = points
        for layer in layers:
            out = layer.forward(out)
        curves[name].append(float(np.logaddexp(0, np.where(labels == 1, -out, out)).mean()))
        delta = (labels - 1 / (1 + np.exp(-out))) / len(points)
        for layer in reversed(layers):
            delta = layer.backward(delta)
        step(layers)
    right = ((out > 0) == labels).mean()
    print(f"{name:9} loss {curves[name][-1]:.4f}, {right:.1%} of the points on the right side")
draw(curves, "Loss of a network of 24 and 24 units on two spirals", log=True)
