"""A gradient against derivatives measured along directions; where they differ, element by element."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gradstep.array.namespaces import is_complex
from gradstep.gradient_check.derivative import SAFETY, Slope, complex_step, differences, noise
from gradstep.gradient_check.function import RealFunction, Reals, norm, sizes, typical
from gradstep.gradient_check.guess import guess
from gradstep.gradient_check.report import Element, ParameterCheck

COMPLEX, CENTRAL = "complex step", "central differences"
ALL = 64  # elements that are tested one by one


@dataclass(frozen=True)
class Comparison:
    """The gradient and the derivative along one direction.

    Attributes
    ----------
    state
        ``right``, ``wrong``, ``kink``, ``coarse`` (differences say too little), ``unsure`` (the complex step says that
        it is wrong, and differences say too little) or ``outside`` (there are no values).
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
    """The judge of a function's gradients, one parameter after the other."""

    def __init__(self, function: RealFunction, rng: np.random.Generator, rtol: float | None) -> None:
        self.function, self.rng, self.rtol = function, rng, rtol
        self.noise = noise(function, rng)

    def parameter(self, k: int, directions: int) -> ParameterCheck:
        """Judge parameter number ``k`` along so many directions."""
        name, x = self.function.names[k], self.function.origins[k]
        if not x.size:
            return ParameterCheck(name, True, False, "", 0.0, 0.0, message="has no elements")
        lines = [self.line(k, self.direction(k, i)) for i in range(directions)]
        doubted = ("wrong", "kink", "unsure")
        return self.closer(k, lines) if any(line.state in doubted for line in lines) else self.passed(k, lines)

    def passed(self, k: int, lines: list[Comparison]) -> ParameterCheck:
        """Return the finding for a parameter of which nothing is wrong."""
        right = [line for line in lines if line.state == "right"]
        return self.said(k, right or lines, ok=bool(right), message="" if right else reason(lines[0]))

    def closer(self, k: int, lines: list[Comparison]) -> ParameterCheck:
        """Check a parameter that looks wrong, or has a kink, element by element."""
        small = self.function.origins[k].size <= ALL
        found = {j: self.line(k, self.axis(k, j)) for j in self.elements(k)}
        odd = [line for line in lines if line.state == "wrong"]
        if odd and not small and not states(found, "wrong"):
            j = self.searched(k)
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
        return self.said(k, odd, wrong=True, message="wrong along a line, in no element that was tested")

    def wrong(self, k: int, lines: list[Comparison], wrong: list[int], found: dict[int, Comparison]) -> ParameterCheck:
        """Return the finding for a parameter with these wrong elements among those that were tested."""
        worst = self.element(k, max(wrong, key=lambda j: abs(found[j].given - found[j].measured)), found)
        many = f"{len(wrong)} of {len(found)} elements tested {'is' if len(wrong) == 1 else 'are'} wrong; "
        message = f"{place(worst.index)}gradient {worst.given:.6g}, derivative {worst.measured:.6g}"
        known = [(j, y.given, y.measured, y.tolerance) for j, y in found.items() if y.state in ("right", "wrong")]
        message = (many if len(found) > 1 else "") + message + guess(self.function, k, known)
        return self.said(k, lines, wrong=True, message=message, worst=worst, counts=(len(wrong), len(found)))

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

    def line(self, k: int, way: Reals) -> Comparison:
        """Compare along ``way``, which is as long as the parameter's numbers are large."""
        function, origin = self.function, self.function.origins[k]
        length = norm(way)
        d = way / length
        rounding = function.eps * norm((function.grads[k] * origin)[d != 0])
        step, finest = length * function.eps**0.2, length * function.eps * 1e3
        line = lambda t: function.at({k: origin + t * d})  # noqa: E731
        slope = differences(line, function.value, step, finest, self.noise, rounding, self.allowed(k) / 10)
        if slope is None:
            return Comparison("outside", float(function.grads[k] @ d))
        stepped = complex_step(function, k, d, 1e-30 * length, self.noise)
        return self.judged(k, d, slope, stepped)

    def judged(self, k: int, d: Reals, slope: Slope, stepped: float | None) -> Comparison:
        """Compare the gradient along ``d`` with differences and, where there is one, with a complex step."""
        grad = self.function.grads[k]
        given, usual = float(grad @ d), norm(self.function.nearby[k] * d)
        # An element's rounding is that of its neighbours.
        own = 0.01 * float(np.max(np.abs(grad))) if np.count_nonzero(d) == 1 else norm(grad * d)

        def made(measured: float, uncertain: float, way: str) -> Comparison:
            size = max(abs(given), abs(measured), own, 0.01 * usual)
            tolerance = self.allowed(k) * size + SAFETY * uncertain
            off = abs(given - measured)
            state = "wrong" if off > tolerance else "right" if tolerance <= 0.1 * max(size, usual) else "coarse"
            return Comparison(state, given, measured, off, tolerance, size, way, slope.left, slope.right)

        rough = made(slope.value, slope.error, CENTRAL)
        if slope.kink and slope.gap > 1e-3 * rough.size:
            low, high = sorted((slope.left, slope.right))
            slack = self.allowed(k) * rough.size + 1e-3 * slope.gap
            return replace(rough, state="kink" if low - slack <= given <= high + slack else "wrong")
        if stepped is not None and abs(stepped - slope.value) <= rough.tolerance:
            fine = made(stepped, 0.0, COMPLEX)
            return replace(fine, state="unsure") if fine.state == "wrong" and rough.state != "wrong" else fine
        return replace(rough, state="right") if slope.value == 0 == given else rough

    def allowed(self, k: int) -> float:
        """Return the error that a gradient may have, relative to its size."""
        return self.function.rtol(k, self.noise) if self.rtol is None else self.rtol

    def direction(self, k: int, i: int) -> Reals:
        """Return a random direction: all elements moved alike, or, every second time, each in proportion to its size.

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
        """Return all elements of a small parameter; of a large one some, and that with the largest gradient."""
        n = self.function.origins[k].size
        if n <= ALL:
            return list(range(n))
        largest = int(np.argmax(np.abs(self.function.grads[k])))
        some = self.rng.choice(n, ALL, replace=False).tolist()
        return sorted(some if largest in some else [largest, *some[1:]])

    def searched(self, k: int) -> int:
        """Find an element that is wrong, by halves."""
        where: NDArray[np.int64] = np.arange(self.function.origins[k].size)
        while len(where) > 1:
            half = where[: len(where) // 2]
            way = np.zeros_like(self.function.origins[k])
            way[half] = self.direction(k, 0)[half]
            where = half if self.line(k, way).state == "wrong" else where[len(half) :]
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
    return f"too coarse: gradient {line.given:.6g}, derivative {line.measured:.6g}, and the function too rough to tell"
