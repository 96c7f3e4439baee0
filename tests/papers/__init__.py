"""The rules once more, each written from its paper alone, in 80-digit arithmetic: what the library is measured against.

One module a rule: ``CITATION``, ``DEFAULTS`` and ``trajectory(theta0, gradients, **hyper)``. Nothing here imports the
library, and nothing here may be corrected by looking at it: where the two disagree, the paper decides.
The numbers that come back carry 80 digits; compare them inside ``mpmath.mp.workdps(exact.DIGITS)``.
"""
