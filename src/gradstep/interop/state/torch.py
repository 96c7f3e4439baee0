"""State from and to ``torch.optim``, by its state dicts, whose groups show by their options what they are of."""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from gradstep.array.namespaces import to_numpy
from gradstep.checkpoint import Parts
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.interop.state.common import OptimizerState, Places, bare, held, signed
from gradstep.interop.state.kind import STEP, Arrays, Kind
from gradstep.optimizer import Optimizer

torch: Any = import_module("torch")  # a type checker takes ``import torch`` for this file

_MEAN = {"m": "exp_avg", "v": "exp_avg_sq"}
_BUFFER = {"b": "momentum_buffer"}
_FACTORS = {"r": "row_var", "c": "col_var"}


def _factored(found: Arrays, _shape: tuple[int, ...]) -> Arrays:
    """Return a vector's estimate of squares in factors, as the rules here keep it."""
    out = dict(found)
    if out.get("variance") is not None:
        rows = to_numpy(out.pop("variance")).reshape(-1, 1)
        out |= {"row_var": rows, "col_var": rows.mean(0, np.float64, keepdims=True).astype(rows.dtype)}
    return out


def _unfactored(made: Arrays, shape: tuple[int, ...]) -> Arrays:
    """Return of a vector's factors the rows alone, as torch keeps them."""
    if len(shape) >= 2:
        return made
    out = {key: x for key, x in made.items() if key not in ("row_var", "col_var")}
    return {**out, "variance": made["row_var"].reshape(shape)} if "row_var" in made else out


def _torchs(name: str, places: Places, options: str, **others: Any) -> Kind:
    return Kind(f"torch.optim.{name}", places, options=frozenset(options.split()), **others)


# Groups are known by options that a kind alone has, or that no kind before it has.
KINDS: Mapping[str, Kind] = {
    "SGD": _torchs(
        "SGD",
        {"unfolded_momentum": _BUFFER, "unfolded_nesterov": _BUFFER},
        "momentum dampening nesterov",
        only_with={"momentum_buffer": "momentum"},
        is_counted=False,
        is_lazy=True,
    ),
    "Adagrad": _torchs(
        "Adagrad",
        {"adagrad": {"s": "sum"}, "adagrad_decaying": {"s": "sum"}},
        "lr_decay initial_accumulator_value",
    ),
    "RMSprop": _torchs(
        "RMSprop",
        {
            "rmsprop": {"v": "square_avg"},
            "scale_by_rms": {"v": "square_avg"},
            "scale_by_centered_rms": {"v": "square_avg", "mean": "grad_avg"},
            "unfolded_momentum": _BUFFER,
        },
        "alpha centered momentum",
        only_with={"momentum_buffer": "momentum", "grad_avg": "centered"},
    ),
    "Adadelta": _torchs("Adadelta", {"adadelta": {"s": "square_avg", "u": "acc_delta"}}, "rho eps"),
    "NAdam": _torchs(
        "NAdam", {"nadam_torch": _MEAN}, "betas momentum_decay", numbers={"nadam_torch.product": "mu_product"}
    ),
    "Adam": _torchs(
        "Adam",
        {"adam": _MEAN, "adamw": _MEAN, "amsgrad_corrected": {**_MEAN, "top": "max_exp_avg_sq"}},
        "betas eps amsgrad",
        only_with={"max_exp_avg_sq": "amsgrad"},
    ),
    "RAdam": _torchs("RAdam", {"radam_torch": _MEAN}, "betas eps decoupled_weight_decay"),
    "Adamax": _torchs("Adamax", {"adamax_eps_inside": {"m": "exp_avg", "u": "exp_inf"}}, "betas eps weight_decay"),
    "SparseAdam": _torchs("SparseAdam", {"adam_eps_hat": _MEAN}, "betas eps maximize", forms={STEP: "int"}),
    # Of the last gradient the sign counts.
    "Rprop": _torchs("Rprop", {"rprop": {"last": "prev", "size": "step_size"}}, "etas step_sizes"),
    "ASGD": _torchs(
        "ASGD",
        {"asgd_torch": {"average": "ax"}},
        "lambd t0",
        numbers={"asgd_torch.eta": "eta", "asgd_torch.mu": "mu"},
    ),
    "Adafactor": _torchs(
        "Adafactor",
        {"adafactor_torch": _FACTORS, "adafactor_torch_dtype": _FACTORS},
        "beta2_decay",
        here=_factored,
        back=_unfactored,
    ),
    "Muon": _torchs(
        "Muon",
        dict.fromkeys(("muon_torch", "muon_torch_matched", "muon_torch_plain", "muon_torch_plain_matched"), _BUFFER),
        "ns_steps",
        is_counted=False,
    ),
}


def load_state(
    opt: Optimizer | Parts,
    state_dict: Mapping[str, Any],
    names: Iterable[str] | None = None,
    *,
    t: int | None = None,
    kind: Kind | None = None,
) -> None:
    """Load torch's state; :func:`gradstep.interop.torch.load_state` takes guests too.

    Of another optimizer of torch's kind, ``kind`` says what it keeps; its state dict is one that has been gathered.
    """
    with held(opt, "load_state") as parts:
        there = _ForeignState(parts, state_dict, names, kind)
        ours, its, counts = there.ours, there.kind, dict[str, Any]()
        arrays, memory = dict[str, dict[str, Any]](), dict[str, dict[str, Any]]()
        for name, index in there.indices.items():
            own = {key: x for key, x in state_dict["state"].get(index, {}).items() if x is not None}
            found = its.here(own, tuple(parts.params[name].shape))
            for key in [*map(bare, there.places.values()), *there.numbers.values()]:
                if found.get(key) is None:
                    raise ours.refused(f"{name!r} has no {key} there: it has made no step, or not under that name")
            ours.covered(there.places, set(found) - {STEP, *there.numbers.values(), *its.unread})
            if STEP in found:
                counts[f"step of {name!r}"] = found[STEP] - its.first if its.first else found[STEP]
            arrays[name] = {slot: signed(key, to_numpy(found[bare(key)])) for slot, key in there.places.items()}
            memory[name] = {own: to_numpy(found[key]).reshape(())[()] for own, key in there.numbers.items()}
        updates = ours.updates(counts, t)
        for name, index in there.indices.items():
            if why := its.differs(state_dict["state"].get(index, {}), there.groups[index], updates):
                raise ours.refused(f"{name!r}: {why}")
        ours.take(updates, arrays, memory)


def dump_state(
    opt: Optimizer | Parts, like: Mapping[str, Any], names: Iterable[str] | None = None, *, kind: Kind | None = None
) -> dict[str, Any]:
    """Dump the state for torch; :func:`gradstep.interop.torch.dump_state` takes guests too, ``kind`` is as there."""
    with held(opt) as parts:
        there = _ForeignState(parts, like, names, kind)
        ours, its, state = there.ours, there.kind, dict(like["state"])
        for name, index in there.indices.items():
            shape = tuple(parts.params[name].shape)
            old = its.here(dict(state.get(index, {})), shape)
            count, made = ours.count_of(name), dict[str, Any]()
            if kind and not count:  # its library makes state in the first step
                state[index] = {}
                continue
            if its.is_counted:
                made[STEP] = _number(ours, count + its.first, old.get(STEP), its.forms.get(STEP, ""), "t")
            for own, key in there.numbers.items():
                made[key] = _number(ours, ours.memory_of(name)[own], old.get(key), its.forms.get(key, ""))
            if not its.is_lazy or ours.parts.t > 0:  # else its buffer is made of the first gradient
                made |= {bare(key): _tensor(ours, name, slot, key, old) for slot, key in there.places.items()}
                made |= its.added(there.groups[index], count)
            state[index] = its.back(made, shape)
        return {**like, "state": {index: own for index, own in state.items() if own}}


class _ForeignState:
    """A torch optimizer's state dict beside an optimizer here."""

    def __init__(self, parts: Parts, state_dict: Any, names: Iterable[str] | None, kind: Kind | None) -> None:
        groups = groups_of(state_dict)
        self.kind = kind or _kind_of(groups)
        self.ours = OptimizerState(parts, self.kind.there)
        self.groups = {index: group for group in groups for index in group["params"]}
        indices = list(self.groups)
        order = self.ours.ordered(names, len(indices))
        self.indices = {name: k for name, k in zip(order, indices, strict=True) if name in self.ours.groups}
        self.places = self.ours.placed(self.kind.places)
        if kind is not None:
            self.ours.real_alone()
        known = parts.program.memory() | parts.program.memory_of_each()
        self.numbers = {own: key for own, key in self.kind.numbers.items() if own in known}
        kept = {bare(key) for own in self.kind.places.values() for key in own.values()}
        for group in groups:
            self.ours.covered(self.places, {key for key in kept if group.get(self.kind.only_with.get(key, ""), True)})


def groups_of(state_dict: Any) -> Sequence[Mapping[str, Any]]:
    """The groups of a state dict; a :class:`GradstepTypeError` where it is none."""
    if not (isinstance(state_dict, Mapping) and {"state", "param_groups"} <= set(state_dict)):
        raise GradstepTypeError("torch: expected what torch_optimizer.state_dict() gives, with its param_groups.")
    return state_dict["param_groups"]


def _kind_of(groups: Sequence[Mapping[str, Any]]) -> Kind:
    kinds = {name: kind for group in groups for name, kind in [_known_by(group)]}
    if len(kinds) != 1:
        raise GradstepValueError(f"torch: its groups are of several kinds, {', '.join(sorted(kinds))}.")
    return next(iter(kinds.values()))


def _known_by(group: Mapping[str, Any]) -> tuple[str, Kind]:
    for name, kind in KINDS.items():
        if kind.options <= set(group):
            return name, kind
    options = ", ".join(sorted(set(group) - {"params"}))
    raise GradstepValueError(f"torch: no optimizer that is known here has the options {options}.")


def _number(ours: OptimizerState, x: float, old: Any, form: str, exact: str = "") -> Any:
    """A number as it is kept there: as a tensor in float32, unless another dtype is the default."""
    if form in ("int", "float"):
        return int(x) if form == "int" else float(x)
    if form == "index":
        return torch.tensor([int(x)])
    double = form == "double" or torch.get_default_dtype() == torch.float64
    like = old if isinstance(old, torch.Tensor) else torch.tensor(0.0, dtype=torch.float64 if double else torch.float32)
    made = torch.full((1,) if form == "vector" else (), x, dtype=like.dtype, device=like.device)
    if exact and float(made) != x:
        raise ours.refused(f"{exact} = {x} is no {str(like.dtype).rpartition('.')[2]}")
    return made


def _tensor(ours: OptimizerState, name: str, slot: str, key: str, found: Mapping[str, Any]) -> Any:
    """An array as it is kept there, of the dtype, shape and device of what is there, where anything is."""
    old = found.get(bare(key))
    if old is None:
        return torch.from_numpy(np.asarray(signed(key, ours.ours(name, slot))))
    x = to_numpy(old)
    values = np.asarray(signed(key, ours.ours(name, slot, x.dtype, x.shape)))
    device = getattr(old, "device", "cpu")
    if x.dtype.name == "bfloat16":
        return torch.from_numpy(values.view("uint16")).view(torch.bfloat16).to(device)
    return torch.from_numpy(values).to(device)
