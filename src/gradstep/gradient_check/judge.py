"""A gradient against derivatives measured along directions; where they differ, element by element."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradstep.arrays import is_complex
from gradstep.gradient_check.derivative import SAFETY, Slope, complex_step, differences, noise
from gradstep.gradient_check.function import Function, Reals, norm, sizes, typical
from gradstep.gradient_check.guess import guess
from gradstep.gradient_check.report import Element, ParameterCheck

COMPLEX, CENTRAL = "complex step", "central differences"
ALL = 64  # elements that are tested one by one


@dataclass(frozen=True)
class Line:
    """What was found along one direction.

    Attributes
    ----------
    state
        ``right``, ``wrong``, ``kink``, ``coarse`` (the measurement says too little) or ``outside`` (no values there).
    given, measured
        The derivative that the gradient has, and the function.
    error, tolerance, size
        How far they are apart, how far they may be, and the size of the gradient to see it by.
    left, right
        The one-sided derivatives.
    """

    state: str
    given: float
    measured: float = np.nan
    error: float = np.nan
    tolerance: float = np.nan
    size: float = 1.0
    way: str = ""
    left: float = np.nan
    right: float = np.nan


class Judge:
    """Judges one parameter after the other."""

    def __init__(self, function: Function, rng: np.random.Generator, rtol: float | None) -> None:
        self.function, self.rng, self.rtol = function, rng, rtol
        self.noise = noise(function, rng)

    def parameter(self, k: int, directions: int) -> ParameterCheck:
        """Parameter number ``k``, along so many directions."""
        name, x = self.function.names[k], self.function.origins[k]
        if not x.size:
            return ParameterCheck(name, True, False, "", 0.0, 0.0, message="has no elements")
        lines = [self.line(k, self.direction(k, i)) for i in range(directions)]
        if any(line.state in ("wrong", "kink") for line in lines):
            return self.closer(k, lines)
        right = [line for line in lines if line.state == "right"]
        return self.said(k, right or lines, ok=bool(right), message="" if right else reason(lines[0]))

    def closer(self, k: int, lines: list[Line]) -> ParameterCheck:
        """A parameter that looks wrong, or has a kink: its elements one by one."""
        small = self.function.origins[k].size <= ALL
        found = {j: self.line(k, self.axis(k, j)) for j in self.elements(k)}
        odd = [line for line in lines if line.state == "wrong"]
        if odd and not small and not states(found, "wrong"):
            j = self.searched(k)
            found[j] = self.line(k, self.axis(k, j))
        wrong, kinks = states(found, "wrong"), states(found, "kink")
        if wrong:
            return self.wrong(k, odd or lines, wrong, found)
        if kinks or not odd:
            return self.said(k, lines, message=reason(([found[j] for j in kinks] or lines)[0]))
        if small and len(states(found, "right")) == len(found):
            return self.said(k, lines, message="right in each element and not in all together: not differentiable here")
        return self.said(k, odd, wrong=True, message="wrong along a line, in no element that was tested")

    def wrong(self, k: int, lines: list[Line], wrong: list[int], found: dict[int, Line]) -> ParameterCheck:
        """A parameter of which these elements are wrong, among those that were tested."""
        worst = self.element(k, max(wrong, key=lambda j: abs(found[j].given - found[j].measured)), found)
        many = f"{len(wrong)} of {len(found)} elements tested {'is' if len(wrong) == 1 else 'are'} wrong; "
        message = f"{place(worst.index)}gradient {worst.given:.6g}, derivative {worst.measured:.6g}"
        known = [(j, y.given, y.measured, y.tolerance) for j, y in found.items() if y.state in ("right", "wrong")]
        message = (many if len(found) > 1 else "") + message + guess(self.function, k, known)
        return self.said(k, lines, wrong=True, message=message, worst=worst, counts=(len(wrong), len(found)))

    def said(
        self,
        k: int,
        lines: list[Line],
        message: str,
        ok: bool = False,
        wrong: bool = False,
        worst: Element | None = None,
        counts: tuple[int, int] = (0, 0),
    ) -> ParameterCheck:
        """The line that is furthest off stands for the parameter."""
        line = max(lines, key=lambda y: np.nan_to_num(y.error / y.tolerance if y.tolerance else y.error))
        size, undecided = line.size or 1.0, not ok and not wrong
        error, tolerance = float(line.error / size), float(line.tolerance / size)
        return ParameterCheck(
            self.function.names[k], ok, undecided, line.way, error, tolerance, worst, *counts, message
        )

    def line(self, k: int, way: Reals) -> Line:
        """What is found along ``way``, which is as long as the parameter's numbers are large."""
        function, origin = self.function, self.function.origins[k]
        length = norm(way)
        d = way / length
        grad, given = function.grads[k], float(function.grads[k] @ d)
        part = d != 0
        step = length * function.eps**0.2
        rtol = function.rtol(k, self.noise) if self.rtol is None else self.rtol
        rounding = function.eps * norm((grad * origin)[part])
        finest = 1e3 * length * function.eps
        line = lambda t: function.at({k: origin + t * d})  # noqa: E731
        slope = differences(line, function.value, step, finest, self.noise, rounding, rtol / 10)
        if slope is None:
            return Line("outside", given)
        usual = norm(function.nearby[k] * d)
        size = max(abs(given), abs(slope.value), norm(grad * d), 0.01 * usual)
        if np.count_nonzero(part) == 1:  # its neighbours' rounding may be larger than an element
            size = max(size, 0.01 * float(np.max(np.abs(grad))))
        return self.judged(k, d, length, slope, given, size, usual, rtol)

    def judged(
        self, k: int, d: Reals, length: float, slope: Slope, given: float, size: float, usual: float, rtol: float
    ) -> Line:
        """A gradient along ``d`` beside the slope by differences and, if it can be had, the one by a complex step."""
        exact = rtol * size + 1e4 * self.function.eps * usual
        loose = exact + SAFETY * slope.error

        def made(state: str, measured: float, tolerance: float, way: str) -> Line:
            return Line(state, given, measured, abs(given - measured), tolerance, size, way, slope.left, slope.right)

        if slope.kink and slope.gap > 1e-3 * size:
            low, high = sorted((slope.left, slope.right))
            slack = exact + 1e-3 * slope.gap
            return made("kink" if low - slack <= given <= high + slack else "wrong", slope.value, loose, CENTRAL)
        off = abs(given - slope.value)
        stepped = complex_step(self.function, k, d, 1e-30 * length, self.noise)
        if stepped is not None and abs(stepped - slope.value) <= loose:
            state = "right" if abs(given - stepped) <= exact else "wrong" if off > loose else "coarse"
            return made(state, stepped, exact, COMPLEX)
        if off > loose:
            return made("wrong", slope.value, loose, CENTRAL)
        nothing = slope.value == 0 == given
        return made("right" if nothing or loose <= 0.1 * max(size, usual) else "coarse", slope.value, loose, CENTRAL)

    def direction(self, k: int, i: int) -> Reals:
        """A random direction: all elements moved alike, or, every second time, each as its size is.

        No element is left out, as it may be under normal numbers, and no two errors cancel, as they may under signs.
        """
        x = self.function.origins[k]
        r = self.rng.uniform(0.5, 1.5, x.shape) * self.rng.choice([-1.0, 1.0], x.shape)
        return r * (sizes(x) if i % 2 else typical(x))

    def axis(self, k: int, j: int) -> Reals:
        """The direction of element ``j`` alone."""
        x = self.function.origins[k]
        out = np.zeros_like(x)
        out[j] = sizes(x)[j]
        return out

    def elements(self, k: int) -> list[int]:
        """All elements of a small parameter; of a large one some, and that with the largest gradient."""
        n = self.function.origins[k].size
        if n <= ALL:
            return list(range(n))
        largest = int(np.argmax(np.abs(self.function.grads[k])))
        some = self.rng.choice(n, ALL, replace=False).tolist()
        return sorted(some if largest in some else [largest, *some[1:]])

    def searched(self, k: int) -> int:
        """An element that is wrong, by halves."""
        where: NDArray[np.int64] = np.arange(self.function.origins[k].size)
        while len(where) > 1:
            half = where[: len(where) // 2]
            way = np.zeros_like(self.function.origins[k])
            way[half] = self.direction(k, 0)[half]
            where = half if self.line(k, way).state == "wrong" else where[len(half) :]
        return int(where[0])

    def element(self, k: int, j: int, found: dict[int, Line]) -> Element:
        """Element ``j`` of the reals as one of the parameter."""
        x = self.function.leaves[k]
        if not is_complex(x):
            return Element(index(x.shape, j), found[j].given, found[j].measured)
        pair = [found.get(i) or self.line(k, self.axis(k, i)) for i in (j - j % 2, j - j % 2 + 1)]
        given, true = (complex(*(pick(y) for y in pair)) for pick in _PICKS)
        return Element(index(x.shape, j // 2), given, true)


_PICKS: tuple[Callable[[Line], float], ...] = (lambda y: y.given, lambda y: y.measured)


def index(shape: tuple[int, ...], j: int) -> tuple[int, ...]:
    """The place of element ``j``."""
    return tuple(int(i) for i in np.unravel_index(j, shape)) if shape else ()


def place(where: tuple[int, ...]) -> str:
    """``at [1, 0]: ``."""
    return f"at [{', '.join(map(str, where))}]: " if where else ""


def states(found: dict[int, Line], state: str) -> list[int]:
    """The elements of this state."""
    return [j for j, line in found.items() if line.state == state]


def reason(line: Line) -> str:
    """Why a gradient is undecided."""
    if line.state == "kink":
        return f"kink: from {line.left:.6g} to {line.right:.6g} by side, gradient {line.given:.6g}"
    if line.state == "outside":
        return "the function has no finite value beside this point"
    return f"too coarse: gradient {line.given:.6g}, derivative {line.measured:.6g}, and the function too rough to tell"
