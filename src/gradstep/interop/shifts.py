"""Chains that move the parameters by the same amount wherever these are: they need gradients alone."""

from typing import Any

from gradstep.form.chain import Program, run, terms


class _Shift:
    """An operand that knows how far it moves when theta is moved by one: not at all, by one, or by what is unknown."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, by: int | None) -> None:
        self.by = by

    def __add__(self, other: Any) -> "_Shift":
        return _sum(self, other, 1)

    def __sub__(self, other: Any) -> "_Shift":
        return _sum(self, other, -1)

    def __rsub__(self, other: Any) -> "_Shift":
        return _sum(other, self, -1)

    def __mul__(self, other: Any) -> "_Shift":
        return _mixed(self, other)

    def __neg__(self) -> "_Shift":
        return _mixed(self)

    __radd__ = __add__
    __rmul__ = __truediv__ = __rtruediv__ = __lt__ = __gt__ = __mul__

    def speak(self, _word: str, operands: tuple[Any, ...]) -> "_Shift":
        """A word over operands: it moves where one of them does, nobody knows how far."""
        return _mixed(*operands)


def _by(x: Any) -> int | None:
    return x.by if isinstance(x, _Shift) else 0


def _mixed(*operands: Any) -> _Shift:
    return _Shift(None if any(map(_by, operands)) or None in map(_by, operands) else 0)


def _sum(a: Any, b: Any, sign: int) -> _Shift:
    left, right = _by(a), _by(b)
    return _Shift(None if left is None or right is None else left + sign * right)


def asks_for_parameters(program: Program) -> str:
    """Return why a chain needs the parameters, ``"decay takes them"``; empty where it moves them all the same."""
    theta, g = _Shift(1), _Shift(0)
    for part in program.parts:
        rule, reason = part.rule, f"{part.label} takes them"
        if rule.whole or rule.wraps:
            return reason
        slots, numbers = [_Shift(0) for _ in rule.state], [_Shift(0) for _ in rule.numbers]
        sums = terms(rule, [theta, theta, g, *slots], numbers, lambda x: x)
        theta, g, (after,), _ = run([rule], theta, g, [slots], [numbers])
        starts_there = any(how == "theta" or callable(how) for how in rule.start.values())
        if starts_there or _by(theta) != 1 or any(_by(x) != 0 for x in (*sums, g, *after)):
            return reason
    return ""
