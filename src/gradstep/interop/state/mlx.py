"""State from and to ``mlx.optimizers``: of an optimizer there, whose state is a nest by the parameters' names."""

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from gradstep.array.namespaces import to_numpy
from gradstep.errors import GradstepTypeError
from gradstep.interop.state.common import OptimizerState, Places, held
from gradstep.optimizer import Optimizer

mx: Any = import_module("mlx.core")
optimizers: Any = import_module("mlx.optimizers")

_BUFFER = {"b": "v"}
_MEAN = {"m": "m", "v": "v"}
_ADAM: Places = {"adam": _MEAN, "adam_uncorrected": _MEAN}
_FACTORS = {"m": "exp_avg", "r": "exp_avg_sq_row", "c": "exp_avg_sq_col"}

PLACES: Mapping[str, Places] = {
    "SGD": {"unfolded_momentum": _BUFFER, "unfolded_nesterov": _BUFFER},
    "RMSprop": {"rmsprop": {"v": "v"}},
    "Adagrad": {"adagrad": {"s": "v"}},
    "AdaDelta": {"adadelta": {"s": "v", "u": "u"}},
    "Adam": _ADAM,
    "AdamW": _ADAM,
    "Adamax": {"adamax_uncorrected": {"m": "m", "u": "v"}},
    "Lion": {"lion": {"m": "m"}},
    "Adafactor": dict.fromkeys(
        ("adafactor_timm", "adafactor_mlx_sized", "adafactor_timm_rate", "adafactor_mlx_unsized"), _FACTORS
    ),
    "Muon": {"muon_mlx": _BUFFER, "muon_mlx_plain": _BUFFER},
}
_OF_ALL = ("step", "learning_rate")  # which stand beside the parameters


def load_state(opt: Optimizer, mlx_optimizer: Any, names: Iterable[str] | None = None) -> None:
    """Take the state of an MLX optimizer: its arrays and its count of updates.

    Parameters
    ----------
    opt
        The optimizer here, by the same rule: ``gs.Optimizer(params, "mlx.AdamW", learning_rate=1e-3)``.
    mlx_optimizer
        That of MLX.
    names
        Of its parameters, in its order, as they are called here; without them parameters are paired by
        their own names, or, where these are others than here, by their order.

    Raises
    ------
    GradstepTypeError
        For what is no optimizer.
    GradstepValueError
        For state that does not fit. Nothing is changed then.
    """
    with held(opt, "load_state") as parts:
        there = _ForeignState(parts, mlx_optimizer, names)
        arrays = {name: there.as_here(name, own) for name, own in there.states.items()}
        there.ours.take(there.ours.updates({"step": np.asarray(mlx_optimizer.state["step"])}, None), arrays)


def dump_state(opt: Optimizer, mlx_optimizer: Any, names: Iterable[str] | None = None) -> None:
    """Put the state of an optimizer here into one of MLX, after its ``init(params)``; as :func:`load_state`."""
    with held(opt) as parts:
        there = _ForeignState(parts, mlx_optimizer, names)
        made = {name: there.as_there(name, own) for name, own in there.states.items()}
        count = there.ours.count()
        for name, own in there.states.items():
            own.update({key: mx.array(x) for key, x in made[name].items()})
        mlx_optimizer.state["step"] = mx.array(count, mx.uint64)


class _ForeignState:
    """An MLX optimizer beside an optimizer here: ``states`` has its arrays by the names here."""

    def __init__(self, parts: Any, theirs: Any, names: Iterable[str] | None) -> None:
        kind = next((x.__name__ for x in type(theirs).__mro__ if x.__name__ in PLACES), "")
        if not (kind and isinstance(theirs, optimizers.Optimizer)):
            raise GradstepTypeError(f"mlx: expected one of its optimizers, {', '.join(PLACES)}, not {theirs!r:.60}.")
        self.ours = OptimizerState(parts, f"mlx.optimizers.{kind}")
        found = dict(_leaves({key: x for key, x in theirs.state.items() if key not in _OF_ALL}))
        if names is None and set(found) in (set(parts.params), set(self.ours.names)):
            names = list(found)
        order = self.ours.ordered(names, len(found))
        self.states = {name: own for name, own in zip(order, found.values(), strict=True) if name in self.ours.groups}
        self.places = self.ours.placed(PLACES[kind])
        self.has_factors = kind == "Adafactor"
        for own in self.states.values():
            kept = set(own)
            if self.has_factors:  # a vector's are one array, and a momentum is there where it was asked for
                kept |= {"exp_avg"} | ({*_FACTORS.values()} if "exp_avg_sq" in kept else set())
                kept -= {"exp_avg_sq"}
            elif kind == "SGD" and theirs.momentum <= 0:
                kept -= {"v"}  # zeros, which it leaves as they are
            self.ours.covered(self.places, kept)

    def as_here(self, name: str, own: Mapping[str, Any]) -> dict[str, Any]:
        """Return a parameter's arrays as they are kept here: with two axes for factors, and zeros for no momentum."""
        out: dict[str, Any] = {}
        for slot, key in self.places.items():
            shape = tuple(self.ours.parts.state[name][slot].shape)
            if key in own:
                x = self._array(name, own[key])
                out[slot] = x.reshape(shape) if self.has_factors and x.size == np.prod(shape) else x
            elif key == "exp_avg":
                out[slot] = np.zeros(shape, np.float32)
            else:
                rows = self._array(name, own["exp_avg_sq"]).reshape(-1, 1)
                is_rows = key == "exp_avg_sq_row"
                out[slot] = rows if is_rows else rows.mean(0, np.float64, keepdims=True).astype(rows.dtype)
        return out

    def as_there(self, name: str, own: Mapping[str, Any]) -> dict[str, Any]:
        """Return a parameter's arrays as MLX keeps them."""
        slots = {key: slot for slot, key in self.places.items()}
        if "exp_avg_sq" in own:
            slots["exp_avg_sq"] = slots["exp_avg_sq_row"]
        out: dict[str, Any] = {}
        for key, slot in slots.items():
            if key in own:
                old, mine = self._array(name, own[key]), self.ours.parts.state[name][slot]
                is_moved = self.has_factors and old.size == np.prod(mine.shape)
                made = self.ours.ours(name, slot, old.dtype, tuple(mine.shape) if is_moved else old.shape)
                out[key] = made.reshape(old.shape)
        return out

    def _array(self, name: str, x: Any) -> Any:
        if x.dtype == mx.bfloat16:
            raise self.ours.refused(f"state of {name!r} is bfloat16 there, which NumPy does not read; make it float32")
        return to_numpy(x)


def _leaves(nest: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The dicts of arrays in a nest of dicts and lists, one for each parameter, in its order, by dotted names."""
    if isinstance(nest, Mapping) and nest and all(isinstance(x, mx.array) for x in nest.values()):
        yield path[1:], nest  # type: ignore[reportReturnType]
    else:
        for key, x in nest.items() if isinstance(nest, Mapping) else enumerate(nest):
            yield from _leaves(x, f"{path}.{key}")
