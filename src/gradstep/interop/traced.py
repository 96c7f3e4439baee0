"""A step for guests that trace: arrays are a jit's business, scalars the host's, in float64 as everywhere.

Under a trace ``t``, a learning rate and gradients have no values yet. The scalars come by a callback, which has them
when the step runs, and the numbers that a rule keeps on the host go in and out as bits, so no float64 is needed.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from gradstep.array.namespaces import compute_dtype, to_numpy
from gradstep.engine.tensor import Tensor
from gradstep.errors import NonFiniteError, ScalarError
from gradstep.form.chain import Program, Row, program, reductions
from gradstep.form.hyper import Schedule, in_domain
from gradstep.form.rule import Stage
from gradstep.functional import Slots, apply_table, host_half

Nest = dict[str, Any]


def as_bits(x: float) -> np.ndarray:
    """Return a float64 as two int32, which every framework can carry."""
    return np.array([x], np.float64).view(np.int32)


def from_bits(bits: Any) -> float:
    """Return the float64 that :func:`as_bits` took."""
    return float(np.ascontiguousarray(to_numpy(bits), np.int32).view(np.float64)[0])


def step(
    stage: Stage, params: Nest, grads: Nest, slots: Slots, t: Any, memory: Nest, hyper: Nest
) -> tuple[Nest, Slots, Nest]:
    """One update of arrays by name: JAX's, traced or not, or of any other namespace.

    Parameters
    ----------
    stage
        A stage.
    params, grads, slots
        Arrays by name, and slots as in :class:`gradstep.State`.
    t
        The number of updates made: an integer, or an array without axes.
    memory
        Host numbers by name, each as :func:`as_bits` makes it; of those that are kept for each array a list, in order.
    hyper
        Hyperparameters that are arrays without axes; the others have the stage's values and schedules. With them the
        numbers that a rule takes with a step, such as ``loss``.

    Returns
    -------
    params, slots, memory
        After the update. Where a norm or a number that comes with the step is not finite, it is one of NaN, and the
        memory is as before.

    Raises
    ------
    GradstepTypeError, GradstepValueError
        When shapes or dtypes do not fit, or a hyperparameter is out of range.
    ScalarError
        When a scalar is out of the dtype's range. Under a jit, JAX puts both into an error of its own.
    """
    made = program(stage)
    dtypes = {compute_dtype(x, name) for name, x in params.items()}
    host = _Host(stage, len(params) if made.over_tensor else 1, tuple(sorted(dtypes)))
    operands = (t, memory, hyper, _measured(made, params, grads, slots))
    if _is_traced(operands):
        from jax import ShapeDtypeStruct as Form  # pyright: ignore[reportMissingImports]  # jax is there when it traces

        from gradstep.interop.derivatives import scalars

        bits: Any = {
            key: [Form((2,), np.int32)] * len(x) if key in made.memory_of_each() else Form((2,), np.int32)
            for key, x in memory.items()
        }
        numbers, memory = scalars(host, (Form(*host.form), bits), stage, *operands)
    else:
        numbers, memory = host(*operands)
    params, slots = apply_table(made, params, grads, slots, _table(made, numbers))
    return params, slots, memory


@dataclass(frozen=True)
class _Host:
    """The host's half, as a callback: what its result depends on, besides its arguments, is what makes it equal."""

    stage: Stage
    rows: int
    dtypes: tuple[str, ...]

    @property
    def form(self) -> tuple[tuple[int, int], str]:
        """Shape and dtype of the scalars."""
        wide = "float64" if "float64" in self.dtypes else "float32"
        return (self.rows, sum(len(rule.numbers) for rule in program(self.stage).rules)), wide

    def __call__(self, t: Any, memory: Nest, hyper: Nest, arrays: Sequence[Any]) -> tuple[np.ndarray, Nest]:
        made, t = program(self.stage), int(t)
        of_each = made.memory_of_each()
        kept: Nest = {
            key: {str(k): from_bits(own) for k, own in enumerate(bits)} if key in of_each else from_bits(bits)
            for key, bits in memory.items()
        }
        taken = {key: float(hyper[key]) for key in made.takes}
        hyper = {key: x for key, x in hyper.items() if key not in taken}
        values = made.values({key: x for key, x in made.hyper.items() if key not in hyper}, t)
        owner, domains = f"optimizer, update {t + 1}", made.domains
        values |= {key: in_domain(key, float(x), owner, domains.get(key)) for key, x in hyper.items()}
        tensors = [
            Tensor(
                str(k), to_numpy(theta), tuple(tuple(map(to_numpy, own)) for own in slots), k if self.rows > 1 else 0
            )
            for k, (theta, _, slots) in enumerate(arrays)
        ]
        grads = [to_numpy(g) for _, g, _ in arrays]
        shape, dtype = self.form
        try:
            table, after = host_half(made, values, self.dtypes, tensors, grads, t, kept, taken)
        except ScalarError:
            raise
        except NonFiniteError:
            numbers = np.full(shape, np.nan, dtype)
        else:
            numbers = np.array([[x for own in row for x in own] for row in table], dtype).reshape(shape)
            kept = {**after}
        return numbers, {
            key: [as_bits(y) for y in x.values()] if key in of_each else as_bits(x) for key, x in kept.items()
        }


def _is_traced(tree: Any) -> bool:
    """Return True where JAX traces: there are tracers in place of values."""
    jax = sys.modules.get("jax")
    return jax is not None and any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(tree))


def _measured(made: Program, params: Nest, grads: Nest, slots: Slots) -> list[Any]:
    """Return what a chain's sums are taken of: each array's theta, g and the state of all stages up to the last."""
    last = max(reductions(made.rules), default=None)
    if last is None:
        return []
    kept = made.slots[: last + 1]
    return [(x, grads[name], [[slots[name][key] for key in own] for own in kept]) for name, x in params.items()]


def _table(made: Program, numbers: Any) -> list[Row]:
    """Return the scalars as rows of each part's numbers."""
    ends = list(accumulate(len(rule.numbers) for rule in made.rules))
    parts = list(pairwise([0, *ends]))
    return [[tuple(numbers[k, i] for i in range(*part)) for part in parts] for k in range(numbers.shape[0])]


def scheduled(schedule: Schedule, t: Any) -> Any:
    """Return a schedule's value when ``t`` updates have been made; float32 where ``t`` is traced."""

    def call(t: Any) -> np.ndarray:
        return np.asarray(schedule(int(t)), np.float32)

    if not _is_traced(t):
        return float(call(t))
    import jax  # pyright: ignore[reportMissingImports]  # jax is there when it traces

    return jax.pure_callback(call, jax.ShapeDtypeStruct((), np.float32), t, vmap_method="sequential")
