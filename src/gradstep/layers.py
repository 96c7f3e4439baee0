"""The blog post's own optimizer class, over anybody's layers; its numbers are those of the rules.

Layers are any objects with NumPy arrays ``weights``, ``biases``, ``delta_weights`` and ``delta_biases`` (descent
directions: minus the gradient) and a count ``parameters`` (0: nothing to train, nothing else is looked at).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradstep import rules
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.chain import chain, program
from gradstep.form.hyper import checked
from gradstep.form.rule import Rule, Stage, as_stage
from gradstep.locks import refuse_reentry
from gradstep.naming import Closed, unknown
from gradstep.stages import l2
from gradstep.step import Step, Values

Array = np.ndarray[Any, np.dtype[Any]]

STAGES: Mapping[str, Rule | Stage] = {
    "sgd": rules.momentum,
    "iterative": rules.sgd,
    "momentum": chain(l2(), rules.momentum()),
    "rmsprop": rules.rmsprop,
    "adagrad": rules.adagrad,
    "adam": rules.adam,
    "adamax": rules.adamax,
    "adadelta": rules.adadelta,
}
KINDS = ("weights", "biases")


class Optimizer(Closed):
    """The optimizers of the post, each a method that takes the layers of a network and makes a step.

    A layer is any object with NumPy arrays ``weights``, ``biases``, ``delta_weights`` and ``delta_biases`` (minus the
    gradient) and a number ``parameters`` (0: nothing is trained). Each name keeps its own state ("terms").

    Parameters
    ----------
    layers
        The layers whose terms are set to zero now, if a name is given; each method is handed them again.
    name
        One of ``sgd iterative momentum rmsprop adagrad adam adamax adadelta``.
    learning_rate
        For all names but adadelta, whose paper has none; a method's own ``learning_rate`` comes first.
    mr
        Momentum rate of ``sgd``.

    Attributes
    ----------
    opt_dict
        The eight names and their methods: ``opt.opt_dict["adam"](layers)`` is one step, and
        ``opt.opt_dict["adam"](layers, training=False)`` sets that name's terms (t too) back to zero.

    Raises
    ------
    GradstepValueError
        For an unknown name, numbers out of range, layers whose count or shapes have changed since the terms were set to
        zero, arrays that are read-only or share memory.
    GradstepTypeError
        For a layer without one of the attributes, or with anything else there than an array of real numbers.
    NonFiniteError
        When a weight or delta is not finite. After any error no layer has changed.

    Notes
    -----
    A step changes the arrays that a layer holds at the time, in place; a dtype never changes, deltas are only read.
    """

    name: str | None
    learning_rate: float
    mr: float

    def __init__(self, layers: Any, name: str | None = None, learning_rate: float = 0.01, mr: float = 0.001) -> None:
        self.name, self.learning_rate, self.mr = name, learning_rate, mr
        self._terms: dict[str, tuple[Step, Values]] = {}  # the step of each name, and the values of the last one
        if name is not None:
            if name not in self.opt_dict:
                raise unknown("unknown optimizer", str(name), self.opt_dict)
            self.opt_dict[name](layers, training=False)

    def _instead(self, name: str) -> str | None:
        return "opt.learning_rate = ..." if name == "lr" else None

    @property
    def opt_dict(self) -> dict[str, Callable[..., None]]:
        """The methods by their names."""
        return {key: getattr(self, key) for key in STAGES}

    def sgd(self, layers: Any, learning_rate: float | None = None, training: bool = True) -> None:
        """Gradient descent with momentum rate ``mr``: rule ``momentum``."""
        self._step("sgd", layers, training, lr=self._rate(learning_rate), momentum=self.mr)

    def iterative(self, layers: Any, learning_rate: float | None = None, training: bool = True) -> None:
        """Plain gradient descent: rule ``sgd``."""
        self._step("iterative", layers, training, lr=self._rate(learning_rate))

    def momentum(
        self,
        layers: Any,
        learning_rate: float | None = None,
        beta1: float = 0.9,
        weight_decay: float = 0.0005,
        training: bool = True,
    ) -> None:
        """Momentum ``beta1`` with weight decay in the gradient: stage ``l2``, then rule ``momentum``."""
        lr = self._rate(learning_rate)
        self._step("momentum", layers, training, lr=lr, momentum=beta1, weight_decay=weight_decay)

    def rmsprop(
        self,
        layers: Any,
        learning_rate: float | None = None,
        beta1: float = 0.9,
        epsilon: float = 1e-8,
        training: bool = True,
    ) -> None:
        """Rule ``rmsprop`` with ``rho = beta1``."""
        self._step("rmsprop", layers, training, lr=self._rate(learning_rate), rho=beta1, eps=epsilon)

    def adagrad(
        self,
        layers: Any,
        learning_rate: float | None = None,
        beta1: float = 0.9,
        epsilon: float = 1e-8,
        training: bool = True,
    ) -> None:
        """Rule ``adagrad``, which has no beta1: that must stay at its default, and has no effect."""
        _only("adagrad", "beta1", beta1, 0.9)
        self._step("adagrad", layers, training, lr=self._rate(learning_rate), eps=epsilon)

    def adam(
        self,
        layers: Any,
        learning_rate: float | None = None,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        decay: float = 0,
        training: bool = True,
    ) -> None:
        """Rule ``adam``, which has no decay: that must stay at 0."""
        _only("adam", "decay", decay, 0)
        lr = self._rate(learning_rate)
        self._step("adam", layers, training, lr=lr, beta1=beta1, beta2=beta2, eps=epsilon)

    def adamax(
        self,
        layers: Any,
        learning_rate: float | None = None,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        training: bool = True,
    ) -> None:
        """Rule ``adamax``, which has no epsilon: that must stay at its default, and has no effect."""
        _only("adamax", "epsilon", epsilon, 1e-8)
        self._step("adamax", layers, training, lr=self._rate(learning_rate), beta1=beta1, beta2=beta2)

    def adadelta(
        self,
        layers: Any,
        learning_rate: float | None = None,
        beta1: float = 0.9,
        epsilon: float = 1e-8,
        training: bool = True,
    ) -> None:
        """Rule ``adadelta`` with ``rho = beta1``; a ``learning_rate`` given here scales its step, otherwise it is 1."""
        lr = 1.0 if learning_rate is None else learning_rate
        self._step("adadelta", layers, training, lr=lr, rho=beta1, eps=epsilon)

    def _rate(self, learning_rate: float | None) -> float:
        return self.learning_rate if learning_rate is None else learning_rate

    def _step(self, name: str, layers: Any, training: bool, **hyper: Any) -> None:
        trained = _trained(layers)
        arrays = {f"{at}.{kind}": _array(at, layer, kind) for at, layer in trained.items() for kind in KINDS}
        made = program(as_stage(STAGES[name]))
        given = {key: checked(key, x, "optimizer", made.domains.get(key)) for key, x in hyper.items()}
        terms = self._terms.get(name)
        if terms is not None:
            refuse_reentry(terms[0].lock, f"opt.{name}")
        if terms is None or not training:
            values = [made.values({**made.hyper, **given}, 0)]
            step = Step(made, arrays, values)
        else:
            step, old = terms
            values = [made.values({**made.hyper, **given}, step.t)]
            values = old if old == values else values
        with step.lock:
            if training:
                _same_form(name, arrays, dict(zip(step.names, step.params, strict=True)))
                grads = [_gradient(at, layer, kind) for at, layer in trained.items() for kind in KINDS]
                step.bind(list(arrays.values()))
                step(grads, values)
            self._terms[name] = step, values


def _trained(layers: Any) -> dict[str, Any]:
    """Return the layers that have something to train, by names for errors."""
    if not isinstance(layers, Sequence):
        raise GradstepTypeError(f"layers must be a list of layers, not {type(layers).__name__}.")
    for i, layer in enumerate(layers):
        if not hasattr(layer, "parameters"):
            raise GradstepTypeError(
                f"layer {i} has no attribute 'parameters', the number of its weights and biases (0: none); for layers "
                f"with other names, hand a list of their arrays to gs.Optimizer."
            )
    return {f"layer {i}": layer for i, layer in enumerate(layers) if layer.parameters != 0}


def _array(where: str, layer: Any, attribute: str) -> Array:
    if not hasattr(layer, attribute):
        raise GradstepTypeError(f"{where} has no attribute {attribute!r}; where parameters is not 0 there must be one.")
    x = getattr(layer, attribute)
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        what = f"an array of {x.dtype}" if isinstance(x, np.ndarray) else repr(x)
        raise GradstepTypeError(f"{where}: {attribute} must be a NumPy array of float32 or float64, not {what}.")
    return x


def _gradient(where: str, layer: Any, kind: str) -> Array:
    """Return minus the delta, in the dtype of what it moves."""
    x, delta = getattr(layer, kind), _array(where, layer, f"delta_{kind}")
    if delta.shape != x.shape:
        raise GradstepValueError(f"{where}: delta_{kind} has shape {delta.shape}, but {kind} {x.shape}.")
    with np.errstate(over="ignore"):  # what is too large for the dtype becomes infinite, and is refused by name
        return -delta.astype(x.dtype, copy=False)


def _same_form(name: str, arrays: Mapping[str, Array], known: Mapping[str, Array]) -> None:
    """Refuse other layers than those that the terms belong to."""
    again = f"call {name}(layers, training=False) to start again with these layers."
    if odd := sorted(arrays.keys() ^ known.keys()):
        where, _, _ = odd[0].rpartition(".")
        raise GradstepValueError(f"{where} is in one of the layers and the terms of {name} alone; {again}")
    for key, x in arrays.items():
        y, (where, _, kind) = known[key], key.rpartition(".")
        if (x.shape, x.dtype) != (y.shape, y.dtype):
            what = f"{x.dtype} of shape {x.shape}, but were {y.dtype} of shape {y.shape}"
            raise GradstepValueError(f"{where}: {kind} are {what} when the terms of {name} began; {again}")


def _only(name: str, argument: str, value: float, default: float) -> None:
    if value != default:
        raise GradstepValueError(f"{name} has no {argument}; leave it at {default:g}, not {value!r}.")
