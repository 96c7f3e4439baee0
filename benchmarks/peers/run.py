"""Runs a peer's own tests twice: with its own optimizers, the control, and with Gradstep's guests in their place.

python benchmarks/peers/run.py SUITE CHECKOUT [options of pytest]

SUITE is one of the files here, ``SUITE_suite.py``; CHECKOUT a folder that has the peer's test files where its
repository has them, of a version near the one installed. None of them are part of this repository. What fails with a
guest and not in the control is a documented refusal, with its sentence; or no affair of a guest, with the reason; or a
fault. Exit code 1 where there are faults, 2 where the control passed nothing.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
Outcomes = dict[str, dict[str, Any]]


def outcomes(name: str, suite: Any, checkout: Path, options: list[str], *, swap: bool) -> Outcomes:
    """Run a suite in a process of its own, and return what became of each test."""
    files = [str(checkout / x) for x in suite.files if (checkout / x).exists()]
    if not files:
        raise SystemExit(f"{checkout} has none of {', '.join(suite.files)}.")
    with tempfile.TemporaryDirectory() as folder:  # the checkout itself would stand before the installed peer
        out = Path(folder, "outcomes.json")
        path = [str(HERE.parent), str(HERE.parent.parent / "src"), *(str(checkout / x) for x in suite.paths)]
        own = {"PEERS_SUITE": name, "PEERS_SWAP": str(int(swap)), "PEERS_OUT": str(out)}
        path = [*path, os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            **dict(suite.environment),
            **own,
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(checkout)]
        command += ["-p", "no:cacheprovider", "-p", "peers.plugin", *suite.options, *options, *files]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        if not out.exists():
            raise SystemExit(f"pytest did not come to its end:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return json.loads(out.read_text())


def line(found: Outcomes) -> str:
    """Return the counts of a run."""
    n = Counter(x["outcome"] for x in found.values())
    return f"{n['passed']} passed, {n['failed']} failed, {n['skipped']} skipped"


def judged(suite: Any, control: Outcomes, guest: Outcomes) -> dict[str, dict[str, str]]:
    """Return the tests that fail with guests alone, by why, with their errors; faults under an empty reason."""
    found: dict[str, dict[str, str]] = {"": {}}
    for test, own in guest.items():
        if own["outcome"] == "failed" and control.get(test, own)["outcome"] != "failed":
            fits = (x for x in suite.expected if re.search(x.test, test) and re.search(x.error, own["error"]))
            known = next(fits, None)
            found.setdefault(known.reason if known else "", {})[test] = own["error"]
    return found


def main(name: str, checkout: str, *options: str) -> int:
    """Print the counts of both runs, and what fails with guests alone."""
    suite = import_module(f"peers.{name}_suite").SUITE
    where = Path(checkout).resolve()
    print(", ".join(f"{x} {version(x)}" for x in ("gradstep", *suite.packages)))
    print("files:", ", ".join(x for x in suite.files if (where / x).exists()))
    control = outcomes(name, suite, where, list(options), swap=False)
    print(f"control: {line(control)}", flush=True)
    if not any(x["outcome"] == "passed" for x in control.values()):
        error = next((x["error"] for x in control.values() if x["error"]), "no test was found")
        print(f"The control passed no test, so nothing can be said of guests: {' '.join(error.split())[-300:]}")
        return 2
    guest = outcomes(name, suite, where, list(options), swap=True)
    with_guests = [x["guests"] for x in guest.values() if x["guests"]]
    print(f"guests:  {line(guest)}; {len(with_guests)} tests made {sum(with_guests)} guests")
    lost = [test for test, own in control.items() if own["outcome"] == "passed" and test not in guest]
    if lost:
        print(f"{len(lost)} tests of the control were not run with guests")
    for why, tests in judged(suite, control, guest).items():
        print(f"{len(tests)} {why or 'faults'}")
        for test, error in tests.items() if not why else ():
            print(f"  {test.rpartition('::')[2]}: {' '.join(error.split())[:300]}")
    return int(bool(judged(suite, control, guest)[""] or lost))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(f"{__doc__}\nSuites: {', '.join(x.stem[:-6] for x in sorted(HERE.glob('*_suite.py')))}")
    sys.path.insert(0, str(HERE.parent))
    raise SystemExit(main(*sys.argv[1:]))
