"""An optimizer whose state several processes share, each a part of it: ZeRO's first stage, over MPI or torch."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from gradstep.array.namespaces import dtype_name, is_low, one_number
from gradstep.array.rows import Rows
from gradstep.checkpoint import Checkpoint, Parts, as_saved, folder, plan, user_metadata
from gradstep.checkpoint.adopted import shared_out
from gradstep.checkpoint.format import canonical, read
from gradstep.checkpoint.state import PARAM, Saved
from gradstep.conventions import stage_of
from gradstep.distributed.agree import Rounds
from gradstep.distributed.collective import Maker
from gradstep.distributed.cut import Kind, cut
from gradstep.distributed.gathering import Gathering, put, view
from gradstep.distributed.libraries import as_comm
from gradstep.distributed.tree import Counter, mean_of, share
from gradstep.distributed.wires import CHANNEL, Wires
from gradstep.engine.cpu.threads import checked_threads
from gradstep.engine.tensor import Fit, Tensor, check_alike
from gradstep.errors import CheckpointError, GradstepTypeError, GradstepValueError, NonFiniteError, ScalarError
from gradstep.files import AnyPath
from gradstep.form.chain import Program, program
from gradstep.form.hyper import HyperView
from gradstep.form.rule import Rule, Stage
from gradstep.locks import new_lock, refuse_reentry
from gradstep.naming import unknown, whole
from gradstep.step import Snapshot, joint_step
from gradstep.step.face import Face, read_only
from gradstep.step.groups import GroupValues, assign
from gradstep.step.precision import Precision
from gradstep.step.progress import Own

REDUCTIONS = ("exact", "fast")
Array = NDArray[Any]


class Sharded(Face):
    """Updates the same arrays on several processes, of which each keeps the state of a part of them.

    Every process holds all parameters, and the gradients of its micro-batches. A step takes the mean over the
    micro-batches of all processes; each process gets that of its part, steps it with the ordinary engine, and hands the
    new parameters to the others. Every method is for all processes together, unless it says otherwise.

    Parameters
    ----------
    params
        NumPy arrays as for :class:`gradstep.Optimizer`, with the same numbers on all processes.
    rule, groups, on_nonfinite, engine, threads, state_dtype, master, rounding, seed, **hyper
        As for :class:`gradstep.Optimizer`, the same on all processes.
    comm
        A communicator of mpi4py, a process group of torch.distributed over gloo, or None for this process alone. Others
        are any object like :class:`gradstep.distributed.Comm`.
    micro_batches
        How many there are in a step, K; each has a gradient, and the step takes their mean.
    reduction
        ``"exact"``: gradients are added in an order that depends on K alone, and the parameters have the same bits for
        any number of processes; ``"fast"``: by the library's own reduction, in its order.

    Attributes
    ----------
    params
        The nest as it was handed in.
    mine
        The numbers of this process's micro-batches, a range out of 0 to K - 1; empty where there are more processes.
    state
        The state of this process's part: ``state["layer.w"]["adam.m"]``, where an array is cut of one axis.
    pieces
        For each of this process's arrays, by name, the elements ``(begin, end)`` of which it has the state, in C order.
    t, skipped, hyper, groups
        As for :class:`gradstep.Optimizer`. A hyperparameter that is set must be set on every process.

    Raises
    ------
    GradstepValueError
        Also when the processes differ in rule, options or parameters, with what differs; in a step, for a parameter
        that has been replaced in ``params`` by another array.

    Notes
    -----
    A process has ranges of arrays, cut at multiples of 4096 elements, where a rule works element by element; whole
    arrays where it sums over each array or sees it whole, draws random numbers by place or stores state in fewer bits.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> params = {"w": np.ones(3)}
    >>> opt = gs.distributed.Sharded(params, "sgd", lr=0.5, micro_batches=2)
    >>> opt.step([{"w": np.array([1.0, 0.0, float(i)])} for i in opt.mine])
    >>> params["w"]
    array([0.5 , 1.  , 0.75])
    """

    micro_batches: int
    reduction: str
    size: int
    rank: int
    mine: range
    pieces: dict[str, tuple[int, int]]

    def __init__(
        self,
        params: Any,
        rule: str | Rule | Stage,
        *,
        comm: Any = None,
        micro_batches: int = 1,
        reduction: str = "exact",
        groups: Mapping[str, Any] | None = None,
        on_nonfinite: str = "raise",
        engine: str = "auto",
        threads: int | None = None,
        state_dtype: str | None = None,
        master: bool = False,
        rounding: str = "nearest",
        seed: int = 0,
        **hyper: Any,
    ) -> None:
        self._comm = as_comm(comm)
        self._rounds = Rounds(self._comm)
        with self._rounds.together():
            self.micro_batches = whole("micro_batches", micro_batches, least=1)
            if reduction not in REDUCTIONS:
                raise unknown("unknown reduction", str(reduction), REDUCTIONS)
            self.reduction = reduction
            self.on_nonfinite = on_nonfinite
            self._precision = _Whole(state_dtype, master, rounding, seed)
            self._stage = stage_of(rule, hyper)
            made = program(self._stage)
            self._hold(params)
            self._groups = assign(groups, self._nest.names, made)
            self._hyper = HyperView(made.hyper, made.domains)
            self._values = GroupValues(self._groups, self._hyper)
            self._active = [k for k, group in enumerate(self._groups.of) if group is not None]
            self._check(made)
            self._prepare(engine, checked_threads(threads))
            self._compare()

    def _check(self, made: Program) -> None:
        """Refuse what cannot be shared."""
        for name, x in zip(self._nest.names, self._leaves, strict=True):
            if not isinstance(x, np.ndarray):
                raise GradstepTypeError(
                    f"parameter {name!r} is a {type(x).__name__}, and processes share NumPy arrays; a tensor of torch "
                    f"on the CPU has one in its memory: x.detach().numpy()."
                )
        for own in (made, *self._groups.programs.values()):
            if own.gathering is not None:
                raise GradstepValueError(
                    f"{own.gathering.parts[-1].label} gathers gradients call by call, and processes by micro-batches; "
                    f"leave it out, and say micro_batches=."
                )

    def _prepare(self, engine: str, threads: int | None) -> None:
        """Cut the parameters, and make the step of this process's pieces."""
        names, self.size, self.rank = self._nest.names, self._comm.size, self._comm.rank
        self.mine = share(self.micro_batches, self.size, self.rank)
        rules = [self._groups.rules[group] for k in self._active if (group := self._groups.of[k]) is not None]
        programs = [self._groups.programs[rule] for rule in rules]
        self._names = [names[k] for k in self._active]
        self._whole = [self._leaves[k] for k in self._active]
        self._cuts = cut([self._kind(x, own) for x, own in zip(self._whole, programs, strict=True)], self.size)
        self._own = self._cuts[self.rank]
        self.pieces = {self._names[p.array]: (p.begin, p.end) for p in self._own}
        self._shapes = {name: tuple(x.shape) for name, x in self._named()}
        self._gathering = Gathering(self._rounds, self._whole, self._cuts)
        self._maker = Maker(engine, self._rounds)
        here = {self._names[p.array]: view(self._whole[p.array], p) for p in self._own}
        of = [group for k in self._active if (group := self._groups.of[k]) is not None]
        self._step = joint_step(
            [(rule, self._groups.used[rule]) for rule in self._groups.rules or [""]],
            here,
            self._values.at(0),
            [of[p.array] for p in self._own],
            precision=self._precision,
            engine=engine if self.size == 1 else self._maker,
            threads=threads,
        )
        self._state = read_only(self._step.slots)
        inputs = sorted(set(self._step.inputs))
        self._likes: dict[str, list[Array]] = {CHANNEL: self._whole} | {
            name: [_like_state(x) for x in self._whole] for name in inputs
        }
        self._lock = new_lock()
        self._wires = Wires(
            self._rounds, self._names, self._likes, self._cuts, self.micro_batches, self.reduction == "exact"
        )
        self._is_alone = self.size == self.micro_batches == 1 and not self._step.inputs and not self._step.takes
        self._fit = Fit([Tensor(name, x, (), 0) for name, x in zip(self._names, self._whole, strict=True)])
        self._taken = sorted({*self._step.takes})
        self._digest: tuple[Any, bytes] = (None, b"")

    def _kind(self, x: Array, own: Program) -> Kind:
        """Return how a parameter of a program is cut."""
        is_elementwise = not own.random and not any(rule.whole or rule.over == "tensor" for rule in own.rules)
        is_nearest = self._precision.state is None and self._precision.rounding == "nearest"
        is_whole = not (is_elementwise and is_nearest and x.flags.c_contiguous)
        slots = sum(map(len, own.slots)) * max(4, x.dtype.itemsize)
        return Kind(x.size, max(1, slots + 4 * (self._precision.master and is_low(x))), is_whole)

    def _compare(self) -> None:
        """Refuse processes that are not of one mind."""
        start = Snapshot(memory=[{} for _ in self._groups.patterns])
        saved = Saved.of(self._groups.program, self._hyper.raw, self._groups, self._nest.names, self._precision, start)
        form = [[name, list(x.shape), dtype_name(x), x.flags.c_contiguous] for name, x in self._named()]
        numbers = hashlib.sha256()
        for _, x in self._named():
            numbers.update(np.ascontiguousarray(x).reshape(-1).view(np.uint8).data)
        mine = [
            ("micro_batches or reduction", _sha([self.micro_batches, self.reduction, self.on_nonfinite])),
            ("parameters (names, shapes, dtypes or layouts)", _sha(form)),
            ("rules, groups or options", _sha(saved.as_json())),
            ("numbers in its parameters", numbers.digest()),
        ]
        texts = self._rounds.exchange(b"".join(sha for _, sha in mine))
        for k, (what, _) in enumerate(mine):
            found = [text[32 * k : 32 * k + 32] for text in texts]
            for rank, sha in enumerate(found):
                if sha != found[0]:
                    self._rounds.refuse(GradstepValueError(f"process {rank} has other {what} than process 0."))

    def _named(self) -> Iterator[tuple[str, Array]]:
        return zip(self._nest.names, self._leaves, strict=True)

    def __repr__(self) -> str:
        arrays = f"{len(self._leaves)} arrays, {self.micro_batches} micro-batches"
        return f"<Sharded {self.stage!r} of {arrays}, process {self.rank} of {self.size}, t={self.t}>"

    def step(self, grads: Iterable[Any], *, loss: Iterable[Any] | None = None, **inputs: Iterable[Any]) -> None:
        """Make one update on all processes, or none on any.

        Parameters
        ----------
        grads
            The gradients of this process's micro-batches, in the order of :attr:`mine`: a nest for each, as for
            :meth:`gradstep.Optimizer.step`. A generator may make them one by one, also in the same arrays.
        loss, **inputs
            What a rule takes beside the gradient, one for each micro-batch; the step takes their mean too.

        Raises
        ------
        NonFiniteError, GradstepValueError, GradstepTypeError
            As :meth:`gradstep.Optimizer.step` does, the same on all processes, with the number of the first in which
            something is wrong. Nothing has been changed on any.
        GradstepError
            When something else has been raised on a process; there it is the cause.
        """
        refuse_reentry(self._lock, "step")
        if self._is_alone and loss is None and not inputs and type(grads) is list and len(grads) == 1:
            with self._lock:  # nobody to agree with, and nothing to add
                self._refuse_replaced()
                leaves = self._taken_leaves(CHANNEL, grads[0])
                self._step(leaves, self._values.at(self._step.t), self._on_nonfinite)
            return
        with self._lock, self._rounds.together():
            self._update(grads, inputs if loss is None or "loss" not in self._step.takes else {**inputs, "loss": loss})

    def _update(self, grads: Iterable[Any], inputs: Mapping[str, Iterable[Any]]) -> None:
        self._refuse_replaced()
        self._step.check_inputs(inputs)
        values, t = self._values.at(self.t), self.t
        leaves, sums = self._added(grads, inputs)
        if self.size == 1:
            mean = self._wires.mean() if leaves is None else leaves
            self._act(mean, self._numbers([sums]), values, self._on_nonfinite)
            return
        texts = self._rounds.exchange(self._mind(t, values) + sums)
        self._check_minds(texts)
        mean, taken = self._wires.mean(), self._numbers([text[MIND:] for text in texts])
        self._maker.guard[0] = self._on_nonfinite != "ignore"
        late: BaseException | None = None
        try:
            with self._rounds.together():
                try:
                    self._act(mean, taken, values, "raise" if self._maker.guard[0] else "ignore")
                except BaseException as error:  # where the update is made, the others go on
                    if self.t == t:
                        raise
                    late = error
        except NonFiniteError as error:
            if isinstance(error, ScalarError):
                raise
            if self._on_nonfinite == "skip":
                self._step.skip()
                return
            self._refuse(error, mean[CHANNEL])
        self._gather()
        if late is not None:
            self._rounds.refuse(late)

    def _act(self, mean: Mapping[str, Sequence[Array]], taken: Mapping[str, float], values: Any, policy: str) -> None:
        """Step this process's pieces."""
        inputs = {name: own for name, own in mean.items() if name != CHANNEL}
        if inputs or taken:
            self._step.with_inputs(mean[CHANNEL], values, policy, inputs, taken)
        else:
            self._step(mean[CHANNEL], values, policy)

    def _added(
        self, grads: Iterable[Any], inputs: Mapping[str, Iterable[Any]]
    ) -> tuple[dict[str, Sequence[Array]] | None, bytes]:
        """Add up what comes of this process's micro-batches; return arrays of one that is all, and sums of numbers."""
        each = {CHANNEL: grads, **inputs}
        for name, own in each.items():
            if isinstance(own, Mapping | np.ndarray) or not isinstance(own, Iterable):
                raise GradstepTypeError(
                    f"step: {name or 'the gradients'} must be a list with an entry for each micro-batch of this "
                    f"process, not a {type(own).__name__}."
                )
        self._wires.start()
        sums = {name: Counter[float](lambda x, y: x + y) for name in self._taken}
        entries = {name: iter(own) for name, own in each.items()}
        alone: dict[str, Sequence[Array]] | None = None
        for number in self.mine:
            now = {name: next(own, _END) for name, own in entries.items()}
            self._check_count(now, number - self.mine.start)
            for name, sum_ in sums.items():
                sum_.take(one_number(name, now.pop(name)), (number, 1))
            leaves = {name: self._taken_leaves(name, nest) for name, nest in now.items()}
            if self._is_alone:
                alone = leaves
            else:
                self._wires.take(leaves, number)
        for name, own in entries.items():
            if next(own, _END) is not _END:
                self._refuse_count(name, f"more than {len(self.mine)}")
        return alone, np.array([[x for _, x in own.held] for own in sums.values()], np.float64).tobytes()

    def _check_count(self, now: Mapping[str, Any], count: int) -> None:
        for name, x in now.items():
            if x is _END:
                self._refuse_count(name, f"{count}")

    def _refuse_count(self, name: str, count: str) -> None:
        which = f"{self.mine.start} to {self.mine.stop - 1}" if self.mine else "none"
        raise GradstepValueError(
            f"step: {name or 'gradients'} of {count} micro-batches came, and this process has {len(self.mine)} of the "
            f"{self.micro_batches} ({which})."
        )

    def _taken_leaves(self, name: str, nest: Any) -> Sequence[Array]:
        """Return the arrays of a micro-batch that fit the parameters which are not frozen, in order."""
        leaves = self._nest.leaves(nest, name or "gradients")
        if len(self._active) < len(leaves):
            leaves = [leaves[k] for k in self._active]
        if self._is_alone and not name:
            return leaves  # the step looks at them
        if Rows in map(type, leaves):
            _refuse_rows()
        if name:
            for own, x, like in zip(self._names, leaves, self._likes[name], strict=True):
                check_alike(f"{name} of {own!r}", x, like)
        else:
            self._fit.check(leaves)
        return leaves

    def _numbers(self, texts: Sequence[bytes]) -> dict[str, float]:
        """Return the mean of each number that comes with a step, from the sums of all processes."""
        if not self._taken:
            return {}
        table = np.concatenate([np.frombuffer(text).reshape(len(self._taken), -1) for text in texts], axis=1)
        return {
            name: mean_of(row, self.micro_batches, self.size)
            for name, row in zip(self._taken, table.tolist(), strict=True)
        }

    def _mind(self, t: int, values: Any) -> bytes:
        """Return what must be the same on all processes before a step, as bytes."""
        if self._digest[0] is not values:
            self._digest = values, _sha(values)
        return np.array([t, self.skipped], np.int64).tobytes() + self._on_nonfinite[:2].encode() + self._digest[1]

    def _check_minds(self, texts: Sequence[bytes]) -> None:
        for rank, text in enumerate(texts):
            if text[:MIND] != texts[0][:MIND]:
                counts = [np.frombuffer(x[:16], np.int64).tolist() for x in (text, texts[0])]
                what = (
                    f"is at t = {counts[0][0]}, and process 0 at t = {counts[1][0]}; restore all from a checkpoint"
                    if counts[0] != counts[1]
                    else "has other hyperparameters, or another on_nonfinite, than process 0; set them on all"
                )
                self._rounds.refuse(GradstepValueError(f"process {rank} {what}. Nothing was changed."))

    def _refuse(self, error: NonFiniteError, grads: Sequence[Array]) -> None:
        """Raise the error for a gradient that is not finite, by the process that handed it in where there is one.

        Else it is the mean that is too large, which its owner tells by its place in the array.
        """
        own = self._wires.first_bad()
        mine = WHOSE[0] + own if own else WHOSE[1] + self._bad_mean(grads)
        texts = [x.decode() for x in self._rounds.exchange(mine.encode())]
        for whose in WHOSE:
            for rank, text in enumerate(texts):
                if text[1:] and text[0] == whose:
                    self._rounds.refuse(NonFiniteError(f"process {rank}: {text[1:]}"))
        self._rounds.refuse(error)

    def _bad_mean(self, grads: Sequence[Array]) -> str:
        """Return the error for a mean that a step cannot take, in words; empty where all here are good."""
        whole: list[Array] = []
        for piece, g in zip(self._own, grads, strict=True):
            x = np.zeros(self._whole[piece.array].shape, g.dtype)
            view(x, piece)[...] = g
            whole.append(x)
        return str(self._step.first_bad(whole) or "")

    def _gather(self) -> None:
        """Hand the others this process's pieces of the parameters, and take theirs."""
        for piece, new in self._gathering.exchanged([view(self._whole[p.array], p) for p in self._own]):
            put(self._whole[piece.array], piece, new)

    def save(self, path: AnyPath, *, extra: Any = None) -> None:
        """Write a checkpoint into a folder: a file of each process, and a manifest when all of them are there.

        Until then the checkpoint before it is the one. :func:`gradstep.load` reads it in one process, without MPI.

        Parameters
        ----------
        path
            Of the folder, the same for all processes and on a disk that all see.
        extra
            Anything of your own that JSON knows, as process 0 has it.

        Raises
        ------
        GradstepError
            When a process could not write its file; the checkpoint before it is as it was.
        """
        refuse_reentry(self._lock, "save")
        with self._lock, self._rounds.together():
            mine, own = self._local_parts(), user_metadata(extra, None)
            name = self._rounds.exchange(folder.begin(path).encode() if self.rank == 0 else b"")[0].decode()
            arrays, _ = as_saved(mine)
            theirs = {} if self.rank == 0 else {f"{PARAM}{key}" for key in self._frozen()}
            arrays = {key: x for key, x in arrays.items() if key not in theirs}
            pieces = {key: (*self.pieces[key], *self._shapes[key]) for key in self.pieces}
            sha = folder.write_shard(path, name, self.rank, arrays, pieces)
            texts = self._rounds.exchange(canonical([sha, _numbers_of(mine.saved())]).encode())
            if self.rank == 0:
                hashes, numbers = zip(*map(json.loads, texts), strict=True)
                folder.commit(path, name, hashes, {"optimizer": self._saved(numbers).as_json(), **own})
            self._rounds.exchange()

    def restore(self, path: AnyPath, *, hyper: bool = True) -> Checkpoint:
        """Take parameters, state, t and all else from a checkpoint, of whatever number of processes.

        Parameters
        ----------
        path
            A folder of :meth:`save`, or a file of :meth:`gradstep.Optimizer.save`.
        hyper
            Whether the hyperparameters are taken too, as for :meth:`gradstep.Optimizer.restore`.

        Returns
        -------
        Checkpoint
            What is in the file, but of its arrays this process's part alone.

        Raises
        ------
        CheckpointError
            When it is damaged, or of another optimizer, on any process. Nothing has been changed.
        """
        refuse_reentry(self._lock, "restore")
        with self._lock, self._rounds.together():
            found, mine = self._read(path), self._local_parts()
            act = plan(mine, found, path, hyper=hyper)
            given = self._groups.given
            if hyper:  # also of groups that have no parameter here
                given = Saved.from_json(found.metadata["optimizer"]).given(self._groups, self._nest.names)
            self._rounds.exchange()
            act()
            self._groups.take(given)
            self._hyper.touch()
            self._gather()
            return found

    def _read(self, path: AnyPath) -> Checkpoint:
        """Return a checkpoint with this process's part of the arrays; all parameters of the file are these."""
        wanted = {**self.pieces, **{name: (0, x.size) for name, x in self._frozen().items()}}
        if folder.is_folder(path):
            joined, metadata = folder.join_folder(path, wanted)
        else:
            arrays, metadata = read(path)
            joined = folder.Joined(wanted)
            joined.take(arrays, {})
        for name, shape in joined.shapes.items():
            if name in self._shapes and shape != self._shapes[name]:
                raise CheckpointError(
                    f"checkpoint {os.fspath(path)!r} is not of this optimizer: parameter {name!r} has the shape "
                    f"{shape} there, and {self._shapes[name]} here. Nothing was changed."
                )
        for name in sorted(joined.shapes.keys() ^ self._shapes.keys()):
            where = "the file" if name in joined.shapes else "this optimizer"
            raise CheckpointError(
                f"checkpoint {os.fspath(path)!r} is not of this optimizer: parameter {name!r} is in {where} alone. "
                f"Nothing was changed."
            )
        return Checkpoint(joined.arrays, metadata)

    def _frozen(self) -> dict[str, Array]:
        return {name: x for (name, x), group in zip(self._named(), self._groups.of, strict=True) if group is None}

    def _local_parts(self) -> Parts:
        """Return this process's part of the optimizer, as a checkpoint has it, and what is frozen."""
        self._refuse_replaced()
        now, frozen = self._step.snapshot(), self._frozen()
        views = {self._names[p.array]: view(self._whole[p.array], p) for p in self._own}
        groups = dict(zip(self._nest.names, self._groups.of, strict=True))
        params = {name: views.get(name, x) for name, x in self._named() if name in views or name in frozen}
        local = replace(self._groups, of=tuple(groups[name] for name in params))

        def take(hyper: Any, memory: Any, t: int, skipped: int, arrays: Any, own: Any) -> None:
            self._hyper.replace(hyper)
            self._step.restore(Snapshot(t, skipped, memory, own), arrays)

        first = local.program, local, self._precision, params, self._step.slots, self._hyper.raw
        return Parts(*first, now.t, now.skipped, now.memory, take, self._lock, now.own)

    def _saved(self, numbers: Sequence[Mapping[str, Any]]) -> Saved:
        """Return all of the optimizer but the arrays, from the numbers that each process has for its part."""
        every = {name: Own(*own) for each in reversed(numbers) for name, own in each.items()}
        memory, own = shared_out(self._groups, self._nest.names, every)
        now = Snapshot(self.t, self.skipped, memory, own)
        return Saved.of(self._groups.program, self._hyper.raw, self._groups, self._nest.names, self._precision, now)

    def averaged(self) -> Any:
        """Return the averaged parameters that a stage such as :func:`gradstep.ema` keeps: a nest of new arrays.

        Raises
        ------
        GradstepValueError
            When no stage keeps an average.
        """
        with self._lock, self._rounds.together():
            self._refuse_replaced()
            averages = self._step.averaged(lambda: self._values.at(self.t - 1))
            if averages is None:
                raise GradstepValueError(f"{self.stage!r} keeps no average; add one: gs.chain(..., gs.ema()).")
            self._rounds.exchange()
            out = [np.array(x, order="C") for x in self._leaves]
            for piece, new in chain(zip(self._own, averages, strict=True), self._gathering.exchanged(averages)):
                put(out[self._active[piece.array]], piece, new)
            return self._nest.build(out)


MIND = 16 + 2 + 32  # bytes
WHOSE = "gm"  # a gradient that was handed in is not finite, or the mean of those
_END: Any = object()


class _Whole(Precision):
    """A precision of gradients that are whole arrays."""

    def check_takes_rows(self, name: str) -> None:  # noqa: ARG002
        """Refuse :func:`gradstep.rows`."""
        _refuse_rows()


def _refuse_rows() -> NoReturn:
    raise GradstepTypeError("gradients that processes share are whole arrays, not gs.rows.")


def _like_state(x: Array) -> Array:
    """Return an array like those that come beside the gradient of a parameter: of the dtype of its state."""
    return np.broadcast_to(np.zeros((), np.float32 if is_low(x) else x.dtype), x.shape)


def _numbers_of(saved: Saved) -> dict[str, Any]:
    return {name: [dict(own.began), dict(own.memory)] for name, own in saved.active.items()}


def _sha(data: Any) -> bytes:
    return hashlib.sha256(canonical(data).encode()).digest()
