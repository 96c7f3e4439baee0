"""One small study for the tests of what comes of studies."""

import pytest

from gradstep.compare import make_spec, run_study


@pytest.fixture(scope="session")
def small_study():
    """Softmax regression with two optimizers at five learning rates and one at a rate of its own that is too large."""
    spec = make_spec("digits-softmax", "sgd,adam:beta1=0.8,momentum:lr=1e30", seeds=2, steps=250)
    return run_study(spec, jobs=1)
