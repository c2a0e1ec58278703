"""Are a function's gradients right? By differences, by forward mode, and of the second order likewise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from pytest_dlcheck.gradients.argument import (
    LARGER,
    NEGLIGIBLE,
    RESOLVED,
    ROUNDED_OTHERWISE,
    Argument,
    Look,
    Place,
    largest,
    neighbour,
    signs,
)
from pytest_dlcheck.gradients.jacobian import size_of
from pytest_dlcheck.gradients.lines import projected
from pytest_dlcheck.gradients.outcome import KINK, NOISE, NONDETERMINISTIC, OK, UNSUPPORTED, WEAK, WRONG, Row
from pytest_dlcheck.gradients.precision import of_steps, unit_roundoff_of
from pytest_dlcheck.gradients.program import Array, NoDerivative, Program, zeros_for_none
from pytest_dlcheck.seeds import derive
from pytest_dlcheck.tolerance import of_adjoint, of_sum

__all__ = ["DIRECTIONS", "GradientCheck", "apart"]

DIRECTIONS = 3
"""Random directions for each argument: three find one wrong entry, and all entries 1 % off, always (docs/gradients.md)."""


SCALE = 2.0**10
"""By how much a cotangent is multiplied to see whether the gradient follows: beyond what a clipped gradient lets through."""


class GradientCheck:
    """Checks a program's gradients at one point.

    Args:
        program: in NumPy terms.
        point: one float64 array per argument.
        seed: of the directions.
        mode: what the rows call the mode.
        check: what they call the check by differences.
        directions: how many.
        free: per argument, the entries along which it may be moved; all by default.
        least_roundoff: the unit roundoff that it computes in is no less than this, whatever its outputs look like.
        magnitude: what its outputs are made of is no smaller than this, however small they are.
    """

    def __init__(
        self,
        program: Program,
        point: Sequence[Array],
        *,
        seed: int,
        mode: str = "eager",
        check: str = "numeric",
        directions: int = DIRECTIONS,
        free: Sequence[Array] | None = None,
        least_roundoff: float = 0.0,
        magnitude: float = 0.0,
    ) -> None:
        self.program, self.point, self.mode, self.check = program, list(point), mode, check
        self.directions, self.least_roundoff, self.magnitude = directions, least_roundoff, magnitude
        self.rng = np.random.default_rng(derive(seed, check))
        self.cancelled = False
        self.free = [np.ones(x.shape, dtype=bool) for x in point] if free is None else [np.array(each) for each in free]
        self.sizes = [size_of(x) for x in point]

    @cached_property
    def outputs(self) -> list[Array]:
        return self.program.value(self.point)

    @cached_property
    def unit_roundoff(self) -> float:
        # At a point where nothing is exact by chance.
        moved = [x + size * 1e-3 * self.rng.standard_normal(x.shape) for x, size in zip(self.point, self.sizes, strict=True)]
        direction = [size * along for size, along in zip(self.sizes, self._signs(self.point), strict=True)]
        by_steps = of_steps(self.program.value, moved, direction, self.magnitude)
        return max(self.least_roundoff, by_steps, unit_roundoff_of(self.program.value(moved), self.magnitude))

    def _signs(self, arrays: Sequence[Array]) -> list[Array]:
        return [signs(self.rng, each.shape) for each in arrays]

    @cached_property
    def looks(self) -> list[Look]:
        found = []
        for _ in range(self.directions):
            vs = self._signs(self.outputs)
            found.append(Look(vs, self.program.reverse(self.point, vs)))
        return found

    def rows(self, *, forward: bool = True) -> Iterator[Row]:
        """Every check; a single row of argument `all` where nothing can be looked at."""
        said = self._unfit()
        if said is not None:
            yield said
            return
        place = Place(self.program, self.point, self.outputs, self.looks, self.unit_roundoff, self.magnitude)
        for index in range(len(self.point)):
            argument = Argument(place, index, self.sizes[index], self.free[index], self.rng)
            yield argument.row(self.check, self.mode)
            self.cancelled = self.cancelled or argument.cancelled
        if forward:
            yield self._forward()

    def _all(self, check: str, verdict: str, message: str, error: float | None = None, tolerance: float | None = None) -> Row:
        return Row("all", check, self.mode, verdict, message, error, tolerance)

    def _unfit(self) -> Row | None:
        """What makes all other checks meaningless."""
        if not self.outputs:
            return self._all(self.check, WRONG, "the function has no output of a floating dtype: nothing to differentiate")
        if not all(np.isfinite(each).all() for each in self.outputs):
            if self.check == "numeric":
                return self._all(self.check, NOISE, "the function's own value is not finite at this point: choose another")
            return self._all(self.check, KINK, "the first derivative is infinite at this point")
        try:
            first, again = self.looks[0], self.program.reverse(self.point, self.looks[0].vs)
        except NoDerivative as error:
            verdict = WRONG if self.check == "numeric" else UNSUPPORTED
            return self._all(self.check, verdict, f"reverse mode fails: {error}")
        names = [
            *(f"output {number}" for number in range(len(self.outputs))),
            *(f"the gradient by {n}" for n in self.program.names),
        ]
        # Not by how rough the function is: one that draws anew is as rough as can be.
        unit_roundoff = max(self.least_roundoff, unit_roundoff_of(self.outputs))
        once = [*self.outputs, *zeros_for_none(first.gradient, self.point)]
        twice = [*self.program.value(self.point), *zeros_for_none(again, self.point)]
        for name, one, other in zip(names, once, twice, strict=True):
            gap = apart(one, other)
            if gap > of_adjoint(largest(one), unit_roundoff=unit_roundoff):
                said = f"two evaluations at one point: {name} differs by {gap:.3g} (a seed that is not fixed? a state?)"
                return self._all(self.check, NONDETERMINISTIC, said)
        return self._nonlinear(first)

    def _nonlinear(self, look: Look) -> Row | None:
        """J^T v is linear in v, and a power of two changes no digit: what clips or normalizes cotangents shows."""
        scaled = self.program.reverse(self.point, [SCALE * v for v in look.vs])
        for name, one, other in zip(self.program.names, look.gradient, scaled, strict=True):
            if one is None or other is None:
                continue
            gap = apart(one, other / SCALE)
            if gap > of_adjoint(largest(one), unit_roundoff=self.unit_roundoff):
                said = (
                    f"not linear in the cotangent: for {SCALE:g} v, the gradient by {name} is not {SCALE:g} times that for v "
                    f"(off by {SCALE * gap:.3g}): is something clipped?"
                )
                return self._all(self.check, WRONG, said)
        return None

    def _forward(self) -> Row:
        """The adjoint identity <v, J u> = <J^T v, u>, which needs no step.

        One pair of directions does: both sides are exact but for rounding, and real numbers at random do not make a wrong
        derivative meet an identity.
        """
        check = "forward" if self.check == "numeric" else f"{self.check}, forward"
        look = self.looks[0]
        if any(gradient is not None and np.isinf(gradient).any() for gradient in look.gradient):
            return self._all(check, KINK, "an infinite derivative, which forward mode cannot leave out of a direction")
        us = [
            np.where(free, along * size, 0.0)
            for free, along, size in zip(self.free, self._signs(self.point), self.sizes, strict=True)
        ]
        try:
            along, back, size = self._adjoint(look, us)
        except NoDerivative as error:
            return self._all(check, UNSUPPORTED, str(error))
        gap, said = abs(along - back), f"<v, J u> is {along:.9g} and <J^T v, u> {back:.9g}"
        made_of = max(self.magnitude, projected(look.vs, self.outputs)[1])
        allowed = exact = self._allowed(size, made_of)
        if not gap <= allowed:
            allowed += self._rounding(look, us)
        shares = gap / (size or 1.0), allowed / (size or 1.0)
        if not gap <= allowed:
            guilty = [str(name) for name, u in zip(self.program.names, self._alone(us), strict=True) if self._differ(look, u)]
            by = f" (by {', '.join(guilty)})" if guilty else ""
            return self._all(check, WRONG, said + by, *shares)
        if gap > exact and 0 in (along, back):
            return self._all(check, WEAK, f"{said}, which is what rounding leaves of zero", *shares)
        if gap > exact and allowed > max(RESOLVED * size, NEGLIGIBLE * made_of):
            return self._all(check, NOISE, f"{said}, and rounding alone does as much", *shares)
        return self._all(check, OK, "<v, J u> = <J^T v, u>", *shares)

    def _rounding(self, look: Look, us: Sequence[Array]) -> float:
        """How much the gap between the two sides changes at points next to this one, and with multiples of the cotangent.

        The identity holds at each of them. A derivative that is wrong leaves much the same gap, for the multiple; one that is
        right, but computed by differences of large numbers, leaves another one everywhere.
        """
        gaps = []
        for multiple in ROUNDED_OTHERWISE:
            point, vs = (neighbour(each, self.unit_roundoff, self.rng) for each in (self.point, look.vs))
            vs = [multiple * v for v in vs]
            along, _ = projected(vs, self.program.forward(point, us))
            gradients = zeros_for_none(self.program.reverse(point, vs), point)
            back, _ = projected(us, [np.where(free, g, 0.0) for free, g in zip(self.free, gradients, strict=True)])
            gaps.append((along - back) / multiple)
        return float(LARGER * np.ptp(gaps)) if np.isfinite(gaps).all() else 0.0

    def _adjoint(self, look: Look, us: Sequence[Array]) -> tuple[float, float, float]:
        """The two sides, and the magnitude of what they sum up."""
        along, size = projected(look.vs, self.program.forward(self.point, us))
        gradients = zeros_for_none(look.gradient, self.point)
        back, other = projected(us, [np.where(free, g, 0.0) for free, g in zip(self.free, gradients, strict=True)])
        return along, back, size + other

    def _alone(self, us: Sequence[Array]) -> Iterator[list[Array]]:
        for index in range(len(us)):
            yield [u if place == index else np.zeros_like(u) for place, u in enumerate(us)]

    def _allowed(self, size: float, made_of: float) -> float:
        """Rounding of the two sides, and of what cancelled in them: of that the outputs are made."""
        unit_roundoff = self.unit_roundoff
        return of_adjoint(size, unit_roundoff=unit_roundoff) + float(of_sum(made_of, unit_roundoff=unit_roundoff))

    def _differ(self, look: Look, us: Sequence[Array]) -> bool:
        along, back, size = self._adjoint(look, us)
        return not abs(along - back) <= self._allowed(size, max(self.magnitude, projected(look.vs, self.outputs)[1]))

    def of_gradient(self, *, seed: int) -> GradientCheck:
        """The same check of the function x -> J(x)^T v, away from the corners that this one has found."""
        vs = self.looks[0].vs
        # A gradient is made of quantities of the size of the outputs over that of the arguments, whatever cancels; where the
        # outputs themselves did, of the size of the cotangents.
        _, made_of = projected(vs, self.outputs)
        if self.cancelled or made_of == 0:
            made_of += sum(float(np.sum(np.abs(v))) for v in vs)
        return GradientCheck(
            self.program.derivative(vs),
            self.point,
            seed=seed,
            mode=self.mode,
            check="second order",
            directions=self.directions,
            free=self.free,
            least_roundoff=self.unit_roundoff,
            magnitude=made_of / min(self.sizes),
        )


def apart(one: Array, other: Array) -> float:
    """The largest difference; infinite where one is not a number and the other is."""
    if np.array_equal(one, other, equal_nan=True):
        return 0.0
    with np.errstate(invalid="ignore"):  # infinity less infinity: equal
        gap = np.where((one == other) | (np.isnan(one) & np.isnan(other)), 0.0, np.abs(one - other))
    return float(np.max(np.nan_to_num(gap, nan=np.inf), initial=0.0))
