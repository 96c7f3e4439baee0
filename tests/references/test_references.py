"""Other libraries' constructors step as those libraries did: against recordings, whole and from every state.

The whole trajectories need NumPy alone; a state is put in by the function that takes it from the library itself.
"""

import numpy as np
import pytest

import gradstep as gs
from references.cases import DTYPES, SHAPES, Case, cases, read, recorded
from references.compare import (
    KNOWN,
    TOLERANCE,
    ULPS,
    allowance,
    allowed_ulps,
    beside,
    copied,
    distance,
    followed,
    known,
    made,
    ulps,
)
from references.states import LOADABLE, putting

RECORDINGS = {library: read(library) for library in DTYPES}
REQUIRED = {
    "torch": set(),
    "optax": {"learning_rate"},
    "optax.contrib": {"learning_rate"},
    "keras": set(),
    "mlx": {"learning_rate"},
    "tf1": {"learning_rate", "momentum"},
    "timm": set(),
    "pytorch_optimizer": set(),
}
CLIMBING = Case("optax", "adadelta", {}, "float64")  # recorded, and refused here
CASES = [case for library in DTYPES for case in cases(library) if case != CLIMBING]
WITH_AVERAGES = [case for case in CASES if case.arguments.get("use_ema")]


def without_buffer(case):
    """Without a momentum these keep less than the rules here do."""
    kept = {"timm": {"Lars": 0.0, "MADGRAD": 0.9}, "pytorch_optimizer": {"SignSGD": 0.9, "MADGRAD": 0.9}}
    of_library = kept.get(case.library, {})
    return case.constructor in of_library and not case.arguments.get("momentum", of_library[case.constructor])


# What no state is taken of.
STATELESS = {
    "keras": {"ScheduleFreeAdamW"},
    "optax": {"adafactor", "novograd", "sm3"},
    "optax.contrib": {"schedule_free_adamw", "schedule_free_sgd"},
    "pytorch_optimizer": {"ScheduleFreeAdamW", "ScheduleFreeSGD"},
}
FROM_STATES = [
    case
    for case in CASES
    if case.library in LOADABLE and case.constructor not in STATELESS.get(case.library, ()) and not without_buffer(case)
]
REFUSED = [
    case for case in CASES if case.library in ("timm", "pytorch_optimizer") and case not in FROM_STATES
]  # by this library
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def recording(case):
    return recorded(case, *RECORDINGS[case.library])


def whole(case):
    """How far the whole trajectory is from the recorded one."""
    task, theirs = recording(case)
    return distance(followed(case, task)[0], theirs.theta)


@every_case
def test_the_whole_trajectory(case):
    assert whole(case) <= allowance(case)


def test_a_name_is_its_constructor():
    for case in CASES:
        task, _ = recording(case)
        assert distance(followed(case, task, by_name=True)[0], followed(case, task)[0]) == 0, case


@pytest.mark.parametrize("case", WITH_AVERAGES, ids=str)
def test_the_averages_of_keras(case):
    task, theirs = recording(case)
    kept = [
        {name: x for name in SHAPES for key, x in state.items() if key.endswith(f"/{name}_average")}
        for state in theirs.state
    ]
    _, averages = followed(case, task)
    assert distance(averages, kept) <= allowance(case)


def one_step(case):
    """How far one step is from the recorded one at most, in ulps, begun anew at every recorded state."""
    package = case.library.partition(".")[0]
    if package not in ("timm", "pytorch_optimizer"):  # of which a state dict is enough
        pytest.importorskip(package)
    pytest.importorskip(f"gradstep.interop.{package}")
    task, theirs = recording(case)
    put, meanwhile = putting(case, theirs)
    params, worst = copied(task.start), 0.0
    opt = made(case, params)
    with meanwhile:
        for k, grads in enumerate(task.grads):
            for name in SHAPES:
                params[name][...] = theirs.theta[k][name]
            if k > 0:
                put(opt, theirs.state[k - 1], k)
            opt.step(grads, **beside(case, k, grads))
            worst = float(np.maximum(worst, ulps(params, theirs.theta[k + 1], theirs.theta[k])))
    return worst


@pytest.mark.filterwarnings("ignore")  # other libraries' affairs
@pytest.mark.parametrize("case", FROM_STATES, ids=str)
def test_one_step_from_each_recorded_state(case):
    assert one_step(case) <= allowed_ulps(case)


@pytest.mark.parametrize("difference", [x for x in KNOWN if x.whole], ids=str)
def test_a_known_difference_of_the_whole_is_there(difference):
    """It is larger than what is allowed without it, and its bound is no more than twice as large as it is."""
    measured = max(whole(case) for case in CASES if case in difference)
    assert TOLERANCE[difference.library, difference.dtype] < measured <= difference.whole <= 2 * measured


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_a_recorded_state_that_has_another_meaning_is_refused(case):
    pytest.importorskip("torch")
    task, theirs = recording(case)
    put, _ = putting(case, theirs)
    opt = made(case, copied(task.start))
    with pytest.raises(gs.GradstepError, match=r"it keeps z, and makes its average|it keeps no (momentum_buffer|x0)"):
        put(opt, theirs.state[2], 3)
    assert opt.t == 0


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("difference", [x for x in KNOWN if x.ulps], ids=str)
def test_a_known_difference_of_one_step_is_there(difference):
    measured = max(one_step(case) for case in CASES if case in difference)
    assert ULPS < measured <= difference.ulps <= 2 * measured


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_no_number_is_no_small_distance(name):
    task, _ = recording(CASES[0])
    ours = [copied(task.start), copied(task.start)]
    ours[1][name].ravel()[0] = np.nan
    assert np.isnan(distance(ours, [task.start, task.start]))
    assert np.isnan(ulps(ours[1], task.start, ours[0]))


def test_no_case_has_two_known_differences():
    for case in CASES:
        assert [x for x in KNOWN if case in x] == ([known(case)] if known(case) else [])


def test_float32_is_the_reason_where_it_is_said_to_be():
    """The powers of float32 that explain the bounds; and the same calls in float64 are held to the ordinary ones."""
    beta = np.float32(0.999)
    lost = [1 - np.sqrt((1 - float(beta ** np.float32(t))) / (1 - 0.999**t)) for t in range(1, 31)]
    assert 6.4e-6 < lost[0] < 6.5e-6
    assert max(map(abs, lost)) < 1e-5
    for case in CASES:
        if case.dtype == "float64" and case.library == "keras":
            assert (known(case) is not None) == (case.constructor in {"Adafactor", "Muon"})  # means and norms


def test_adadelta_of_optax_without_a_rate_climbs_and_is_refused():
    task, theirs = recording(CLIMBING)
    for name in SHAPES:
        first = theirs.theta[1][name] - theirs.theta[0][name]
        assert (np.sign(first) == np.sign(task.grads[0][name])).all()
    with pytest.raises(gs.GradstepError, match="learning_rate"):
        made(CLIMBING, copied(task.start))


@pytest.mark.parametrize("library", DTYPES)
def test_every_constructor_is_recorded_with_its_defaults_and_with_other_values(library):
    """The first call of each gives what it has to at most."""
    calls = {}
    for case in CASES:
        if case.library == library:
            calls.setdefault(case.constructor, []).append(case.arguments)
    assert set(getattr(gs.conventions, library).__all__) == set(calls)
    for default, *others in calls.values():
        assert set(default) <= REQUIRED[library]
        assert any(x != default for x in others)
