"""What every oracle shares: numbers taken exactly as they are given, arithmetic at 80 digits, and 0/0."""

from fractions import Fraction
from functools import wraps

from mpmath import mp, mpf

DIGITS = 80


def numbers(nest):
    """Each double (NumPy's too) of a nest of lists as the very number that it is, with no decimal reading between."""
    nest = nest.tolist() if hasattr(nest, "tolist") else nest
    if isinstance(nest, list | tuple):
        return [numbers(item) for item in nest]
    return mpf(nest.numerator) / nest.denominator if isinstance(nest, Fraction) else mpf(nest)


def exact(defaults=None):
    """Let a function that returns (or yields) a list compute at 80 digits, with `defaults` for what it is not given."""

    def decorate(function):
        @wraps(function)
        def call(*args, **kwargs):
            with mp.workdps(DIGITS):
                named = {name: numbers(value) for name, value in {**(defaults or {}), **kwargs}.items()}
                return list(function(*map(numbers, args), **named))

        return call

    return decorate


def ratio(above, below):
    """Return above/below, where 0/0 is 0: the rules without an epsilon stand still until the first gradient."""
    return mpf(0) if above == below == 0 else above / below
