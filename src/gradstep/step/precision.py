"""Fewer bits for state and parameters: what an optimizer may be asked for, and what comes of it for each tensor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradstep.array.namespaces import compute_dtype, dtype_name, is_complex, is_low, namespace, pieces
from gradstep.array.storage import BLOCK, FORMATS, Format, Layout
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.chain import Program
from gradstep.form.rule import Rule
from gradstep.naming import unknown

STATES = ("bfloat16", "8bit")
ROUNDINGS = ("nearest", "stochastic")


@dataclass(frozen=True)
class Precision:
    """Storage of parameters and state in fewer bits than they are computed in.

    Attributes
    ----------
    state
        None: the dtype of the computation; ``"bfloat16"``; ``"8bit"``: blocks of 256 numbers with a scale.
    master
        Whether 16-bit parameters have a float32 copy in the state, from which they are rounded. A number that is not
        its copy rounded, for it was set since, stands for itself.
    rounding
        Of 16-bit parameters: ``"nearest"`` (half to even) or ``"stochastic"``. State in fewer bits is always rounded
        stochastically, for an average that moves by less than half a step of the format would stand still.
    seed
        Of the random bits.

    Raises
    ------
    GradstepValueError
        For an unknown name, or stochastic rounding of what has master copies.
    GradstepTypeError
        When ``master`` is no bool or ``seed`` no integer.
    """

    state: str | None = None
    master: bool = False
    rounding: str = "nearest"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.state is not None and self.state not in STATES:
            raise unknown("unknown state_dtype", str(self.state), STATES)
        if self.rounding not in ROUNDINGS:
            raise unknown("unknown rounding", str(self.rounding), ROUNDINGS)
        if not isinstance(self.master, bool):
            raise GradstepTypeError(f"master must be True or False, not {self.master!r}.")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise GradstepTypeError(f"seed must be an integer, not {self.seed!r}.")
        if self.master and self.rounding == "stochastic":
            raise GradstepValueError('master=True and rounding="stochastic" are two ways to the same end; choose one.')

    @property
    def is_default(self) -> bool:
        """True where all is stored as it is computed, and 16-bit parameters are rounded to the nearest."""
        return self == type(self)(seed=self.seed)

    def check(self, names: Sequence[str], values: Sequence[Any], engine: Any) -> None:
        """Refuse parameters for which this cannot be done; ``engine`` is the one that was asked for.

        Raises
        ------
        GradstepTypeError
            For arrays that are not NumPy's, unless it is the engine of their device; for float64 and complex
            parameters with a lower state; where a package lacks bfloat16.
        GradstepValueError
            When no parameter has the 16 bits that ``master`` or ``rounding`` are about.
        """
        if self.is_default:
            return
        for name, x in zip(names, values, strict=True):
            if not isinstance(x, np.ndarray):
                self._check_elsewhere(name, x, engine)
            if self.state and (is_complex(x) or compute_dtype(x, name) != "float32"):
                raise GradstepTypeError(
                    f"parameter {name!r} has dtype {dtype_name(x)}; state_dtype={self.state!r} is for parameters that "
                    f"are computed in float32."
                )
        if (self.master or self.rounding != "nearest") and not any(map(is_low, values)):
            raise GradstepValueError("master and rounding are for 16-bit parameters, and there is none.")

    def _check_elsewhere(self, name: str, x: Any, engine: Any) -> None:
        """Refuse an array that is not NumPy's, but where it is on a device."""
        if engine != "cuda":
            raise GradstepTypeError(
                f"parameter {name!r} is a {type(x).__name__}; state_dtype, master, rounding need NumPy's, or arrays on "
                f'a CUDA device with engine="cuda".'
            )
        if self.state == "bfloat16" and not hasattr(namespace(x), "bfloat16"):
            raise GradstepTypeError(
                f"parameter {name!r} is a {type(x).__name__}, whose package has no bfloat16 for the state; use "
                f'state_dtype="8bit", or torch\'s tensors.'
            )
        if "bfloat16" in (self.state, dtype_name(x)):
            _ = FORMATS["bfloat16"].dtype  # it says what to install

    def check_takes_rows(self, name: str) -> None:
        """Refuse :func:`gradstep.rows` where rows are not stored one by one.

        Raises
        ------
        GradstepTypeError
            Unless all is stored as it is computed.
        """
        if not self.is_default:
            raise GradstepTypeError(
                f"gradient {name!r} is gs.rows, which is not for state_dtype=, master= or rounding=; leave them out, "
                f"or make the gradient a whole array. Nothing was changed."
            )

    def layout(self, x: Any, name: str, program: Program) -> Layout:
        """Return the layout of a parameter and its state."""
        for part in program.parts:
            if part.rule.whole and self.state:
                raise GradstepValueError(
                    f"state_dtype={self.state!r} is not for {part.label}, which sees whole arrays; leave it out."
                )
            if part.rule.inputs and self.state:
                raise GradstepValueError(
                    f"state_dtype={self.state!r} is not for {part.label}, which takes {part.rule.inputs[0]} as it is."
                )
            if self.state and (reason := part.rule.exceptions.get("smaller_state")):
                raise GradstepValueError(f"state_dtype={self.state!r} is not for {part.label}: {reason}; leave it out.")
            if part.rule.every is not None and self.state:
                raise GradstepValueError(
                    f"state_dtype={self.state!r} is not for {part.label}, which adds gradients up; leave it out."
                )
        slots = [form for part in program.parts for form in self.formats(part.rule)]
        low = is_low(x)
        dtype = dtype_name(x) if low else compute_dtype(x, name)
        return Layout(dtype, tuple(slots), self.master and low, self.rounding == "stochastic" and low)

    def formats(self, rule: Rule) -> list[str | None]:
        """The formats of a rule's slots; what begins as the parameters, such as their average, stays as it is."""
        return [None if rule.start.get(slot) == "theta" else self._format(rule, slot) for slot in rule.state]

    def _format(self, rule: Rule, slot: str) -> str | None:
        if self.state != "8bit":
            return self.state
        if slot not in rule.nonnegative:
            return "signed8"
        return "sizes8" if rule.power == 1 else "squares8"  # a rule that forms no square keeps none


def encoded(form: Format, values: np.ndarray) -> list[np.ndarray]:
    """Encode numbers in C order, part by part, to the nearest: a start is a number or a parameter."""
    parts = [form.encode(part) for part in pieces(values)] or [form.encode(values.reshape(-1))]
    return [np.concatenate(own) for own in zip(*parts, strict=True)]


def stored_start(layout: Layout, x: Any, start: dict[str, Any]) -> dict[str, Any]:
    """A parameter's state before the first update as it is stored: ``start`` and what its formats add to that.

    Returns
    -------
    dict
        ``"adam.m"``: numbers or codes of the parameter's shape; ``"adam.m.scale"``: the scale of each block of 256, in
        C order; ``"master"``: the float32 copy of the parameter.
    """
    out: dict[str, Any] = {}
    for (key, values), name in zip(start.items(), layout.slots, strict=True):
        if name is None:
            out[key] = values
            continue
        is_one = values.size > 0 and not any(values.strides)  # the same number everywhere
        codes, *scales = encoded(FORMATS[name], values[(slice(1),) * values.ndim] if is_one else values)
        out[key] = np.broadcast_to(codes[0], values.shape) if is_one else codes.reshape(values.shape)
        if scales:
            out[f"{key}.scale"] = np.broadcast_to(scales[0], -(-values.size // BLOCK))
    if layout.master:
        out["master"] = np.asarray(x).astype(np.float32, order="C")
    return out
