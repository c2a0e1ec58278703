"""Tolerances that are derived from the computation, never typed where they are used.

`docs/tolerances.md` gives the measurements behind them. What laws of layers allow is in `pytest_dlcheck.tolerance_of_laws`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MARGIN",
    "SMALLEST_NORMAL",
    "UNIT_ROUNDOFF",
    "Bounded",
    "Rounding",
    "from_moved_starts",
    "least",
    "moved_start",
    "of_adjoint",
    "of_differences",
    "of_formula",
    "of_lost_digits",
    "of_quotient",
    "of_sum",
    "perturbed",
    "propagated",
    "unreferenced",
]

Array = NDArray[np.float64]

UNIT_ROUNDOFF: Mapping[str, float] = MappingProxyType(
    {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
)
"""Half the distance from 1 to the next number, per dtype: the relative error of rounding to nearest."""

RUNS = 6
SMALLEST_NORMAL = 1.2e-38

MARGIN: Mapping[str, int] = MappingProxyType({"float64": 16, "float32": 16, "float16": 8, "bfloat16": 4})
"""How many times what moved inputs change a correct computation may be off, per dtype: see `docs/tolerances.md`."""


def _named(unit_roundoff: float) -> str:
    return next(name for name, unit in UNIT_ROUNDOFF.items() if unit == unit_roundoff)


def least(unit_roundoff: float) -> float:
    """What may vanish: the least positive number in float16, in which frameworks compute with subnormal numbers; elsewhere
    the least normal one, below which they flush to zero or not, as they like."""
    return 2.0**-24 if unit_roundoff == UNIT_ROUNDOFF["float16"] else SMALLEST_NORMAL


@dataclass(frozen=True)
class Bounded:
    """A value in float64, how far from it a computation in lower precision may be, and why that far."""

    value: Array
    tolerance: Array
    derived: str


class Rounding:
    """Moves each sum of a float64 computation as far as low precision may.

    A sum of K products computed with unit roundoff u is off by at most sqrt(K) u times the sum of their magnitudes, but for
    a probability that vanishes as K grows (Higham and Mary, A new approach to probabilistic rounding error analysis,
    SIAM J. Sci. Comput. 41(5), 2019, theorem 3.1 with lambda = 1), whatever the order of summation is.
    """

    def __init__(self, unit_roundoff: float, rng: np.random.Generator) -> None:
        self.unit_roundoff = unit_roundoff
        self.rng = rng

    def __call__(self, total: Array, magnitude: Array, length: int) -> Array:
        """The sum moved by its bound, up or down at random.

        Args:
            total: the sums.
            magnitude: the same sums over the magnitudes of their terms.
            length: how many terms each has.
        """
        bound = np.sqrt(length) * self.unit_roundoff * magnitude
        return np.asarray(total + bound * self.rng.choice((-1.0, 1.0), size=total.shape))


def propagated(
    function: Callable[[Rounding | None], Array], *, unit_roundoff: float, scale: float = 0.0, seed: int = 0
) -> Bounded:
    """The value of a computation in float64, and what rounding inside it may do to its result.

    With y the value and m the largest change of y, entry by entry, over six runs in which every sum is moved by its own
    bound (`Rounding`), so that each error passes through the rest of the computation as it would:

        tolerance = m + rms(m) + 4 u (|y| + scale) + 1.2e-38

    The second term stands in for entries whose errors happened to cancel in all six runs; the third is the rounding of the
    result and of the functions that lead to it.

    Args:
        function: runs the computation in float64, handing every sum to the argument if there is one.
        unit_roundoff: of the dtype that the computation under test ran in, from `UNIT_ROUNDOFF`.
        scale: 1 for gates and probabilities, whose intermediate values are of that size however small the output is.
        seed: of the signs: a verdict must not depend on what was drawn before.
    """
    y = np.asarray(function(None), dtype=np.float64)
    rounding = Rounding(unit_roundoff, np.random.default_rng(seed))
    change = np.zeros_like(y)
    for _ in range(RUNS):
        np.maximum(change, np.abs(function(rounding) - y), out=change)
    rms = float(np.sqrt(np.mean(np.square(change)))) if change.size else 0.0
    tolerance = change + rms + 4 * unit_roundoff * (np.abs(y) + scale) + SMALLEST_NORMAL
    return Bounded(y, tolerance, "the rounding of every sum, carried through to the result")


def moved_start(array: NDArray[Any], unit_roundoff: float, rng: np.random.Generator) -> NDArray[Any]:
    """Each float times 1 plus or minus two units of roundoff, in its own dtype; what is not a float stays as it is.

    Args:
        array: what a computation starts from.
        unit_roundoff: of the dtype that it computes in.
        rng: of the signs.
    """
    if array.dtype.kind != "f":
        return array
    return np.asarray(array * (1 + 2 * unit_roundoff * rng.choice((-1.0, 1.0), size=array.shape))).astype(array.dtype)


def from_moved_starts(value: Array, moved: Array, *, unit_roundoff: float, scale: float) -> Bounded:
    """How far rounding may carry a computation that cannot be rerun in float64: a training run.

    With m the largest change of the value when what it started from is moved by two units of roundoff at random:

        tolerance = 16 m + 16 rms(m) + 4 u |value| + 16 u max(max |value|, scale) + 1.2e-38

    Args:
        value: what the computation gave.
        moved: what it gave from moved starts, one row each.
        unit_roundoff: of the dtype that it ran in.
        scale: the size of intermediate values that the result does not show.
    """
    change = np.max(np.abs(moved - value), axis=0)
    tolerance = (
        16 * change
        + 16 * np.sqrt(np.mean(np.square(change)))
        + 4 * unit_roundoff * np.abs(value)
        + 16 * unit_roundoff * max(float(np.max(np.abs(value))), scale)
        + SMALLEST_NORMAL
    )
    return Bounded(value, tolerance, "16 times what its start, moved by 2 units of roundoff, changes")


def perturbed(
    function: Callable[[Callable[[Array], Array]], Array],
    *,
    unit_roundoff: float,
    scale: float = 0.0,
    seed: int = 0,
    value: Array | None = None,
) -> Bounded:
    """TP: the value of a reference in float64, and what rounding of its inputs by two units may do to it.

    With y the value, c the dtype's `MARGIN`, e the least number it has, and m the largest change of y, entry by entry, over
    six random changes of everything that goes in, by +-2u of it and +-e:

        tolerance = c m + c rms(m) + 4 u |y| + c u max(max |y|, scale) + 8 e

    Args:
        function: runs the reference; what it is given moves an array, and must be applied to every input and weight.
        unit_roundoff: of the dtype that the computation under test ran in.
        scale: 1 for gates and probabilities.
        seed: of the signs.
        value: what the reference gives when nothing is moved, where that is known already.
    """
    y = np.asarray(function(lambda array: array) if value is None else value, dtype=np.float64)
    rng = np.random.default_rng(seed)
    margin, smallest = MARGIN[_named(unit_roundoff)], least(unit_roundoff)

    def move(array: Array) -> Array:
        signs = rng.choice((-1.0, 1.0), size=np.shape(array))
        # Zero is exact, and what it is multiplied with may be infinite.
        return np.asarray(array * (1 + 2 * unit_roundoff * signs) + np.where(array == 0, 0, smallest * signs))

    change = np.zeros_like(y)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        for _ in range(RUNS):
            moved = np.abs(np.asarray(function(move), dtype=np.float64) - y)
            np.maximum(change, np.where(np.isfinite(moved), moved, 0), out=change)
    finite = np.where(np.isfinite(y), np.abs(y), 0)
    rms = float(np.sqrt(np.mean(np.square(change)))) if change.size else 0.0
    largest = max(float(np.max(finite, initial=0.0)), scale)
    tolerance = margin * (change + rms + unit_roundoff * largest) + 4 * unit_roundoff * finite + 8 * smallest
    return Bounded(y, tolerance, f"{margin} times what inputs and weights, moved by 2 units of roundoff, change")


def of_sum(size: float | Array, *, unit_roundoff: float, terms: int = 256) -> Any:
    """How far a sum computed in low precision may be off: 256 units of roundoff of the sum of its terms' magnitudes.

    A sum of K terms is off by at most K u times that (Higham, Accuracy and Stability of Numerical Algorithms, 2002, eq. 4.4);
    what is summed here, losses and means over a batch, has at most some hundred terms. A term smaller than the dtype's least
    number vanishes.

    Args:
        size: the sum of the terms' magnitudes.
        unit_roundoff: of the dtype that the sum was computed in.
        terms: how many may vanish.
    """
    return 256 * unit_roundoff * size + least(unit_roundoff) * terms


def unreferenced(value: Array, *, unit_roundoff: float, scale: float = 0.0) -> Bounded:
    """Between two computations of one thing for which there is no reference: 64 units of roundoff of the largest value.

    A bound for sums of up to 64 terms of the outputs' size; what cancels more needs a reference.
    """
    finite = np.where(np.isfinite(value), np.abs(value), 0)
    largest = max(float(np.max(finite, initial=0.0)), scale)
    tolerance = 64 * unit_roundoff * (finite + largest) + SMALLEST_NORMAL
    return Bounded(np.asarray(value, dtype=np.float64), tolerance, "64 units of roundoff of the largest value")


def of_differences(terms: Array, *, unit_roundoff: float) -> Any:
    """TG: how far a slope by reverse mode and one by central differences may be apart, their noise aside.

    With c = max(1e-5, 64 u^(2/3)): 2 c sqrt(sum of the squared terms), the quadrature of the terms g_i u_i of the slope.
    u^(2/3) is what truncation leaves of a central difference with the best step, u^(1/3), for a third derivative of the
    function's own size; 64 of it, and never less than 1e-5, leaves room for larger ones. Signs are random, so the terms' errors
    add in squares, and all entries 1 % off stand out 500 times (docs/gradients.md has the simulation).

    Args:
        terms: the products of gradient and direction, entry by entry.
        unit_roundoff: of the dtype that the function computes in.
    """
    return 2 * max(1e-5, 64 * unit_roundoff ** (2 / 3)) * np.sqrt(np.sum(np.square(terms)))


THOUSANDS_OF_ROUNDINGS = 2.0**23
"""Eight thousand (2^13) roundings in a row, each of a quantity up to a thousand (2^10) times as large as what comes out."""


def of_formula(size: float) -> float:
    """How far off a computation in float64 may be before its formula, not rounding, is to blame: 2^23 units of roundoff.

    2^-30 (1e-9) of its size: `THOUSANDS_OF_ROUNDINGS`. A wrong formula is off by far more: a coefficient in its fifth digit,
    say, by 1e-5.

    Args:
        size: of the largest value, and of what it may have been computed from.
    """
    return THOUSANDS_OF_ROUNDINGS * UNIT_ROUNDOFF["float64"] * size


def of_lost_digits(size: float, *, unit_roundoff: float) -> float:
    """From where on the loss of precision is a defect, though the formula is right: half of the digits.

        tolerance = max(sqrt(u), 64 u) size

    sqrt(u), 2e-4 in float32, is what a well-conditioned problem costs that is solved by way of its square: a variance as the
    difference of two squares, least squares by the normal equations (Higham, Accuracy and Stability of Numerical Algorithms,
    2nd ed., SIAM 2002, sections 1.9 and 20.4). Half precision has so few digits that sixty roundings in a row, as
    `unreferenced` allows, cost more.

    Args:
        size: of the largest value, and of what it may have been computed from.
        unit_roundoff: of the dtype that the computation under test ran in.
    """
    return float(max(np.sqrt(unit_roundoff), 64 * unit_roundoff) * size)


def of_adjoint(size: float, *, unit_roundoff: float) -> float:
    """TG: how far two ways of computing one derivative without differences may be apart: 2^23 units of roundoff of its size.

    2^-30 (1e-9) in float64: `THOUSANDS_OF_ROUNDINGS`; in lower precision 1024 units, the roundings alone.

    Args:
        size: the sum of the magnitudes that each of the two adds up.
        unit_roundoff: of the dtype that the function computes in.
    """
    units = THOUSANDS_OF_ROUNDINGS if unit_roundoff == UNIT_ROUNDOFF["float64"] else 1024
    return units * unit_roundoff * size + SMALLEST_NORMAL


def of_quotient(magnitude: Any, step: float, *, unit_roundoff: float) -> Any:
    """How far rounding of a function's values may change a difference quotient of it: 64 u magnitude / step.

    For values that come out of a row of some sixty roundings, each of a quantity of their own size.

    Args:
        magnitude: the sum of the magnitudes of what the difference adds up.
        step: of the quotient.
        unit_roundoff: of the dtype that the function computes in.
    """
    return 64 * unit_roundoff * magnitude / step
