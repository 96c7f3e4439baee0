"""How long the first Adam step of a fresh process takes, NumPy's import included: with no kernel on disk, and with one.

python benchmarks/first_step.py
"""

import os
import statistics
import subprocess
import sys
import tempfile

SCRIPT = """
import time
start = time.perf_counter()
import numpy as np
numpy = time.perf_counter() - start
import gradstep as gs
imported = time.perf_counter() - start
gs.Optimizer(np.zeros(10, np.float32), "adam").step(np.ones(10, np.float32))
print(numpy, imported - numpy, time.perf_counter() - start)
"""


def measure(folder):
    """Seconds of NumPy's import, of Gradstep's over it, and in all."""
    environment = {**os.environ, "GRADSTEP_CACHE_DIR": folder, "PYTHONDONTWRITEBYTECODE": ""}  # bytecode, as installed
    out = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    return [float(x) for x in out.stdout.split()]


def main(runs=7):
    with tempfile.TemporaryDirectory() as warm:
        measure(warm)  # also warms the file system
        rows = {"no kernel on disk": [], "kernel on disk": []}
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as cold:
                rows["no kernel on disk"].append(measure(cold))
            rows["kernel on disk"].append(measure(warm))
    for name, seconds in rows.items():
        numpy, ours, total = (statistics.median(column) for column in zip(*seconds, strict=True))
        print(f"{name:18} import numpy {numpy:.3f} s, import gradstep {ours:.3f} s, first step done {total:.3f} s")


if __name__ == "__main__":
    main()
