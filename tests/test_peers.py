"""The script that runs peers' own tests: what it calls a fault, and that its refusals stand in the docs."""

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SUITES = sorted(x.stem.removesuffix("_suite") for x in (BENCHMARKS / "peers").glob("*_suite.py"))


@pytest.fixture(autouse=True)
def peers(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.parametrize("name", SUITES)
def test_a_refusal_that_a_suite_expects_stands_in_the_page(name):
    from importlib import import_module

    for x in import_module(f"peers.{name}_suite").SUITE.expected:
        if x.page:
            assert x.why in (BENCHMARKS.parent / x.page).read_text(encoding="utf-8")
        else:
            assert len(x.why.split()) > 3


@pytest.mark.process
def test_faults_are_what_fails_with_guests_alone_and_is_not_expected(tmp_path, capsys):
    pytest.importorskip("torch")
    from peers import run

    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "test_optim.py").write_text(
        "import pytest, torch\n"
        "def step(**given):\n"
        "    p = torch.ones(2, requires_grad=True); p.grad = torch.ones(2)\n"
        "    torch.optim.SGD([p], 0.5, **given).step()\n"
        "    assert p.tolist() == [0.5, 0.5]\n"
        "def test_passes(): step()\n"
        "def test_refused(): torch.optim.SGD([torch.ones(2)], 0.5, differentiable=True)\n"
        "def test_fault(): assert torch.optim.SGD.__module__ == 'torch.optim.sgd'\n"
        "def test_fails_anyhow(): assert False\n"
    )
    assert run.main("torch", str(tmp_path)) == 1
    printed = capsys.readouterr().out
    assert "control: 3 passed, 1 failed, 0 skipped" in printed
    assert "guests:  1 passed, 3 failed, 0 skipped; 2 tests made 2 guests" in printed
    assert "1 faults\n  test_fault: AssertionError" in printed
    assert "1 refused, docs/migrating/torch.md" in printed


@pytest.mark.process
def test_a_control_that_passed_nothing_is_refused(tmp_path, capsys):
    pytest.importorskip("torch")
    from peers import run

    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "test_optim.py").write_text("import a_package_that_is_not_there\n")
    assert run.main("torch", str(tmp_path)) == 2
    printed = capsys.readouterr().out
    assert "0 passed, 1 failed, 0 skipped\nThe control passed no test, so nothing can be said of guests: " in printed
    assert "No module named 'a_package_that_is_not_there'" in printed
    assert "\nguests:" not in printed
