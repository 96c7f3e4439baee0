"""Real processes for tests: MPI's, of whichever library is there, and gloo's."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
LIBRARIES = {"openmpi": ("mpiexec.openmpi",), "mpich": ("mpiexec.mpich", "mpiexec.hydra")}
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
TIMEOUT = 240


def mpiexec(library, folder):
    """Return how a program is started in ``n`` processes, and the environment; skip the test where it cannot be."""
    if importlib.util.find_spec("mpi4py") is None:
        pytest.skip("mpi4py is not installed; pip install 'gradstep[mpi]'")
    program = next(filter(None, map(shutil.which, LIBRARIES[library])), None)
    if program is None:
        pytest.skip(f"there is no {LIBRARIES[library][0]}; apt-get install openmpi-bin mpich")
    own = {"MPI4PY_MPIABI": library}
    if library == "mpich":
        return [program, "-n"], own | _mpich_by_its_name(folder)
    as_root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"} if os.getuid() == 0 else {}
    quiet = ["--mca", "btl_vader_single_copy_mechanism", "none", "--mca", "btl", "self,vader"]
    return [program, "--oversubscribe", "--bind-to", "none", *quiet, "-n"], own | as_root


def _mpich_by_its_name(folder):
    """Return the environment in which mpi4py finds MPICH: Debian calls ``libmpi.so.12`` by another name."""
    here = [Path(line.split(" => ")[1]) for line in _libraries() if line.strip().startswith("libmpich.so.12 ")]
    if not here:
        return {}
    link = Path(folder) / "libmpi.so.12"
    if not link.exists():
        link.symlink_to(here[0])
    return {"LD_LIBRARY_PATH": f"{folder}:{os.environ.get('LD_LIBRARY_PATH', '')}"}


def _libraries():
    ldconfig = shutil.which("ldconfig", path=f"{os.environ['PATH']}:/sbin:/usr/sbin")
    return (
        [] if ldconfig is None else subprocess.run([ldconfig, "-p"], capture_output=True, text=True).stdout.split("\n")
    )


def tell(rank, found):
    """Leave what a process has found, which JSON knows, where :func:`run` looks: lines of several may get mixed up."""
    Path(f"found-{rank}.json").write_text(json.dumps(found))


def has_aborted(kind, text):
    """Return True where a process beside torch 2.13 was ended at its exit, all being done: the cause is not known."""
    return kind == "gloo" and "terminate called without an active exception" in text


def run(kind, size, program, *words, folder, **environment):
    """Run a program of this folder in ``size`` processes; return what each of them has told, by rank.

    ``kind`` is openmpi, mpich or gloo. The program gets ``mpi`` or ``gloo FILE RANK SIZE``, then ``words``.
    """
    python = [sys.executable, "-W", "ignore", str(HERE / program)]
    environment = {**os.environ, **ENVIRONMENT, **environment}
    for path in Path(folder).glob("found-*.json"):
        path.unlink()
    if kind == "gloo":
        if importlib.util.find_spec("torch") is None:
            pytest.skip("torch is not installed")
        meet = Path(folder) / "meet"
        meet.unlink(missing_ok=True)
        commands = [[*python, "gloo", str(meet), str(rank), str(size), *words] for rank in range(size)]
    else:
        start, own = mpiexec(kind, folder)
        environment |= own
        commands = [[*start, str(size), *python, "mpi", *words]]
    started = [
        subprocess.Popen(c, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder)
        for c in commands
    ]
    try:
        outputs = [process.communicate(timeout=TIMEOUT)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    text = "".join(outputs)
    assert all(process.returncode == 0 or has_aborted(kind, text) for process in started), text
    found = sorted(Path(folder).glob("found-*.json"), key=lambda path: int(path.stem.removeprefix("found-")))
    assert len(found) == size, text
    return [json.loads(path.read_text()) for path in found]
