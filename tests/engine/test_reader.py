"""The reader of array structs: with it and without it, and eagerly, every gradient there is gives the same."""

import contextlib
import ctypes
import gc
import mmap
import os
import sys
import weakref
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import gradstep as gs
from support import LONG, SOURCE, fingerprint, made, script

compiled = pytest.importorskip("gradstep.engine.cpu.compiled")
reader = pytest.importorskip("gradstep.engine.cpu.reader")
gather = pytest.importorskip("gradstep.engine.cpu.gather")

KINDS = ["read", "plain", "eager"]
LARGE = 70_000  # elements: above all sizes up to which something is copied or the GIL is held


@pytest.fixture(params=["as small", "as large"])
def path(request, monkeypatch):
    """Small arrays go the way of small steps, or that of large ones."""
    if request.param == "as large":
        monkeypatch.setattr(compiled, "SHORT", -1)
        monkeypatch.setattr(gather, "SMALL", -1)


def optimizer(params, kind="read", tx="adam", **options):
    return made(kind, params, tx, **options)


def loads(opt):
    """A list that grows whenever the ordinary path takes the gradients."""
    seen = []
    load = opt._step._engine.load

    def counted(grads):
        seen.append(grads)
        load(grads)

    opt._step._engine.load = counted
    return seen


def attempt(opt, grads):
    """What a step does: the fingerprint after it, or the error, which changed nothing."""
    before = fingerprint(opt)
    try:
        opt.step(grads)
    except (gs.GradstepError, ValueError, TypeError) as error:
        assert fingerprint(opt) == before
        return type(error).__name__, str(error)
    assert fingerprint(opt) != before
    return fingerprint(opt)


def usual(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def read_only(x):
    x.flags.writeable = False
    return x


def misaligned(x):
    out = np.empty(x.nbytes + 1, "u1")[1:].view(x.dtype).reshape(x.shape)
    out[...] = x
    return out


def in_foreign_memory(x):
    out = np.frombuffer((ctypes.c_char * x.nbytes)(), x.dtype).reshape(x.shape)
    out[...] = x
    return out


def in_a_map(x):
    out = np.frombuffer(mmap.mmap(-1, max(1, x.nbytes)), x.dtype, count=x.size).reshape(x.shape)
    out[...] = x
    return out


class Strange(np.ndarray):
    """A subclass."""


# Gradients of every kind, made from a usual one.
ODD = {
    "usual": lambda g: g,
    "copy": lambda g: g.copy(),
    "another shape": lambda g: g[:1],
    "flat": lambda g: g.reshape(-1),
    "another rank": lambda g: g[None],
    "transposed": lambda g: g.T,
    "float32": lambda g: g.astype("f4"),
    "longdouble": lambda g: g.astype("g"),
    "int64": lambda g: g.view("i8"),
    "complex": lambda g: g + 0j,
    "objects": lambda g: g.astype(object),
    "records": lambda g: g.view([("x", "f8")]),
    "byte order": lambda g: g.astype(">f8"),
    "metadata": lambda g: g.astype(np.dtype("f8", metadata={"a": 1})),
    "Fortran": np.asfortranarray,
    "strided": lambda g: np.repeat(g, 2, axis=-1)[..., ::2],
    "backwards": lambda g: g[..., ::-1],
    "broadcast": lambda g: np.broadcast_to(g[:1, :1], g.shape),
    "zero dimensions": lambda g: np.array(1.0),
    "a scalar": lambda g: np.float64(1.0),
    "a number": lambda g: 1.0,
    "a list": lambda g: g.tolist(),
    "nothing": lambda g: None,
    "empty": lambda g: np.zeros((0, 6)),
    "read-only": lambda g: read_only(g.copy()),
    "misaligned": misaligned,
    "matrix": lambda g: np.asmatrix(g),
    "masked": np.ma.array,
    "recarray": lambda g: g.view(np.recarray),
    "subclass": lambda g: g.view(Strange),
    "view": lambda g: g[:],
    "foreign": in_foreign_memory,
    "mapped": in_a_map,
    "NaN": lambda g: np.where(np.arange(g.size).reshape(g.shape) == g.size - 1, np.nan, g),
    "infinite": lambda g: g * np.inf,
    "huge": lambda g: np.full_like(g, 1e300),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # np.matrix
class TestOddGradients:
    @pytest.mark.parametrize("name", ODD)
    @pytest.mark.usefixtures("path")
    def test_each(self, name):
        seen = []
        for kind in KINDS:
            opt = optimizer({"a": usual((4, 6), 1), "b": usual((4, 6), 2)}, kind)
            a, b, c = (usual((4, 6), k) for k in (3, 4, 5))
            odd = ODD[name](b)
            steps = [(a, b), (a, odd), (odd, a), (a, b), (odd, odd), (a, c), (a, odd)]
            seen.append([attempt(opt, {"a": x, "b": y}) for x, y in steps])
        assert seen[0] == seen[1]
        assert seen[0] == seen[2]

    def test_the_reader_takes_what_is_usual_and_nothing_else(self):
        """Else all of this would compare the ordinary path with itself."""
        taken = set()
        for name, make in ODD.items():
            opt = optimizer({"a": np.ones((4, 6))}, on_nonfinite="skip")
            seen = loads(opt)
            attempt_quietly(opt, {"a": make(usual((4, 6)))})
            if opt.t + opt.skipped and not seen:
                taken.add(name)
        assert taken == {"usual", "copy", "read-only", "view", "foreign", "mapped", "NaN", "infinite", "huge"}

    @pytest.mark.parametrize("shape", [(), (0,), (1,), (0, 3), (2, 3, 4), (1, 1, 1, 1, 1)])
    @pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
    def test_shapes_and_dtypes(self, shape, dtype):
        seen = []
        for kind in KINDS:
            w, fixed = np.ones(shape, dtype), np.ones(3)
            opt = optimizer([w, fixed], kind, LONG)
            odd = [np.full(shape, 0.5, dtype), np.full(shape, 0.5, "f2"), np.ones((*shape, 1), dtype)]
            seen.append([attempt(opt, [g, np.ones(3)]) for g in (odd[0], odd[1], odd[2], odd[0])])
        assert seen[0] == seen[1] == seen[2]


def attempt_quietly(opt, grads):
    with contextlib.suppress(gs.GradstepError, TypeError, ValueError):
        opt.step(grads)


FOREIGN = {
    "own": lambda x: x,
    "view": lambda x: x[:],
    "slice": lambda x: np.concatenate([x.ravel(), np.zeros(9)])[: x.size].reshape(x.shape),
    "ctypes": in_foreign_memory,
    "map": in_a_map,
    "torch": lambda x: pytest.importorskip("torch").from_numpy(x).numpy(),
}

# Gradients of the parameters a, b, c that lie where the step writes, or twice, or exchanged.
ALIASES = {
    "itself": lambda p, s, g: [p[0], p[1], p[2]],
    "itself viewed": lambda p, s, g: [p[0][:], p[1][:], p[2][:]],
    "exchanged": lambda p, s, g: [p[1], p[2], p[0]],
    "exchanged views": lambda p, s, g: [p[2][:], p[0][:], p[1][:]],
    "all the first": lambda p, s, g: [p[0]] * 3,
    "state": lambda p, s, g: [s[1], s[2], s[0]],
    "state viewed": lambda p, s, g: [s[0][:], s[0][:], s[0][:]],
    "base": lambda p, s, g: [base(p[1]), base(p[0]), g],
    "twice": lambda p, s, g: [g, g, g],
    "twice viewed": lambda p, s, g: [g, g[:], g],
    "foreign view": lambda p, s, g: [over(p[2]), over(p[0]), over(p[1])],
    "byte later": lambda p, s, g: [over(p[1], 8), over(p[0], 8), g],
    "read-only view": lambda p, s, g: [read_only(p[1][:]), read_only(p[0][:]), g],
    "reversed": lambda p, s, g: [p[1][::-1], p[0][::-1], g],
}  # fmt: skip


def base(x):
    """The array that ``x`` is a view of, where it fits."""
    found = x.base if isinstance(x.base, np.ndarray) else x
    return found if found.shape == x.shape else found.reshape(-1)[: x.size].reshape(x.shape)


def over(x, shift=0):
    """An array of other origin that shares the memory of ``x``, from ``shift`` bytes on, and all but its end."""
    n = x.size - shift // 8
    memory = (ctypes.c_double * n).from_address(x.__array_interface__["data"][0] + shift)
    out = np.frombuffer(memory, "f8")
    return out.reshape(x.shape) if not shift else np.concatenate([out, np.ones(x.size - n)])[: x.size]


class TestAliases:
    @pytest.mark.parametrize("memory", FOREIGN)
    @pytest.mark.usefixtures("path")
    def test_each(self, memory):
        for name, alias in ALIASES.items():
            seen = []
            for kind in KINDS:
                params = [FOREIGN[memory](usual(7, k)) for k in range(3)]
                opt = optimizer(params, kind, gs.momentum(lr=0.1))
                slots = [next(iter(own.values())) for own in opt.state.values()]
                out = []
                for k in range(4):
                    grads = alias(params, slots, usual(7, 9 + k))
                    out.append(attempt(opt, grads if k != 1 else [usual(7, 8)] * 3))
                seen.append(out)
            assert seen[0] == seen[1], name
            assert seen[0] == seen[2], name

    @pytest.mark.usefixtures("path")
    def test_one_memory_for_all(self):
        """Parameters and gradients that are parts of one array each, and of one together."""
        for both in (False, True):
            seen = []
            for kind in KINDS:
                memory = usual(4000)
                other = memory if both else usual(4000, 1)
                params = [memory[100 * k : 100 * k + 70] for k in range(20)]
                opt = optimizer(params, kind, LONG)
                out = []
                for shift in (2000, 2030, 2100 - 70, 30):
                    at = shift if both or shift != 30 else 0
                    out.append(attempt(opt, [other[100 * k + at : 100 * k + at + 70] for k in range(20)]))
                seen.append(out)
            assert seen[0] == seen[1] == seen[2]


class TestWhatWasSeenBefore:
    """The reader remembers addresses; that must never make it take what it would not take now."""

    @pytest.mark.usefixtures("path")
    @pytest.mark.parametrize("unusual", ["Fortran", "float32", "nothing", "byte order", "another shape"])
    def test_a_doubtful_address_then_an_unusual_array(self, unusual):
        size = 9
        odd = {
            "Fortran": lambda g: np.repeat(g, 2)[::2],
            "float32": lambda g: g.astype("f4"),
            "nothing": lambda g: None,
            "byte order": lambda g: g.astype(">f8"),
            "another shape": lambda g: g[1:],
        }[unusual]
        seen = []
        for kind in KINDS:
            a, b, c = (usual(size, k) for k in range(3))
            opt = optimizer([a, b, c], kind, "sgd", lr=0.5)
            g = usual(size, 5)
            view = a[:]  # as the gradient of b: a is written before b reads it
            steps = [[g, view, odd(g)], [g, view, g], [g, g, odd(g)], [g, view, g], [g, view, view]]
            seen.append([attempt(opt, grads) for grads in steps])
        assert seen[0] == seen[1]
        assert seen[0] == seen[2]

    @pytest.mark.usefixtures("path")
    def test_an_address_with_another_kind_of_array(self):
        size = 8
        memory = usual(2 * size, 3)
        place = memory[:size]
        other = np.lib.stride_tricks.as_strided
        kinds = [
            memory[:size],
            memory[:size].view("i8"),
            memory[: 2 * size : 2],
            memory[:size].view(">f8"),
            memory[: size // 2].view("c8"),
            memory[: size - 1],
            memory[:size].reshape(2, -1),
            other(place, (size,), (0,)),
            memory[:size].view(np.recarray),
            read_only(memory[:size].view()),
            memory[:0],
        ]
        seen = []
        for kind in KINDS:
            opt = optimizer([usual(size), usual(size, 1)], kind)
            out = []
            for odd in kinds:
                out += [attempt(opt, [place, place]), attempt(opt, [place, odd]), attempt(opt, [odd, place])]
            seen.append(out)
        assert seen[0] == seen[1] == seen[2]

    @pytest.mark.usefixtures("path")
    def test_the_memory_of_a_gradient_that_has_gone(self):
        """Fresh arrays at addresses that were freed, of other sizes and kinds."""
        rng = np.random.default_rng(0)
        opts = [optimizer([np.ones(50), np.ones(60)], kind, LONG) for kind in KINDS]
        for k in range(60):
            grads = [rng.normal(size=50), rng.normal(size=60)]
            if k % 3 == 1:
                grads[k % 2] = np.repeat(grads[k % 2], 2)[::2]
            if k % 5 == 1:
                grads[0] = opts[0].params[0][:]
                expected = [[opt.params[0][:], grads[1]] for opt in opts]
            else:
                expected = [grads] * 3
            for opt, g in zip(opts, expected, strict=True):
                opt.step(g)
            assert len({fingerprint(opt) for opt in opts}) == 1

    @pytest.mark.usefixtures("path")
    def test_an_interrupt_before_a_doubtful_address_was_looked_at(self, monkeypatch):
        opts = [optimizer([usual(9), usual(9, 1)], kind, "sgd", lr=0.5) for kind in ("read", "eager")]
        g = usual(9, 2)

        def interrupted():
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(opts[0]._step._engine, "_are_apart", interrupted)
            with pytest.raises(KeyboardInterrupt):
                opts[0].step([g, opts[0].params[0][:]])
        for opt in opts:
            assert opt.t == 0
            opt.step([g, opt.params[0][:]])
        assert fingerprint(opts[0]) == fingerprint(opts[1])

    @pytest.mark.usefixtures("path")
    def test_fine_then_doubtful_in_one_step(self):
        seen = []
        for kind in KINDS:
            a, b = usual(9), usual(9, 1)
            opt = optimizer([a, b], kind, "sgd")
            g, h = usual(9, 2), usual(18, 3)[9:]
            steps = [[g, h], [g, a], [h, h], [b, a], [g, h], [a, b]]
            seen.append([attempt(opt, x) for x in steps])
        assert seen[0] == seen[1] == seen[2]

    def test_large_ones(self):
        """All of it once with arrays that are large themselves, in several threads."""
        seen = []
        for kind in KINDS:
            a, b = usual(LARGE), usual(LARGE, 1)
            opt = optimizer([a, b], kind, "sgd", threads=3)
            g, h = usual(LARGE, 2), usual(LARGE + 5, 3)[5:]
            odd = np.repeat(g, 2)[::2]
            steps = [[g, h], [g, a], [h, odd], [b[:], a[:]], [g, a[::-1]], [a, None], [a, b], [g, h]]
            seen.append([attempt(opt, x) for x in steps])
        assert seen[0] == seen[1] == seen[2]


MIX = [k for k in ODD if k not in ("a list", "objects", "matrix")]


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(
    steps=st.lists(
        st.lists(st.tuples(st.sampled_from([*MIX, *["usual"] * 9, "p0", "p1", "p2", "s0", "kept"]), st.integers(0, 3)),
                 min_size=3, max_size=3),
        min_size=2, max_size=8,
    ),
    memory=st.sampled_from([x for x in FOREIGN if x != "torch"]),
    tx=st.sampled_from(["adam", LONG]),
    nonfinite=st.sampled_from(["raise", "skip"]),
)  # fmt: skip
def test_any_mixture(steps, memory, tx, nonfinite):
    """Optimizers with and without the reader, through the same steps."""
    opts, kept = [], usual((4, 6), 77)
    for kind in KINDS:
        params = [FOREIGN[memory](usual((4, 6), k)) for k in range(3)]
        opts.append(optimizer(params, kind, tx, on_nonfinite=nonfinite))

    def gradient(opt, name, seed):
        if name == "kept":
            return kept
        if name.startswith("p"):
            return opt.params[int(name[1])][:] if name != "p0" else opt.params[0]
        if name == "s0":
            return next(iter(opt.state["0"].values()))
        return ODD[name](usual((4, 6), seed))

    for names in steps:
        out = []
        for opt in opts:
            grads = [gradient(opt, *x) for x in names]
            before = fingerprint(opt)
            try:
                opt.step(grads)
                out.append(fingerprint(opt))
            except (gs.GradstepError, TypeError, ValueError) as error:
                assert fingerprint(opt) == before
                out.append((type(error).__name__, str(error)))
        assert out[0] == out[1] == out[2], names


class TestParametersThatChange:
    def test_read_only_from_now_on(self):
        for size in (5, LARGE):
            seen = []
            for kind in KINDS:
                w = np.ones(size)
                opt = optimizer({"w": w}, kind)
                g = usual(size)
                out = [attempt(opt, {"w": g})]
                w.flags.writeable = False
                out.append(attempt(opt, {"w": g}))
                w.flags.writeable = True
                out.append(attempt(opt, {"w": g}))
                seen.append(out)
            assert seen[0] == seen[1] == seen[2]
            assert "'w' is read-only" in seen[0][1][1]

    @pytest.mark.process
    @pytest.mark.parametrize("tx", ["adam", LONG], ids=["adam", "long"])
    def test_another_shape_or_dtype_from_now_on(self, tx):
        """A process of its own: writing to memory that is no longer the parameter's ends in a crash."""
        code = f"""
import sys, warnings, numpy as np, gradstep as gs
from support import LONG, fingerprint, made
CHANGES = [
    "w.resize((8, 3), refcheck=False)", "w.shape = (24,)", "w.shape = (6, 4)", "w.shape = (4, 6, 1)",
    "w.dtype = 'i8'", "w.dtype = '>f8'", "w.dtype = 'f4'",
]
def outcome(kind, change, after):
    w = np.ones((4, 6))
    opt = made(kind, {{"w": w}}, {"LONG" if tx is LONG else '"adam"'})
    g = np.ones((4, 6))
    opt.step({{"w": g}})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(change)
    before = fingerprint(opt)
    try:
        opt.step({{"w": np.ones_like(w) if after else g}})
    except gs.GradstepError as error:
        assert fingerprint(opt) == before
        return type(error).__name__, str(error)
    return fingerprint(opt)
for change in CHANGES:
    for after in (False, True):
        print(change, after, file=sys.stderr)
        seen = [outcome(kind, change, after) for kind in {KINDS}]
        assert seen[0] == seen[1] == seen[2], seen
        assert "'w'" in str(seen[0]), seen
"""
        script(code, PYTHONPATH=f"{SOURCE}{os.pathsep}{Path(__file__).parents[1]}")

    @pytest.mark.process
    @pytest.mark.parametrize("what", ["w", "m", "v"])
    def test_nobody_can_move_what_a_step_writes(self, what):
        """NumPy resizes no array in place that has a weak reference; else a step would write to freed memory."""
        code = f"""
import numpy as np, gradstep as gs
w = np.ones(6)
opt = gs.Optimizer({{"w": w}}, "adam")
x = w if "{what}" == "w" else opt.state["w"]["adam.{what}"]
for size in (3, 3_000_000, 0):
    try:
        x.resize(size, refcheck=False)
    except ValueError as error:
        assert "cannot resize" in str(error)
    else:
        raise AssertionError(size)
opt.step({{"w": np.ones(6)}})
del opt
w.resize(3, refcheck=False)  # nobody minds any more
"""
        script(code)


class TestReferences:
    @pytest.mark.parametrize("size", [7, LARGE])
    @pytest.mark.parametrize("kind", KINDS[:2])
    def test_nothing_is_kept_and_nothing_lost(self, size, kind):
        w, g, view = np.ones(size), usual(size), usual(size)[:]
        opt = optimizer({"w": w}, kind, LONG)
        odd = np.repeat(g, 2)[::2]
        grads = {"w": g}
        watched = [w, g, view, odd, grads, np.ndarray, g.dtype, None]
        counts = []
        for _ in range(2):
            for _ in range(50):
                for x in (g, view, odd, w):
                    opt.step({"w": x})
                opt.step(grads)
                attempt_quietly(opt, {"w": g[1:]})
                attempt_quietly(opt, {"w": None})
            gc.collect()
            counts.append([sys.getrefcount(x) for x in watched])
        before, after = counts
        assert all(abs(x - y) < 20 for x, y in zip(before[5:], after[5:], strict=True))  # shared by all of Python
        assert after[:5] == before[:5]

    @pytest.mark.parametrize("size", [7, LARGE])
    @pytest.mark.parametrize("view", [False, True])
    def test_gradients_go_when_their_owner_lets_go(self, size, view):
        opt = optimizer({"w": np.ones(size)})
        for _ in range(3):
            memory = usual(size)
            g = memory[:] if view else memory
            opt.step({"w": g})
            gone = weakref.ref(memory)
            del g, memory
            assert gone() is None

    def test_the_optimizer_goes_too(self):
        opt = optimizer({"w": np.ones(LARGE)}, threads=2)
        opt.step({"w": np.ones(LARGE)})
        gone = weakref.ref(opt)
        del opt
        gc.collect()
        assert gone() is None


class TestLayout:
    def test_known_here(self):
        assert reader.layout_is_known()
        seen = loads(opt := optimizer(np.ones(3)))
        opt.step(np.ones(3))
        assert not seen

    @pytest.mark.parametrize("field", ["_DATA", "_RANK", "_SHAPE", "_DTYPE", "_FLAGS", "_ITEMS", "_TYPE"])
    @pytest.mark.parametrize("shift", [-8, 8])
    def test_one_field_elsewhere_turns_it_off(self, monkeypatch, field, shift):
        if (field, shift) in (("_SHAPE", -8), ("_TYPE", -8)):
            shift *= -2 if field == "_TYPE" else -1  # a rank is no address to read from
        monkeypatch.setattr(reader, field, getattr(reader, field) + shift)
        assert not reader.layout_is_known.__wrapped__()

    @pytest.mark.parametrize("flag", ["_CONTIGUOUS", "_OWNS", "_ALIGNED", "_WRITEABLE"])
    def test_one_flag_elsewhere_turns_it_off(self, monkeypatch, flag):
        own = getattr(reader, flag)
        for bit in range(12):
            if 1 << bit != own:
                monkeypatch.setattr(reader, flag, 1 << bit)
                assert not reader.layout_is_known.__wrapped__(), bit

    def test_other_interpreters(self, monkeypatch):
        monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
        assert not reader.layout_is_known.__wrapped__()

    @pytest.mark.parametrize(("text", "on"), [("", True), ("0", True), ("1", False), ("yes", False)])
    def test_the_variable(self, monkeypatch, text, on):
        monkeypatch.setenv("GRADSTEP_PLAIN", text)
        opt = gs.Optimizer(np.ones(3), "adam", engine="compiled")
        seen = loads(opt)
        opt.step(np.ones(3))
        assert len(seen) == (not on)

    @pytest.mark.process
    def test_a_process_with_and_without(self):
        code = """
import hashlib, sys, numpy as np, gradstep as gs
rng = np.random.default_rng(0)
params = {f"w{k}": rng.normal(size=(k, 700)).astype("f4" if k % 2 else "f8") for k in range(30)}
opt = gs.Optimizer(params, gs.chain(gs.clip_by_global_norm(1.0), gs.adamw, gs.ema))
for _ in range(4):
    opt.step({k: rng.normal(size=x.shape).astype(x.dtype) for k, x in params.items()})
words = hashlib.sha256(b"".join(x.tobytes() for x in params.values())).hexdigest()
print(words)
"""
        on, off = (script(code, GRADSTEP_PLAIN=text) for text in ("", "1"))
        assert on == off


class TestOwners:
    @staticmethod
    def found(table, address):
        """Whether the table has an address, looked up by the definition: from its hash on, up to the first gap."""
        n = len(table)
        bits = n.bit_length() - 1
        slot = ((address * 0x9E3779B97F4A7C15) & (2**64 - 1)) // 2 ** (64 - bits)
        for k in range(n):
            if table[(slot + k) % n] in (0, address):
                return table[(slot + k) % n] == address
        raise AssertionError("no gap")

    @pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 7, 8, 9, 5000])
    def test_the_table(self, n):
        rng = np.random.default_rng(n)
        many = np.unique(rng.integers(1 << 40, 1 << 47, 4 * n + 4) * 16)
        inside, outside = many[:n].tolist(), many[n:].tolist()
        table = reader.owner_table([*inside, *inside])
        assert len(table).bit_count() == 1
        assert np.count_nonzero(table) == n
        assert all(self.found(table, x) for x in inside)
        assert not any(self.found(table, x) for x in outside)

    def test_collisions(self):
        """Addresses that all belong into the last place: they go on at the first."""
        bits = reader.owner_table([16] * 100)
        width = len(bits).bit_length() - 1
        last = [x for x in range(16, 1 << 20, 16) if (x * reader.HASH % 2**64) >> (64 - width) == len(bits) - 1][:100]
        table = reader.owner_table(last)
        assert len(last) == 100
        assert len(table) == len(bits)
        assert all(self.found(table, x) for x in last)
        assert table[0] != 0
        assert not self.found(table, 8)

    @pytest.mark.parametrize("n", [1, 3, 2000])
    def test_compiled_code_finds_each(self, n):
        params = [np.full(2, float(k)) for k in range(n)]
        opt = optimizer(params, "read", "sgd")
        grads = [np.zeros(2) for _ in range(n)]
        seen = loads(opt)
        opt.step(grads)
        assert not seen
        for k in range(0, n, max(1, n // 150)):
            opt.step([*grads[:k], params[(7 * k) % n], *grads[k + 1 :]])
            assert len(seen) == 1, k
            seen.clear()
        opt.step(grads)
        assert not seen


@pytest.mark.process
def test_a_tuple_of_another_length():
    """As from a list that another thread cuts short meanwhile: nothing is read behind its end."""
    script("""
import numpy as np, gradstep as gs
opt = gs.Optimizer([np.ones(3), np.ones(3)], "adam")
engine, g = opt._step._engine, np.ones(3)
table = opt._step._host.table(1, opt.parts().memory, None)[0]
for short in ((), (g,), (g, g, g)):
    assert not engine.take(short)
    assert not engine.step(short, table, 1, False)
assert engine.take((g, g))
assert (opt.params[0] == 1.0).all()
""")
