"""What can be saved besides arrays, and the words for what cannot."""

import json
import math
import threading

import numpy as np
import pytest

import gradstep as gs
from gradstep.checkpoint import format as product
from support import bits, clear, fingerprint, states

ONE = {"w": np.ones(2)}


def optimizer(**options):
    return gs.Optimizer({"w": np.ones(2), "b": np.zeros(3, "f4")}, "adam", **options)


def nested(levels):
    out = 0
    for _ in range(levels):
        out = [out]
    return out


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


class TestExtra:
    @pytest.mark.parametrize(
        ("given", "found"),
        [
            (None, None),
            ({"a": [1, 2.5, "ü", None, True]}, {"a": [1, 2.5, "ü", None, True]}),
            ((1, (2, 3)), [1, [2, 3]]),
            (10**30, 10**30),
            (0.1 + 0.2, 0.1 + 0.2),
            (-0.0, -0.0),
            (5e-324, 5e-324),
            ("\x00\ud800", "\x00\ud800"),
            (np.float64(1.5), 1.5),
            (nested(100), nested(100)),
        ],
    )
    def test_what_json_knows(self, path, given, found):
        opt = optimizer()
        opt.save(path, extra=given)
        assert gs.load(path).extra == found
        assert repr(opt.restore(path).extra) == repr(found)

    @pytest.mark.parametrize(
        ("given", "error", "text"),
        [
            (math.nan, ValueError, "this cannot be saved as JSON"),
            ([math.inf], ValueError, "this cannot be saved as JSON"),
            ({1: 2}, TypeError, "a key in extra must be a str, not 1"),
            ({"a": [{None: 2}]}, TypeError, "a key in extra must be a str, not None"),
            (np.float32(1), ValueError, "this cannot be saved as JSON"),
            (np.int64(1), ValueError, "this cannot be saved as JSON"),
            (np.ones(2), ValueError, "this cannot be saved as JSON"),
            ({1, 2}, ValueError, "this cannot be saved as JSON"),
            (b"x", ValueError, "this cannot be saved as JSON"),
            (nested(101), ValueError, "extra is nested more than 100 levels deep"),
            (nested(100_000), ValueError, "extra is nested more than 100 levels deep"),
        ],
    )
    def test_what_it_does_not(self, path, given, error, text):
        optimizer().save(path, extra="old")
        with pytest.raises(error, match=text) as raised:
            optimizer().save(path, extra=given)
        assert isinstance(raised.value, gs.GradstepError)
        assert clear(raised)
        assert gs.load(path).extra == "old"

    def test_what_contains_itself(self, path):
        loop = []
        loop += [loop, loop]
        with pytest.raises(gs.GradstepValueError, match="or contains itself"):
            optimizer().save(path, extra=loop)

    def test_too_much_text(self, path, monkeypatch):
        monkeypatch.setattr(product, "_SPARE", 1 << 10)
        with pytest.raises(gs.GradstepValueError, match="more text than arrays") as raised:
            optimizer().save(path, extra=list(range(1000)))
        assert clear(raised)
        assert not path.exists()

    def test_another_thread_goes_on_with_it_during_the_save(self, path, monkeypatch):
        """What was there when the save began is in the file, and the file is whole."""
        history, writing = [1, 2, 3], product.write_all

        def write_all(handle, data):
            history.append(10**20)
            writing(handle, data)

        monkeypatch.setattr(product, "write_all", write_all)
        optimizer().save(path, extra=history)
        assert len(history) > 3
        assert gs.load(path).extra == [1, 2, 3]


class TestRng:
    @pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
    def test_each_kind(self, path, kind):
        def made(seed):
            return np.random.Generator(getattr(np.random, kind)(seed))

        rng = made(1)
        rng.integers(0, 9, 3, dtype=np.uint32)  # half of a word is left over
        rng.random(5)
        opt = optimizer()
        opt.save(path, rng=rng)
        expected = rng.random(700).tolist() + rng.integers(0, 9, 5, dtype=np.uint32).tolist()
        other = made(2)
        opt.restore(path, rng=other)
        assert other.random(700).tolist() + other.integers(0, 9, 5, dtype=np.uint32).tolist() == expected

    def test_several_by_name(self, path):
        rngs = {"data": np.random.default_rng(1), "noise": np.random.default_rng(2)}
        optimizer().save(path, rng=rngs)
        expected = {k: x.random() for k, x in rngs.items()}
        fresh = np.random.default_rng(5)
        optimizer().restore(path, rng={"noise": fresh})
        assert fresh.random() == expected["noise"]
        optimizer().restore(path)  # none is asked for

    @pytest.mark.parametrize("given", [np.random, 3, {"a": 3}, {1: np.random.default_rng()}, np.random.RandomState()])
    def test_what_is_no_generator(self, path, given):
        with pytest.raises(
            gs.GradstepTypeError, match=r"rng must be a numpy\.random\.Generator or a dict of them"
        ) as e:
            optimizer().save(path, rng=given)
        assert clear(e)

    def test_none_of_that_name(self, path):
        optimizer().save(path, rng={"data": np.random.default_rng(1)})
        opt = optimizer()
        before = fingerprint(opt)
        with pytest.raises(gs.CheckpointError, match=r"no random state 'rng'; it has \['data'\]") as error:
            opt.restore(path, rng=np.random.default_rng())
        assert clear(error)
        assert fingerprint(opt) == before

    def test_another_kind(self, path):
        optimizer().save(path, rng=np.random.default_rng(1))
        rng = np.random.Generator(np.random.MT19937(1))
        before = json.dumps(rng.bit_generator.state, default=lambda x: x.tolist())
        with pytest.raises(gs.CheckpointError, match="the random state 'rng' does not fit: it is no state of MT19937"):
            optimizer().restore(path, rng=rng)
        assert json.dumps(rng.bit_generator.state, default=lambda x: x.tolist()) == before

    @pytest.mark.parametrize(
        ("kind", "change"),
        [
            ("MT19937", lambda state: state["state"].update(pos=625)),
            ("MT19937", lambda state: state["state"].update(pos=-1)),
            ("MT19937", lambda state: state["state"]["key"]["values"].pop()),
            ("MT19937", lambda state: state["state"]["key"].update(dtype="S1000000000")),
            ("MT19937", lambda state: state["state"]["key"].update(values=[2**32] * 624)),
            ("Philox", lambda state: state.update(buffer_pos=5)),
            ("Philox", lambda state: state.update(buffer="abc")),
            ("PCG64", lambda state: state["state"].update(inc=2**128)),
            ("PCG64", lambda state: state["state"].update(inc=0.5)),
            ("PCG64", lambda state: state.update(more=1)),
            ("PCG64", lambda state: state.clear()),
            ("SFC64", lambda state: state["state"]["state"].update(values=[-1] * 4)),
        ],
    )
    def test_a_state_that_is_none(self, tmp_path, kind, change):
        rng = np.random.Generator(getattr(np.random, kind)(1))
        optimizer().save(tmp_path / "good.safetensors", rng=rng)
        found = gs.load(tmp_path / "good.safetensors")
        change(found.metadata["rng"]["rng"])
        product.write(tmp_path / "bad.safetensors", found.arrays, dict(found.metadata))
        with pytest.raises(gs.CheckpointError, match="the random state 'rng' does not fit"):
            optimizer().restore(tmp_path / "bad.safetensors", rng=rng)

    def test_a_file_whose_states_are_none(self, path):
        optimizer().save(path)
        found = gs.load(path)
        product.write(path, found.arrays, {**found.metadata, "rng": 7})
        with pytest.raises(gs.CheckpointError, match="has no random state 'rng'"):
            optimizer().restore(path, rng=np.random.default_rng())


class TestArrays:
    @pytest.mark.parametrize("dtype", ["U3", "O", "M8[s]", "longdouble", "clongdouble", "V4"])
    def test_what_is_no_number(self, path, dtype):
        opt = gs.Optimizer({**ONE, "text": np.zeros(2, dtype)}, "sgd", groups={"text": "freeze"})
        with pytest.raises(gs.GradstepTypeError, match=r"'param/text' has dtype .*, which cannot be saved") as error:
            opt.save(path)
        assert clear(error)
        assert not path.exists()

    def test_a_mask(self, path):
        opt = gs.Optimizer({**ONE, "m": np.ma.masked_array([1.0, 2.0], [True, False])}, "sgd", groups={"m": "freeze"})
        with pytest.raises(gs.GradstepTypeError, match="'param/m' is a masked array") as error:
            opt.save(path)
        assert clear(error)

    def test_a_name_that_is_no_text(self, path):
        with pytest.raises(gs.GradstepValueError, match="is no Unicode text") as error:
            gs.Optimizer({"\ud800": np.ones(2)}, "sgd").save(path)
        assert clear(error)

    @pytest.mark.parametrize("name", ["a/b", "__metadata__", "ü", "a\x00b", "w\n", "tensors", "param/w"])
    def test_odd_names(self, path, name):
        def made():
            return gs.Optimizer({name: np.ones(2), **ONE}, "adam", lr=0.1)

        opt = made()
        opt.step({name: np.ones(2), **ONE})
        opt.save(path)
        other = made()
        other.restore(path)
        assert fingerprint(other) == fingerprint(opt)
        assert gs.load(path).state.keys() == {name, "w"}

    def test_a_file_is_the_same_for_the_same_state(self, tmp_path):
        for k in range(2):
            opt = optimizer()
            opt.step(opt.params)
            opt.save(tmp_path / f"{k}.safetensors", extra={"b": 1, "a": 2})
        assert (tmp_path / "0.safetensors").read_bytes() == (tmp_path / "1.safetensors").read_bytes()

    def test_what_load_gives_is_writable_and_its_own(self, path):
        optimizer().save(path)
        found = gs.load(path)
        for x in found.arrays.values():
            assert x.flags.writeable
            x[...] = 3
        assert (gs.load(path).params["w"] == 1).all()

    def test_a_step_in_another_thread_waits(self, path):
        """All arrays of a file are of one step."""
        w = np.zeros(200_000)
        opt = gs.Optimizer({"a": w, "b": w.copy()}, "sgd", lr=1.0)
        stop = threading.Event()

        def steps():
            while not stop.is_set():
                opt.step({"a": np.ones_like(w), "b": np.ones_like(w)})

        thread = threading.Thread(target=steps)
        thread.start()
        try:
            for _ in range(20):
                opt.save(path)
                found = gs.load(path)
                assert {*found.params["a"], *found.params["b"]} == {-float(found.t)}
        finally:
            stop.set()
            thread.join()


def test_what_a_file_says(path):
    opt = gs.Optimizer({"w": np.ones(2), "f": np.ones(1)}, gs.adam(lr=0.1), groups={"f": "freeze"}, on_nonfinite="skip")
    opt.step({"w": np.ones(2)})
    opt.step({"w": np.full(2, np.nan)})
    opt.save(path)
    found = gs.load(str(path))
    assert (found.t, found.extra) == (1, None)
    assert found.metadata["optimizer"]["skipped"] == 1
    assert found.metadata["library"] == gs.__version__
    assert sorted(found.arrays) == ["param/f", "param/w", "state/w/adam.m", "state/w/adam.v"]
    assert bits(found.state["w"]["adam.v"]) == bits(states(opt)["w/adam.v"])
    assert set(found.params) == {"f", "w"}
