"""State from and to timm and pytorch_optimizer: by what was recorded of them, and by themselves where they are."""

import copy
from importlib import import_module

import numpy as np
import pytest
from moving import AFTER, BEFORE, NAMES, close, gradients, optimizer, snapshot, start

import gradstep as gs
from gradstep.rule import registry
from references.cases import SHAPES, cases, read, recorded
from references.compare import copied, made
from references.states import of_torchs_kind
from references.test_references import FROM_STATES
from support import case as within
from support import installed

torch = pytest.importorskip("torch")
guests = pytest.importorskip("gradstep.interop.torch")
in_float64 = import_module("references.record.of_torch").in_float64

PACKAGES = {"timm": "timm.optim", "pytorch_optimizer": "pytorch_optimizer"}
CASES = [case for case in FROM_STATES if case.library in PACKAGES]
LIVE = [case for case in CASES if not callable(case.given().get("lr"))]
RECORDED = {library: read(library) for library in PACKAGES}


def move(case):
    return getattr(gs.interop, case.library)


def there(case, k):
    """The state dict after update k, and the recording."""
    _, theirs = recorded(case, *RECORDED[case.library])
    return of_torchs_kind(theirs, theirs.state[k - 1]), theirs


@pytest.mark.parametrize("case", CASES, ids=str)
def test_there_and_back_is_what_was_recorded(case):
    """A state that comes in goes out as it was, into a dict of an earlier update; timm's Lion counts no updates."""
    task, _ = recorded(case, *RECORDED[case.library])
    late, _ = there(case, BEFORE)
    early, _ = there(case, 3)
    opt = made(case, copied(task.start))
    move(case).load_state(opt, late, list(SHAPES), kind=case.constructor, t=BEFORE)
    with in_float64():
        back = move(case).dump_state(opt, early, list(SHAPES), kind=case.constructor)
    diagnostic = {"RMS", "weight_norm", "adam_norm", "trust_ratio"}
    for k, own in late["state"].items():
        if not isinstance(own, dict):
            assert int(back["state"][k].item()) == int(own.item())
            continue
        made_of = back["state"][k]
        assert {key for key, x in made_of.items() if x is not None} == own.keys() - diagnostic
        for key in own.keys() - diagnostic:
            with within(k, key):
                np.testing.assert_allclose(np.asarray(made_of[key]), own[key], rtol=1e-12)
    (group,) = late["param_groups"]
    unread = {"d_hat", "d_de_nom"}
    for key in {key for key, x in group.items() if isinstance(x, np.ndarray)} - unread:
        with within(key):
            np.testing.assert_allclose(np.asarray(back["param_groups"][0][key]), group[key], rtol=1e-12)


def test_every_rule_of_the_tables_exists():
    for library in PACKAGES:
        kinds = move_module(library).KINDS
        assert {rule for kind in kinds.values() for rule in kind.places} <= registry(None).keys()
        said = {*kinds, *move_module(library).REFUSED}
        assert said == set(getattr(gs.conventions, library).__all__)


def move_module(library):
    return __import__(f"gradstep.interop.state.{library}", fromlist=["KINDS"])


def given(case, **other):
    return {**{key: x for key, x in case.given().items() if not callable(x)}, **other}


class Theirs:
    """An optimizer of the library with its parameters."""

    def __init__(self, case, params):
        self.params = [torch.nn.Parameter(torch.tensor(x)) for x in params.values()]
        self.optim = getattr(installed(PACKAGES[case.library]), case.constructor)(self.params, **given(case))

    def go(self, grads):
        run(self.optim, self.params, grads)

    def values(self):
        return {name: p.detach().numpy().copy() for name, p in zip(NAMES, self.params, strict=True)}


def run(optim, params, grads):
    for own in grads:
        for p, g in zip(params, own.values(), strict=True):
            p.grad = torch.tensor(g)
        optim.step()


def stage(case):
    return getattr(getattr(gs.conventions, case.library), case.constructor)(**given(case))


def of(case):
    """The dtype, and what a run may differ by: timm's RAdam computes in float32, a rate is rounded to that."""
    if case.constructor == "RAdamLegacy":
        return "float32", 2e-6
    return "float64", 5e-8 if (case.library, case.constructor) == ("pytorch_optimizer", "LaProp") else 1e-12


@pytest.fixture
def double():
    with in_float64():
        yield


@pytest.mark.filterwarnings("ignore")  # of libraries
@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("case", LIVE, ids=str)
class TestGoesOn:
    def test_from_there(self, case):
        dtype, tolerance = of(case)
        theirs, grads = Theirs(case, start(dtype)), gradients(BEFORE + AFTER, dtype)
        theirs.go(grads[:BEFORE])
        opt = optimizer(stage(case), theirs.values())
        move(case).load_state(opt, theirs.optim, t=BEFORE)
        assert opt.t == BEFORE
        for own in grads[BEFORE:]:
            opt.step(own)
        theirs.go(grads[BEFORE:])
        close(opt.params, theirs.values(), tolerance)

    @pytest.mark.parametrize("steps", [0, 3])
    def test_to_there(self, case, steps):
        dtype, tolerance = of(case)
        grads = gradients(BEFORE + AFTER, dtype)
        opt, theirs = optimizer(stage(case), start(dtype)), Theirs(case, start(dtype))
        for own in grads[:BEFORE]:
            opt.step(own)
        theirs.go(gradients(steps, dtype, seed=9))
        theirs.optim.load_state_dict(move(case).dump_state(opt, theirs.optim))
        with torch.no_grad():
            for p, x in zip(theirs.params, opt.params.values(), strict=True):
                p.copy_(torch.tensor(x))
        theirs.go(grads[BEFORE:])
        for own in grads[BEFORE:]:
            opt.step(own)
        close(opt.params, theirs.values(), tolerance)

    def test_the_guest_in_mid_run(self, case):
        dtype, tolerance = of(case)
        grads = gradients(BEFORE + 2 * AFTER, dtype)
        first, whole = Theirs(case, start(dtype)), Theirs(case, start(dtype))
        first.go(grads[:BEFORE])
        guest = guests.Optimizer(first.params, f"{case.library}.{case.constructor}", **given(case))
        move(case).load_state(guest, first.optim, t=BEFORE)
        run(guest, first.params, grads[BEFORE : BEFORE + AFTER])
        first.optim.load_state_dict(move(case).dump_state(guest, first.optim))
        first.go(grads[BEFORE + AFTER :])
        whole.go(grads)
        close(first.values(), whole.values(), tolerance)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_guest_takes_a_recorded_state(case):
    """The same numbers as an optimizer of ours, and gives them back."""
    task, theirs = recorded(case, *RECORDED[case.library])
    late, _ = there(case, BEFORE)
    opt = made(case, copied(theirs.theta[BEFORE]))
    tensors = [torch.nn.Parameter(torch.tensor(x)) for x in theirs.theta[BEFORE].values()]
    options = {key: x for key, x in case.given().items() if not callable(x)}
    rate = {"lr": case.given()["lr"](BEFORE)} if callable(case.given().get("lr")) else {}
    guest = guests.Optimizer(tensors, f"{case.library}.{case.constructor}", **options, **rate)
    for each in (opt, guest):
        names = () if each is guest else (list(SHAPES),)
        move(case).load_state(each, copy.deepcopy(late), *names, kind=case.constructor, t=BEFORE)
    opt.step(task.grads[BEFORE])
    run(guest, tensors, [task.grads[BEFORE]])
    for p, x in zip(tensors, opt.params.values(), strict=True):
        np.testing.assert_allclose(p.detach().numpy(), x, rtol=1e-12)
    move(case).dump_state(guest, {**late, "state": {}}, kind=case.constructor)


class TestRefused:
    LION = cases("timm")[[x.constructor for x in cases("timm")].index("Lion")]

    def setup_method(self):
        self.like, self.theirs = there(self.LION, 3)
        self.opt = made(self.LION, copied(self.theirs.theta[3]))

    @pytest.mark.parametrize(
        ("given", "kind", "error", "says"),
        [
            ("dict", None, gs.GradstepTypeError, r"kind='Lion'"),
            ("dict", "Tiger", gs.GradstepValueError, r"timm: no state is taken of 'Tiger'"),
            ("dict", "AdaBelief", gs.GradstepValueError, r"there is nothing for the lion of this optimizer in it"),
            ({}, "Lion", gs.GradstepTypeError, r"expected one of its optimizers"),
            (None, None, gs.GradstepTypeError, r"not a NoneType"),
            ("theirs", None, gs.GradstepTypeError, r"not a SGD"),
        ],
    )
    def test_what_is_none_of_its_own(self, given, kind, error, says):
        theirs = self.like if given == "dict" else given
        if given == "theirs":
            theirs = torch.optim.SGD([torch.zeros(2)])
        before = snapshot(self.opt)
        for act in (gs.interop.timm.load_state, gs.interop.timm.dump_state):
            with pytest.raises(error, match=says):
                act(self.opt, theirs, list(SHAPES), kind=kind)
        assert snapshot(self.opt) == before

    def test_schedule_free(self):
        for name in ("ScheduleFreeAdamW", "ScheduleFreeSGD"):
            opt = gs.Optimizer(np.zeros(2), f"pytorch_optimizer.{name}")
            with pytest.raises(gs.GradstepValueError, match="it keeps z, and makes its average x"):
                gs.interop.pytorch_optimizer.load_state(opt, self.like, kind=name)

    def test_laprop_with_another_beta2_before(self):
        case = next(x for x in CASES if x.constructor == "LaProp")
        late, theirs = there(case, 3)
        late["state"][0]["exp_avg_lr_2"] = np.array(0.5)
        opt = made(case, copied(theirs.theta[3]))
        with pytest.raises(gs.GradstepValueError, match="'a': exp_avg_lr_2 is not what its beta2 gives"):
            gs.interop.timm.load_state(opt, late, list(SHAPES), kind="LaProp")
        assert opt.t == 0

    def test_sums_that_are_none(self):
        for constructor, key, says in (
            ("NvNovoGrad", "exp_avg_sq", "is a sum of squares"),
            ("LaProp", "exp_avg_lr_1", "share"),
        ):
            case = next(x for x in CASES if x.constructor == constructor)
            late, theirs = there(case, 3)
            late["state"][0][key] = np.array(-1.0)
            opt = made(case, copied(theirs.theta[3]))
            with pytest.raises(gs.GradstepValueError, match=says):
                gs.interop.timm.load_state(opt, late, list(SHAPES), kind=constructor)

    def test_to_one_that_has_made_steps_from_one_that_has_not(self):
        for name in ("Prodigy", "MADGRAD", "ADOPT"):
            case = next(x for x in CASES if (x.library, x.constructor) == ("pytorch_optimizer", name))
            late, theirs = there(case, 3)
            opt = made(case, copied(theirs.theta[3]))
            with pytest.raises(gs.GradstepValueError, match="make a new one there"):
                gs.interop.pytorch_optimizer.dump_state(opt, late, list(SHAPES), kind=name)

    def test_complex_parameters(self):
        opt = gs.Optimizer({name: np.zeros(shape, complex) for name, shape in SHAPES.items()}, "timm.Lion")
        with pytest.raises(gs.GradstepValueError, match="is complex"):
            gs.interop.timm.load_state(opt, self.like, list(SHAPES), kind="Lion")

    def test_a_count_that_differs_within_a_group(self):
        case = next(x for x in CASES if (x.library, x.constructor) == ("timm", "Adan"))
        late, theirs = there(case, 3)
        tensors = [torch.nn.Parameter(torch.tensor(x)) for x in theirs.theta[3].values()]
        guest = guests.Optimizer(tensors, "timm.Adan")
        gs.interop.timm.load_state(guest, late, kind="Adan")
        tensors[0].grad = torch.ones(8, dtype=torch.float64)
        guest.step()
        with pytest.raises(gs.GradstepValueError, match="step differs from parameter to parameter here"):
            gs.interop.timm.dump_state(guest, late, kind="Adan")
