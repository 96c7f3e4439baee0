"""Write the quasi-random table of `gradstep compare`: a scrambled Sobol sequence, so that trial k is the same forever.

    python benchmarks/quasi_random.py

The file is in the package, and not made anew where it is used: another version of SciPy may scramble otherwise.
"""

from pathlib import Path

from scipy.stats import qmc

import gradstep

POINTS, DIMENSIONS, SEED = 8, 6, 0  # 2**8 points
FILE = Path(gradstep.__file__).parent / "compare" / "quasi_random.txt"


def main() -> None:
    points = qmc.Sobol(DIMENSIONS, scramble=True, rng=SEED).random_base2(POINTS)
    FILE.write_text("".join(" ".join(f"{x:.9f}" for x in row) + "\n" for row in points), "utf-8")


if __name__ == "__main__":
    main()
