"""Studies by any backend, and on a real scheduler of dask with two workers of its own: the table of one machine."""

import os
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from clusters import Processes, dask_scheduler, dask_worker, until
from compare_support import ENDING, table_of, timeless
from gradstep.cli import main
from gradstep.compare import Study, compare, make_spec, merge, run_study
from gradstep.compare.clusters import dask_cluster
from gradstep.compare.conduct import Listener
from gradstep.compare.workers import Workers
from support import COMMAND, environment

pytestmark = pytest.mark.process
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs gradstep[ray]")
needs_dask = pytest.mark.skipif(find_spec("dask") is None, reason="needs gradstep[dask]")

# Kernels of OpenBLAS whose last digits depend on the number of threads, and more threads than runs may have: digits-mlp
# has other numbers where a backend leaves them. No kernel of another processor or library hears of it.
ONE = {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
MANY = {**ONE, "OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}

# A module and data beside it; seed 1 fails; a library that is loaded late; all thread pools have one thread.
OWN = """
import numpy as np
from threadpoolctl import threadpool_info
from beside import SCALE

MIDDLE = np.loadtxt("data/middle.txt")

class P:
    params = np.ones(2)

    def __init__(self, seed):
        self.seed = seed

    def value_and_grad(self, x):
        if self.seed == 1:
            raise RuntimeError("not this seed")
        import scipy.linalg
        if any(pool["num_threads"] > 1 for pool in threadpool_info()):
            raise RuntimeError("more than one thread")
        return float(SCALE * (x - MIDDLE) @ (x - MIDDLE)), 2 * SCALE * (x - MIDDLE)
"""
RULE = """
import gradstep as gs
clipped = gs.chain(gs.clip_by_global_norm(max_norm=1.0), gs.adamw(lr=0.001))
"""
ASKED = {"seeds": 2, "trials": 2, "steps": 40}
RUNS = 2 * 2 * (2 + 2 + 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a study with files of one's own."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "data").mkdir()
    (folder / "data/middle.txt").write_text("0.1 0.2")
    for name, text in {"own.py": OWN, "beside.py": "SCALE = 1.5", "rules.py": RULE}.items():
        (folder / name).write_text(text)
    return folder


def call(folder):
    return {"optimizers": f"sgd,{folder}/rules.py:clipped", "problems": ["digits-mlp", f"{folder}/own.py:P"], **ASKED}


def made(folder, out, *options, **threads):
    """The study of ``call``, by a command of its own."""
    asked = call(folder)
    words = [word for name in ("optimizers", *ASKED) for word in (f"--{name}", str(asked[name]))]
    command = [*COMMAND, "compare", *asked["problems"], *words, "--out", str(out), *options]
    done = subprocess.run(command, cwd=folder, env=environment(**threads), capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr  # 1: seed 1 fails
    return Study.load(out)


@pytest.fixture(scope="module")
def alone(folder, tmp_path_factory):
    """The study made by one process, whose libraries have begun with one thread."""
    return made(folder, tmp_path_factory.mktemp("alone") / "out", "--jobs", "1", **ONE)


def runs_of(study):
    return sorted(timeless(study), key=lambda run: run.key)


def check(study, alone):
    assert table_of(study) == table_of(alone)
    assert runs_of(study) == runs_of(alone)
    assert study.mixture is None
    errors = {run.error for run in study.runs if run.seed == 1 and run.problem == "own.py:P"}
    assert errors == {"P.value_and_grad raised RuntimeError: not this seed (own.py, line 16)."}


class Log(Listener):
    """Keeps what it hears, and does something after so many runs."""

    def __init__(self, acts=None):
        self.made, self.slots, self.acts = 0, [], dict(acts or {})

    def result(self, run):
        self.made += 1
        if self.made in self.acts:
            self.acts.pop(self.made)()

    def workers(self, where, slots):
        self.slots.append(dict(slots))


@pytest.mark.parametrize(
    "options", [["--jobs", "1"], ["--jobs", "2"], ["--jobs", "2", "--backend", "threading"]], ids=" ".join
)
def test_a_study_by_any_backend_of_one_machine_is_that_of_one_process(options, folder, alone, tmp_path):
    check(made(folder, tmp_path / "out", *options, **MANY), alone)


def test_a_study_in_shards_is_that_of_one_process(folder, alone, tmp_path):
    parts = [tmp_path / str(k) for k in (1, 2)]
    for k, part in enumerate(parts, 1):
        made(folder, part, "--jobs", "1", "--shard", f"{k}/2", **MANY)
    check(merge(parts, tmp_path / "all"), alone)


# ------------------------------------------------------------------------------------------------------------- dask


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """The address of a scheduler that has two workers, in processes of their own."""
    with Processes(tmp_path_factory.mktemp("dask")) as processes:
        _, address = dask_scheduler(processes)
        for name in ("first", "second"):
            dask_worker(processes, name, address, **MANY)
        until(lambda: pids(address) if len(pids(address)) == 2 else None, processes)
        yield address


def pids(address):
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        return list(client.run(os.getpid).values())


@needs_dask
def test_a_study_on_dask_is_that_of_one_machine(scheduler, folder, alone, monkeypatch):
    monkeypatch.chdir(folder)
    log = Log()
    asked = call(folder)
    plan = make_spec(asked.pop("problems"), asked.pop("optimizers"), **asked)
    study = run_study(plan, None, Workers(None, "dask", scheduler, [Path("data")]), log)
    check(study, alone)
    assert [list(slots.values()) for slots in log.slots] == [[1, 1]]
    assert log.made == RUNS


@needs_dask
def test_runs_of_a_killed_worker_of_dask_are_made_again(scheduler, folder, alone, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    log = Log({4: lambda: os.kill(pids(scheduler)[0], signal.SIGKILL)})
    asked = call(folder)
    plan = make_spec(asked.pop("problems"), asked.pop("optimizers"), **asked)
    study = run_study(plan, tmp_path / "out", Workers(None, "dask", scheduler, [Path("data")]), log)
    check(study, alone)
    assert not log.acts
    check(Study.load(tmp_path / "out"), alone)


@needs_dask
def test_a_run_that_ends_its_process_on_a_worker_is_known(scheduler, tmp_path):
    (tmp_path / "own.py").write_text(ENDING)
    asked = {"optimizers": "sgd:lr=0.1", "problems": f"{tmp_path}/own.py:P", "seeds": 2, "steps": 10}
    study = compare(**asked, backend="dask", address=scheduler)
    runs = study.evaluated("own.py:P", "sgd:lr=0.1")
    assert [run.error for run in runs] == [None, "its process was ended 3 times, by SIGKILL."]
    assert study.finished


@needs_dask
def test_a_worker_with_other_versions_is_told_and_the_command_goes_on(scheduler, monkeypatch, tmp_path, capsys):
    command = ["compare", "quadratic", "--optimizers", "sgd", "--steps", "20", "--backend", "dask"]
    command += ["--scheduler", scheduler, "--out", str(tmp_path / "out")]
    with monkeypatch.context() as patch:
        patch.setattr(dask_cluster, "versions", lambda: {"gradstep": "0.0.9", "NumPy": "1.26.0"})
        assert main(command) == 2
    error = capsys.readouterr().err
    assert "has gradstep 0.1.0, not 0.0.9 and NumPy" in error
    assert error.endswith("; 0 of 12 runs are kept in " + f"{tmp_path / 'out'}, and the same command goes on.\n")
    assert error.count("\n") == 1
    assert main(command) == 0
    assert f"2 workers at {scheduler}, 2 runs at a time\n" in capsys.readouterr().out


@needs_dask
def test_no_scheduler_at_the_address(tmp_path, capsys):
    command = ["compare", "quadratic", "--backend", "dask", "--wait", "1", "--out", str(tmp_path / "out")]
    assert main([*command, "--scheduler", "tcp://127.0.0.1:9"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("gradstep: no scheduler of dask answers at tcp://127.0.0.1:9 within 1 s")
    assert error.count("\n") == 1
    assert main([*command, "--scheduler", "nonsense://x"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


# -------------------------------------------------------------------------------------------------------------- ray


@needs_ray
def test_a_study_on_ray_is_that_of_one_machine(folder, alone, tmp_path):
    options = ["--files", "data", "--backend", "ray", "--jobs", "2", "--wait", "120"]
    check(made(folder, tmp_path / "out", *options, **MANY), alone)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--scheduler", "tcp://a:1"], "--scheduler is for --backend dask, not loky."),
        (["--backend", "dask", "--address", "a:1"], "--address is for --backend ray, not dask."),
        (["--files", "x"], "files are for a cluster: backend dask or ray, not loky."),
    ],
)
def test_options_of_clusters_are_refused_elsewhere(options, says, capsys):
    assert main(["compare", "quadratic", *options]) == 2
    assert capsys.readouterr().err == f"gradstep: {says}\n"
