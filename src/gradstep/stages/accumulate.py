"""Accumulation: the mean of k gradients makes one update, as one batch of k times the size would.

It stands in front of the rule. Until the k-th call its sum is all that a step changes: t, schedules, the memory and the
state of what follows advance on the k-th call alone. Stages before it see each gradient.
"""

from typing import Annotated

from gradstep.rule import Domain, stage


def scalars(calls, k: Annotated[float, Domain(1.0, whole=True)] = 2.0):
    is_last = calls + 1 >= k
    return dict(share=1 / k, keep=0.0 if is_last else 1.0, calls=0.0 if is_last else calls + 1)


@stage(scalars, state="total", memory={"calls": 0.0}, every="calls")
def accumulate(theta, g, total, share, keep):
    """The mean of k gradients, handed on at the k-th call. Units: none; k is a number of calls."""
    total = total + share * g
    g = total
    total = keep * total
    return theta, g, total
