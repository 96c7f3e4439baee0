"""Runs tests/promises at full size and writes RELIABILITY.md from its figures; ``--check`` compares with the file.

``python benchmarks/reliability.py [--check] [--quick] [--figures FILE]``
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "RELIABILITY.md"
KINDS = ("figure", "control")
PROMISES = {
    "P1": "Loading a file never runs code.",
    "P2": "Every flipped bit is found.",
    "P3": "Every truncation is found, and everything that is too long.",
    "P4a": "A save is old or new, never between, also after a power loss; one that has returned is new.",
    "P4b": "The same after SIGKILL.",
    "P4c": "A full disk, an I/O error or an interrupt leaves the old file and nothing else.",
    "P5": "Stop anywhere, go on in a new process: the same bits.",
    "P5b": "A run of the command line goes on after SIGKILL as if nothing had happened.",
    "P5c": "A run saved at any time, by a handler or another thread, is of one of its points, or that is refused.",
    "P5d": "A damaged row of a run's history costs that row alone.",
    "P6": "State that does not belong is refused by name, and the optimizer stays as it was.",
    "P7": "A gradient that is not finite never reaches parameters or state.",
    "P8": "16-bit parameters are safe.",
    "P9": "Same input, same bits: any number of threads, any CPU level, either engine.",
    "P10": "A step that several processes share has the bits of one, whatever their number.",
    "P11": "Safe with fork, spawn, forkserver, loky and threads.",
    "P12": "Every file that a release has written stays readable.",
    "P13": "Others can read it.",
    "P14": "Any input gives a state or a CheckpointError, in bounded memory.",
    "P15": "What was saved is what you had.",
    "P16": "What a run or a comparison writes goes where it was asked for, wherever its own code goes.",
    "P21": "A save replaces ordinary files alone and keeps their mode; of savers at once none fails, and one wins.",
    "P22": "Processes that a study starts end with it; code that ends its process is told of, and ends no study.",
}
HEAD = """# Reliability

What is promised of steps and checkpoints, the figure that stands for it, the test that it comes from, and the control:
the same test with the protection taken away, which must fail. This page is written by

```
python benchmarks/reliability.py
```

which runs `pytest tests/promises --full`; nothing in the table is typed in by hand. `--check` compares a new run with
this page. Figures have neither times nor dates in them, so that every run gives the same. The gate makes this
comparison with its own run, in which fuzzers and large matrices have their ordinary size: it holds everything here to
what it measured but those sizes, which its tests record as such.

| promise | figure | test | control, which fails as it must |
|---|---|---|---|
"""
LIMITS = """
## Limits

- SHA-256 shows damage, not authorship: whoever can write the file can write another with hashes that belong to it.
- POSIX's rename and fsync are believed: not network file systems, and not disks that say they have written what they
  have not.
- The bits are those of this library's own arithmetic. Your model is outside, and so is BLAS, whose products differ
  from machine to machine and with the number of threads.
- Of several that save to one path at once the last one wins, whole; they take turns, and one that has waited for ten
  seconds goes on without its turn.
- Linux on x86-64 is what these figures are from. On Windows no folder is forced to the disk, and what a killed writer
  has left stays.
"""


def figures(full):
    """Run the tests and return what they have recorded."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.json"
        call = [
            sys.executable,
            "-m",
            "pytest",
            "tests/promises",
            "-q",
            "-p",
            "no:cacheprovider",
            "--figures",
            str(path),
        ]
        subprocess.run([*call, *(["--full"] if full else [])], cwd=ROOT, check=True)
        return json.loads(path.read_text(encoding="utf-8"))


def page(rows, sized=None):
    """RELIABILITY.md, with the sizes of another such page where one is given."""
    rows = [{**row, "text": _text(row, sized)} for row in rows]
    rows.sort(key=lambda row: (row["text"], row["test"]))
    return HEAD + "".join(f"| {' | '.join(_cells(key, text, rows))} |\n" for key, text in PROMISES.items()) + LIMITS


def _text(row, sized):
    """Return a figure with its sizes: those of its run, or those of a page that says the same with others."""
    text, sizes = row["text"], row["sizes"]
    if sizes and sized:
        pattern = re.escape(_escaped(text))
        for name in sizes:
            hole = re.escape(f"{{{name}}}")
            pattern = pattern.replace(hole, f"(?P<{name}>[1-9][0-9]*)", 1).replace(hole, f"(?P={name})")
        for line in sized.splitlines():
            found = line.startswith(f"| **{row['promise']}** ") and re.search(f"(?<=[ >]){pattern}(?=<br>| \\|)", line)
            if found:
                return text.format(**found.groupdict())
    return text.format(**sizes) if sizes else text


def _cells(promise, text, rows):
    own = {kind: [row for row in rows if row["promise"] == promise and row["kind"] == kind] for kind in KINDS}
    assert all(own.values()), f"no figure or no control for {promise}"
    assert all(row["passed"] for kind in KINDS for row in own[kind]), promise
    shown = {kind: "<br>".join(_escaped(row["text"]) for row in own[kind]) for kind in KINDS}
    names = {kind: sorted({row["test"].partition("[")[0] for row in own[kind]}) for kind in KINDS}
    (file,) = {name.partition("::")[0] for kind in KINDS for name in names[kind]}
    tests = {kind: "<br>".join(f"`{name.rpartition('::')[2]}`" for name in names[kind]) for kind in KINDS}
    link = f"[{Path(file).name}]({file})"
    test, control = f"{link}<br>{tests['figure']}", f"{shown['control']}<br>{tests['control']}"
    return f"**{promise}** {text}", shown["figure"], test, control


def _escaped(text):
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare a new run with RELIABILITY.md; 1 if they differ")
    parser.add_argument("--quick", action="store_true", help="the sizes of an ordinary test run")
    parser.add_argument("--figures", metavar="FILE", help="those of a run that was made: pytest --figures FILE")
    options = parser.parse_args()
    given = options.figures and json.loads(Path(options.figures).read_text(encoding="utf-8"))
    rows = given or figures(not options.quick)
    if not options.check:
        PAGE.write_text(page(rows), encoding="utf-8")
        return 0
    old = PAGE.read_text(encoding="utf-8")
    text = page(rows, old if given or options.quick else None)
    for a, b in zip(old.splitlines(), text.splitlines(), strict=False):
        if a != b:
            print(f"- {a}\n+ {b}")
    said = "as measured" + (", but for the sizes of a full run" if given or options.quick else "")
    print("RELIABILITY.md is", said if old == text else "not what was measured")
    return int(old != text)


if __name__ == "__main__":
    sys.exit(main())
