"""How often a comparison says what is not so: false claims, power and coverage, on studies from a formula.

    python benchmarks/calibration.py            # all of it, about three quarters of an hour on one core
    python benchmarks/calibration.py power      # a part: claims, power or coverage
    python benchmarks/calibration.py --quick    # a tenth of the studies

A study is a table of times. Its logarithms are those of problem and optimizer, normal noise of each search and normal
noise of each seed; a tenth of it is shared by all optimizers, as they start from the same parameters.
"""

import argparse
import time

import numpy as np

from gradstep.compare.evidence.statistics import (
    interval,
    medians,
    paired_draws,
    resampled,
    run_scores,
)
from gradstep.compare.evidence.statistics.power import claimed, simulated

RESAMPLES = 1000


def false_claims(problems, seeds, contenders, studies, searches=1, between=0.0, grid=0.0, seed=0):
    """The share of studies of equal contenders in which any claim is made."""
    rng = np.random.default_rng(seed)
    made = 0
    for _ in range(studies):
        times = simulated(rng, np.zeros((problems, contenders)), seeds, searches, between=between)
        times = np.ceil(times / grid) * grid if grid else times
        made += claimed(times, searches).any()
    return made / studies


def power(problems, seeds, contenders, studies, factor=1.5, noise=0.35, seed=0):
    """The share of studies in which a contender that is quicker by ``factor`` is claimed to be ahead of each other."""
    rng = np.random.default_rng(seed)
    centre = np.zeros((problems, contenders))
    centre[:, 0] = -np.log(factor)
    return np.mean([claimed(simulated(rng, centre, seeds, noise=noise))[0, 1:].all() for _ in range(studies)])


def covered_median(seeds, searches, studies, noise=0.2, between=0.2, seed=0):
    """The share of intervals that hold the median, of one optimizer on one problem."""
    rng = np.random.default_rng(seed)
    draws = paired_draws(1, seeds, searches, RESAMPLES, over=resampled(1, seeds, searches))
    times = simulated(rng, np.zeros((1, studies)), seeds, searches, noise, between if searches > 1 else 0.0)
    found = [interval(medians, times[:, k : k + 50], draws) for k in range(0, studies, 50)]
    return np.mean([(x.low <= 1) & (x.high >= 1) for x in found])


def covered_score(problems, seeds, searches, studies, noise=0.2, between=0.2, over_problems=False, seed=0):
    """The share of intervals that hold the score, over five optimizers, the slowest at 2.2 times the first."""
    rng = np.random.default_rng(seed)
    draws = paired_draws(problems, seeds, searches, RESAMPLES, over_problems=over_problems)
    between = between if searches > 1 else 0.0
    mean = np.linspace(0, 0.8, 5)
    all_problems = run_scores(np.exp(mean + 0.3 * rng.standard_normal((200_000, 5)))[..., None])
    hits = []
    for _ in range(studies):
        centre = mean + 0.3 * rng.standard_normal((problems, 5))
        true = all_problems if over_problems else run_scores(np.exp(centre)[..., None])
        found = interval(run_scores, simulated(rng, centre, seeds, searches, noise, between), draws, smooth=True)
        hits.append((found.low <= true) & (true <= found.high))
    return np.mean(hits)


def say(*cells):
    print("| " + " | ".join(f"{x:.1%}" if isinstance(x, float) else str(x) for x in cells) + " |", flush=True)


def head(*cells):
    say(*cells)
    say(*["---"] * len(cells))


def say_claims(share):
    two, nine = 20_000 // share, 1000 // share
    print(f"False claims of equal optimizers, {two} studies each ({nine} of nine):\n")
    head("problems", "seeds", "searches", "2 optimizers", "9 optimizers")
    cases = [(problems, seeds, 1, 0.0) for problems in (1, 2, 7, 15) for seeds in (3, 6, 10)]
    cases += [(problems, 6, searches, 0.2) for problems, searches in ((1, 6), (2, 3), (7, 3), (15, 3))]
    for problems, seeds, searches, between in cases:
        found = [false_claims(problems, seeds, k, n, searches, between) for k, n in ((2, two), (9, nine))]
        say(problems, seeds, searches, *found)


def say_power(share):
    two, nine = 500 // share, 200 // share
    print(f"\nPower: quicker by a factor of 1.5, noise 0.35, and claimed so; {two} studies each ({nine} of nine):\n")
    head("problems", "seeds", "2 optimizers", "9 optimizers")
    for problems in (1, 2, 7, 15):
        for seeds in (6, 10, 20):
            say(problems, seeds, *(float(power(problems, seeds, k, n)) for k, n in ((2, two), (9, nine))))


def say_coverage(share):
    many, few = 2000 // share, 200 // share
    print(f"\nCoverage of 95 % intervals; {many} studies for a median, {few} of five optimizers for a score:\n")
    head("of", "problems", "searches", "seeds", "noise", "coverage")
    for searches, seeds in ((1, 6), (1, 10), (1, 20), (6, 10), (10, 10)):
        say("median", 1, searches, seeds, "0.2", float(covered_median(seeds, searches, many)))
    for problems, searches, seeds in ((7, 3, 10), (20, 3, 10), (2, 3, 10), (7, 1, 6), (7, 1, 10), (20, 1, 10)):
        for noise in (0.1, 0.2):
            found = float(covered_score(problems, seeds, searches, few, noise, noise))
            say("score", problems, searches, seeds, str(noise), found)
    for problems in (7, 20):
        found = float(covered_score(problems, 10, 3, few, over_problems=True))
        say("score of problems like these", problems, 3, 10, "0.2", found)


PARTS = {"claims": say_claims, "power": say_power, "coverage": say_coverage}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="claims, power, coverage; all of them by default")
    parser.add_argument("--quick", action="store_true", help="a tenth of the studies")
    given = parser.parse_args()
    began = time.perf_counter()
    for part in given.parts or PARTS:
        PARTS[part](10 if given.quick else 1)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
