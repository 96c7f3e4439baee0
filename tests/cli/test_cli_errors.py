"""Every error at the shell: one line on stderr that begins with gradstep:, exit code 2, nothing on stdout."""

import importlib.util
import sys

import pytest

from gradstep.cli import main

SMALL = ["quadratic", "--optimizers", "sgd:lr=1", "--steps", "2", "--seeds", "1", "--jobs", "1"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("compare", "Missing argument"),
        ("compare digit-mlp", "unknown problem 'digit-mlp'; did you mean digits-mlp"),
        ("compare zzz", "unknown problem 'zzz'; known: beale, breast-cancer,"),
        ("compare quadratic:conditio=3", "did you mean condition?"),
        ("compare quadratic:condition=0", "condition must be in 1 to 1e12, not 0"),
        ("compare rosenbrock:a=1", "unknown option 'a'; known: every"),
        ("compare rosenbrock,quadratic", "names 2 problems"),
        ("compare quadratic quadratic", "quadratic is given twice"),
        ("compare no.py:f", "there is no file no.py"),
        ("compare rosenbrock --optimizers adm", "unknown optimizer 'adm'; did you mean adam"),
        ("compare rosenbrock --optimizers decay", "unknown optimizer 'decay'"),
        ("compare rosenbrock --optimizers adam:beta=1", "adam: unknown hyperparameter 'beta'; did you mean"),
        ("compare rosenbrock --optimizers adam:beta1=2", "beta1 must be finite and >= 0 and < 1, not 2"),
        ("compare rosenbrock --optimizers adam:lr=nan", "lr must be finite"),
        (
            "compare rosenbrock --optimizers adam:lr=fast",
            "a learning rate is a number or one of these schedules over the whole run, and not 'fast'",
        ),
        ("compare rosenbrock --optimizers adam,,sgd", "write name or name:key=number"),
        ("compare rosenbrock --optimizers adam,adam", "adam is given twice"),
        ("compare rosenbrock --seeds 0", "--seeds"),
        ("compare rosenbrock --seeds three", "--seeds"),
        ("compare rosenbrock --steps -1", "--steps"),
        ("compare rosenbrock --jobs 0", "--jobs"),
        ("compare rosenbrock --out file/deeper", "cannot write to the folder file/deeper: Not a directory"),
        ("compare rosenbrock --colour", "--colour"),
        ("compare rosenbrock extra", "unknown problem 'extra'"),
        ("compare rosenbrock --seeds 99999999999", "seeds must be 1 to 1000, not 99999999999"),
        ("compare rosenbrock --trials 99999999999", "trials must be 1 to 256"),
        ("compare rosenbrock --steps 99999999999", "steps must be 1 to 10000000"),
        ("compare rosenbrock --jobs 99999999999", "jobs must be 1 to 1024"),
        ("compare rosenbrock --target fast", "target must be loss=NUMBER or accuracy=NUMBER"),
        ("compare rosenbrock --ruleset tunes", "unknown ruleset 'tunes'; did you mean tuned"),
        ("compare rosenbrock --search grid", "unknown search 'grid'"),
        ("compare rosenbrock --tune beta", "unknown tune 'beta'"),
        ("compare rosenbrock --backend tasks", "backend tasks: "),
        ("compare rosenbrock --optimizers torch.Adm", "unknown optimizer of torch 'Adm'; did you mean Adam"),
        ("watch", "Missing argument"),
        ("watch nowhere", "there is no study in nowhere: it has no study.db"),
        ("show", "show takes names, such as gradstep show adam; gradstep show --list has them all"),
        ("show --list adam", "--list is for all rules and stages"),
        ("show adm", "unknown rule 'adm'; did you mean adam"),
        ("show adam clip_by_nrm", "did you mean clip_by_norm"),
        ("problems now", "now"),
        ("info now", "now"),
        ("comparison", "comparison"),
        ("--colour", "--colour"),
    ],
)
def test_one_line_says_what_is_wrong(line, says, capsys):
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("gradstep: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert says in err


def test_nothing_is_made_for_a_wrong_command(tmp_path):
    main(["compare", "rosenbrock", "--optimizers", "adm"])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("package", ["joblib", "threadpoolctl", "sklearn", "plotly", "jinja2"])
def test_a_missing_package_is_told_before_the_work(package, capsys, monkeypatch, tmp_path):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == package else found(name, *rest)
    )
    assert main(["compare", "rosenbrock"]) == 2
    assert capsys.readouterr().err == f"gradstep: {package} is missing; pip install 'gradstep[compare]'\n"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_typer_or_rich_one_line_says_what_to_install(package, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("gradstep.cli.", package))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # what import takes for missing
    assert main(["problems"]) == 2
    assert capsys.readouterr().err == f"gradstep: the package {package} is missing; pip install 'gradstep[compare]'\n"


def test_a_module_of_ours_that_is_missing_is_a_bug_and_no_hint(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("gradstep.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gradstep.cli.show", None)
    with pytest.raises(ModuleNotFoundError, match=r"gradstep\.cli\.show"):
        main(["problems"])


def test_a_file_error_names_the_file(capsys, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device", "report.html")

    monkeypatch.setattr("gradstep.compare.show.notebook.write_report", fail)
    assert main(["compare", *SMALL]) == 2
    assert capsys.readouterr().err == "gradstep: report.html: No space left on device\n"


def test_another_study_in_the_folder_is_refused_by_what_differs(capsys):
    assert main(["compare", *SMALL, "--out", "study"]) == 0
    capsys.readouterr()
    assert main(["compare", *SMALL, "--out", "study", "--steps", "3"]) == 2
    said = "gradstep: study holds another study: steps (2, not 3); "
    assert capsys.readouterr().err == f"{said}take another folder (--out).\n"


@pytest.mark.parametrize("arguments", [["watch", "study"], ["compare", *SMALL, "--out", "study"], ["compare", *SMALL]])
def test_a_damaged_study_is_one_sentence(arguments, capsys, tmp_path):
    for folder in (tmp_path / "study", tmp_path / "gradstep-compare" / "quadratic"):
        folder.mkdir(parents=True)
        (folder / "study.db").write_bytes(b"no database at all" * 100)
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert "study.db cannot be read (file is not a database); move it away, and the same command begins anew." in err
    assert err.count("\n") == 1
    assert (tmp_path / "study" / "study.db").read_bytes() == b"no database at all" * 100


def test_a_missing_sampler_is_told_before_the_work(capsys, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "optuna" else found(name, *rest)
    )
    assert main(["compare", *SMALL, "--search", "tpe"]) == 2
    assert capsys.readouterr().err == "gradstep: optuna is missing; pip install 'gradstep[compare]'\n"
