"""The processes of which this is one, where ``mpiexec`` or ``srun`` has started several."""

import os
from typing import TYPE_CHECKING

from gradstep.errors import GradstepError

if TYPE_CHECKING:
    from gradstep.runs import Processes

# What those who start processes tell each: how many there are, and its number. Open MPI; MPICH, Intel MPI and srun
# with PMI-2; srun with PMIx.
TOLD = (
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("PMI_SIZE", "PMI_RANK"),
    ("SLURM_STEP_NUM_TASKS", "PMIX_RANK"),
)


def told() -> tuple[int, int]:
    """Return the number of this process, and how many there are, as its environment says."""
    for size, rank in TOLD:
        if os.environ.get(size, "").isdecimal() and os.environ.get(rank, "").isdecimal():
            return int(os.environ[rank]), int(os.environ[size])
    return 0, 1


def processes() -> "Processes":
    """Return the processes of this job: by MPI where several have been started, and else this one alone.

    Raises
    ------
    GradstepError
        When mpi4py or its MPI is missing, or is another MPI than the one that has started them.
    """
    from gradstep.runs import Processes

    size = told()[1]
    if size == 1:
        return Processes()
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise GradstepError(
            f"{size} processes were started, and mpi4py is missing; pip install 'gradstep[mpi]'."
        ) from error
    except RuntimeError as error:
        raise GradstepError(f"{size} processes were started, and mpi4py finds no MPI: {error}.") from error
    found = MPI.COMM_WORLD.Get_size()
    if found != size:
        name = MPI.Get_library_version().split("\n")[0].split(",")[0].strip()
        raise GradstepError(
            f"{size} processes were started, and mpi4py sees {found}: it uses {name}, and mpiexec is of another MPI; "
            f"start them with its own mpiexec, or say MPI4PY_MPIABI=openmpi or mpich."
        )
    return Processes(MPI.COMM_WORLD)
