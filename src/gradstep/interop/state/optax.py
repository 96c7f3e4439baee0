"""State from and to optax: nests of named tuples, as ``tx.init`` and ``tx.update`` give them, walked by name."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import jax  # pyright: ignore[reportMissingImports]
import numpy as np

from gradstep.array.namespaces import to_numpy
from gradstep.array.tree import BARE
from gradstep.checkpoint import Parts
from gradstep.errors import GradstepTypeError
from gradstep.form.chain import Program
from gradstep.interop import traced
from gradstep.interop.state.common import OptimizerState, Places, bare, held, signed
from gradstep.optimizer import Optimizer

_MEAN = {"m": "mu", "v": "nu"}
_SQUARE = {"v": "nu"}
_CENTERED = {"v": "nu", "mean": "mu"}
_TOP = {**_MEAN, "top": "nu_max"}

# A trace that stands last in its chain has the learning rate in it, as in optax.rmsprop; another, as in optax.sgd, not.
FOLDED, UNFOLDED = "TraceState behind the learning rate", "TraceState"

PLACES: Mapping[str, Places] = {
    FOLDED: {
        "momentum": {"v": "trace"},
        "nesterov": {"v": "trace"},
        "lars_optax": {"v": "-trace"},
        "lars_optax_nesterov": {"v": "-trace"},
    },
    UNFOLDED: {"unfolded_momentum": {"b": "trace"}, "unfolded_nesterov": {"b": "trace"}},
    "ScaleByRssState": {"adagrad_inside": {"s": "sum_of_squares"}},
    "ScaleByRmsState": {"rmsprop": _SQUARE, "scale_by_rms": _SQUARE, "scale_by_rms_inside": _SQUARE},
    "ScaleByRmsWithCountState": {"scale_by_rms_corrected": _SQUARE, "scale_by_rms_inside_corrected": _SQUARE},
    "ScaleByRStdDevState": {"scale_by_centered_rms": _CENTERED, "scale_by_centered_rms_inside": _CENTERED},
    "ScaleByRStdDevWithCountState": {
        "scale_by_centered_rms_corrected": _CENTERED,
        "scale_by_centered_rms_inside_corrected": _CENTERED,
    },
    "ScaleByAdaDeltaState": {"adadelta": {"s": "e_g", "u": "e_x"}},
    "ScaleByAdamState": {
        **dict.fromkeys(
            (
                "adam",
                "adamw",
                "adam_eps_root",
                "nadam_optax",
                "radam_optax",
                "radam_optax_nesterov",
                "adopt",
                "adopt_unclipped",
                "lamb",
                "yogi_corrected",
            ),
            _MEAN,
        ),
        "adamax_eps_inside": {"m": "mu", "u": "nu"},
    },
    "ScaleByLionState": {"lion": {"m": "mu"}},
    "ScaleByAmsgradState": {
        "amsgrad_optax": _TOP,
        "amsgrad_optax_mean": _TOP,
        "amsgrad_optax_square": _TOP,
        "amsgrad_optax_uncorrected": _TOP,
    },
    "ScaleByBeliefState": {"adabelief": {"m": "mu", "s": "nu"}},
    "ScaleByAdanState": {"adan_optax": {"m": "m", "v": "v", "n": "n", "last": "g"}},
    "EmaState": {"signum": {"m": "ema"}},
    "ScaleByAdemamixState": {"ademamix": {"m1": "m1", "m2": "m2", "v": "nu"}},
    "ScaleBySimplifiedAdEMAMixState": {"simplified_ademamix": {"m": "m", "v": "n"}},
    "MadgradState": {"madgrad": {"s": "s", "v": "grad_sum_sq", "x0": "x0"}},
    "DAdaptAdamWState": {"dadapt_adam": {"m": "exp_avg", "v": "exp_avg_sq", "s": "grad_sum"}},
    "ProdigyState": {"prodigy": {"m": "exp_avg", "v": "exp_avg_sq", "s": "grad_sum", "x0": "params0"}},
    "SophiaState": {"sophia_optax": {"m": "mu", "h": "nu"}},
    "MomoState": {"momo_optax": {"d": "exp_avg"}},
    "DoGState": {"dog": {"x0": "init_params"}},
    "DoWGState": {"dowg": {"x0": "init_params"}},
}
NUMBERS: Mapping[str, Mapping[str, str]] = {  # of the host, by rule; "product" is the weighted numerator
    "dadapt_adam": {"d": "estim_lr", "product": "numerator_weighted"},
    "prodigy": {"d": "estim_lr", "most": "estim_lr", "product": "numerator_weighted"},
    "momo_optax": {"level": "barf", "base": "gamma"},
    "dog": {"distance": "max_dist", "gradients": "sum_sq_norm_grads"},
    "dowg": {"distance": "estim_sq_dist", "weighted": "weighted_sq_norm_grads"},
}
_COUNTS_ALONE = {"EmptyState", "ScaleByScheduleState", "WrappedScheduleState"}
_AROUND = {  # fields in which other states stand
    "MaskedState": ("inner_state",),
    "InjectHyperparamsState": ("inner_state",),
    "InjectStatefulHyperparamsState": ("inner_state", "hyperparams_states"),
}
_COUNTS = ("count", "t", "count_m2")
_OURS = ("count", "memory", "slots")  # fields of the state of gs.interop.optax.transformation


def fields(program: Program) -> dict[str, str]:
    """Return the name that optax has for each slot: ``{"adam.m": "mu"}``; the slot's own where two would have one."""
    known = {rule: own for kind in PLACES.values() for rule, own in kind.items()}
    out: dict[str, str] = {}
    for part, keys in zip(program.parts, program.slots, strict=True):
        own = known.get(part.rule.name) or (_MEAN if "m" in part.rule.state else {})
        names = [own.get(slot, key) for slot, key in zip(part.rule.state, keys, strict=True)]
        out |= {key: name if name == bare(name) else key for key, name in zip(keys, names, strict=True)}
    times = Counter(out.values())
    return {key: name if times[name] == 1 else key for key, name in out.items()}


def load_state(opt: Optimizer, state: Any, names: Iterable[str] | None = None, *, t: int | None = None) -> None:
    """Take an optax state: its arrays and its count. Parameters and hyperparameters stay as they are.

    Parameters
    ----------
    opt
        An optimizer of the stages that ``gs.conventions.optax`` gives for that transformation, in its order. What its
        hyperparameters were is not looked at, nor can states be told apart that have one form: those of ``optax.adam``,
        ``nadam``, ``radam`` and ``adamax``.
    state
        What ``tx.init(params)`` or ``tx.update(...)`` gave; also from ``gs.interop.optax.transformation``, so that its
        state comes from another and goes to it by way of ``opt``.
    names
        The dotted names here of its parameters, in the order of ``jax.tree.leaves(params)``; left out: the names that
        the parameters have in the state, ``layer.w``. What is frozen here is left out of the state.
    t
        The updates made, where optax does not count them (``optax.sgd`` with a constant learning rate): needed if a
        schedule here follows them; else left out, ``opt.t`` stays, but is 1 at least.

    Raises
    ------
    GradstepValueError
        When the state has a part that is unknown here, or whose like the chain here does not have at that place; for
        missing parameters, counts that differ, other shapes, numbers that are not finite, below zero where they cannot
        be, or not in the dtype here. Nothing has been changed.
    GradstepTypeError
        When ``state`` is no such thing.
    """
    with _held(opt, "load_state") as parts:
        there = _ForeignState(parts, state, names)
        arrays: dict[str, dict[str, Any]] = {name: {} for name in there.ours.names}
        for node, places, _ in there.kept:
            for slot, field in places.items():
                leaves = there.leaves(_tree(node, bare(field)))[0]
                for name in there.ours.names:
                    arrays[name][slot] = signed(field, leaves[name])
        of_each = there.of_each or None
        there.ours.take(there.ours.updates(there.counts, t), arrays, memory=of_each, exact=there.memory)


def dump_state(opt: Optimizer, like: Any, names: Iterable[str] | None = None) -> Any:
    """The state here as an optax state: of the structure of ``like``, with its counts, where it counts, all set.

    Parameters
    ----------
    opt
        An optimizer of the stages that ``gs.conventions.optax`` gives for that transformation, in its order.
    like
        What ``tx.init(params)`` gave, or any later state.
    names
        As for :func:`load_state`. What is frozen here stays as it is there.

    Returns
    -------
    state
        For ``tx.update``; all of its arrays that are state are new.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        As from :func:`load_state`.
    """
    with _held(opt) as parts:
        return _dumped(_ForeignState(parts, like, names), like)


def _held(opt: Any, change: str = "") -> AbstractContextManager[Parts]:
    if hasattr(opt, "_fields"):
        raise GradstepTypeError(
            "a transformation's state goes by way of an optimizer of ours: opt = gs.Optimizer(params, rule); "
            "load_state(opt, theirs); state = dump_state(opt, like=tx.init(params))."
        )
    return held(opt, change)


def _dumped(there: "_ForeignState", like: Any) -> Any:
    ours, kept = there.ours, iter(there.kept)

    def filled(node: Any, kind: str) -> Any:
        new: dict[str, Any] = {}
        trees: dict[str, Any] = {}
        for field in _counts(node):
            new[field] = _as_theirs(ours, "t", np.asarray(ours.count()), getattr(node, field))
        if kind in PLACES or node._fields == _OURS:
            _, places, numbers = next(kept)
            for key, field in numbers.items():
                new[field] = _as_theirs(ours, key, np.asarray(_number(ours, key)), getattr(node, field))
            for slot, field in places.items():
                leaves, build = there.leaves(_tree(node, bare(field)))
                for name in ours.names:
                    old = leaves[name]
                    values = signed(field, ours.ours(name, slot, to_numpy(old).dtype, tuple(old.shape)))
                    leaves[name] = _as_theirs(ours, f"{slot} of {name!r}", values, old)
                trees[bare(field)] = build(leaves)
        if node._fields == _OURS:
            memory: dict[str, Any] = {}
            for key, old in node.memory.items():
                if key in there.kept_of_each:
                    _, build = there.leaves(old)
                    each = {name: traced.as_bits(ours.memory_of(name)[key]) for name in ours.names}
                    memory[key] = build({name: jax.numpy.asarray(x) for name, x in each.items()})
                else:
                    memory[key] = jax.numpy.asarray(traced.as_bits(_number(ours, key)))
            trees = {"slots": trees, "memory": memory}
        return node._replace(**new, **trees)

    return _mapped(like, filled)


class _ForeignState:
    """An optax state beside an optimizer here.

    Attributes
    ----------
    kept
        Its parts that keep arrays, in order, each with what stands where, ``{"adam.m": "mu"}``, and the same of the
        host's numbers: ``{"prodigy.d": "estim_lr"}``.
    counts
        Its counts by the names of their parts.
    memory
        The host's numbers, where it has all of them; else None.
    of_each
        Those of each parameter, by its name.
    """

    def __init__(self, parts: Parts, state: Any, names: Iterable[str] | None) -> None:
        self.ours = OptimizerState(parts, "optax")
        self.names = names if names is None or isinstance(names, str) else list(names)
        self.ours.real_alone()
        found: list[tuple[Any, str]] = []
        self.counts: dict[str, Any] = {}

        def look(node: Any, kind: str) -> Any:
            if kind in PLACES or node._fields == _OURS:
                found.append((node, kind))
            elif kind not in _COUNTS_ALONE and kind not in _AROUND:
                raise self.ours.refused(f"it has a {kind}, which is unknown here")
            for field in _counts(node):
                self.counts[f"{field} of {kind}, number {len(self.counts) + 1}"] = getattr(node, field)
            return node

        _mapped(state, look)
        rules = self.ours.kept()
        self.memory: dict[str, float] | None = None
        self.of_each: dict[str, dict[str, float]] = {}
        self.kept_of_each = parts.program.memory_of_each()
        self.kept: list[tuple[Any, dict[str, str], dict[str, str]]] = []
        if len(found) == 1 and found[0][0]._fields == _OURS:  # one for the whole chain, by the names here
            node = found[0][0]
            places = fields(parts.program)
            self.ours.covered(places, node.slots)
            self.memory = {key: traced.from_bits(x) for key, x in node.memory.items() if key not in self.kept_of_each}
            for key in self.kept_of_each:
                for name, bits in self.leaves(node.memory[key])[0].items():
                    self.of_each.setdefault(name, {})[key] = traced.from_bits(bits)
            self.kept.append((node, places, {}))
            return
        if len(rules) != len(found):
            mine, theirs = (
                ", ".join(x) or "nothing" for x in ([r.name for r, _ in rules], [kind for _, kind in found])
            )
            raise self.ours.refused(f"it keeps arrays in {theirs}, and this optimizer in {mine}")
        for (node, kind), (rule, slots) in zip(found, rules, strict=True):
            self.ours.there = f"optax, {kind}"
            places, label = self.ours.placed_rule(rule, slots, PLACES[kind]), slots[0].rpartition(".")[0]
            numbers = {f"{label}.{key}": field for key, field in NUMBERS.get(rule.name, {}).items()}
            self.kept.append((node, places, numbers))
            if numbers:
                self.memory = {key: float(to_numpy(getattr(node, field))) for key, field in numbers.items()}
        self.ours.there = "optax"

    def leaves(self, tree: Any) -> tuple[dict[str, Any], Callable[[Mapping[str, Any]], Any]]:
        """The leaves of a tree like the parameters by their names here, and what builds such a tree."""
        found, form = jax.tree_util.tree_flatten_with_path(tree)
        if self.names is None:
            order = [_dotted(path) for path, _ in found]
            self.ours.known(order)
        else:
            order = self.ours.ordered(self.names, len(found))
        by_name = {name: x for name, (_, x) in zip(order, found, strict=True)}
        return by_name, lambda new: jax.tree_util.tree_unflatten(form, [new[name] for name in order])


def _tree(node: Any, field: str) -> Any:
    return node.slots[field] if node._fields == _OURS else getattr(node, field)


def _counts(node: Any) -> list[str]:
    """The fields in which a part counts updates."""
    return [field for field in _COUNTS if field in node._fields]


def _number(ours: OptimizerState, key: str) -> float:
    """A number of the host, where all groups have the same."""
    values = {ours.memory_of(name)[key] for name in ours.names}
    if len(values) > 1:
        raise ours.refused(f"{key} differs from group to group here, and there is one there")
    return values.pop()


def _mapped(node: Any, visit: Callable[[Any, str], Any], is_last: bool = True) -> Any:
    """The nest with each of its named tuples, inner ones first, as ``visit(node, kind)`` gives it."""
    kind = type(node).__name__
    if hasattr(node, "_fields"):
        inner = {field: _mapped(getattr(node, field), visit, is_last) for field in _AROUND.get(kind, ())}
        return visit(node._replace(**inner), FOLDED if kind == "TraceState" and is_last else kind)
    if isinstance(node, tuple):
        return tuple(_mapped(x, visit, k == len(node) - 1) for k, x in enumerate(node))
    if isinstance(node, Mapping):
        make: Any = type(node)
        return make((key, _mapped(x, visit)) for key, x in node.items())
    raise GradstepTypeError(f"optax: expected a state as tx.init(params) gives it, and there is a {kind} in it.")


def _dotted(path: Iterable[Any]) -> str:
    keys = [next(getattr(key, own) for own in ("key", "idx", "name") if hasattr(key, own)) for key in path]
    return ".".join(map(str, keys)) or BARE


def _as_theirs(ours: OptimizerState, what: str, values: Any, old: Any) -> Any:
    """Values as an array like ``old``, where that is."""
    dtype = old.dtype
    if what == "t" and values > np.iinfo(dtype).max:
        raise ours.refused(f"t = {values} is no {dtype.name}")
    if not isinstance(old, jax.Array):
        return values.astype(dtype)
    made = jax.device_put(values.astype(dtype), old.sharding)
    if made.dtype != dtype:
        raise ours.refused(f"{what} is {dtype.name} there, and JAX makes {made.dtype.name} of it; enable x64")
    return made
