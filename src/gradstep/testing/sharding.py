"""The law about a step that several processes share: each has a part of the state, and no bit shows it."""

from functools import partial
from typing import Any

import numpy as np

from gradstep.array.reduction import BLOCK
from gradstep.distributed import Comm, Sharded, in_threads
from gradstep.optimizer import Optimizer
from gradstep.testing.case import Case
from gradstep.testing.trial import Array, Arrays, demand, extras, gradients, normal, same

SIZES = ((2, "auto"), (3, "eager"))  # processes, in whose place are threads, and their engine
MICRO_BATCHES = 5
STEPS = 3
RANGES = ((2 * BLOCK + 100,), (3, 5), (), (BLOCK + 1, 2), (0,))
MATRICES = ((7, 5), (64, 3), (5,), (), (33, 33), (0, 4))


def sharding(case: Case) -> None:
    """Equal bits of parameters and state for any number of processes: of a mean over micro-batches, added as a tree."""
    rng, stage = case.rng(), case.stage()
    shapes = MATRICES if case.rule.whole else RANGES
    thetas = normal(rng, *shapes, dtype="float32") + normal(rng, *shapes[:3])
    grads = [gradients(rng, thetas, MICRO_BATCHES) for _ in range(STEPS)]
    beside = [[extras(stage, g) for g in own] for own in grads]

    alone = Optimizer([x.copy() for x in thetas], stage)
    for own, more in zip(grads, beside, strict=True):
        alone.step(mean(own), **{key: _mean_of([each[key] for each in more]) for key in more[0]})

    def shared(comm: Comm, engine: str) -> tuple[Arrays, dict[str, tuple[int, int]], Any]:
        opt = Sharded([x.copy() for x in thetas], stage, comm=comm, micro_batches=MICRO_BATCHES, engine=engine)
        for own, more in zip(grads, beside, strict=True):
            opt.step([own[i] for i in opt.mine], **{key: [more[i][key] for i in opt.mine] for key in more[0]})
        return opt.params, opt.pieces, opt.state

    for size, engine in SIZES:
        seen: dict[str, list[int]] = {}
        for rank, (params, pieces, state) in enumerate(in_threads(size, partial(shared, engine=engine))):
            where = f"process {rank} of {size}"
            for k, (x, wanted) in enumerate(zip(params, alone.params, strict=True)):
                same(x, wanted, f"{where}: theta of array {k}")
            demand(state.keys() == pieces.keys(), f"{where} has the state of {sorted(state)}")
            for name, (begin, end) in pieces.items():
                seen.setdefault(name, []).append(end - begin)
                for key, x in state[name].items():
                    wanted = alone.state[name][key]
                    is_all = end - begin == thetas[int(name)].size
                    same(x, wanted if is_all else wanted.reshape(-1)[begin:end], f"{where}: {key} of array {name}")
        whole = {str(k): x.size for k, x in enumerate(thetas) if x.size}
        demand({name: sum(seen.get(name, ())) for name in whole} == whole, f"{size} processes have {seen}")


def mean(arrays: list[Arrays]) -> Arrays:
    """Return the mean of lists of arrays, which are added in pairs, and pairs of pairs."""
    return [
        np.asarray(_tree(list(own)) / own[0].dtype.type(len(own)), own[0].dtype) for own in zip(*arrays, strict=True)
    ]


def _mean_of(found: list[Any]) -> Any:
    return mean(found) if isinstance(found[0], list) else float(_tree(found) / len(found))


def _tree(xs: list[Array]) -> Array:
    if len(xs) == 1:
        return xs[0]
    half = 1 << (len(xs) - 1).bit_length() - 1
    return _tree(xs[:half]) + _tree(xs[half:])
