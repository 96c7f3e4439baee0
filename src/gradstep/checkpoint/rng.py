"""The state of random generators, as JSON."""

from collections.abc import Callable, Mapping
from reprlib import repr as short
from typing import TYPE_CHECKING, Any

import numpy as np

from gradstep.errors import CheckpointError, GradstepTypeError

if TYPE_CHECKING:
    Rng = np.random.Generator | Mapping[str, np.random.Generator]
else:
    Rng = Any  # numpy.random is loaded by those who have a generator

_PLACES = {"pos": 624, "buffer_pos": 4}  # positions in the buffers of MT19937 and Philox, which NumPy does not check


def rng_state(rng: Rng) -> dict[str, Any]:
    """The states of one generator, under the name ``rng``, or of several by name."""
    return states_as_json(taken(rng))


def taken(rng: Rng) -> dict[str, Any]:
    """The states of generators, by name, as NumPy has them."""
    return {name: one.bit_generator.state for name, one in _named(rng).items()}


def put_back(rng: Rng, states: Mapping[str, Any]) -> None:
    """Put generators into the states that :func:`taken` gave."""
    for name, one in _named(rng).items():
        one.bit_generator.state = states[name]


def states_as_json(states: Mapping[str, Any]) -> dict[str, Any]:
    """Return the states that :func:`taken` gave as JSON."""
    return {name: _as_json(state) for name, state in states.items()}


def rng_setter(rng: Rng, saved: Any) -> Callable[[], None]:
    """Return the function that puts generators into the saved states, once it has been tried on others.

    Raises
    ------
    CheckpointError
        When there is no state for one of them, or of another kind of generator.
    """
    generators = _named(rng)
    known = saved if isinstance(saved, dict) else {}
    states: dict[str, Any] = {}
    for name, one in generators.items():
        if name not in known:
            raise CheckpointError(f"the file has no random state {name!r}; it has {short(sorted(known))}")
        trial = type(one.bit_generator)()
        try:
            if not _is_like(known[name], _as_json(trial.state)):
                raise ValueError(f"it is no state of {type(trial).__name__}")
            states[name] = _from_json(known[name])
            trial.state = states[name]
        except (TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(f"the random state {name!r} does not fit: {error}") from None

    return lambda: put_back(generators, states)


def _named(rng: Rng) -> "dict[str, np.random.Generator]":
    named = dict(rng) if isinstance(rng, Mapping) else {"rng": rng}
    for name, one in named.items():
        if not isinstance(name, str) or not isinstance(one, np.random.Generator):
            raise GradstepTypeError(f"rng must be a numpy.random.Generator or a dict of them by name, not {one!r}.")
    return named


def _as_json(x: Any) -> Any:
    if isinstance(x, Mapping):
        return {str(key): _as_json(y) for key, y in x.items()}
    if isinstance(x, np.ndarray):
        return {"dtype": x.dtype.name, "values": x.tolist()}
    return x.item() if isinstance(x, np.generic) else x


def _is_like(x: Any, form: Any, key: str = "") -> bool:
    """Return True where ``x`` has the form of such a generator's state: NumPy and C are handed nothing else."""
    if isinstance(form, dict):
        return isinstance(x, dict) and x.keys() == form.keys() and all(_is_like(x[k], form[k], k) for k in form)
    if isinstance(form, list):
        return isinstance(x, list) and len(x) == len(form) and all(type(y) is int for y in x)
    if isinstance(form, str):
        return x == form
    return type(x) is type(form) and (key not in _PLACES or 0 <= x <= _PLACES[key])


def _from_json(x: Any) -> Any:
    if not isinstance(x, Mapping):
        return x
    if set(x) == {"dtype", "values"}:
        return np.array(x["values"], np.dtype(x["dtype"]))
    return {key: _from_json(y) for key, y in x.items()}
