"""A gradient against derivatives measured along directions; where they differ, element by element."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gradstep.array.namespaces import is_complex
from gradstep.gradient_check.derivative import SAFETY, Line, Slope, complex_step, is_rough, settled
from gradstep.gradient_check.function import RealFunction, Reals, norm, sizes, typical
from gradstep.gradient_check.guess import guess
from gradstep.gradient_check.jumps import explains
from gradstep.gradient_check.noise import noise
from gradstep.gradient_check.report import Element, ParameterCheck

JUMPS = "the function jumps near by, by what would make the difference"
COMPLEX, CENTRAL = "complex step", "central differences"
DOUBTED = ("wrong", "kink", "unsure")  # states of a comparison for which elements are looked at one by one
ALL = 64  # elements that are tested one by one
RESOLVED = 0.003  # of the gradient along a line: a tolerance that is larger says nothing
ROUNDED, LOST = 64, 256  # roundings of the largest element by which another may be off: it is right; that is not known
DECADES = 1e4  # elements whose weights are within this factor move together
SMALL = 1e-3  # a weight, relative to the largest, that needs not be seen beside it


@dataclass(frozen=True)
class Comparison:
    """The gradient and the derivative along one direction.

    Attributes
    ----------
    state
        ``right``, ``wrong``, ``kink``, ``coarse`` (what was measured says too little), ``unsure`` (it contradicts
        itself, or the difference may be rounding) or ``outside`` (there are no values).
    given, measured
        The derivative that the gradient has, and the function.
    error, tolerance, size
        How far they are apart, how far they may be, and the size of the gradient to see it by.
    way
        :data:`COMPLEX` or :data:`CENTRAL`.
    left, right
        The one-sided derivatives.
    d, reach
        The direction, and the step at which it was measured, relative to the parameter's numbers.
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
    d: Reals = field(default_factory=lambda: np.zeros(0), repr=False)
    reach: float = np.nan

    def is_near(self, measured: float) -> bool:
        """Return True where another measurement is within this one's tolerance."""
        return abs(measured - self.measured) <= self.tolerance


class Judge:
    """The judge of a function's gradients, one parameter after the other.

    Parameters
    ----------
    function, rng, rtol
        As :func:`~gradstep.gradient_check.check_gradient` has them.
    measures
        Measure the noise of the value. Without that it is taken for rounding: what is found right then is right, and
        nothing else that is found counts.
    """

    def __init__(
        self, function: RealFunction, rng: np.random.Generator, rtol: float | None, measures: bool = True
    ) -> None:
        self.function, self.rng, self.rtol = function, rng, rtol
        self.heaviest = max(float(np.max(self.weights(k), initial=0.0)) for k in range(len(function.origins)))
        self.noise = self._noise() if measures else function.eps * abs(function.value)
        self.is_exact = measures and self.noise <= 100 * function.eps * abs(function.value)

    def _noise(self) -> float:
        function, rng = self.function, self.rng
        ways = [sizes(x) * rng.choice([-1.0, 1.0], x.shape) for x in function.origins]
        moved = list(enumerate(zip(function.origins, ways, strict=True)))
        along = lambda t: function.at({k: x + t * way for k, (x, way) in moved})  # noqa: E731
        return noise(along, function.eps, function.value)

    def parameter(self, k: int, directions: int) -> ParameterCheck:
        """Judge parameter number ``k`` along so many random directions, and along groups of like elements."""
        found = self._parameter(k, directions)
        if found.ok or found.undecided:
            return found
        scatter, worst = self.function.scatter(k), found.worst
        if scatter and (worst is None or abs(worst.given - worst.measured) <= 10 * scatter):
            text = f"its noise is not in the value: where the generators go on it differs by up to {scatter:.3g}"
            return replace(found, undecided=True, worst=None, message=text)
        return found

    def _parameter(self, k: int, directions: int) -> ParameterCheck:
        name, x = self.function.names[k], self.function.origins[k]
        if not x.size:
            return ParameterCheck(name, True, False, "", 0.0, 0.0, message="has no elements")
        lines = [self.line(k, self.direction(k, i)) for i in range(directions)]
        if any(line.state in DOUBTED for line in lines):
            return self.closer(k, lines)
        groups = [y for way in self.groups(k) if not self.is_lost(k, way, y := self.line(k, way))]
        if any(line.state in DOUBTED for line in groups):
            return self.closer(k, groups)
        right = [line for line in lines if line.state == "right"]
        return self.passed(k, [line for line in groups if line.state != "right"] or right or groups or lines)

    def passed(self, k: int, lines: list[Comparison]) -> ParameterCheck:
        """Return the finding for a parameter of which nothing is wrong."""
        unknown = [line for line in lines if line.state != "right"]
        return self.said(k, unknown or lines, ok=not unknown, message=reason(unknown[0]) if unknown else "")

    def closer(self, k: int, lines: list[Comparison]) -> ParameterCheck:
        """Check a parameter that looks wrong, or has a kink, element by element."""
        small = self.function.origins[k].size <= ALL
        odd = [line for line in lines if line.state == "wrong"]
        near = min(1.0, max(line.reach for line in odd)) if odd else None
        found = {j: self.line(k, self.axis(k, j), near) for j in self.elements(k)}
        if odd and not small and not states(found, "wrong"):
            j = self.searched(k, odd[0].d)
            found[j] = self.line(k, self.axis(k, j))
        wrong, kinks = states(found, "wrong"), states(found, "kink")
        if wrong:
            return self.wrong(k, odd or lines, wrong, found)
        if kinks:
            where = place(self.index(k, kinks[0]))
            others = len(states(found, "right"))
            rest = f"; the other {others} tested: right" if others and len(kinks) + others == len(found) else ""
            many = f"{len(kinks)} elements at a kink, " if len(kinks) > 1 else ""
            return self.said(k, lines, message=f"{many}{where}{reason(found[kinks[0]])}{rest}")
        if not odd:
            return self.passed(k, lines)
        if small and len(states(found, "right")) == len(found):
            return self.said(k, lines, message="right in each element and not in all together: not differentiable here")
        if any(self.jumps(k, line) for line in odd):
            return self.said(k, odd, message=f"{JUMPS}: {compared(odd[0])}")
        return self.said(k, odd, wrong=True, message="wrong along a line, in no element that was tested")

    def jumps(self, k: int, line: Comparison) -> bool:
        """Return True where jumps of the function may be what sets the gradient and the derivative apart."""
        function, length = self.function, norm(line.d)
        d = line.d / length
        at = lambda t: function.at({k: function.origins[k] + t * d})  # noqa: E731
        return explains(at, line.given - line.measured, line.reach * length / 100, 10 * length, self.noise)

    def wrong(self, k: int, odd: list[Comparison], wrong: list[int], found: dict[int, Comparison]) -> ParameterCheck:
        """Return the finding for a parameter with these wrong elements among those that were tested."""
        j = max(wrong, key=lambda j: abs(found[j].given - found[j].measured))
        if self.jumps(k, found[j]):
            return self.said(k, odd, message=f"{place(self.index(k, j))}{JUMPS}: {compared(found[j])}")
        worst = self.element(k, j, found)
        many = f"{len(wrong)} of {len(found)} elements tested {'is' if len(wrong) == 1 else 'are'} wrong; "
        message = f"{place(worst.index)}gradient {worst.given:.6g}, derivative {worst.measured:.6g}"
        known = [(j, y.given, y.measured, y.tolerance) for j, y in found.items() if y.state in ("right", "wrong")]
        message = (many if len(found) > 1 else "") + message + guess(self.function, k, known)
        return self.said(k, odd, wrong=True, message=message, worst=worst, counts=(len(wrong), len(found)))

    def said(
        self,
        k: int,
        lines: list[Comparison],
        message: str,
        ok: bool = False,
        wrong: bool = False,
        worst: Element | None = None,
        counts: tuple[int, int] = (0, 0),
    ) -> ParameterCheck:
        """Return the finding for a parameter from the comparison that is furthest off."""
        line = max(lines, key=lambda y: np.nan_to_num(y.error / y.tolerance if y.tolerance else y.error))
        size, undecided = line.size or 1.0, not ok and not wrong
        error, tolerance = float(line.error / size), float(line.tolerance / size)
        return ParameterCheck(
            self.function.names[k], ok, undecided, line.way, error, tolerance, worst, *counts, message
        )

    def line(self, k: int, way: Reals, near: float | None = None) -> Comparison:
        """Compare along ``way``, which is as long as the parameter's numbers are large.

        Parameters
        ----------
        k, way
            The parameter, and the direction.
        near
            The step, relative to ``way``, at which others have been measured, to begin with; two steps that agree are
            enough there.
        """
        function, origin = self.function, self.function.origins[k]
        length = norm(way)
        d = way / length
        rounding = function.eps * norm((function.grads[k] * origin)[d != 0])
        first = length * (function.eps**0.2 if near is None else near)
        steps = first, length * function.eps * 1e3, length
        line = Line(lambda t: function.at({k: origin + t * d}), function.value, steps, self.noise, rounding)
        stepped = complex_step(function, k, d, 1e-30 * length, self.noise)
        slopes: list[Slope] = []
        for slope in line.slopes():
            if slope.kink:
                slopes = [slope]
                break
            slopes.append(slope)
            rough = self.compared(k, d, slope)
            if slope.flat and rough.given == 0 and self.is_seen(length * slope.error):
                return replace(rough, state="right", d=way, reach=slope.step / length)
            if rough.state == "right" and SAFETY * slope.error <= self.allowed(k) * rough.size:
                break
            is_fine = SAFETY * slope.error <= 1e-3 * rough.size
            if stepped is not None and rough.is_near(stepped) and is_fine:
                break
            if near is not None and is_fine and len(slopes) > 1 and not slope.excludes(slopes[-2]):
                break
        best = settled(slopes, line.noise)
        if best is None:
            return Comparison("outside", float(function.grads[k] @ d))
        out = self.judged(k, d, best, slopes, stepped)
        is_lost = best.step > length and abs(best.value) * best.step <= 20 * line.noise  # it may turn within the step
        if out.state == "wrong" and (is_lost or is_rough(best, slopes, line.noise)):
            out = replace(out, state="unsure")
        return replace(out, d=way, reach=function.eps**0.2 if best.kink else best.step / length)

    def judged(self, k: int, d: Reals, best: Slope, slopes: Sequence[Slope], stepped: float | None) -> Comparison:
        """Compare the gradient along ``d`` with differences and, where there is one, with a complex step."""
        rough = self.compared(k, d, best)
        usual = max(rough.size, norm(self.function.nearby[k] * d))
        if best.kink and best.gap > 1e-3 * max(rough.size, 0.01 * usual):
            low, high = sorted((best.left, best.right))
            slack = self.allowed(k) * rough.size + 1e-3 * best.gap
            return replace(rough, state="kink" if low - slack <= rough.given <= high + slack else "wrong")
        if stepped is not None and rough.is_near(stepped):
            fine = self.compared(k, d, replace(best, value=stepped, error=0.0), COMPLEX)
            if fine.state == "wrong" and rough.state != "wrong":
                return replace(fine, state="unsure")
            return fine if fine.state != "right" or rough.tolerance <= 0.1 * usual else rough
        if rough.state == "wrong" and not self.is_sure(k, d, best, slopes, stepped):
            return replace(rough, state="unsure")
        return rough

    def is_sure(self, k: int, d: Reals, best: Slope, slopes: Sequence[Slope], stepped: float | None) -> bool:
        """Return True where a second step finds the gradient wrong too, and nothing that was measured right."""
        others = [(one, self.compared(k, d, one)) for one in slopes if one is not best]
        agree = any(y.state == "wrong" and not one.excludes(best) for one, y in others)
        contradicted = any(
            y.error <= y.tolerance and (one.excludes(best) or one.prefers(y.given, best)) for one, y in others
        )
        as_stepped = (
            stepped is not None and self.compared(k, d, replace(best, value=stepped, error=0.0)).state != "wrong"
        )
        return agree and not contradicted and not as_stepped

    def compared(self, k: int, d: Reals, slope: Slope, way: str = CENTRAL) -> Comparison:
        """Compare the gradient along ``d`` with one derivative."""
        grad, nearby, measured = self.function.grads[k], self.function.nearby[k], slope.value
        given, usual = float(grad @ d), norm(nearby * d)
        size = max(abs(given), abs(measured), norm(grad * d))
        rounding = self.rounding(k, d)
        allowed = self.allowed(k) * max(size, 0.01 * usual) + SAFETY * slope.error
        tolerance = allowed + ROUNDED * rounding
        off = abs(given - measured)
        if off <= tolerance:
            own = rounding * self.function.precision(k, 0.0) / self.function.precision(k, self.noise)
            is_small = tolerance <= max(max(RESOLVED, 2 * self.allowed(k)) * size, 1e-5 * usual)
            is_small |= tolerance <= 2 * ROUNDED * rounding and off <= max(RESOLVED * size, 2 * ROUNDED * own)
            state = "right" if is_small else "coarse"
        else:
            state = "wrong" if off > max(2 * allowed, allowed + LOST * rounding) else "unsure"
        return Comparison(state, given, measured, off, tolerance, max(size, 0.01 * usual), way, slope.left, slope.right)

    def is_seen(self, change: float) -> bool:
        """Return True where such a change of the value would not be lost beside those that the gradients make."""
        return self.is_exact or SAFETY * change <= SMALL * self.heaviest

    def rounding(self, k: int, d: Reals) -> float:
        """Return the rounding along ``d``: that of larger elements, or of larger terms, which cancel here, not nearby.

        Large are those in the gradient as it is, or by what they weigh, where that is less.
        """
        grad, nearby, size = np.abs(self.function.grads[k]), self.function.nearby[k], sizes(self.function.origins[k])
        moved = d != 0
        plain = max(np.max(grad), np.max(nearby[moved]))
        weighed = max(np.max(grad * size), np.max((nearby * size)[moved])) * norm(d / size)
        return float(self.function.precision(k, self.noise) * min(plain, weighed))

    def allowed(self, k: int) -> float:
        """Return the error that a gradient may have, relative to its size."""
        return self.function.rtol(k, self.noise) if self.rtol is None else self.rtol

    def groups(self, k: int) -> list[Reals]:
        """Return directions of elements that weigh alike, each by what it takes to change the value as the others do.

        Whatever units elements have, one that is wrong is seen among its like. Those with the gradient zero are one
        group.
        """
        x, size = self.function.origins[k], self.weights(k)
        out: list[Reals] = []
        left = size > 0
        if not left.all():
            out.append(np.where(left, 0.0, self.direction(k, 1)))
        while left.any():
            top = float(np.max(size[left]))
            group = left & (size >= top / DECADES)
            signs = self.rng.uniform(0.5, 1.5, x.shape) * self.rng.choice([-1.0, 1.0], x.shape)
            least = float(np.min(size[group]))
            out.append(np.where(group, signs * sizes(x) * least / np.where(group, size, 1.0), 0.0))
            left &= ~group
        return out

    def weights(self, k: int) -> Reals:
        """Return how much the value changes, about, where each element moves by its own size."""
        size = np.maximum(np.abs(self.function.grads[k]), self.function.nearby[k])
        return size * sizes(self.function.origins[k])

    def is_lost(self, k: int, way: Reals, line: Comparison) -> bool:
        """Return True for a group that the function's digits do not show, and that does not count beside the others.

        Elements that are zero have no size of their own to tell.
        """
        moved = way != 0
        most = (abs(line.given) + line.tolerance) * norm(way)
        return bool(
            line.state in ("coarse", "unsure")
            and self.function.origins[k][moved].all()
            and most <= SMALL * float(np.max(self.weights(k)))
        )

    def direction(self, k: int, i: int) -> Reals:
        """Return a random direction: elements moved alike, but by at most a hundred times their size, or in proportion.

        No element is left out, as it may be under normal numbers, and no two errors cancel, as they may under signs.
        """
        x = self.function.origins[k]
        r = self.rng.uniform(0.5, 1.5, x.shape) * self.rng.choice([-1.0, 1.0], x.shape)
        return r * (sizes(x) if i % 2 else np.minimum(typical(x), 100 * sizes(x)))

    def axis(self, k: int, j: int) -> Reals:
        """The direction of element ``j`` alone."""
        x = self.function.origins[k]
        out = np.zeros_like(x)
        out[j] = sizes(x)[j]
        return out

    def elements(self, k: int) -> list[int]:
        """Return all elements of a small parameter; of a large one some, and that with the largest gradient."""
        n = self.function.origins[k].size
        if n <= ALL:
            return list(range(n))
        largest = int(np.argmax(np.abs(self.function.grads[k])))
        some = self.rng.choice(n, ALL, replace=False).tolist()
        return sorted(some if largest in some else [largest, *some[1:]])

    def searched(self, k: int, way: Reals) -> int:
        """Find an element that is wrong, by halves of the direction along which it was seen."""
        where: NDArray[np.int64] = np.flatnonzero(way)
        while len(where) > 1:
            half = where[: len(where) // 2]
            part = np.zeros_like(way)
            part[half] = way[half]
            where = half if self.line(k, part).state == "wrong" else where[len(half) :]
        return int(where[0])

    def element(self, k: int, j: int, found: dict[int, Comparison]) -> Element:
        """Element ``j`` of the reals as one of the parameter."""
        x = self.function.leaves[k]
        if not is_complex(x):
            return Element(self.index(k, j), found[j].given, found[j].measured)
        pair = [found.get(i) or self.line(k, self.axis(k, i)) for i in (j - j % 2, j - j % 2 + 1)]
        return Element(self.index(k, j), complex(*(y.given for y in pair)), complex(*(y.measured for y in pair)))

    def index(self, k: int, j: int) -> tuple[int, ...]:
        """The place in the parameter of number ``j`` of its reals."""
        x = self.function.leaves[k]
        return tuple(int(i) for i in np.unravel_index(j // 2 if is_complex(x) else j, x.shape)) if x.shape else ()


def place(where: tuple[int, ...]) -> str:
    """``at [1, 0]: ``."""
    return f"at [{', '.join(map(str, where))}]: " if where else ""


def states(found: dict[int, Comparison], state: str) -> list[int]:
    """Return the elements of this state."""
    return [j for j, line in found.items() if line.state == state]


def reason(line: Comparison) -> str:
    """Return the sentence that says what left a gradient undecided."""
    if line.state == "kink":
        return f"one-sided derivatives {line.left:.6g} and {line.right:.6g} (kink), gradient {line.given:.6g}"
    if line.state == "outside":
        return "the function has no finite value beside this point"
    return f"too coarse: {compared(line)}, and the function too rough to tell"


def compared(line: Comparison) -> str:
    """Return both numbers in words."""
    return f"gradient {line.given:.6g}, derivative {line.measured:.6g}"
