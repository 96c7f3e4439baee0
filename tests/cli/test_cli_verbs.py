"""What the verbs print and write when all is well."""

import inspect
import json
import math
import platform
import re
from dataclasses import asdict, fields

import pytest

import gradstep as gs
from gradstep import rules
from gradstep.cli import main
from gradstep.cli.compare import compare
from gradstep.compare import Study
from gradstep.compare.problems import PROBLEMS, find_problem
from gradstep.compare.problems.targets import records
from gradstep.compare.record import Options
from gradstep.conventions import constructors, described
from gradstep.form.equation import equation
from gradstep.rule import Rule, registry, rule
from gradstep.text import to_json
from support import script

SMALL = ["--optimizers", "adam,sgd:lr=0.3", "--trials", "3", "--seeds", "2", "--steps", "60", "--jobs", "1"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(capsys, *arguments):
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_compare_has_the_options_of_a_study_with_their_defaults():
    given = {name: x.default for name, x in inspect.signature(compare).parameters.items()}
    for option in fields(Options):
        own = None if option.name == "searches" else option.default  # 3 for full
        assert given[option.name] == own, option.name


def test_compare_in_plain_lines(capsys, tmp_path):
    lines = run(capsys, "compare", "diabetes", *SMALL).splitlines()
    goal = find_problem("diabetes").goal
    levels = "the middle of three levels (easy 0.247122, hard 0.237222)"
    assert lines[0] == f"diabetes: 2 optimizers, 3 trials, 2 seeds, 60 steps, 9 runs; target: {goal}, {levels}"
    told = {line.partition(":")[0]: line for line in lines[1:3]}  # whichever is finished first
    assert told["adam"].startswith("adam: 6 runs, lr ")
    table = [line.split() for line in lines if line.split()[:1] in (["optimizer"], ["adam"], ["sgd:lr=0.3"])]
    assert {row[0] for row in table} == {"optimizer", "sgd:lr=0.3", "adam"}
    assert lines[-1].endswith("wrote gradstep-compare/diabetes/study.db and gradstep-compare/diabetes/report.html")
    assert not any("\x1b" in line for line in lines)
    folder = tmp_path / "gradstep-compare" / "diabetes"
    assert {path.name for path in folder.iterdir()} == {"study.db", "report.html"}


def test_compare_in_json_lines(capsys, tmp_path):
    out = run(capsys, "compare", "quadratic:condition=10", *SMALL, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["event"] for line in lines] == ["study", *["run"] * 9, "target", *["row"] * 2, "verdict", "end"]
    assert lines[0]["command"] == (
        "gradstep compare quadratic:condition=10 --optimizers adam,sgd:lr=0.3 --seeds 2 --trials 3 --tuning-seeds 1 "
        "--searches 1 --search quasi --tune lr --steps 60"
    )
    assert lines[0]["runs"] == 9
    verdict = lines[-2]
    assert (len(verdict["verdict"]), verdict["over"], verdict["better"]) == (4, None, [])
    assert {row["optimizer"] for row in verdict["optimizers"]} == {"adam", "sgd:lr=0.3"}
    assert all(set(row["steps"]) == {"estimate", "least", "greatest"} for row in verdict["optimizers"])
    rows = {line["optimizer"]: line for line in lines if line["event"] == "row"}
    assert rows["sgd:lr=0.3"]["entries"][0]["hyper"] == {}
    assert [p.split("/")[-1] for p in lines[-1]["files"]] == ["study.db", "report.html"]
    table = Study.load(tmp_path / "gradstep-compare" / "quadratic-condition-10").table()
    assert rows == {row.optimizer: json.loads(to_json({"event": "row", **asdict(row)})) for row in table}


def test_the_same_command_goes_on_and_another_takes_a_folder_of_its_own(capsys, tmp_path):
    first = run(capsys, "compare", "quadratic", *SMALL)
    again = run(capsys, "compare", "quadratic", *SMALL)
    assert "9 of 9 runs are there already" in again
    assert "already" not in first
    rows = [[line for line in out.splitlines() if line.startswith((" adam", " sgd"))] for out in (first, again)]
    assert rows[0] == rows[1]  # microseconds too: nothing was measured again
    other = run(capsys, "compare", "quadratic", *SMALL, "--ruleset", "defaults")
    assert "wrote gradstep-compare/quadratic-2/study.db" in other
    assert run(capsys, "compare", "quadratic", *SMALL, "--ruleset", "defaults").endswith("quadratic-2/report.html\n")
    assert {path.name for path in (tmp_path / "gradstep-compare").iterdir()} == {"quadratic", "quadratic-2"}


def test_several_problems_have_one_table(capsys):
    out = run(capsys, "compare", "quadratic", "diabetes", *SMALL)
    [head] = [line.split() for line in out.splitlines() if line.startswith(" optimizer")]
    assert head == ["optimizer", "score", "solved", "hit", "quadratic", "diabetes"]
    assert f"target of diabetes: {find_problem('diabetes').goal}" in out
    assert "wrote gradstep-compare/quadratic+diabetes/study.db" in out


OWN = """
import numpy as np

def f(x):
    return float(x @ x) / 2, x.copy()

def wrong(x):
    return float(x @ x) / 2, -x

params = np.ones(3)

class Crash:
    params = np.ones(3)

    def __init__(self, seed):
        self.seed = seed

    def value_and_grad(self, x):
        if self.seed == 1:
            raise ValueError("no data")
        return f(x)
"""


def test_a_problem_of_ones_own(capsys, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    lines = run(capsys, "compare", "own.py:f", *SMALL).splitlines()
    assert lines[0].endswith("9 runs; target: not settled yet")
    assert any(line.startswith("target of own.py:f: loss ≤ ") for line in lines)
    assert "wrote gradstep-compare/own-f/study.db" in lines[-1]


def test_a_wrong_gradient_is_one_sentence_and_the_table_is_there(capsys, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    assert main(["compare", "own.py:wrong", *SMALL, "--target", "loss=1"]) == 0
    out, err = capsys.readouterr()
    said = "the gradient of params in own.py:wrong is wrong at the first point"
    assert err == f"gradstep: {said}; gradstep check own.py:wrong shows how.\n"
    assert " adam " in out


def test_a_crash_in_one_seed_is_one_sentence_and_code_1(capsys, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    assert main(["compare", "own.py:Crash", *SMALL, "--target", "loss=1"]) == 1
    out, err = capsys.readouterr()
    assert err == (
        "gradstep: own.py:Crash: 2 runs ended with an error, the first that of adam, seed 1: Crash.value_and_grad "
        f"raised ValueError: no data (own.py, line {OWN[: OWN.index('raise')].count(chr(10)) + 1}).\n"
    )
    assert " adam " in out


def test_watch_shows_a_finished_study(capsys, tmp_path):
    compared = run(capsys, "compare", "quadratic", *SMALL)
    before = {path.name: path.read_bytes() for path in (tmp_path / "gradstep-compare/quadratic").iterdir()}
    watched = run(capsys, "watch", "gradstep-compare/quadratic")
    for line in compared.splitlines():
        if line.startswith((" optimizer", " adam", " sgd", "quadratic: ")):
            assert line in watched
    events = [
        json.loads(line)["event"]
        for line in run(capsys, "watch", "gradstep-compare/quadratic", "--json").split("\n")[:-1]
    ]
    assert events == ["study", *["run"] * 9, "target", *["row"] * 2, "verdict", "end"]
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "gradstep-compare/quadratic").iterdir()}


def test_problems_are_all_listed_a_line_each(capsys):
    lines = [line for line in run(capsys, "problems").splitlines() if line.strip()]
    assert [line.split()[0] for line in lines[2:]] == list(PROBLEMS)
    for line, make in zip(lines[2:], PROBLEMS.values(), strict=True):
        assert make().source in line
        assert make().goal in line
        assert make().family in line
        assert (float(line.split()[-1]) < 60) == (make().name in records())  # seconds a run; else the steps


@pytest.mark.parametrize("name", sorted(registry(None)))
def test_show_prints_every_rule_and_stage(name, capsys):
    shown = run(capsys, "show", name)
    declared = registry(None)[name]
    assert shown.startswith(f"{name}\n")
    for line in (*equation(declared).text().splitlines(), *declared.doc.splitlines()):
        assert line in shown
    assert f"def {declared.update.__name__}({declared.arrays[0]}, " in shown
    assert f"def {name}(" in shown
    for key in declared.defaults:
        assert f"{key} = " in shown
    for slot in declared.state:
        assert slot in shown.split("\nState\n")[1]


def unlike_elementwise():
    """Constructors of matrices, and of what sums over arrays: a step of one number says little of them."""
    for name in (name for names in constructors().values() for name in names):
        rules = [part.rule for part in described(name).stage({}).parts]
        if any(rule.whole or rule.over is not None for rule in rules):
            yield name


@pytest.mark.parametrize("name", list(unlike_elementwise()))
def test_show_prints_constructors_of_all_forms(name, capsys):
    assert run(capsys, "show", name).startswith(f"{name} ")


def test_show_puts_constructors_side_by_side(capsys):
    shown = run(capsys, "show", "torch.Adam", "keras.Adam", "optax.adam", "adam")
    head, differs, same = re.split("What differs|The same in all", shown)
    assert "adam(learning_rate, b1=0.9, b2=0.999, eps=1e-08, eps_root=0.0, mu_dtype=None, nesterov=False)" in head
    assert (
        "Adam(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-07, amsgrad=False, weight_decay=None, **base)"
        in head
    )
    rows = dict(re.findall(r"^  (\S.*)\n((?:    .*\n)+)", differs, re.MULTILINE))
    assert list(rows) == ["θₜ", "lr", "eps", "step 1 with g = 1", "step 1 with g = 1e-06", "step 1000 with g = 1e-06"]
    assert cells(rows["eps"]) == {"torch.Adam": "1e-08", "keras.Adam": "1e-07", "optax.adam": "1e-08", "adam": "1e-08"}
    assert cells(rows["lr"])["optax.adam"] == "to be given"
    theta = cells(rows["θₜ"])
    printed = equation(registry()["adam"]).text().split("θₜ = ")[1]
    assert theta["torch.Adam"] == theta["optax.adam"] == theta["adam"] == printed
    root = printed[printed.index("√vₜ") : printed.index(" + ε")]
    assert theta["keras.Adam"] == printed.replace("ε", root.replace("√vₜ", "ε"))
    g = 1e-6  # m and v are corrected to g and g^2; eps to 1e-7 / sqrt(1 - 0.999)
    first = float(cells(rows["step 1 with g = 1e-06"])["keras.Adam"].split()[0])
    assert first == pytest.approx(g / (g + 1e-7 / math.sqrt(1 - 0.999)), rel=1e-5)
    assert equation(registry()["adam"]).text().splitlines()[0].replace("gₜ", "g") in same
    assert "  beta2 = 0.999\n" in same


def cells(text):
    return {name: cell.strip() for name, cell in (line.split(None, 1) for line in text.splitlines())}


def descent(name):
    return equation(registry()[name]).text().split("θₜ = ")[1].replace("gₜ", "g")


def test_show_takes_arguments(capsys):
    """Folded momentum beside unfolded."""
    shown = run(capsys, "show", "torch.SGD:momentum=0.9,nesterov=1", "keras.SGD:momentum=0.9,nesterov=1")
    rows = dict(re.findall(r"^  (\S.*)\n((?:    .*\n)+)", shown.split("What differs")[1], re.MULTILINE))
    (theta,) = {key: cells(x) for key, x in rows.items() if key == "θₜ"}.values()
    assert theta == {
        "torch.SGD:momentum=0.9,nesterov=1": descent("unfolded_nesterov"),
        "keras.SGD:momentum=0.9,nesterov=1": descent("nesterov"),
    }
    assert "SGD(learning_rate=0.01, momentum=0.9, nesterov=True, weight_decay=None, **base)" in shown
    alone = run(capsys, "show", "adam:beta1=0.5", "adam")
    assert "beta1\n    adam:beta1=0.5  0.5\n    adam            0.9\n" in alone
    assert "The numbers of radam_torch depend on the step: gradstep show radam_torch" in run(
        capsys, "show", "torch.RAdam"
    )


def test_show_tells_a_chain_stage_by_stage(capsys):
    shown = run(capsys, "show", "torch.RMSprop", "tf1.RMSPropOptimizer")
    rows = dict(re.findall(r"^  (\S.*)\n((?:    .*\n)+)", shown.split("What differs")[1], re.MULTILINE))
    assert cells(rows["g"]) == {"torch.RMSprop": "-", "tf1.RMSPropOptimizer": "g / √(vₜ + ε)"}
    assert cells(rows["initial_accumulator"]) == {"torch.RMSprop": "-", "tf1.RMSPropOptimizer": "1.0"}
    alone = run(capsys, "show", "keras.Nadam")
    assert alone.startswith("keras.Nadam  keras.optimizers.Nadam: ")
    assert "What differs" not in alone
    assert "  momentum_decay = 1.0\n" in alone


@pytest.mark.parametrize("name", sorted(registry("stage")))
def test_show_puts_a_stage_beside_a_constructor(name, capsys):
    shown = run(capsys, "show", "torch.Adam", name)
    rows = dict(re.findall(r"^  (\S.*)\n((?:    .*\n)+)", shown.split("What differs")[1], re.MULTILINE))
    step = cells(rows["step 1 with g = 1"])
    assert step == {"torch.Adam": "1 lr", name: "-"}


def test_show_tells_bytes(capsys):
    adam, sgd, ema, adafactor = (
        run(capsys, "show", name).split("Bytes a parameter\n")[1] for name in ("adam", "sgd", "ema", "adafactor")
    )
    assert "float32: 8 kept in state, 28 moved by a step (4 read, 3 written)" in adam
    assert "float64: 16 kept in state, 56 moved" in adam
    assert "float32: 0 kept in state, 12 moved by a step (2 read, 1 written)" in sgd
    assert "float32: 4 kept in state, 8 moved by a step (1 read, 1 written, beside what its chain moves)" in ema
    assert "float32: 0 kept in state, and slots of their own shapes (r: rows, c: columns)" in adafactor


def test_show_puts_rules_side_by_side(capsys):
    shown = run(capsys, "show", "muon", "lion", "lamb")
    assert shown.startswith("muon  Muon: momentum with singular values near one.")
    rows = dict(re.findall(r"^  (\S.*)\n((?:    .*\n)+)", shown.split("What differs")[1], re.MULTILINE))
    assert cells(rows["state"]) == {"muon": "b", "lion": "m", "lamb": "m v"}
    assert cells(rows["bytes a parameter"]) == {"muon": "4", "lion": "4", "lamb": "8"}
    assert cells(rows["kind"]) == {"muon": "whole arrays", "lion": "elementwise", "lamb": "by sums"}
    assert cells(rows["lr"])["lion"] == "0.0001"


def test_show_as_latex(capsys):
    shown = run(capsys, "show", "adam", "--latex")
    assert r"\begin{aligned}" in shown
    assert "√" not in shown


@pytest.mark.usefixtures("own_registry")
def test_a_rule_without_source_is_shown_all_the_same(capsys):
    namespace = {"rule": rule}
    source = (
        '@rule(lambda lr=0.1: {"lr": lr})\ndef typed(theta, g, lr):\n    """Typed."""\n    return theta - lr * g, g'
    )
    exec(source, namespace)  # noqa: S102 - a rule that no file holds
    assert isinstance(namespace["typed"], Rule)
    assert "not available: the rule was not read from a file" in run(capsys, "show", "typed")


def test_info_tells_versions_engine_and_cache(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADSTEP_CACHE_DIR", str(tmp_path / "kernels"))
    shown = run(capsys, "info")
    lines = dict(line.split("  ", 1) for line in shown.splitlines())
    lines = {key: value.strip() for key, value in lines.items()}
    assert lines["gradstep"] == gs.__version__
    assert lines["Python"] == platform.python_version()
    assert lines["kernel cache"] == str(tmp_path / "kernels")
    assert lines["rules"] == str(len(rules.__all__))
    assert lines["engine"].startswith(("compiled (llvmlite ", "eager: "))


@pytest.mark.process
def test_info_without_llvmlite_says_what_to_install():
    out = script("from gradstep.cli import main; main(['info'])", before="import sys; sys.modules['llvmlite'] = None")
    assert "eager: llvmlite is not installed; pip install 'gradstep[fast]'" in out


def test_version_and_help(capsys):
    assert run(capsys, "--version") == f"gradstep {gs.__version__}\n"
    assert run(capsys) == run(capsys, "--help") == run(capsys, "-h")
    for verb in ("compare", "watch", "check", "show", "problems", "info"):
        assert verb in run(capsys, "--help")
        assert "Usage: gradstep" in run(capsys, verb, "--help")


@pytest.mark.process
def test_help_loads_nothing_heavy():
    code = "import sys; from gradstep.cli import main; main(['--help']); print(*sys.modules)"
    loaded = {name.split(".")[0] for name in script(code).splitlines()[-1].split()}
    assert "typer" in loaded
    assert not loaded & {"sklearn", "scipy", "plotly", "joblib", "threadpoolctl", "llvmlite"}


@pytest.mark.process
def test_the_package_of_the_command_imports_without_typer():
    before = "import sys; sys.modules['typer'] = None; sys.modules['rich'] = None"
    assert script("import gradstep.cli; print('fine')", before=before) == "fine\n"
