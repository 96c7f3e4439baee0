"""The contenders of ``gradstep bench`` under pytest-benchmark, which keeps and compares runs.

python -m pytest benchmarks
python -m pytest benchmarks -k "148x1000 and (gradstep or torch)" --benchmark-autosave

One after the other, not interleaved: for ratios between libraries use ``gradstep bench``.
"""

import itertools

import pytest

from gradstep.bench import KINDS, QUICK, Work, read_sizes
from gradstep.bench.contenders import UnavailableError
from gradstep.bench.plan import sets_of
from gradstep.bench.work import numbers

pytestmark = pytest.mark.filterwarnings("ignore")  # other libraries' affairs


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("size", read_sizes(QUICK), ids=str)
def test_adam(benchmark, size, name):
    work = Work("adam")
    try:
        contender = KINDS[name].make(work, numbers(work, size, 0))
    except UnavailableError as error:
        pytest.skip(str(error))
    sets = [contender.gradients(numbers(work, size, 1 + k)) for k in range(sets_of(work, size))]
    contender.begin()
    contender.attach(sets[0])  # where a library keeps gradients with its parameters, they stay the same
    contender.step(sets[0])
    following = itertools.cycle(sets).__next__
    benchmark.group = f"adam {size}"
    benchmark(lambda: contender.step(following()))
