"""Bounds: never left, not even by a rounding; and what they hold back does not fill the moments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep as gs
from loop.cases import TARGET, bowl
from support import bits, clear, mapped, named, same

optimize = pytest.importorskip("scipy.optimize")
RULES = ["sgd", "momentum", "nesterov", "adam", "amsgrad", "rmsprop", "adagrad", "radam"]
numbers = st.floats(-3, 3)
sides = st.tuples(numbers | st.none(), numbers | st.none()).map(
    lambda pair: tuple(sorted(pair)) if None not in pair else pair
)


@settings(deadline=None, max_examples=150)
@given(
    pairs=st.lists(sides, min_size=3, max_size=3),
    x0=st.lists(numbers, min_size=3, max_size=3),
    rule=st.sampled_from(RULES),
    dtype=st.sampled_from(["f4", "f8", "f2"]),
    lr=st.sampled_from([0.01, 0.3, 5.0]),
    engine=st.sampled_from(["auto", "eager"]),
)
def test_never_outside(pairs, x0, rule, dtype, lr, engine):
    """Compared in float64 with the bounds as they were written; also where the objective is asked."""

    def check(x):
        for value, (low, high) in zip(x.astype("f8").tolist(), pairs, strict=True):
            assert low is None or low <= value
            assert high is None or value <= high

    def f(x):
        check(x)
        value, g = bowl(x.astype("f8"))
        return value, g.astype(dtype)

    between = [
        None in pair or any(pair[0] <= float(y) <= pair[1] for y in neighbours(pair[0], dtype)) for pair in pairs
    ]
    options = {"lr": lr, "bounds": pairs, "max_steps": 12, "engine": engine}
    if not all(between):
        with pytest.raises(gs.GradstepValueError, match="lies between the bounds"):
            gs.Run(f, np.array(x0, dtype), rule, **options)
        return
    run = gs.Run(f, np.array(x0, dtype), rule, **options)
    check(run.params)
    with np.errstate(over="ignore"):  # float16 without bounds may run away; then the run ends
        for _ in run:
            check(run.params)


def neighbours(x, dtype):
    near = np.array(x, dtype)
    return [near, np.nextafter(near, np.array(np.inf, dtype)), np.nextafter(near, np.array(-np.inf, dtype))]


def pull(signs):
    """A force on one number, of these signs in turn."""
    signs = iter(signs)

    def f(x):
        return 0.0, np.array([float(next(signs))])

    return f


@pytest.mark.parametrize("rule", ["adam", "momentum", "nesterov", "amsgrad"])
def test_a_held_element_leaves_at_once_when_the_gradient_turns(rule):
    """Twenty steps against the bound; then the force turns. Clipping alone stays there for many steps."""
    signs = [1.0] * 20 + [-1.0] * 20
    run = gs.Run(pull(signs), [0.0], rule, lr=0.1, bounds=(0, None), max_steps=40 - 1)
    seen = []
    for step in run:
        seen.append(run.params[0])
        if step.t <= 20:
            assert step.blocked == 1.0
            assert step.grad_norm == 0.0
            assert not any(x.any() for x in run.opt.state["params"].values())  # nothing has got into the moments
    assert seen[:20] == [0.0] * 20
    assert seen[20] > 0.0

    x = np.zeros(1)  # the control: the same rule, clipped after each step
    opt = gs.Optimizer(x, rule, lr=0.1)
    stuck = 0
    for k, sign in enumerate(signs):
        opt.step(np.array([sign]))
        np.maximum(x, 0.0, out=x)
        stuck += k >= 20 and x[0] == 0.0
    assert stuck >= 4


def test_what_an_element_brings_to_the_bound_decays():
    run = gs.Run(pull([1.0] * 40), [0.25], "adam", lr=0.1, bounds=(0, None), max_steps=30)
    m = []
    for step in run:
        m.append(run.opt.state["params"]["adam.m"][0])
        if step.blocked:
            assert m[-1] == 0.9 * m[-2]
    assert run.params[0] == 0.0
    assert run.history[-1].blocked == 1.0


def test_the_share_that_is_held():
    x0 = {"a": np.zeros(4), "b": np.zeros(6)}
    g = {"a": np.array([1.0, -1.0, 1.0, 0.0]), "b": np.ones(6)}
    run = gs.Run(lambda _: (0.0, g), x0, "sgd", lr=0.1, bounds={"a": (0, None)}, max_steps=1)
    (step,) = run
    assert step.blocked == 2 / 4
    assert run.params["a"].tolist() == [0.0, 0.1, 0.0, 0.0]
    assert g["a"].tolist() == [1.0, -1.0, 1.0, 0.0]  # the user's own is as it was
    assert run.params["b"].tolist() == [-0.1] * 6


FORMS = {
    "a pair": (0.0, 1.0),
    "a pair of arrays": (np.zeros(3), np.ones(3)),
    "integers": (0, 1),
    "a list of pairs": [(0, 1), (0, 1), (0, 1)],
    "lists": [[0, 1]] * 3,
    "a tuple of pairs": ((0, 1), (0, 1), (0, 1)),
    "SciPy's": optimize.Bounds(0.0, 1.0),
    "SciPy's arrays": optimize.Bounds(np.zeros(3), np.ones(3)),
    "by pattern": {"par*": (0, 1)},
    "by name": {"params": [(0, 1)] * 3},
    "the last one wins": {"*": (7, 8), "params": optimize.Bounds(0, 1)},
}


@pytest.mark.parametrize("bounds", FORMS.values(), ids=FORMS)
def test_every_form(bounds):
    """Far out and steep: each element ends at 0 or 1, except for the one whose minimum lies between."""
    run = gs.Run(bowl, [9.0, 9.0, -9.0], "sgd", lr=0.15, bounds=bounds, max_steps=60)
    assert run.params.tolist() == [1.0, 1.0, 0.0]
    list(run)
    assert run.params[1:].tolist() == [0.0, 1.0]
    assert run.params[0] == pytest.approx(TARGET[0], abs=1e-9)


@pytest.mark.parametrize("bounds", [(None, 0.0), [(None, 0), (None, 0), (None, 0)], optimize.Bounds(ub=0.0)])
def test_one_side_alone(bounds):
    run = gs.Run(bowl, [1.0, 1.0, 1.0], "sgd", lr=0.15, bounds=bounds, max_steps=60)
    list(run)
    assert run.params == pytest.approx(np.minimum(TARGET, 0.0), abs=1e-9)


def test_lists_of_pairs_by_name():
    """One pair an element, also where there are two of each."""
    x0 = {"a": np.full(2, 9.0), "b": np.full(2, 9.0)}
    run = gs.Run(lambda p: (0.0, p), x0, "sgd", bounds={"a": [(0, 1), (2, 3)], "b": (4, 5)})
    assert same(run.params, {"a": np.array([1.0, 3.0]), "b": np.array([5.0, 5.0])})


@pytest.mark.parametrize(
    ("dtype", "low", "high", "kept"),
    [
        ("f4", 0.1, 0.2, True),
        ("f4", 0.1, 0.1, False),  # float32 has no 0.1
        ("f4", 0.5, 0.5, True),
        ("f8", 0.1, 0.1, True),
        ("f4", 1e300, None, False),
        ("f4", None, 1e300, True),
        ("f4", -1e300, 1e300, True),
        ("f2", 1e5, 1e6, False),
    ],
)
def test_numbers_that_the_dtype_has_not(dtype, low, high, kept):
    if not kept:
        with pytest.raises(gs.GradstepValueError) as error:
            gs.Run(bowl, np.ones(3, dtype), "sgd", bounds=(low, high))
        assert clear(error)
        return
    x = gs.Run(bowl, np.ones(3, dtype), "sgd", bounds=(low, high)).params.astype("f8")
    assert (x >= (-np.inf if low is None else low)).all()
    assert (x <= (np.inf if high is None else high)).all()


def test_an_integer_beyond_floats_is_infinite():
    huge = 10**400
    for bounds in [(-huge, huge), [(-huge, 4.0)] * 3, ([-huge, 0.0, 1.0], huge)]:
        assert gs.Run(bowl, np.ones(3), "sgd", bounds=bounds).params.tolist() == [1.0] * 3
    with pytest.raises(gs.GradstepValueError, match="no float64 lies between"):
        gs.Run(bowl, np.ones(3), "sgd", bounds=(huge, None))


def test_what_is_no_real_array_has_no_bounds():
    with pytest.raises(gs.GradstepTypeError) as error:
        gs.Run(bowl, np.ones(3) + 1j, "sgd", bounds=(0, 1))
    assert clear(error)


def test_frozen_parameters_are_left_where_they_are():
    x0 = {"w": np.ones(2), "still": np.full(2, 9.0)}
    run = gs.Run(
        lambda p: (0.0, {"w": p["w"]}), x0, "sgd", lr=0.1, groups={"still": "freeze"}, bounds=(0, 0.95), max_steps=1
    )
    (step,) = run
    assert run.params["still"].tolist() == [9.0, 9.0]
    assert step.blocked == 0.0


def test_an_array_without_axes_and_a_gradient_that_is_a_scalar():
    run = gs.Run(lambda x: (x, np.float64(1.0)), np.array(0.25), "adam", lr=0.1, bounds=(0, 1), max_steps=9)
    assert [step.blocked for step in run][3:] == [1.0] * 6
    assert run.params == 0.0


def test_ascent():
    """With `maximize` a bound holds what pulls the other way."""
    tx = gs.chain(gs.maximize(), gs.adam(lr=0.1))
    run = gs.Run(pull([1.0] * 20 + [-1.0] * 20), [1.0], tx, bounds=(None, 1.0), max_steps=25)
    seen = [(step.blocked, run.params[0]) for step in run]
    assert seen[:20] == [(1.0, 1.0)] * 20
    assert seen[20][0] == 0.0
    assert seen[20][1] < 1.0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("options", [{"master": True}, {"rounding": "stochastic"}, {}])
def test_sixteen_bits_and_their_masters(dtype, options):
    dtype = np.dtype(dtype) if dtype == "float16" else pytest.importorskip("ml_dtypes").bfloat16
    run = gs.Run(
        lambda x: (0.0, np.array([1.0, -1.0, 1.0], dtype)),
        np.array([0.5, 0.5, 5.0], dtype),
        "adam",
        lr=0.1,
        bounds=(0.3, 0.7),
        max_steps=20,
        **options,
    )
    for _ in run:
        own = [run.params.astype("f8"), *(x for key, x in run.opt.state["params"].items() if key == "master")]
        assert all((x >= 0.3).all() and (x <= 0.7).all() for x in own)
        if options.get("master"):
            assert np.array_equal(run.opt.state["params"]["master"].astype(dtype), run.params)
    assert (run.params.astype("f8") - [0.3, 0.7, 0.3]).tolist() == pytest.approx([0.0] * 3, abs=4e-3)


def on_sphere(calls):
    def project(x):
        calls.append(np.array(x))
        x /= np.sqrt((x * x).sum())

    return project


def test_projection_at_the_start_and_after_each_step_and_no_more():
    calls = []
    a = np.diag([3.0, 2.0, 1.0])
    run = gs.Run(
        lambda x: (float(x @ a @ x), 2 * a @ x),
        [1.0, 2.0, 3.0],
        "sgd",
        lr=0.1,
        project=on_sphere(calls),
        max_steps=200,
    )
    assert len(calls) == 1
    x = np.array([1.0, 2.0, 3.0])
    x /= np.sqrt((x * x).sum())
    for step in run:
        x = x - 0.1 * (2 * a @ x)
        x /= np.sqrt((x * x).sum())
        assert bits(run.params) == bits(x)
        assert len(calls) == step.t + 1
    assert run.params == pytest.approx([0.0, 0.0, 1.0], abs=1e-9)  # the smallest eigenvector


def test_a_master_goes_where_its_parameter_is_projected():
    def project(x):
        x[0] = 0.25

    run = gs.Run(
        lambda x: (0.0, np.ones(2, "f2")),
        np.ones(2, "f2"),
        "sgd",
        lr=2**-14,
        master=True,
        project=project,
        max_steps=2,
    )
    list(run)
    master = run.opt.state["params"]["master"]
    assert master.tolist() == [0.25, 1 - 2 * 2**-14]  # what is not moved keeps its bits beyond 16
    assert run.params.tolist() == [0.25, 1.0]


def test_projection_has_the_last_word():
    run = gs.Run(bowl, np.ones(3), "sgd", bounds=(0, 1), project=lambda x: x.fill(2.0))
    assert run.params.tolist() == [2.0] * 3


@pytest.mark.parametrize("project", [lambda x: x / 2, lambda x: {"w": x}, lambda x: np.array(x)])
def test_a_projection_that_gives_new_arrays_is_refused(project):
    with pytest.raises(gs.GradstepTypeError) as error:
        gs.Run(bowl, np.ones(3), "sgd", project=project)
    assert clear(error)


@pytest.mark.parametrize(
    "project", [lambda x: np.clip(x, 0, 1, out=x), lambda x: np.clip(x[:2], 0, 1, out=x[:2]), lambda x: True]
)
def test_one_that_gives_what_it_has_changed_is_not(project):
    assert gs.Run(bowl, np.full(3, 2.0), "sgd", project=project).params.shape == (3,)


def test_x0_and_a_nest_with_projection():
    x0 = {"a": np.full(2, 5.0), "b": np.full(2, 5.0)}
    before = mapped(x0, np.array)
    run = gs.Run(lambda p: (0.0, p), x0, "sgd", lr=0.5, project=lambda p: p["a"].fill(1.0), max_steps=1)
    list(run)
    assert same(run.params, {"a": np.ones(2), "b": np.full(2, 2.5)})
    assert same(x0, before)


@pytest.mark.parametrize("rule", ["sgd", "momentum", "nesterov", "adam"])
@pytest.mark.parametrize("seed", range(4))
def test_quadratics_in_a_box_beside_l_bfgs_b(rule, seed):
    """Eigenvalues in [1, 9]: where the projected gradient is at most 1e-7, so is the distance to the minimum."""
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    a = q @ np.diag(rng.uniform(1.0, 9.0, 8)) @ q.T
    b = 3 * rng.normal(size=8)
    box = [(-0.3, 0.2), (None, 0.1), (0.2, None), (None, None)] * 2

    def f(x):
        return float(0.5 * x @ a @ x - b @ x), a @ x - b

    mine = gs.minimize(f, np.zeros(8), rule, lr=0.03, bounds=box, grad_norm=1e-7, history=False)
    options = {"ftol": 0.0, "gtol": 1e-10}
    theirs = optimize.minimize(f, np.zeros(8), jac=True, method="L-BFGS-B", bounds=box, options=options)
    assert mine.success, mine.message
    assert np.abs(mine.x - theirs.x).max() < 1e-6
    low = np.array([-np.inf if pair[0] is None else pair[0] for pair in box])
    high = np.array([np.inf if pair[1] is None else pair[1] for pair in box])
    held = (mine.x == low) | (mine.x == high)
    assert held.any()
    assert (mine.jac[mine.x == low] >= -1e-7).all()  # Karush, Kuhn and Tucker: a bound holds what pulls outwards,
    assert (mine.jac[mine.x == high] <= 1e-7).all()
    assert np.abs(mine.jac[~held]).max(initial=0.0) <= 1e-7  # and elsewhere nothing pulls


TWO = np.array([0.2, 0.3])


def ends_at(bounds, x0=TWO):
    """Where a run ends whose minimum is at 0.5 everywhere."""
    run = gs.Run(
        lambda x: (float(((x - 0.5) ** 2).sum()), 2 * (x - 0.5)), x0, "adam", lr=0.05, bounds=bounds, max_steps=300
    )
    list(run)
    return run.params


class TestForms:
    @pytest.mark.parametrize(
        "bounds",
        [
            ([0, 0], [1, 1]),
            [[0, 0], [1, 1]],
            [[0, 1], [0, 1]],
            ([0, 1], [0, 1]),
            np.array([[0, 1], [0, 1]]),
            np.array([[0, 0], [1, 1]]),
            [np.zeros(2), np.ones(2)],
            ((0, 0), (1, 1)),
            {"params": ([0, 0], [1, 1])},
            zip([0, 0], [1, 1], strict=True) and ([0.0, 0.0], [1.0, 1.0]),
        ],
        ids=repr,
    )
    def test_what_may_be_two_things_is_refused(self, bounds):
        with pytest.raises(gs.GradstepValueError, match=r"two pairs .* or a lower and an upper bound") as error:
            ends_at(bounds)
        assert clear(error)

    @pytest.mark.parametrize(
        "bounds",
        [
            [(0, 0.4), (0, 0.4)],
            ((0, 0.4), (None, 0.4)),
            [[None, 0.4], [0, 0.4]],
            zip(np.zeros(2), np.full(2, 0.4), strict=True),
            (np.zeros(2), np.full(2, 0.4)),
            (0, 0.4),
            [0, 0.4],
            (None, [0.4, 0.4]),
            ([0], [0.4]),
            optimize.Bounds(0, 0.4),
            optimize.Bounds([0, 0], [0.4, 0.4]),
        ],
        ids=named,
    )
    def test_two_elements(self, bounds):
        assert (ends_at(bounds) == 0.4).all()

    @pytest.mark.parametrize(
        "bounds",
        [
            ([0, 0, 0], [0.4, 0.4, 0.4]),
            [[0, 0, 0], [0.4, 0.4, 0.4]],
            ((0, 0, 0), (0.4, 0.4, 0.4)),
            [(0, 0.4)] * 3,
            [[0, 0.4]] * 3,
            np.array([[0, 0.4]] * 3),
            np.array([[0, 0, 0], [0.4, 0.4, 0.4]]),
            optimize.Bounds(np.zeros(3), np.full(3, 0.4)),
        ],
        ids=repr,
    )
    def test_three_elements(self, bounds):
        assert (ends_at(bounds, np.array([0.1, 0.2, 0.3])) == 0.4).all()

    @pytest.mark.parametrize(
        "bounds", [([[0], [0]], [[0.4], [0.4]]), (0, [0.4, 0.4, 0.4]), (np.zeros((2, 3)), 0.4)], ids=repr
    )
    def test_two_axes(self, bounds):
        assert (ends_at(bounds, np.full((2, 3), 0.1)) == 0.4).all()

    @pytest.mark.parametrize(
        ("bounds", "match"),
        [
            ([(0, 1)] * 3, "3 entries"),
            ([(0, 1)], "1 entries"),
            ([(0, 1, 2), (0, 1)], "2 entries|fits the shape"),
            ("ab", "bounds must be"),
            (3.0, "bounds must be"),
            (optimize.Bounds([0, 0, 0], 1), "lower bound"),
            ((0, [1, 2, 3]), "upper bound"),
        ],
        ids=repr,
    )
    def test_what_does_not_fit(self, bounds, match):
        with pytest.raises(gs.GradstepError, match=match) as error:
            ends_at(bounds)
        assert clear(error)
