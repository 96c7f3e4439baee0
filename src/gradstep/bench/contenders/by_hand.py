"""The loop that people paste: NumPy, a tensor after the other, state in place and temporaries for the rest."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.bench.contenders.base import Arrays, Contender, UnavailableError, known
from gradstep.bench.work import DECAY, MAX_NORM, Work

Array = NDArray[Any]


class ByHand(Contender):
    """A dict of arrays, their state, and a function for each rule."""

    def __init__(self, work: Work, arrays: Arrays) -> None:
        if work.dtype == "bfloat16":
            raise UnavailableError("NumPy computes nothing in bfloat16")
        self.update, slots = known(RULES, work, "the loop by hand")
        self.hyper, self.t = work.hyper, 0
        self.params = self.gradients(arrays)
        self.state = {name: [np.zeros_like(x) for _ in range(slots)] for name, x in self.params.items()}
        self.average = self.gradients(arrays) if work.chain else {}
        self.step = self.whole_phase if work.chain else self.rule_alone

    def rule_alone(self, grads: dict[str, Array]) -> None:
        """A step."""
        self.t += 1
        for name, p in self.params.items():
            self.update(p, grads[name], *self.state[name], t=self.t, **self.hyper)

    def whole_phase(self, grads: dict[str, Array]) -> None:
        """Clip, step, average."""
        norm = math.sqrt(sum(float(np.vdot(g, g)) for g in grads.values()))
        if norm > MAX_NORM:
            grads = {name: g * (MAX_NORM / norm) for name, g in grads.items()}
        self.rule_alone(grads)
        for name, average in self.average.items():
            average *= DECAY
            average += (1 - DECAY) * self.params[name]

    def gradients(self, arrays: Arrays) -> dict[str, Array]:
        """A dict by name."""
        return {f"w{k}": x.copy() for k, x in enumerate(arrays)}

    def parameters(self) -> list[Array]:
        """Return the parameters as NumPy arrays."""
        return list(self.params.values())

    def held(self) -> tuple[int, int]:
        """Return the bytes of parameters and of arrays beside them."""
        kept = [*self.average.values(), *(x for state in self.state.values() for x in state)]
        return sum(x.nbytes for x in self.params.values()), sum(x.nbytes for x in kept)


def sgd(p: Array, g: Array, *, lr: float, **_: Any) -> None:
    """Gradient descent."""
    p -= lr * g


def momentum(p: Array, g: Array, v: Array, *, lr: float, momentum: float, **_: Any) -> None:
    """Heavy ball."""
    v *= momentum
    v -= lr * g
    p += v


def nesterov(p: Array, g: Array, v: Array, *, lr: float, momentum: float, **_: Any) -> None:
    """Nesterov's momentum."""
    v *= momentum
    v -= lr * g
    p += momentum * v - lr * g


def adagrad(p: Array, g: Array, s: Array, *, lr: float, eps: float, **_: Any) -> None:
    """Adagrad."""
    s += g * g
    p -= lr * g / (np.sqrt(s) + eps)


def rmsprop(p: Array, g: Array, v: Array, *, lr: float, rho: float, eps: float, **_: Any) -> None:
    """RMSprop."""
    v *= rho
    v += (1 - rho) * g**2
    p -= lr * g / (np.sqrt(v) + eps)


def adadelta(p: Array, g: Array, s: Array, u: Array, *, lr: float, rho: float, eps: float, **_: Any) -> None:
    """Adadelta."""
    s *= rho
    s += (1 - rho) * g**2
    step = np.sqrt(u + eps) / np.sqrt(s + eps) * g
    u *= rho
    u += (1 - rho) * step**2
    p -= lr * step


def adam(
    p: Array, g: Array, m: Array, v: Array, *, t: int, lr: float, beta1: float, beta2: float, eps: float, **_: Any
) -> None:
    """Adam."""
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    p -= lr * m_hat / (np.sqrt(v_hat) + eps)


def adamw(p: Array, g: Array, m: Array, v: Array, *, lr: float, weight_decay: float, **hyper: Any) -> None:
    """AdamW."""
    p *= 1 - lr * weight_decay
    adam(p, g, m, v, lr=lr, **hyper)


def adamax(p: Array, g: Array, m: Array, u: Array, *, t: int, lr: float, beta1: float, beta2: float, **_: Any) -> None:
    """Adamax, with the small number that everyone adds."""
    m *= beta1
    m += (1 - beta1) * g
    np.maximum(beta2 * u, np.abs(g), out=u)
    p -= lr / (1 - beta1**t) * m / (u + 1e-8)


# Name -> function and number of slots.
RULES: dict[str, tuple[Callable[..., None], int]] = {
    "sgd": (sgd, 0),
    "momentum": (momentum, 1),
    "nesterov": (nesterov, 1),
    "adagrad": (adagrad, 1),
    "rmsprop": (rmsprop, 1),
    "adadelta": (adadelta, 2),
    "adam": (adam, 2),
    "adamw": (adamw, 2),
    "adamax": (adamax, 2),
}
