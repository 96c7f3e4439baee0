"""What travels to a cluster's workers, and the lead's loop, with a cluster made up in this process."""

import sys
import time
from dataclasses import replace

import pytest

from gradstep.compare.clusters import parcel as parcels
from gradstep.compare.clusters.dispatch import AHEAD, ClusterError, Lead
from gradstep.compare.clusters.parcel import Parcel, imported
from gradstep.compare.clusters.worker import UnlikeError, versions
from gradstep.compare.problems.own import ChangedError
from gradstep.compare.record import Made, PlannedRun, RunRecord, Source
from gradstep.compare.workers import Workers, hush
from gradstep.errors import GradstepError, GradstepValueError
from support import clear

OWN = """
import numpy as np
import beside
from package.deep import more

class P:
    params = np.ones(2)
    def value_and_grad(self, x):
        return float(x @ x), 2 * x
"""


@pytest.fixture
def folder(tmp_path):
    """A problem's file with a module, a package and data beside it, and what it has no use for."""
    (tmp_path / "work/package").mkdir(parents=True)
    (tmp_path / "work/data/__pycache__").mkdir(parents=True)
    for name, text in {
        "own.py": OWN,
        "beside.py": "import further, own",
        "further.py": "import beside, json",
        "idle.py": "",
        "package/__init__.py": "",
        "package/deep.py": "more = 1",
        "data/x.csv": "1,2",
        "data/__pycache__/x.pyc": "",
    }.items():
        (tmp_path / "work" / name).write_text(text)
    return tmp_path / "work"


def source_of(path):
    return Source(str(path), parcels.hashlib.sha256(path.read_bytes()).hexdigest())


def planned(source=None):
    return PlannedRun("own.py:P", "sgd", "eval", 0, 0, {"lr": 0.1}, source, None, 5, "train")


def test_modules_beside_a_file_are_found_by_its_imports(folder):
    found = imported(folder / "own.py", OWN.encode())
    names = {path.relative_to(folder).as_posix() for path in found}
    assert names == {"beside.py", "further.py", "own.py", "package/__init__.py", "package/deep.py"}


def test_files_lie_beside_one_another_elsewhere(folder, tmp_path):
    source = source_of(folder / "own.py")
    parcel = Parcel.of([source], [folder / "data"], here=tmp_path)
    there = tmp_path / "there"
    there.mkdir()
    parcel.unpack(there)
    files = {path.relative_to(there).as_posix() for path in there.rglob("*") if path.is_file()}
    assert files == {f"work/{name}" for name in ("own.py", "beside.py", "further.py", "package/__init__.py")} | {
        "work/package/deep.py",
        "work/data/x.csv",
    }
    moved = parcel.moved(planned(source), there)
    assert moved == replace(planned(source), source=replace(source, path=str(there / "work/own.py")))
    assert (there / parcel.here).samefile(there)
    assert Parcel.of([source], [folder / "data"], here=folder).here == "."


def test_a_parcel_that_lies_where_it_came_from_stays_there(folder, monkeypatch):
    parcel = Parcel.of([source_of(folder / "own.py")], here=folder)
    assert parcels.unpacked(parcel) == folder
    (folder / "beside.py").write_text("other = 1")
    there = parcels.unpacked(parcel)
    assert there != folder
    assert (there / "beside.py").read_text() == "import further, own"
    assert parcels.unpacked(parcel) == there  # once in a process
    parcels._folders.pop(parcel.sha256).cleanup()


def test_equal_files_in_equal_places_have_one_hash(folder):
    first, again = (Parcel.of([source_of(folder / "own.py")], here=folder) for _ in range(2))
    (folder / "further.py").write_text("")
    assert first.sha256 == again.sha256 != Parcel.of([source_of(folder / "own.py")], here=folder).sha256


def test_files_that_cannot_be_carried_are_told(folder, monkeypatch):
    source = source_of(folder / "own.py")
    with pytest.raises(GradstepValueError, match=r"there is no file .*nowhere, which the workers are to get") as error:
        Parcel.of([source], [folder / "nowhere"])
    assert clear(error)
    monkeypatch.setattr(parcels, "MOST_BYTES", 10)
    with pytest.raises(GradstepValueError, match="MiB, and at most 0 are carried; put them where all workers") as error:
        Parcel.of([source])
    assert clear(error)
    (folder / "own.py").write_text("")
    with pytest.raises(ChangedError):
        Parcel.of([source])


class Fake:
    """A cluster of one worker, which makes one run at each look."""

    where = "nowhere"

    def __init__(self, slots=None, wrong=None):
        self.slots, self.wrong, self.most, self.given_up = {"a": 1} if slots is None else slots, wrong, 0, None

    def submit(self, todo):
        return todo.seed

    def finished(self, handles, seconds):
        handles = list(handles)
        self.most = max(self.most, len(handles))
        if not self.slots:
            time.sleep(0.01)
            return []
        run = RunRecord("own.py:P", "sgd", "eval", 0, handles[-1], {}, [], [], [], [], {})
        return [(handles[-1], self.wrong or Made(run))]

    def workers(self):
        return self.slots

    def give_up(self, handles):
        self.given_up = list(handles)


def seeds(n):
    return [replace(planned(), seed=k) for k in range(n)]


@pytest.mark.parametrize(("jobs", "most"), [(None, AHEAD), (2, 2), (50, 9)])
def test_runs_are_handed_out_a_few_ahead(jobs, most):
    cluster, told = Fake(), []
    assert sorted(x.run.seed for x in Lead(cluster, jobs, 1.0, lambda *x: told.append(x)).make(seeds(9))) == list(
        range(9)
    )
    assert (cluster.most, told, cluster.given_up) == (most, [("nowhere", {"a": 1})], [])


def test_a_cluster_without_workers_is_given_up():
    cluster = Fake({})
    began = time.monotonic()
    with pytest.raises(ClusterError, match=r"^nowhere has had no workers for 0.1 s\.$"):
        list(Lead(cluster, None, 0.1, hush).make(seeds(9)))
    assert time.monotonic() - began < 5
    assert cluster.given_up == [0, 1, 2]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (UnlikeError("the worker on far has NumPy 1.0, not 2.0 as here."), "^the worker on far has NumPy 1.0, not 2.0"),
        (
            ModuleNotFoundError("No module named 'gradstep'"),
            "^a worker of nowhere could not make a run of sgd",
        ),
        (ClusterError("it is lost"), "^it is lost.$"),
    ],
)
def test_what_a_worker_raises_ends_the_study_by_a_sentence(wrong, says):
    cluster = Fake(wrong=wrong)
    with pytest.raises(ClusterError, match=says):
        list(Lead(cluster, None, 1.0, hush).make(seeds(9)))
    assert len(cluster.given_up) == 2


def test_a_study_that_is_left_gives_up_what_it_handed_out():
    cluster = Fake()
    left = Lead(cluster, None, 1.0, hush).make(seeds(9))
    next(left)
    left.close()
    assert cluster.given_up == [0, 1]


def test_the_versions_that_must_be_equal():
    import numpy as np

    import gradstep

    assert versions() == {"gradstep": gradstep.__version__, "NumPy": np.__version__}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"address": "tcp://a:1"}, "address is for a cluster: backend dask or ray, not loky"),
        ({"files": ["x"]}, "files are for a cluster"),
        ({"backend": "dask", "wait": 0}, "wait must be a number of seconds above 0, not 0"),
        ({"backend": "dask", "wait": float("nan")}, "wait must be a number of seconds above 0, not nan"),
    ],
)
def test_what_only_a_cluster_can_use_is_refused_without_one(options, says):
    with pytest.raises(GradstepValueError, match=says) as error:
        Workers(**options)
    assert clear(error)


@pytest.mark.parametrize(("backend", "package"), [("dask", "dask"), ("dask", "distributed"), ("ray", "ray")])
def test_a_missing_package_is_told(backend, package, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    if package == "distributed":
        monkeypatch.setitem(sys.modules, "dask", __import__("types").ModuleType("dask"))
    with (
        pytest.raises(
            GradstepError, match=rf"backend {backend}: {package} is missing; pip install 'gradstep\[{backend}\]'"
        ),
        Workers(2, backend).at_work(),
    ):
        pass
