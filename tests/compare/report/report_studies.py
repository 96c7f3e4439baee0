"""Studies made up from formulas and a seed: what a report says of them is known beforehand."""

import math

import numpy as np

from gradstep.compare.evidence.study import Study
from gradstep.compare.record import SEARCH_SEEDS, Goal, ProblemInfo, RunRecord, Session, Spec, Timing

STEPS, EVERY = 100, 5
SPEED = {
    "sgd": 0.03,
    "momentum": 0.05,
    "nesterov": 0.055,
    "adagrad": 0.04,
    "rmsprop": 0.06,
    "adam": 0.08,
    "adamw": 0.075,
}


def curve(rate, seed, noise=0.1, floor=1e-3):
    """Loss from 2 down to ``floor`` at a rate, slower or faster by the seed."""
    draws = np.random.default_rng([7, seed])
    steps = np.arange(0, STEPS + 1, EVERY)
    pace = rate * (1 + noise * draws.standard_normal())
    return steps.tolist(), (floor + 2 * np.exp(-pace * steps)).tolist()


def made_run(problem, optimizer, phase, trial, seed, hyper, rate, classes=False, diverged=None, error=None):
    steps, loss = curve(rate, seed)
    if diverged is not None or error is not None:
        kept = 0 if error is not None else diverged // EVERY + 1
        steps, loss = steps[:kept], loss[:kept]
    accuracy = [1 - x / 2.5 for x in loss] if classes else []
    finished = diverged is None and error is None
    final = {"loss": loss[-1] * 1.1, **({"accuracy": accuracy[-1]} if classes else {})} if finished else {}
    health = {}
    if phase == "health":
        health = {"grad_norm": loss[1:], "update_ratio": [x / 10 for x in loss[1:]], "rate": [rate] * (len(loss) - 1)}
    return RunRecord(
        problem=problem,
        optimizer=optimizer,
        phase=phase,
        trial=trial,
        seed=seed,
        hyper=hyper,
        steps=steps,
        batch_loss=loss,
        loss=loss,
        accuracy=accuracy,
        final=final,
        diverged=diverged,
        error=error,
        health=health,
        seconds=0.1,
    )


def made_study(
    speed=None,
    problems=("quadratic", "digits-mlp", "diabetes"),
    seeds=6,
    trials=4,
    ruleset="tuned",
    level=0.1,
    lost=lambda run: None,
    without=lambda run: False,
    settled=True,
    timed=True,
    factor=lambda problem, optimizer: 1.0,
    searches=1,
    luck=lambda search, optimizer: 1.0,
    family=lambda problem: "",
):
    """A study of optimizers that descend at given rates.

    Parameters
    ----------
    speed
        Rate of each optimizer at its best trial.
    lost
        (problem, optimizer, phase, trial, seed) -> keywords of made_run for runs that are lost.
    without
        The same, whether the run is not there yet.
    factor
        What a rate is multiplied by on a problem.
    luck
        What it is multiplied by in a search.
    family
        That of a problem.
    """
    speed = speed or SPEED
    trials, tuning_seeds = (trials, 1) if ruleset == "tuned" else (1, 0)
    goals = {p: Goal("loss", level, "train", "frozen") for p in problems} if settled else {}
    spec = Spec(
        problems=tuple(problems),
        optimizers=tuple(speed),
        ruleset=ruleset,
        trials=trials,
        tuning_seeds=tuning_seeds,
        seeds=seeds,
        searches=searches,
        goals=goals,
        sources={},
        version="1.2.3",
    )
    cards = {
        p: ProblemInfo(
            *(p, f"a made-up problem named {p}", "a formula", "no data", STEPS, EVERY, p == "quadratic", family(p))
        )
        for p in problems
    }
    runs, timings = [], []
    for p in problems:
        for k, (optimizer, rate) in enumerate(speed.items()):
            rate = rate * factor(p, optimizer)
            keys = []
            best = trials // 2
            for first in range(0, searches * SEARCH_SEEDS, SEARCH_SEEDS):
                if ruleset == "tuned":  # the trial in the middle is the best
                    keys += [("tune", trial, first + 1000) for trial in range(trials)]
                keys += [("eval", best, first + seed) for seed in range(seeds)]
            keys += [("health", best, 0)]
            for phase, trial, seed in keys:
                run = (p, optimizer, phase, trial, seed)
                if without(run):
                    continue
                hyper = {"lr": 0.1 * 10.0 ** (trial - best) * 2 ** (seed // SEARCH_SEEDS)}
                pace = rate / (1 + 3 * abs(trial - best)) * luck(seed // SEARCH_SEEDS, optimizer)
                runs.append(made_run(*run, hyper, pace, classes=p.startswith("digits"), **(lost(run) or {})))
            if timed:
                timings.append(Timing(p, optimizer, 100.0 + 20 * k, 10.0 + 20 * k, 8.0 * min(k, 2)))
    environment = {"gradstep": "1.2.3", "Python": "3.11", "NumPy": "2.0", "engine": "compiled", "machine": "Linux"}
    return Study(spec, cards, runs, timings, [Session(environment, len(runs))], [])


def steps_to(rate, level, seed):
    """By the formula itself: the first evaluated step at which the loss is at the level."""
    steps, loss = curve(rate, seed)
    return next((s for s, x in zip(steps, loss, strict=True) if x <= level), math.inf)
