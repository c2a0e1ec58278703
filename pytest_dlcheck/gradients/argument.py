"""One argument of a function: is its gradient what differences of the function say?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pytest_dlcheck.gradients.jacobian import entries
from pytest_dlcheck.gradients.kinks import Kinks, find_kinks
from pytest_dlcheck.gradients.lines import LARGEST_STEP, Line, best_step, extrapolated, jump, refined, rough, taylor_order
from pytest_dlcheck.gradients.outcome import KINK, NOISE, OK, WEAK, WRONG, Row
from pytest_dlcheck.gradients.program import Array, Program
from pytest_dlcheck.tolerance import of_differences, of_sum

__all__ = ["LARGER", "ROUNDED_OTHERWISE", "Argument", "Look", "Place", "largest", "neighbour", "signs"]

# What a difference quotient must resolve: where it may be off by more of the gradient than this, nothing is decided.
RESOLVED = 0.1

# A slope that is this small a part of the function's own size is zero but for rounding.
NEGLIGIBLE = 1e-6

# The order in the step at which Taylor's remainder falls is 2 for a right gradient and 1 for a wrong one.
RIGHT_ORDER = 1.7

# How far an entry is moved to see whether a function is constant around it, in units of the argument's size.
NEAR = 1 / 64

# How far the next point is, as a share of each entry. A few units of roundoff away the same digits are rounded off.
NEXT = 2.0**-30

# Multiples that are no powers of two: of each other digits are rounded away. What rounding leaves may be the same few digits of
# several, but not of all; and may at the point itself be so much larger than it varies.
ROUNDED_OTHERWISE = tuple(map(float, range(1, 24, 2)))
LARGER = 4

# Entries that are looked at one by one: corners, and suspects of a leak.
MOST_ENTRIES = 16


@dataclass(frozen=True)
class Look:
    """One cotangent v, and J^T v for it; None where the framework finds no path."""

    vs: list[Array]
    gradient: list[Array | None]


@dataclass(frozen=True)
class Place:
    """Where a function is looked at.

    Attributes:
        program: the function.
        point: its arguments.
        outputs: its value there.
        looks: its gradient, for several cotangents.
        unit_roundoff: of the dtype that it computes in.
        magnitude: of what its outputs are made of, at least.
    """

    program: Program
    point: list[Array]
    outputs: list[Array]
    looks: list[Look]
    unit_roundoff: float
    magnitude: float = 0.0


class Argument:
    """The gradient with respect to one argument.

    Args:
        place: the function, the point and the gradients there.
        index: of the argument.
        size: of its entries, in units of which it is moved.
        free: the entries along which it may be moved; corners that are found are taken out.
        rng: draws the directions.
    """

    def __init__(self, place: Place, index: int, size: float, free: Array, rng: np.random.Generator) -> None:
        self.place, self.index, self.size, self.free, self.rng = place, index, size, free, rng
        self.name = str(place.program.names[index])
        self.gradients = [look.gradient[index] for look in place.looks]
        self.kinks = Kinks()
        self.nearby = Kinks()
        self.cancelled = False

    def row(self, check: str, mode: str) -> Row:
        """What became of it."""
        if self.place.point[self.index].size == 0:
            return Row(self.name, check, mode, WEAK, "the argument has no entries")
        said = self._misshapen() or self._not_a_number()
        if said:
            return Row(self.name, check, mode, WRONG, said)
        self._freeze_infinite()
        shares = []
        for look in self.place.looks:
            verdict, said, error, tolerance = self._along(look)
            shares.append((error, tolerance))
            if verdict != OK:
                where = self._entries() if verdict == WRONG else None
                return Row(self.name, check, mode, verdict, said, error, tolerance, where)
        said = self._outside() or self._leak()
        if said:
            return Row(self.name, check, mode, WRONG, said)
        verdict, said = self._conclusion()
        if verdict == OK and (self.cancelled or min(tolerance for _, tolerance in shares) > RESOLVED):
            verdict, said = WEAK, "no larger than what rounding of the function does, so that little can be told"
        return Row(self.name, check, mode, verdict, said, *np.max(shares, axis=0).tolist())

    def _conclusion(self) -> tuple[str, str]:
        if self.kinks or self.nearby:
            left = int(np.sum(self.free))
            at = [f"{where} {kinks.told()}" for where, kinks in (("at", self.kinks), ("near", self.nearby)) if kinks]
            said = f"a corner {' and '.join(at)}"
            if not left:
                return WEAK, f"{said}, which leaves no entry along which to look"
            return KINK, f"{said}; agrees along the {left} entries that are left"
        if all(gradient is None for gradient in self.gradients):
            return WEAK, "no path from it to the outputs, and moving it changes nothing"
        if not any(np.any(gradient) for gradient in self.gradients if gradient is not None):
            return WEAK, "zero in every entry, and moving it changes nothing"
        return OK, f"{len(self.gradients)} directions, {self.free.size} entries"

    def _misshapen(self) -> str:
        # Broadcast against a direction, a gradient that was not summed to its argument's shape gives the right slope.
        for gradient in self.gradients:
            if gradient is not None and gradient.shape != self.free.shape:
                return f"the gradient has shape {list(gradient.shape)}, and the argument {list(self.free.shape)}"
        return ""

    def _not_a_number(self) -> str:
        for gradient in self.gradients:
            if gradient is not None and np.isnan(gradient).any():
                where = np.argwhere(np.isnan(gradient))
                return (
                    f"NaN in {len(where)} of {gradient.size} entries, first {where[0].tolist()}, where the function is finite"
                )
        return ""

    def _freeze_infinite(self) -> None:
        """Where the gradient is infinite there is no slope to compare; but a corner there must be (`_outside`)."""
        for gradient in self.gradients:
            if gradient is not None and np.isinf(gradient).any():
                self._freeze(Kinks(tuple(tuple(each) for each in np.argwhere(np.isinf(gradient)).tolist())))

    def _freeze(self, kinks: Kinks) -> None:
        self.kinks = self.kinks.joined(kinks)
        for entry in kinks.entries:
            self.free[entry] = False

    def _entries(self) -> Any:
        place = self.place
        rtol = float(of_differences(np.ones(1), unit_roundoff=place.unit_roundoff))
        return entries(place.program, place.point, self.index, unit_roundoff=place.unit_roundoff, rtol=rtol)

    # Along a direction.

    def _line(self, look: Look, direction: Array) -> Line:
        place = self.place
        return Line(
            place.program.value,
            place.point,
            index=self.index,
            direction=direction,
            vs=look.vs,
            unit_roundoff=place.unit_roundoff,
            magnitude=place.magnitude,
            moving=self._moving,
        )

    @cached_property
    def _moving(self) -> list[Array]:
        """Which entries of each output depend on the argument, as moves further than any step show."""
        place, along = self.place, 2 * LARGEST_STEP * self.size * signs(np.random.default_rng(self.index), self.free.shape)
        moving = [np.zeros(each.shape, dtype=bool) for each in place.outputs]
        for move in (along, -along):
            moved = list(place.point)
            moved[self.index] = moved[self.index] + move
            try:
                values = zip(place.program.value(moved), place.outputs, strict=True)
            except Exception:  # noqa: BLE001 - a function may refuse what is far from the point: then all may depend on it
                return [np.ones(each.shape, dtype=bool) for each in place.outputs]
            moving = [mask | ~((one == other) | np.isnan(one)) for mask, (one, other) in zip(moving, values, strict=True)]
        return moving

    @cached_property
    def _moves(self) -> bool:
        return any(bool(np.any(each)) for each in self._moving)

    def _along(self, look: Look) -> tuple[str, str, float, float]:
        """One direction: the verdict, what was seen, error and tolerance as shares of the gradient."""
        gradient = look.gradient[self.index]
        steps = signs(self.rng, self.free.shape) * self.size
        while True:
            direction = np.where(self.free, steps, 0.0)
            terms = np.zeros_like(direction) if gradient is None else np.where(self.free, gradient, 0.0) * direction
            slope, size = float(np.sum(terms)), float(np.sqrt(np.sum(np.square(terms)))) or 1.0
            allowed = float(of_differences(terms, unit_roundoff=self.place.unit_roundoff))
            line = self._line(look, direction)
            step = best_step(line.unit_roundoff)
            gap, tolerance = abs(line.central(step) - slope), allowed + line.noise(step)
            # One look is enough where noise could not have hidden a wrong gradient.
            if gap == 0 or gap <= tolerance <= max(RESOLVED * size, NEGLIGIBLE * line.magnitude):
                return OK, "", gap / size, tolerance / size
            # Small steps stay clear of corners nearby, large ones see past rounding; in that order, since values far away may
            # be of another size.
            estimate = min([refined(line), extrapolated(line)], key=lambda each: each.error)
            gap, tolerance = abs(estimate.value - slope), allowed + 4 * estimate.error
            if gap > tolerance and not self._moves and gap <= tolerance + (rounding := self._rounding(look, direction)):
                self.cancelled = True
                return OK, "", gap / size, (tolerance + rounding) / size
            resolved = gap <= allowed or tolerance <= max(RESOLVED * size, NEGLIGIBLE * line.magnitude)
            if gap <= tolerance and resolved:
                return OK, "", gap / size, tolerance / size
            corners = find_kinks(lambda along: self._line(look, along), self.free, self.size, self.rng)
            if corners:
                self._freeze(corners)  # and once more without them
            elif not self._step_clear(look):
                break
        if not gap > tolerance:
            said = f"differences are off by up to {tolerance:.3g}, and the slope is {slope:.3g}"
            return NOISE, said, gap / size, tolerance / size
        order = taylor_order(line, slope)
        said = (
            f"along a direction differences give {estimate.value:.9g} and reverse mode {slope:.9g}, {gap:.3g} apart, allowed "
            f"{tolerance:.3g}; Taylor's remainder falls as step^{order:.2f} (2 if the gradient is right, 1 if not)"
        )
        return NOISE if order > RIGHT_ORDER else WRONG, said, gap / size, tolerance / size

    def _rounding(self, look: Look, direction: Array) -> float:
        """How much the slope changes at points and with cotangents next to these, and multiples of them, for the multiple.

        A wrong derivative is nearly the same there. What is left where large terms cancel, as in the normalization of a single
        number, is another one everywhere.
        """
        slopes = []
        for multiple in ROUNDED_OTHERWISE:
            point, vs = (neighbour(each, self.place.unit_roundoff, self.rng) for each in (self.place.point, look.vs))
            gradient = self.place.program.reverse(point, [multiple * v for v in vs])[self.index]
            terms = np.zeros_like(direction) if gradient is None else np.where(self.free, gradient, 0.0) * direction
            slopes.append(float(np.sum(terms)) / multiple)
        return LARGER * float(np.ptp(slopes)) if np.isfinite(slopes).all() else 0.0

    def _step_clear(self, look: Look) -> bool:
        """Leaves out the entries along which steps cross a corner nearby; False if there are none, or too many.

        What differences say along them says nothing. Along the others a wrong gradient still shows, as long as most are left.
        """
        found = find_kinks(lambda along: self._line(look, along), self.free, self.size, self.rng, rough)
        if not found or 2 * (int(np.sum(self.free)) - len(found.entries)) <= self.free.size:
            return False
        self.nearby = self.nearby.joined(found)
        for entry in found.entries:
            self.free[entry] = False
        return True

    # Entry by entry.

    def _outside(self) -> str:
        """At a corner the gradient must lie between the derivatives from both sides, and be infinite only where they are."""
        for entry in self.kinks.entries[:MOST_ENTRIES]:
            direction = np.zeros(self.free.shape)
            direction[entry] = self.size
            for look, gradient in zip(self.place.looks, self.gradients, strict=True):
                slope = 0.0 if gradient is None else float(gradient[entry]) * self.size
                line = self._line(look, direction)
                said = self._misfit(line, slope)
                if said:
                    return f"at entry {list(entry)} the function's slope is {said}, and reverse mode gives {slope:.6g}"
        return ""

    def _misfit(self, line: Line, slope: float) -> str:
        sides = jump(line)
        if sides is None:  # no corner for this cotangent: other outputs have it
            estimate = refined(line)
            allowed = of_differences(np.asarray(estimate.value), unit_roundoff=line.unit_roundoff) + 4 * estimate.error
            allowed += NEGLIGIBLE * line.magnitude
            return "" if abs(slope - estimate.value) <= allowed else f"{estimate.value:.6g}"
        error = of_differences(np.asarray([sides.left, sides.right]), unit_roundoff=line.unit_roundoff)
        if sides.admits(slope, float(error) + 4 * line.noise(line.smallest)):
            return ""
        return f"{sides.left:.6g} from the left and {sides.right:.6g} from the right"

    def _leak(self) -> str:
        """An entry on which no output depends, at this point or anywhere, must have a gradient of exactly zero."""
        found = [np.abs(gradient) for gradient in self.gradients if gradient is not None]
        if not found:
            return ""
        gradient, unit_roundoff = np.max(found, axis=0), self.place.unit_roundoff
        # Between what rounding leaves of terms that cancel and what differences see.
        rounding = of_sum(max(largest(gradient), self.place.magnitude), unit_roundoff=unit_roundoff)
        seen = 4 * of_differences(np.where(np.isfinite(gradient), gradient, 0.0), unit_roundoff=unit_roundoff)
        hidden = of_sum(sum(float(np.sum(np.abs(each))) for each in self.place.outputs), unit_roundoff=unit_roundoff)
        near = NEAR * self.size
        for place in np.argwhere((gradient > rounding) & (gradient < seen))[:MOST_ENTRIES].tolist():
            entry, slope = tuple(place), float(gradient[tuple(place)])
            value = self.place.point[self.index][entry]
            # Several values, far apart: a saturated function does depend on its argument, elsewhere. Unless that slope would
            # have been seen nearby, too, through the rounding of the outputs.
            far = (0.0, -value, *(self.size * self.rng.standard_normal(2)))
            if self._moves_nothing(entry, far) or (
                slope * near > hidden and self._moves_nothing(entry, (value - near, value + near))
            ):
                return f"no output depends on entry {place}, and its gradient is {slope:.3g}, not 0"
        return ""

    def _moves_nothing(self, entry: tuple[int, ...], values: Sequence[float]) -> bool:
        for value in values:
            moved = list(self.place.point)
            moved[self.index] = np.array(moved[self.index])
            moved[self.index][entry] = value
            now: Sequence[Array] = self.place.program.value(moved)
            if not all(np.array_equal(one, known, equal_nan=True) for one, known in zip(now, self.place.outputs, strict=True)):
                return False
        return True


def signs(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """A random direction: signs, and magnitudes of 0.5 to 1.5.

    No entry's is small, so that none is overlooked. Nor are they alike: between whole multiples of one magnitude a difference
    cancels in every eighth direction through 12 entries, and a sum over the wrong axis goes unseen.
    """
    return np.asarray(rng.choice((-1.0, 1.0), size=shape) * rng.uniform(0.5, 1.5, size=shape))


def neighbour(point: Sequence[Array], unit_roundoff: float, rng: np.random.Generator) -> list[Array]:
    """A point next to this one: what is computed there rounds in another way, and derivatives are the same to nine digits."""
    return [x * (1 + max(NEXT, 16 * unit_roundoff) * signs(rng, x.shape)) for x in point]


def largest(array: Array) -> float:
    """The largest magnitude among the finite entries."""
    return float(np.max(np.abs(array), initial=0.0, where=np.isfinite(array)))
