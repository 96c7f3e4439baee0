"""Restoring: what is taken when not all is asked for, read-only arrays, schedules, other namespaces, interrupts."""

import numpy as np
import pytest

import gradstep as gs
from gradstep.checkpoint import format as product
from gradstep.step import step as module
from support import bits, clear, engines, fingerprint, same, states


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


def trained(params, tx="adam", steps=2, **options):
    opt = gs.Optimizer(params, tx, **options)
    for _ in range(steps):
        opt.step({k: np.full_like(x, 0.5) for k, x in params.items() if k != "frozen"})
    return opt


def two(**more):
    return {"w": np.arange(1.0, 4.0), "b": np.ones(2, "f4"), **more}


class TestParts:
    def test_without_hyperparameters(self, path):
        trained(two(), gs.adam(lr=0.25)).save(path)
        opt = gs.Optimizer(two(), gs.adam(lr=0.5))
        opt.restore(path, hyper=False)
        assert (opt.lr, opt.t) == (0.5, 2)
        opt.restore(path)
        assert opt.lr == 0.25

    def test_a_model_that_has_grown(self, path):
        old = trained(two())
        old.save(path)
        opt = trained(two(new=np.ones(4)), steps=1)
        value = bits(opt.params["new"])
        with pytest.raises(gs.CheckpointError, match=r"'new' is missing in the file; state .* is missing in the file"):
            opt.restore(path)
        opt.restore(path, strict=False)
        assert opt.t == 2
        assert bits(opt.params["w"]) == bits(old.params["w"])
        assert all(bits(states(opt)[k]) == bits(x) for k, x in states(old).items())
        assert bits(opt.params["new"]) == value
        assert not any(opt.state["new"][key].any() for key in ("adam.m", "adam.v"))

    def test_a_model_that_has_shrunk(self, path):
        old = trained(two())
        old.save(path)
        opt = gs.Optimizer({"w": np.zeros(3)}, "adam")
        opt.restore(path, strict=False)
        assert bits(opt.params["w"]) == bits(old.params["w"])

    @pytest.mark.parametrize(
        ("params", "tx", "text"),
        [
            ({"w": np.ones(4), "b": np.ones(2, "f4")}, "adam", "has the shape"),
            ({"w": np.ones(3, "c16"), "b": np.ones(2, "f4")}, "adam", "is float64 in the file, and complex128 here"),
            (two(), "sgd", "its rule is adam, and sgd here"),
        ],
    )
    def test_what_must_fit_all_the_same(self, path, params, tx, text):
        trained(two()).save(path)
        opt = gs.Optimizer(params, tx)
        before = fingerprint(opt)
        with pytest.raises(gs.CheckpointError, match=text):
            opt.restore(path, strict=False)
        assert fingerprint(opt) == before

    def test_memory_goes_with_the_parameters(self, path):
        """NAdam's product of each group, when the groups come in another order."""
        groups = {"w": {"beta1": 0.5}}
        old = trained(two(), "nadam", groups=groups)
        old.save(path)
        tree = two()
        other = gs.Optimizer({"b": tree["b"], "w": tree["w"]}, "nadam", groups=groups)
        other.restore(path)
        for opt in (old, other):
            opt.step({"w": np.ones(3), "b": np.ones(2, "f4")})
        assert same(dict(sorted(other.params.items())), dict(sorted(old.params.items())))

    def test_memory_of_other_names_is_refused(self, path):
        trained(two(), "nadam").save(path)
        found = gs.load(path)
        found.metadata["optimizer"]["groups"][0]["memory"] = {"other": 1.0}
        product.write(path, found.arrays, dict(found.metadata))
        with pytest.raises(gs.CheckpointError, match=r"its memory is \['other'\], and \['nadam\.product'\] here"):
            gs.Optimizer(two(), "nadam").restore(path)

    def test_other_hyperparameters_are_refused(self, path):
        trained(two()).save(path)
        found = gs.load(path)
        found.metadata["optimizer"]["hyper"]["more"] = 1.0
        product.write(path, found.arrays, dict(found.metadata))
        with pytest.raises(gs.CheckpointError, match=r"its hyperparameters are .*'more'"):
            gs.Optimizer(two(), "adam").restore(path)


OWN = {"weight_decay": 0.0, "lr": gs.schedules.piecewise([0.1, 0.2], [3]), "beta1": gs.times(0.5)}
GROUPS = {"b": OWN}


class TestGroups:
    def test_several_values_in_any_order(self, path):
        """JSON sorts keys: a group that has several came back in another order, and was refused."""
        trained(two(), "adamw", groups=GROUPS).save(path)
        turned = {"b": dict(reversed(GROUPS["b"].items()))}
        for groups in (GROUPS, turned):
            gs.Optimizer(two(), "adamw", groups=groups).restore(path)

    def test_other_patterns_that_say_the_same(self, path):
        trained(two(), "adamw", groups={"b": {"lr": 0.5}}).save(path)
        gs.Optimizer(two(), "adamw", groups={"[a-b]*": {"lr": 0.5}, "w": {}}).restore(path)


class TestSchedules:
    def test_of_the_library(self, path):
        made = gs.schedules.join([gs.schedules.linear(0.0, 3, 0.1), gs.schedules.cosine(0.1, 9)], [3])
        trained(two(), gs.adam(lr=made)).save(path)
        opt = gs.Optimizer(two(), gs.adam())
        opt.restore(path)
        assert opt.hyper["lr"] == made

    def test_a_plain_function(self, path):
        def falling(t):
            return 0.1 / (1 + t)

        trained(two(), gs.adam(lr=falling)).save(path)
        opt = gs.Optimizer(two(), gs.adam(lr=falling))
        opt.restore(path)
        assert opt.hyper["lr"] is falling
        for lr in (0.1, lambda t: 0.1, gs.schedules.cosine(0.1, 3)):
            other = gs.Optimizer(two(), gs.adam(lr=lr))
            with pytest.raises(
                gs.CheckpointError, match=r"lr follows the function .*falling.*, which no file can hold"
            ) as e:
                other.restore(path)
            assert clear(e)
            other.restore(path, hyper=False)

    def test_an_object_that_is_called(self, path):
        class Falling:
            def __call__(self, t):
                return 0.1

        trained(two(), gs.adam(lr=Falling())).save(path)
        gs.Optimizer(two(), gs.adam(lr=Falling())).restore(path)

    @pytest.mark.parametrize(
        "value", [None, "x", -1.0, {"schedule": "none"}, {"schedule": [[[[[[[[]]]]]]]]}, [[]], True]
    )
    def test_values_that_make_no_sense(self, path, value):
        trained(two()).save(path)
        found = gs.load(path)
        found.metadata["optimizer"]["hyper"]["lr"] = value
        product.write(path, found.arrays, dict(found.metadata))
        with pytest.raises(gs.CheckpointError, match="its lr makes no sense"):
            gs.Optimizer(two(), "adam").restore(path)


class TestArraysThatCannotBeWritten:
    @pytest.mark.parametrize("order", ["<f8", ">f8"])
    @pytest.mark.parametrize("here", ["<f8", ">f8"])
    def test_read_only_with_the_same_values(self, path, order, here):
        def made(dtype, values=(1.0, 2.0)):
            x = np.array(values, dtype)
            x.flags.writeable = False
            return gs.Optimizer({"w": np.ones(1), "frozen": x}, "sgd", groups={"frozen": "freeze"})

        made(order).save(path)
        made(here).restore(path)
        # as bytes in the other order these would be equal
        turned = np.array([1.0, 2.0], order).view(np.dtype(order).newbyteorder())
        with pytest.raises(gs.CheckpointError, match="'frozen' is read-only here, and has other values"):
            made(np.dtype(order).newbyteorder(), turned).restore(path)

    def test_frozen_ones_that_can_be(self, path):
        opt = trained(two(frozen=np.arange(3)), groups={"frozen": "freeze"})
        opt.save(path)
        other = trained(two(frozen=np.zeros(3, int)), groups={"frozen": "freeze"})
        other.restore(path)
        assert other.params["frozen"].tolist() == [0, 1, 2]


def test_an_interrupt_comes_when_all_is_restored(path, monkeypatch):
    trained(two()).save(path)
    opt = gs.Optimizer(two(), "adam")
    real, calls = module.put, []

    def put(x, values):
        calls.append(x)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(x, values)

    monkeypatch.setattr(module, "put", put)
    with pytest.raises(KeyboardInterrupt):
        opt.restore(path)
    assert fingerprint(opt) == fingerprint(trained(two()))


@engines
def test_a_restored_optimizer_can_be_reset(path, engine):
    trained(two(), engine=engine).save(path)
    opt = gs.Optimizer(two(), "adam", engine=engine)
    opt.restore(path)
    opt.reset()
    assert opt.t == 0
    assert not any(x.any() for x in states(opt).values())


def test_a_file_without_an_optimizer(path):
    product.write(path, {"x": np.ones(2)}, {})
    assert gs.load(path).arrays["x"].tolist() == [1, 1]
    with pytest.raises(gs.CheckpointError, match=r"it holds no optimizer; gs\.load reads its arrays") as error:
        gs.Optimizer(np.ones(2), "sgd").restore(path)
    assert clear(error)


@pytest.mark.parametrize("t", [-1, 1 << 62, True, 1.0])
def test_counts_that_cannot_be(path, t):
    trained(two()).save(path)
    found = gs.load(path)
    found.metadata["optimizer"]["t"] = t
    product.write(path, found.arrays, dict(found.metadata))
    with pytest.raises(gs.CheckpointError, match="it holds no optimizer"):
        gs.Optimizer(two(), "adam").restore(path)


def test_torch(path):
    torch = pytest.importorskip("torch")

    def made(fill):
        params = {"w": torch.full((2, 3), fill), "b": torch.full((2,), fill, dtype=torch.bfloat16)}
        return gs.Optimizer(params, gs.adam(lr=0.1))

    opt = made(1.0)
    opt.step({"w": torch.ones(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)})
    opt.save(path)
    other = made(0.0)
    other.restore(path)
    for o in (opt, other):
        o.step({"w": torch.ones(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)})
    assert all(torch.equal(opt.params[k], other.params[k]) for k in ("w", "b"))
    pytest.importorskip("ml_dtypes")
    assert gs.load(path).params["b"].dtype.name == "bfloat16"


def test_how_it_is_stored_must_fit(path):
    def made(**options):
        return trained({"w": np.ones(300, "f4")}, **options)

    made(state_dtype="8bit", seed=1).save(path)
    with pytest.raises(gs.CheckpointError, match="state_dtype is '8bit' in the file, and None here"):
        made().restore(path)
    with pytest.raises(gs.CheckpointError, match="seed is 1 in the file, and 0 here"):
        made(state_dtype="8bit").restore(path)
    made(state_dtype="8bit", seed=1).restore(path)


@pytest.mark.parametrize("groups", [{}, {"b": {"lr": 0.5}}, {"b": "freeze"}])
def test_groups_must_fit(path, groups):
    trained(two(), "adamw", groups=GROUPS).save(path)
    with pytest.raises(gs.CheckpointError, match=r"parameter 'b' has {.*} of its own in the file, and .* here"):
        gs.Optimizer(two(), "adamw", groups=groups).restore(path)
