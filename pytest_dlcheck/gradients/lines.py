"""Derivatives along a line, from values alone: central and one-sided differences, extrapolation, Taylor remainders."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_dlcheck.gradients.program import Array
from pytest_dlcheck.tolerance import of_quotient

__all__ = [
    "Estimate",
    "Jump",
    "Line",
    "best_step",
    "extrapolated",
    "jump",
    "projected",
    "refined",
    "rough",
    "taylor_order",
]

# Ridders' tableau: steps from a tenth of the argument's size down, each smaller by this factor.
LARGEST_STEP = 0.1
SHRINK = 6.0
LEVELS = 9

# Points on each side among which corners nearby show, and the space between them in best steps: together they reach further
# than two entries come towards each other within the steps of `refined`.
NEARBY, SPACING = 4, 4


def projected(vs: Sequence[Array], outputs: Sequence[Array]) -> tuple[float, float]:
    """<v, f> over all outputs, and the sum of the magnitudes of its terms."""
    terms = [np.asarray(v * output, dtype=np.float64) for v, output in zip(vs, outputs, strict=True)]
    return sum(float(np.sum(each)) for each in terms), sum(float(np.sum(np.abs(each))) for each in terms)


class Line:
    """t -> <v, f(x + t u)>, each point evaluated once.

    Args:
        value: f, from all arguments to all outputs.
        point: the arguments x.
        index: of the argument that moves.
        direction: u, of its shape.
        vs: v, one array per output.
        unit_roundoff: of the dtype that f computes in.
        magnitude: of what <v, f> adds up, at least: of a gradient that cancels, what it is made of.
        moving: for each output, which of its entries depend on the argument; all by default. The others' rounding is the same
            at every point, and changes no difference.
    """

    def __init__(
        self,
        value: Callable[[Sequence[Array]], Sequence[Array]],
        point: Sequence[Array],
        *,
        index: int,
        direction: Array,
        vs: Sequence[Array],
        unit_roundoff: float,
        magnitude: float = 0.0,
        moving: Sequence[Array] | None = None,
    ) -> None:
        self._value, self._point, self._index, self._moving = value, point, index, moving
        self._direction, self._vs = direction, vs
        self.unit_roundoff = unit_roundoff
        self._seen: dict[float, float] = {}
        self.magnitude = magnitude

    def __call__(self, t: float) -> float:
        if t not in self._seen:
            moved = list(self._point)
            moved[self._index] = moved[self._index] + t * self._direction
            outputs = self._value(moved)
            if self._moving is not None:
                outputs = [np.where(each, output, 0.0) for each, output in zip(self._moving, outputs, strict=True)]
            total, magnitude = projected(self._vs, outputs)
            self._seen[t] = total
            self.magnitude = max(self.magnitude, magnitude) if math.isfinite(magnitude) else self.magnitude
        return self._seen[t]

    def noise(self, step: float) -> float:
        """How much rounding of f, by some units in each of its outputs, may change a difference quotient with this step."""
        return float(of_quotient(self.magnitude, step, unit_roundoff=self.unit_roundoff))

    @property
    def smallest(self) -> float:
        """The least step at which one-sided differences are still told from rounding."""
        return 4 * math.sqrt(self.unit_roundoff)

    def central(self, step: float) -> float:
        """(g(h) - g(-h)) / 2h, whose error is h^2 g'''/6 and noise."""
        return (self(step) - self(-step)) / (2 * step)


@dataclass(frozen=True)
class Estimate:
    """A derivative, and how far off it may be."""

    value: float
    error: float


def best_step(unit_roundoff: float) -> float:
    """u^(1/3): the step of a central difference, in units of the argument's size, that balances truncation and rounding."""
    return float(unit_roundoff ** (1 / 3))


def refined(line: Line) -> Estimate:
    """The derivative at 0 by one Richardson step, in four evaluations: for many entries, where `extrapolated` is too much."""
    step = 4 * best_step(line.unit_roundoff)
    coarse, fine = line.central(step), line.central(step / 2)
    error = abs(fine - coarse) / 3 + line.noise(step / 2)
    return Estimate((4 * fine - coarse) / 3, error if math.isfinite(error) else math.inf)


def extrapolated(line: Line) -> Estimate:
    """The derivative at 0 by Ridders' method: central differences with falling steps, extrapolated to step zero.

    C. J. F. Ridders, Accurate computation of F'(x) and F'(x)F''(x), Advances in Engineering Software 4(2), 1982. The error is
    the least disagreement between neighbours in the tableau, and no less than what rounding does at that step.
    """
    best = Estimate(math.nan, math.inf)
    previous: list[float] = []
    for level in range(LEVELS):
        step = LARGEST_STEP / SHRINK**level
        row = [line.central(step)]
        if not math.isfinite(row[0]):  # the function has no value so far away, or just there
            previous = []
            continue
        for order, older in enumerate(previous, 1):
            factor = SHRINK ** (2 * order)
            row.append((factor * row[-1] - older) / (factor - 1))
            error = max(abs(row[-1] - row[-2]), abs(row[-1] - older), line.noise(step))
            if error < best.error:
                best = Estimate(row[-1], error)
        previous = row
    return best


@dataclass(frozen=True)
class Jump:
    """The derivatives from both sides at a point where they differ.

    Attributes:
        left: (g(0) - g(-h)) / h for the smallest step.
        right: (g(h) - g(0)) / h.
        unbounded: whether they grow as the step falls: a root at zero, the edge of the domain, a step of the function itself.
    """

    left: float
    right: float
    unbounded: bool

    def admits(self, slope: float, error: float) -> bool:
        """Whether a derivative given at the point lies between the two: a subgradient, where the function is convex."""
        if math.isnan(slope):
            return False
        if self.unbounded or not (math.isfinite(self.left) and math.isfinite(self.right)):
            return True
        if math.isinf(slope):
            return False
        return min(self.left, self.right) - error <= slope <= max(self.left, self.right) + error


def jump(line: Line) -> Jump | None:
    """Where the one-sided derivatives at 0 differ, these; None where the function is smooth.

    Of a smooth function they differ by h g'', which falls with the step; at a kink the difference stays.
    """
    small = line.smallest
    large = 64 * small
    sides = {}
    for step in (large, small):
        sides[step] = ((line(0.0) - line(-step)) / step, (line(step) - line(0.0)) / step)
    left, right = sides[small]
    if not (math.isfinite(left) and math.isfinite(right)):
        return Jump(left, right, unbounded=True)
    gap, earlier = abs(right - left), abs(sides[large][1] - sides[large][0])
    # A step of the function itself may be as high on both sides, but the quotients grow as they are taken closer.
    steepest, steepest_before = max(abs(left), abs(right)), max(map(abs, sides[large]))
    if steepest > 4 * steepest_before and steepest > 8 * line.noise(small):
        return Jump(left, right, unbounded=True)
    # Smooth: the gap falls 64 times. A kink: it stays, or comes to show only near the point.
    if gap <= 4 * line.noise(small) or gap < earlier / 8:
        return None
    return Jump(left, right, unbounded=gap > 4 * earlier and math.isfinite(earlier) and earlier > 0)


def rough(line: Line) -> bool:
    """Whether there is a corner or a step of the function as near as the steps of differences reach.

    Third differences tell: of a smooth function they are h^3 g''', which its rounding hides, and a corner of slope s leaves s h
    in them.
    """
    spacing = SPACING * best_step(line.unit_roundoff)
    values = [line(count * spacing) for count in range(-NEARBY, NEARBY + 1)]
    if not np.isfinite(values).all():
        return True
    return float(np.max(np.abs(np.diff(values, 3)))) > spacing * line.noise(spacing)


def taylor_order(line: Line, slope: float) -> float:
    """The order in h of |g(h) - g(0) - h g'(0)| for a claimed g'(0): 2 if the claim is right, 1 if it is not.

    Needs no step size to be chosen, since it is fitted over all steps at which the remainder stands out of the noise. NaN if
    there are fewer than three of those; infinity if the remainder is nothing but noise.
    """
    points = []
    for level in range(LEVELS):
        step = LARGEST_STEP / SHRINK**level
        remainder = abs(line(step) - line(0.0) - step * slope)
        if math.isfinite(remainder) and remainder > 8 * line.noise(step) * step:
            points.append((math.log(step), math.log(remainder)))
    if not points:
        return math.inf
    if len(points) < 3:
        return math.nan
    # The smallest steps tell; at the large ones higher orders mix in.
    (xs, ys) = np.transpose(points[-4:])
    return float(np.polyfit(xs, ys, 1)[0])
