"""A run that several processes share: each evaluates some micro-batches of a step, and all step by their mean.

Every process makes the whole run, with the same numbers. What one alone can know, a signal or the time, it tells the
others before any of them ends; the folder is process 0's.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import islice
from signal import Signals
from typing import Any

import numpy as np

from gradstep.array.namespaces import is_low
from gradstep.array.rows import Rows
from gradstep.array.tree import flatten
from gradstep.checkpoint.rng import states_as_json, taken
from gradstep.distributed.agree import Rounds
from gradstep.distributed.cut import Kind, cut
from gradstep.distributed.gathering import Gathering, put
from gradstep.distributed.libraries import as_comm
from gradstep.distributed.tree import Counter, mean_of, share
from gradstep.distributed.wires import CHANNEL, Wires
from gradstep.engine.tensor import Fit, Tensor
from gradstep.errors import GradstepError, GradstepTypeError, GradstepValueError
from gradstep.loop import stop
from gradstep.loop.evaluation import as_metrics
from gradstep.loop.problem_file import OwnProblem
from gradstep.loop.start import parameters
from gradstep.loop.stop import Point, Reason
from gradstep.loop.user import Handed, UserFunction


class Processes:
    """The processes of a run, of which this is one; it alone, where ``comm`` is None.

    Attributes
    ----------
    rank, size
        The number of this process, and how many there are.
    """

    def __init__(self, comm: Any = None) -> None:
        self.rounds = Rounds(as_comm(comm))
        self.rank, self.size = self.rounds.comm.rank, self.rounds.comm.size

    def together(self) -> AbstractContextManager[None]:
        """Let an error within the block be the same one on all processes."""
        return self.rounds.together()

    def meet(self, what: str, own: str = "") -> list[str]:
        """Return what each process says of something; ``what`` it is has the same name on all.

        Raises
        ------
        GradstepError
            On all, where a process is elsewhere in the run, or has failed.
        """
        texts = [text.decode().split("\n", 1) for text in self.rounds.exchange(f"{what}\n{own}".encode())]
        for rank, (theirs, _) in enumerate(texts):
            if theirs != texts[0][0]:
                self.rounds.refuse(
                    GradstepError(
                        f"the processes have parted: process 0 is at {texts[0][0]}, and process {rank} at {theirs}; "
                        f"the file must give all of them the same parameters and batches."
                    )
                )
        return [text for _, text in texts]

    def first(self, what: str, say: Callable[[], str]) -> str:
        """Return what process 0 says, which alone is asked."""
        return self.meet(what, say() if self.rank == 0 else "")[0]

    def compare(self, what: Mapping[str, str]) -> None:
        """Refuse processes that have not the same.

        Raises
        ------
        GradstepValueError
            With what it is, by its name.
        """
        found = [json.loads(text) for text in self.meet("the beginning", json.dumps(dict(what)))]
        for name in what:
            for rank, theirs in enumerate(found):
                if theirs[name] != found[0][name]:
                    self.rounds.refuse(GradstepValueError(f"process {rank} has another {name} than process 0."))


def shared(problem: OwnProblem, processes: Processes, micro_batches: int) -> OwnProblem:
    """Return a problem whose value and gradients are the mean over so many batches, each evaluated by one process.

    Step ``k`` has the batches from ``k * micro_batches`` on. ``evaluate`` is called by process 0.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For a problem that has no batches, and for parameters that are no arrays of NumPy.
    """
    where = f"{problem.path.name}:{problem.name}"
    if problem.batches is None:
        raise GradstepValueError(f"{where} has no batches of which a step could take {micro_batches}.")

    def measured(params: Any) -> dict[str, float]:
        return json.loads(processes.first("evaluate", lambda: json.dumps(as_metrics(_evaluated(problem, params)))))

    return replace(
        problem,
        value_and_grad=_Mean(problem, processes, micro_batches),
        batches=_steps(problem, share(micro_batches, processes.size, processes.rank), micro_batches),
        evaluate=None if problem.evaluate is None else measured,
    )


def _evaluated(problem: OwnProblem, params: Any) -> Any:
    assert problem.evaluate is not None  # noqa: S101 - it is asked for
    return problem.evaluate(params)


def heard(processes: Processes, seconds: float | None) -> stop.Stop:
    """Return the stop that ends all processes where a signal has come to one, or process 0's time is over."""
    return _Heard(processes, seconds)


class _Mean:
    """The mean of an objective over the micro-batches of all processes: on all of them, with the same bits.

    They are added up by the tree of :mod:`gradstep.distributed.tree`, in an order that depends on their number alone.
    """

    def __init__(self, problem: OwnProblem, processes: Processes, micro_batches: int) -> None:
        self._problem, self._processes, self._count = problem, processes, micro_batches
        self._nest, leaves = flatten(parameters(problem.params))
        for name, x in zip(self._nest.names, leaves, strict=True):
            if not isinstance(x, np.ndarray):
                raise GradstepTypeError(
                    f"parameter {name!r} is a {type(x).__name__}, and the mean over micro-batches is of NumPy arrays."
                )
        self._mine = share(micro_batches, processes.size, processes.rank)
        cuts = cut([Kind(x.size, x.itemsize, is_whole=False) for x in leaves], processes.size)
        likes = [np.broadcast_to(np.zeros((), x.dtype), x.shape) for x in leaves]
        native = [x.dtype if is_low(x) else x.dtype.newbyteorder("=") for x in leaves]
        self._means = [np.empty(x.shape, dtype) for x, dtype in zip(leaves, native, strict=True)]
        self._own = cuts[processes.rank]
        self._gathering = Gathering(processes.rounds, self._means, cuts)
        names = self._nest.names
        self._wires = Wires(processes.rounds, names, {CHANNEL: likes}, cuts, micro_batches, is_exact=True)
        self._handed = Handed(self._nest, leaves)
        self._fit = Fit([Tensor(name, x, (), 0) for name, x in zip(names, likes, strict=True)])

    def __call__(self, params: Any, batches: Iterable[Any]) -> tuple[float, Any]:
        """Return value and gradients; their arrays are used again by the next call."""
        rng, leaves = self._problem.rng, self._nest.leaves(params, "parameters")
        before = None if rng is None else states_as_json(taken(rng))
        sums = Counter[float](lambda x, y: x + y)
        self._wires.start()
        for number, batch in zip(self._mine, batches, strict=True):
            value, grads = self._problem.value_and_grad(self._nest.build([*leaves]), batch)
            self._wires.take({CHANNEL: self._fitting(grads)}, number)
            sums.take(value, (number, 1))
        if rng is not None and states_as_json(taken(rng)) != before:
            raise GradstepValueError(
                f"{self._problem.name} draws from rng while micro-batches are evaluated, which would depend on who "
                f"evaluates which; draw from np.random.default_rng([seed, k]), with the number k of the batch."
            )
        own = np.array([x for _, x in sums.held], np.float64)
        texts = self._processes.meet("the mean of a step", json.dumps(own.tolist()))
        value = mean_of([x for text in texts for x in json.loads(text)], self._count, self._processes.size)
        mean = self._wires.mean()[CHANNEL]
        for piece, new in [*zip(self._own, mean, strict=True), *self._gathering.exchanged(mean)]:
            put(self._means[piece.array], piece, new)
        return value, self._nest.build(self._means)

    def _fitting(self, grads: Any) -> Sequence[Any]:
        leaves = self._nest.leaves(self._handed.gradients(grads), "gradients")
        if Rows in map(type, leaves):
            raise GradstepTypeError("gradients whose mean is taken over micro-batches are whole arrays, not gs.rows.")
        self._fit.check(leaves)
        return leaves


def _steps(problem: OwnProblem, mine: range, micro_batches: int) -> Any:
    """Return the batches of each step that are this process's, as :class:`gradstep.Run` takes batches."""
    given = problem.batches
    if callable(given):
        draw = UserFunction(given, f"{problem.name}.batches", problem.path)
        return lambda k: (draw(k * micro_batches + i) for i in mine)
    is_series = isinstance(given, Iterable) and not isinstance(given, Mapping | str)
    return _Series(given, mine, micro_batches) if is_series else given  # the run refuses anything else


class _Series:
    """Batches that can only be iterated over: those of each step that are this process's."""

    def __init__(self, batches: Iterable[Any], mine: range, micro_batches: int) -> None:
        self._batches, self._mine, self._count = batches, mine, micro_batches

    def __iter__(self) -> Iterator[list[Any]]:
        rest = iter(self._batches)
        while len(group := list(islice(rest, self._count))) == self._count:
            yield [group[i] for i in self._mine]


@dataclass(frozen=True, init=False)
class _Heard(stop.signals):
    processes: Processes
    seconds: float | None

    def __init__(self, processes: Processes, seconds: float | None) -> None:
        super().__init__()
        object.__setattr__(self, "processes", processes)
        object.__setattr__(self, "seconds", seconds)

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:
        """End after a signal to any process, or by the time of process 0."""
        mine = point.signal if point.signal in self.numbers else None
        told = [
            json.loads(text) for text in self.processes.meet("the end of a step", json.dumps([mine, point.seconds]))
        ]
        for rank, (number, _) in enumerate(told):
            if number is not None:
                return Reason("signal", f"the signal {Signals(number).name} came to process {rank}")
        if self.seconds is None:
            return None
        return stop.seconds(self.seconds).check(replace(point, seconds=told[0][1]), memory)
