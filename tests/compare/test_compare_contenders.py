"""What can be compared beside rules and constructors: schedules over a run, and rules and chains of one's own file."""

import numpy as np
import pytest

import gradstep as gs
from compare_support import table_of
from gradstep.compare import Study, compare, make_spec
from gradstep.compare.contender import contender
from gradstep.compare.evidence.statistics import medians
from gradstep.compare.problems import find_problem
from gradstep.compare.search import space
from gradstep.compare.shapes import SHARE, over_a_run
from gradstep.errors import GradstepError
from gradstep.rule import registry
from gradstep.schedules import cosine, warmup_cosine
from gradstep.text import read_names

MINE = """
import gradstep as gs
from gradstep.rule import rule
from gradstep.schedules import cosine

clipped = gs.chain(gs.clip_by_global_norm(max_norm=1.0), gs.adamw(lr=0.001))
falling = gs.chain(gs.sgd(lr=cosine(0.25, 20)))
number = 3


@rule(lambda lr=0.01, beta=0.9: dict(lr=lr, beta=beta, rest=1 - beta), state="m", units={"lr": "theta/g"})
def averaged_of_mine(theta, g, m, lr, beta, rest):
    \"\"\"The average of the gradients.\"\"\"
    m = beta * m + rest * g
    return theta - lr * m, g, m


@rule(lambda lr=0.01: dict(lr=lr), units={"lr": "theta/g"})
def breaks(theta, g, lr):
    \"\"\"As sgd.\"\"\"
    return theta - lr * g, g
"""


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    return lambda name: f"{tmp_path}/mine.py:{name}"


def one(text):
    [named] = read_names(text, words=True)
    return contender(named)


def test_a_schedule_goes_over_the_whole_run_and_its_peak_is_the_rate():
    made = one("adamw:lr=warmup_cosine")
    assert (made.label, made.shape, made.rate) == ("adamw:lr=warmup_cosine", "warmup_cosine", "lr")
    stage = made.stage({"lr": 0.5, SHARE: 0.2}, 50)
    assert gs.Optimizer(np.ones(2), stage).hyper["lr"] == warmup_cosine(0.5, 50, 10)
    keras = one("keras.Adam:learning_rate=cosine").stage({"learning_rate": 0.5}, 50)
    assert gs.Optimizer(np.ones(2), keras).hyper["lr"] == cosine(0.5, 50)


@pytest.mark.parametrize(
    "shape", ["linear", "cosine", "warmup", "warmup_linear", "warmup_cosine", "inverse_sqrt", "wsd"]
)
@pytest.mark.parametrize("steps", [1, 2, 7, 500])
def test_a_shape_has_its_peak_within_the_run_and_no_more(shape, steps):
    for share in (0.0, 0.1, 0.999):
        schedule = over_a_run(shape, 2.0, steps, share)
        rates = [schedule(t) for t in range(steps)]
        assert max(rates) <= 2.0
        assert min(rates) >= 0
        if steps > 2:
            assert max(rates) == pytest.approx(2.0, rel=0.35 if share > 0.9 else 0.05)


def test_peak_and_warm_up_are_searched_unless_they_are_held():
    problem = find_problem("quadratic")
    assert set(space(one("adamw:lr=warmup_cosine"), problem, "lr")) == {"lr", SHARE}
    assert set(space(one(f"adamw:lr=warmup_cosine,{SHARE}=0.1"), problem, "lr")) == {"lr"}
    assert set(space(one("adamw:lr=cosine"), problem, "lr")) == {"lr"}
    assert space(one("adamw:lr=cosine"), problem, "lr")["lr"] == space(one("adamw"), problem, "lr")["lr"]


def test_a_comparison_with_schedules():
    study = compare(["sgd", "sgd:lr=cosine", "sgd:lr=warmup_linear"], "quadratic", seeds=2, trials=3, steps=60, jobs=1)
    assert study.finished
    hyper = [study.evaluated("quadratic", label)[0].hyper for label in study.optimizers]
    assert [set(x) for x in hyper] == [{"lr"}, {"lr"}, {"lr", SHARE}]
    # A trial has the same peak with a schedule and without; a schedule that falls is another run.
    tried = [study.tuning("quadratic", label) for label in study.optimizers[:2]]
    assert [run.hyper for run in tried[0]] == [run.hyper for run in tried[1]]
    assert [run.loss for run in tried[0]] != [run.loss for run in tried[1]]


def test_rules_and_chains_of_ones_own_file_in_processes_of_their_own(mine, tmp_path):
    """A worker knows nothing of the file but where it lies: it had loss infinity in every run, and no note said so."""
    labels = [mine("clipped"), mine("averaged_of_mine:beta=0.8"), "adamw"]
    made = [compare(labels, "quadratic", seeds=2, trials=2, steps=30, jobs=jobs) for jobs in (1, 2)]
    assert table_of(made[0]) == table_of(made[1])
    assert made[0].optimizers == ("mine.py:clipped", "mine.py:averaged_of_mine:beta=0.8", "adamw")
    assert np.isfinite([run.loss[-1] for run in made[0].runs]).all()
    assert not [run for study in made for run in study.runs if run.error]


def test_a_rule_of_ones_own_is_searched_by_its_unit(mine):
    problem = find_problem("diabetes")
    assert space(one(mine("averaged_of_mine")), problem, "lr") == space(one("sgd"), problem, "lr")
    assert space(one(mine("clipped")), problem, "lr") == space(one("adamw"), problem, "lr")
    assert space(one(mine("falling")), problem, "lr") == {}  # its rate is a schedule already


def test_a_chain_of_ones_own_is_what_the_chain_is(mine):
    """The same numbers as an optimizer of that chain has, to the last bit."""
    theirs, ours = np.ones(3), np.ones(3)
    opt = gs.Optimizer(theirs, one(mine("clipped")).stage({"lr": 0.1}))
    own = gs.Optimizer(ours, gs.chain(gs.clip_by_global_norm(max_norm=1.0), gs.adamw(lr=0.1)))
    for g in np.random.default_rng(0).normal(size=(5, 3)) * 3:
        opt.step(g)
        own.step(g)
    assert theirs.tobytes() == ours.tobytes()


def test_a_study_with_a_file_goes_on_and_refuses_another(mine, tmp_path):
    asked = [mine("clipped"), "sgd"], "quadratic"
    options = {"seeds": 2, "trials": 2, "steps": 20, "jobs": 1, "out": tmp_path / "study"}
    before = table_of(compare(*asked, **options))
    assert table_of(compare(*asked, **options)) == before
    assert table_of(Study.load(tmp_path / "study")) == before
    (tmp_path / "mine.py").write_text(MINE + "\n")
    with pytest.raises(GradstepError, match=r"another study: file of mine.py:clipped \(\w{8}, not \w{8}\)"):
        compare(*asked, **options)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("adamw:lr=cosin", "one of these schedules over the whole run, and not 'cosin'; did you mean cosine"),
        ("adamw:beta1=cosine", "beta1 must be a number, not 'cosine'"),
        (f"adam:lr=cosine,{SHARE}=0.1", "cosine has no warm-up"),
        (f"adam:lr=wsd,{SHARE}=1", "from 0 to below 1, not 1"),
        (f"adam:{SHARE}=0.1", "unknown hyperparameter 'warmup_share'"),
    ],
)
def test_wrong_schedules_are_told(text, says):
    with pytest.raises(GradstepError, match=says):
        one(text)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("clip", "mine.py has no 'clip'; did you mean clipped"),
        ("number", "mine.py:number must be a rule or a chain, such as gs.chain"),
        ("clipped:beta3=1", "unknown argument 'beta3'; did you mean beta"),
        ("clipped:lr=-1", "lr must be"),
    ],
)
def test_wrong_names_in_files_are_told(mine, name, says):
    with pytest.raises(GradstepError, match=says):
        make_spec(["quadratic"], mine(name))


def test_rules_of_a_file_are_in_no_list_and_two_files_may_have_one_of_a_name(mine, tmp_path):
    (tmp_path / "other.py").write_text(MINE)
    before = set(registry(None))
    plan = make_spec(["quadratic"], f"{mine('averaged_of_mine')},{tmp_path}/other.py:averaged_of_mine")
    assert plan.spec.optimizers == ("mine.py:averaged_of_mine", "other.py:averaged_of_mine")
    assert set(registry(None)) == before


def test_two_files_of_one_name_are_told(mine, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/mine.py").write_text(MINE.replace("averaged_of_mine", "another_of_mine").replace("breaks", "b2"))
    with pytest.raises(GradstepError, match="two optimizers are of files of one name"):
        make_spec(["quadratic"], f"{mine('clipped')},{tmp_path}/other/mine.py:clipped")


def test_equal_arithmetic_makes_equal_runs():
    """Under two names, ``sgd`` was declared better than ``torch.SGD`` on a problem of one's own."""
    names = ["sgd", "torch.SGD", "adagrad", "torch.Adagrad"]
    study = compare(names, "diabetes", seeds=3, trials=3, steps=80, jobs=1)
    times = medians(study.times())[0]
    assert times[0] == times[1]
    runs = [study.evaluated("diabetes", label) for label in names]
    assert [run.loss for run in runs[0]] == [run.loss for run in runs[1]]


def test_a_study_is_read_where_the_file_of_an_optimizer_is_not(mine, tmp_path):
    """As a colleague reads it: all of its numbers are there; it does not go on."""
    labels, options = [mine("clipped:lr=cosine"), "sgd"], {"seeds": 2, "trials": 2, "steps": 20, "jobs": 1}
    before = compare(labels, "quadratic", out=tmp_path / "study", **options)
    table, rates = table_of(before), [before.learning_rate(run) for run in before.runs]
    before.report(tmp_path / "report.html")
    (tmp_path / "mine.py").unlink()
    after = Study.load(tmp_path / "study")
    assert (table_of(after), after.finished) == (table, True)
    assert [after.learning_rate(run) for run in after.runs] == rates
    after.report(tmp_path / "elsewhere.html")
    assert (tmp_path / "elsewhere.html").stat().st_size > 0.9 * (tmp_path / "report.html").stat().st_size
    with pytest.raises(GradstepError, match="there is no file"):
        compare(labels, "quadratic", out=tmp_path / "study", **options)


def test_a_study_whose_steps_could_not_be_timed_is_read_again(tmp_path):
    """Seed 0, by which steps are timed, breaks off; the others do not."""
    (tmp_path / "own.py").write_text(
        "import numpy as np\n"
        "class Own:\n"
        "    def __init__(self, seed=0):\n"
        "        self.seed = seed\n"
        "    def params(self):\n"
        "        return {'x': np.ones(2) + self.seed}\n"
        "    def value_and_grad(self, p):\n"
        "        if self.seed == 0 and not np.array_equal(p['x'], np.ones(2)):\n"
        "            raise RuntimeError('no')\n"
        "        return float((p['x'] ** 2).sum()), {'x': 2 * p['x']}\n"
    )
    (tmp_path / "study").mkdir()
    study = compare("sgd", f"{tmp_path}/own.py:Own", seeds=3, trials=2, steps=20, jobs=1, out=tmp_path / "study")
    assert Study.load(tmp_path / "study").finished
    assert len(study.timings) == 1


@pytest.mark.process
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_rule_that_ends_its_process_ends_no_study(tmp_path, jobs):
    text = (
        "import os\n"
        "from gradstep.rule import rule\n"
        "def scalars(t, lr=0.01):\n"
        "    if t == 7 and lr < 0.5:\n"
        "        os._exit(3)\n"
        "    return dict(lr=lr)\n"
        "@rule(scalars, units={'lr': 'theta/g'})\n"
        "def ends(theta, g, lr):\n"
        '    """As sgd, up to its seventh update."""\n'
        "    return theta - lr * g, g\n"
    )
    (tmp_path / "ending.py").write_text(text)
    label = f"{tmp_path}/ending.py:ends"
    with pytest.raises(GradstepError, match=r"ends:lr=0\.1 failed in each of its 3 runs.*process was ended 3 times"):
        compare([f"{label}:lr=0.1", "sgd:lr=0.1"], "quadratic", seeds=2, steps=20, jobs=jobs)
    assert compare(f"{label}:lr=0.6", "quadratic", seeds=2, steps=20, jobs=jobs).finished
    (tmp_path / "gone.py").write_text("import os\nos._exit(4)\n")
    with pytest.raises(GradstepError, match=r"gone\.py:x ended the process that ran it first, by .*; nothing was"):
        compare(f"{tmp_path}/gone.py:x", "quadratic", seeds=2, steps=20, jobs=jobs)
