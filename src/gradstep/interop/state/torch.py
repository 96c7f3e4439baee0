"""State from and to ``torch.optim``, by its state dicts, whose groups show by their options what they are of."""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from gradstep.array.namespaces import to_numpy
from gradstep.checkpoint import Parts
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.interop.state.common import OptimizerState, Places, held
from gradstep.optimizer import Optimizer

torch: Any = import_module("torch")  # a type checker takes ``import torch`` for this file

_MEAN = {"m": "exp_avg", "v": "exp_avg_sq"}
_BUFFER = {"b": "momentum_buffer"}
_FACTORS = {"r": "row_var", "c": "col_var"}

PLACES: Mapping[str, Places] = {
    "SGD": {"unfolded_momentum": _BUFFER, "unfolded_nesterov": _BUFFER},
    "Adagrad": {"adagrad": {"s": "sum"}, "adagrad_decaying": {"s": "sum"}},
    "RMSprop": {
        "rmsprop": {"v": "square_avg"},
        "scale_by_rms": {"v": "square_avg"},
        "scale_by_centered_rms": {"v": "square_avg", "mean": "grad_avg"},
        "unfolded_momentum": _BUFFER,
    },
    "Adadelta": {"adadelta": {"s": "square_avg", "u": "acc_delta"}},
    "NAdam": {"nadam_torch": _MEAN},
    "Adam": {"adam": _MEAN, "adamw": _MEAN, "amsgrad_corrected": {**_MEAN, "top": "max_exp_avg_sq"}},
    "RAdam": {"radam_torch": _MEAN},
    "Adamax": {"adamax_eps_inside": {"m": "exp_avg", "u": "exp_inf"}},
    "SparseAdam": {"adam_eps_hat": _MEAN},
    "Rprop": {"rprop": {"last": "prev", "size": "step_size"}},  # of the last gradient the sign counts
    "ASGD": {"asgd_torch": {"average": "ax"}},
    "Adafactor": {"adafactor_torch": _FACTORS, "adafactor_torch_dtype": _FACTORS},
    "Muon": dict.fromkeys(
        ("muon_torch", "muon_torch_matched", "muon_torch_plain", "muon_torch_plain_matched"), _BUFFER
    ),
}
_KNOWN_BY = {  # options that a kind alone has, or that no kind before it has
    "SGD": {"momentum", "dampening", "nesterov"},
    "Adagrad": {"lr_decay", "initial_accumulator_value"},
    "RMSprop": {"alpha", "centered", "momentum"},
    "Adadelta": {"rho", "eps"},
    "NAdam": {"betas", "momentum_decay"},
    "Adam": {"betas", "eps", "amsgrad"},
    "RAdam": {"betas", "eps", "decoupled_weight_decay"},
    "Adamax": {"betas", "eps", "weight_decay"},
    "SparseAdam": {"betas", "eps", "maximize"},
    "Rprop": {"etas", "step_sizes"},
    "ASGD": {"lambd", "t0"},
    "Adafactor": {"beta2_decay"},
    "Muon": {"ns_steps"},
}
_ONLY_WITH = {"momentum_buffer": "momentum", "max_exp_avg_sq": "amsgrad", "grad_avg": "centered"}  # options that say so
_MEMORY = {
    "NAdam": {"nadam_torch.product": "mu_product"},
    "ASGD": {"asgd_torch.eta": "eta", "asgd_torch.mu": "mu"},
}
_UNCOUNTED = ("SGD", "Muon")  # kinds that keep no step


def load_state(
    opt: Optimizer | Parts, state_dict: Mapping[str, Any], names: Iterable[str] | None = None, *, t: int | None = None
) -> None:
    """Load torch's state; :func:`gradstep.interop.torch.load_state` takes guests too."""
    with held(opt, "load_state") as parts:
        there = _ForeignState(parts, state_dict, names)
        ours, counts = there.ours, dict[str, Any]()
        arrays, memory = dict[str, dict[str, Any]](), dict[str, dict[str, Any]]()
        for name, index in there.indices.items():
            found = _as_here(state_dict["state"].get(index, {}))
            for key in [*there.places.values(), *there.memory.values()]:
                if found.get(key) is None:
                    raise ours.refused(f"{name!r} has no {key} there: it has made no step, or not under that name")
            ours.covered(there.places, set(found) - {"step", *there.memory.values()})
            if "step" in found:
                counts[f"step of {name!r}"] = found["step"]
            arrays[name] = {slot: to_numpy(found[key]) for slot, key in there.places.items()}
            memory[name] = {own: to_numpy(found[key])[()] for own, key in there.memory.items()}
        ours.take(ours.updates(counts, t), arrays, memory)


def dump_state(opt: Optimizer | Parts, like: Mapping[str, Any], names: Iterable[str] | None = None) -> dict[str, Any]:
    """Dump the state for torch; :func:`gradstep.interop.torch.dump_state` takes guests too."""
    with held(opt) as parts:
        there = _ForeignState(parts, like, names)
        ours, state = there.ours, dict(like["state"])
        for name, index in there.indices.items():
            old = dict(state.get(index, {}))
            if "variance" in old:
                old["row_var"] = old["variance"].reshape(-1, 1)
            made: dict[str, Any] = {}
            if there.kind == "SparseAdam":
                made["step"] = ours.count_of(name)  # an int there
            elif there.kind not in _UNCOUNTED:
                made["step"] = _scalar(ours, ours.count_of(name), old.get("step"), "t")
            for own, key in there.memory.items():
                made[key] = _scalar(ours, ours.memory_of(name)[own], old.get(key))
            if there.kind != "SGD" or ours.parts.t > 0:  # else torch makes its buffer of the first gradient
                made |= {key: _tensor(ours, name, slot, old.get(key)) for slot, key in there.places.items()}
            state[index] = _as_there(made, tuple(parts.params[name].shape))
        return {**like, "state": {index: own for index, own in state.items() if own}}


def _as_here(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a parameter's state as the rules here keep it: a vector of Adafactor's in factors."""
    out = dict(found)
    if out.get("variance") is not None:
        rows = to_numpy(out.pop("variance")).reshape(-1, 1)
        out |= {"row_var": rows, "col_var": rows.mean(0, np.float64, keepdims=True).astype(rows.dtype)}
    return out


def _as_there(made: Mapping[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    """Return a parameter's state as torch keeps it: of a vector's factors the rows alone."""
    if len(shape) >= 2:
        return dict(made)
    out = {key: x for key, x in made.items() if key not in ("row_var", "col_var")}
    return {**out, "variance": made["row_var"].reshape(shape)} if "row_var" in made else out


class _ForeignState:
    """A torch optimizer's state dict beside an optimizer here."""

    def __init__(self, parts: Parts, state_dict: Any, names: Iterable[str] | None) -> None:
        groups = groups_of(state_dict)
        kinds = {_kind(group) for group in groups}
        if len(kinds) != 1:
            raise GradstepValueError(f"torch: its groups are of several kinds, {', '.join(sorted(kinds))}.")
        self.kind = kinds.pop()
        self.ours = OptimizerState(parts, f"torch.optim.{self.kind}")
        indices = [index for group in groups for index in group["params"]]
        order = self.ours.ordered(names, len(indices))
        self.indices = {name: k for name, k in zip(order, indices, strict=True) if name in self.ours.groups}
        self.places = self.ours.placed(PLACES[self.kind])
        self.memory = _MEMORY.get(self.kind, {})
        kept = {key for own in PLACES[self.kind].values() for key in own.values()}
        for group in groups:
            self.ours.covered(self.places, {key for key in kept if group.get(_ONLY_WITH.get(key, ""), True)})


def groups_of(state_dict: Any) -> Sequence[Mapping[str, Any]]:
    """The groups of a state dict; a :class:`GradstepTypeError` where it is none."""
    if not (isinstance(state_dict, Mapping) and {"state", "param_groups"} <= set(state_dict)):
        raise GradstepTypeError("torch: expected what torch_optimizer.state_dict() gives, with its param_groups.")
    return state_dict["param_groups"]


def _kind(group: Mapping[str, Any]) -> str:
    for kind, options in _KNOWN_BY.items():
        if options <= set(group):
            return kind
    options = ", ".join(sorted(set(group) - {"params"}))
    raise GradstepValueError(f"torch: no optimizer that is known here has the options {options}.")


def _scalar(ours: OptimizerState, x: float, old: Any, exact: str = "") -> Any:
    """A number as torch keeps it: in float32, unless another dtype is the default."""
    double = torch.get_default_dtype() == torch.float64
    like = old if isinstance(old, torch.Tensor) else torch.tensor(0.0, dtype=torch.float64 if double else torch.float32)
    made = torch.tensor(x, dtype=like.dtype, device=like.device)
    if exact and float(made) != x:
        raise ours.refused(f"{exact} = {x} is no {str(like.dtype).rpartition('.')[2]}")
    return made


def _tensor(ours: OptimizerState, name: str, slot: str, old: Any) -> Any:
    if old is None:
        return torch.from_numpy(ours.ours(name, slot))
    x = to_numpy(old)
    values = ours.ours(name, slot, x.dtype, x.shape)
    if x.dtype.name == "bfloat16":
        return torch.from_numpy(values.view("uint16")).view(torch.bfloat16).to(old.device)
    return torch.from_numpy(values).to(old.device)
