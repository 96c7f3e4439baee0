"""Thread pools of libraries, such as that of NumPy's matrix products, at one thread: more have other last digits."""

import sys
import threading
from typing import Any, Self

# For processes that make runs, before they load a library: also for threads that it starts by itself.
ENVIRONMENT = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    ),
    "1",
)


class OneThread:
    """A block in which every thread pool of this process has one thread; afterwards it has what it had.

    Blocks of several threads may overlap: what all of them share gets its threads back with the end of the last.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._changed: list[tuple[Any, int]] = []

    def __enter__(self) -> Self:
        with _here.lock:
            _here.blocks += 1
        try:
            self.look()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with _here.lock:
            _here.blocks -= 1
            _here.left += [change for change in self._changed if _is_shared(change[0])]
            again = [change for change in self._changed if not _is_shared(change[0])]
            if not _here.blocks:
                again, _here.left = again + _here.left, []
            for library, threads in again:
                _set(library, threads)

    def look(self) -> bool:
        """Give one thread to pools that were loaded meanwhile, too, and return True where one of them had more."""
        with _here.lock:
            libraries = _here.libraries()
            new, self._seen = libraries[self._seen :], len(libraries)
            for library in new:
                if (threads := library.num_threads or 1) > 1:
                    _set(library, 1)
                    self._changed.append((library, threads))
            return any(library.filepath in _here.many for library in new)


class _Here:
    """The libraries of this process that have thread pools, in the order in which they were found."""

    def __init__(self) -> None:
        self.lock, self.blocks = threading.Lock(), 0
        self.left: list[tuple[Any, int]] = []  # shared pools of blocks that have ended, with their threads
        self.many: set[str] = set()  # those that had more than one thread when they were found
        self._found: list[Any] = []
        self._modules = -1

    def libraries(self) -> list[Any]:
        if (modules := len(sys.modules)) != self._modules:  # a library comes with a module; a look takes 10 ms
            import threadpoolctl

            self._modules = modules
            known = {library.filepath for library in self._found}
            new = [x for x in threadpoolctl.ThreadpoolController().lib_controllers if x.filepath not in known]
            self.many |= {x.filepath for x in new if (x.num_threads or 1) > 1}
            self._found += new
        return self._found


def _is_shared(library: Any) -> bool:
    """Return True where a library has one number of threads for the process, not one for each thread that asks."""
    return library.user_api == "blas" and getattr(library, "threading_layer", None) != "openmp"


def _set(library: Any, threads: int) -> None:
    library.set_num_threads(threads)
    release = getattr(type(library), "clear_controlling_thread", None)
    if release is None:
        return
    # From 3.8 on, threadpoolctl does what the first thread says that sets OpenBLAS's, and says nothing to others.
    if library.num_threads != threads:
        release(force=True)
        library.set_num_threads(threads)
    release()


_here = _Here()
