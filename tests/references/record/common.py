"""The part of recording that all libraries share: versions, the file, and whether it repeats."""

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from references.cases import FOLDER, Arrays, Run, cases, problem, read, task_of


def main(library: str, versions: Mapping[str, tuple[str, str]], run: Run) -> None:
    """Record every case of a library into LIBRARY.npz, or with ``--add`` those that are not there.

    With ``--check`` the file is compared with what it would be.

    ``versions`` has, by package, the version that runs and the one that is recorded.
    """
    parser = argparse.ArgumentParser(description=f"Record the trajectories of {library}'s optimizers.")
    parser.add_argument(
        "--check", action="store_true", help="record nothing; say whether the file repeats, bit for bit"
    )
    parser.add_argument(
        "--add", action="store_true", help="record the calls that are not there; other processors have other last bits"
    )
    asked = parser.parse_args()
    for package, (found, wanted) in versions.items():
        if found.partition("+")[0] != wanted:
            raise SystemExit(f"{library}.npz is a recording of {package} {wanted}, and this is {package} {found}.")
    path = FOLDER / f"{library}.npz"
    known = read(library) if path.exists() else ({"cases": {}}, {})
    arrays = _record(library, {package: wanted for package, (_, wanted) in versions.items()}, run, known, asked.add)
    if not asked.check:
        np.savez_compressed(path, **arrays)
        print(f"{path.name}: {len(arrays)} arrays, {path.stat().st_size} bytes")  # noqa: T201 - it is a script
        return
    with np.load(path, allow_pickle=False) as there:
        differing = [
            key for key in {*there.files, *arrays} if not (key in there and _same(there[key], arrays.get(key)))
        ]
    if differing:
        raise SystemExit(f"{path.name} does not repeat: {len(differing)} arrays differ, such as {min(differing)}.")
    print(f"{path.name} repeats bit for bit: {len(arrays)} arrays")  # noqa: T201


def _same(a: np.ndarray, b: np.ndarray | None) -> bool:
    return b is not None and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def _record(
    library: str,
    versions: Mapping[str, str],
    run: Run,
    known: tuple[Mapping[str, Any], Mapping[str, np.ndarray]],
    is_added: bool,
) -> dict[str, np.ndarray]:
    before, there = known
    arrays: dict[str, np.ndarray] = {}
    about: dict[str, Any] = {"versions": versions, "cases": {}}
    for case in cases(library):
        # The problem is the recorded one: NumPy's exp has other last bits on other processors too.
        start, gradient = (f"{case.dtype}/{what}" for what in ("start", "gradient"))
        task = task_of(there, case.dtype) if start in there else problem(case.dtype)
        arrays[start], arrays[gradient] = _table([task.start]), _table(task.grads)
        if is_added and case.key in there:
            about["cases"][case.key], arrays[case.key] = before["cases"][case.key], there[case.key]
            continue
        done = run(case, case.shaped(task))
        about["cases"][case.key] = done.about
        arrays[case.key] = _table([_row(*both) for both in zip(done.theta[1:], done.state, strict=True)])
    arrays["about"] = np.array(json.dumps(about, sort_keys=True))
    return arrays


def _row(theta: Arrays, state: Arrays) -> Arrays:
    return {f"theta/{name}": x for name, x in theta.items()} | {f"state/{name}": x for name, x in state.items()}


def _table(rows: Sequence[Arrays]) -> np.ndarray:
    """A structured array with a field for each name and a record for each row."""
    out = np.empty(len(rows), [(name, x.dtype, x.shape) for name, x in rows[0].items()])
    for name in rows[0]:
        out[name] = [row[name] for row in rows]
        if not np.isfinite(out[name]).all():
            raise SystemExit(f"{name} is not finite: such a recording says nothing.")
    return out
