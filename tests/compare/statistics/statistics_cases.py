"""Tables of random times, with misses, ties and scales apart."""

import math

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

INF = math.inf
LAW = settings(deadline=None)  # a busy machine proves nothing

# Whole steps, so that ties are common and sums are exact; a miss now and then.
TIMES = st.one_of(st.integers(1, 30).map(float), st.just(INF))


def tables(*sizes):
    """Hypothesis tables of times; each size is a pair of least and greatest."""
    return st.tuples(*(st.integers(*size) for size in sizes)).flatmap(
        lambda shape: arrays(float, shape, elements=TIMES)
    )


def random_times(seed, *shape, misses=0.25):
    """Whole steps from 1 to 200, some of them infinite, each problem on its own scale."""
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.integers(0, 3, size=(shape[0],) + (1,) * (len(shape) - 1))
    times = rng.integers(1, 200, size=shape) * scale
    times[rng.random(shape) < misses] = INF
    return times
