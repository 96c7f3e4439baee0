"""One small study for the tests of what comes of studies, and a problem to order."""

from itertools import repeat

import numpy as np
import pytest

from gradstep.compare import make_spec, run_study
from gradstep.compare.problems import PROBLEMS, Problem, Target, Task
from gradstep.compare.workers import Workers


@pytest.fixture(scope="session")
def small_study():
    """Softmax regression with two optimizers of three trials, and one whose label holds a rate that is too large."""
    asked = make_spec(["digits-softmax"], "sgd,adam:beta1=0.8,momentum:lr=1e30", trials=3, seeds=2, steps=250)
    return run_study(asked, None, Workers(1))


@pytest.fixture
def problem(monkeypatch):
    """Make a problem of one parameter, from a function of the parameter alone."""

    def make(function, target=0.01, evaluate=None):
        def begin(seed):
            x = np.full(1, 1.0 + seed)

            def value_and_grad(_):
                loss, grad = function(x[0])
                return loss, {"x": np.array([grad])}

            return Task({"x": x}, repeat(None), value_and_grad, evaluate or (lambda split: {"loss": function(x[0])[0]}))

        level = Target("loss", target, "train")
        made = Problem("made", "made up", "formula", "1 parameters", level, 20, 5, {"theta/g": 0.1}, begin, exact=True)
        monkeypatch.setitem(PROBLEMS, "made", lambda: made)
        return made

    return make
