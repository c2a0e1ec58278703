"""How far rounding may take what a law compares: bounds from counting the operations of the formula that is documented.

An operation that is rounded to nearest gives its exact result times 1 + d, |d| <= u, the unit roundoff, but for a number that
is too small for the dtype, which may vanish. n of them in a row give n factors, whose product differs from 1 by at most

    gamma_n = n u / (1 - n u)

(Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM 2002: equation 2.8 and lemma 3.1). No library owes more
roundings than the formula has: computing in a wider dtype, in another order or with fused operations has no more of them. A
constant that is no number of the dtype counts as one operation, for it is rounded; so does a result that is cast.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, least

__all__ = [
    "ELEMENTARY",
    "FROM_UNIT",
    "HSV",
    "LUMA",
    "MIX",
    "TO_UNIT",
    "gamma",
    "hides_no_noise",
    "of_blur",
    "of_copies",
    "of_cosines",
    "of_interpolation",
    "of_means",
    "of_operations",
    "of_range",
    "of_shares",
    "of_transform",
    "pixels_summed",
]

ELEMENTARY = 4
"""What exp, log, tanh or atan2 counts as: two units in the last place, each two units of roundoff. "A couple of ulps" is what
Eigen says of its tanh (`generic_fast_tanh_float` in MathFunctionsImpl.h); IEEE 754-2019, section 9.2, recommends correct
rounding and requires nothing."""

TO_UNIT = 3
"""(x - low) / (high - low): two differences and a quotient."""
FROM_UNIT = 3
"""t (high - low) + low: a difference, a product and a sum."""
LUMA = 4
"""0.2989 R + 0.5870 G + 0.1140 B: a weight is rounded and multiplied, and is in two sums."""
MIX = 4
"""(1 - w) x + w y: w is rounded; a difference, a product and a sum."""
HSV = 6
"""From RGB to HSV and back, of the brightest and the darkest channel. With S = (max - min) / max they are V (1 - S + S) and
V (1 - S): a difference, a quotient, 1 - S and a product, each of a quantity below V; and PyTorch and JAX take what is below two
units of roundoff for zero. Hue has no part in it: where it is largest and least, its factor is clipped to one and zero."""


def gamma(count: float, *, unit_roundoff: float) -> float:
    """gamma_n: the relative error of n roundings in a row; infinite where n units are 1 or more, and nothing is known.

    Args:
        count: of roundings.
        unit_roundoff: of the dtype, from `UNIT_ROUNDOFF`.
    """
    lost = count * unit_roundoff
    return lost / (1 - lost) if lost < 1 else math.inf


def of_operations(count: int, magnitude: Any, *, unit_roundoff: float) -> Any:
    """How far a value may be off after so many operations: gamma_n magnitude + n least.

    The second term is for results that vanish, where no later operation enlarges them.

    Args:
        count: of the operations that an input goes through on its way to the result; of a sum of K terms K - 1.
        magnitude: the sum of the magnitudes of the formula's terms, or an upper bound of it: numbers or arrays of any shape.
        unit_roundoff: of the dtype, from `UNIT_ROUNDOFF`.
    """
    share = gamma(count, unit_roundoff=unit_roundoff)
    # Infinity times zero is no number.
    return (magnitude + math.inf if math.isinf(share) else share * magnitude) + count * least(unit_roundoff)


def of_copies(*, unit_roundoff: float) -> float:
    """How far a copied value may be off: not at all, but that one too small for the dtype may have vanished."""
    return least(unit_roundoff)


def of_range(low: float, high: float, *, count: int, unit_roundoff: float) -> float:
    """How far a value of a range [low, high] may be off, or leave it, after operations within it.

    The magnitude is that of t (high - low) + low with t from 0 to 1, |high - low| + |low|, or, the range taken from its other
    end, |high - low| + |high|: the larger one.

    Args:
        low: the range's one end.
        high: its other end.
        count: of operations; `TO_UNIT` and `FROM_UNIT` are those of the way to [0, 1] and back.
        unit_roundoff: of the dtype.
    """
    magnitude = abs(high - low) + max(abs(low), abs(high))
    return float(of_operations(count, magnitude, unit_roundoff=unit_roundoff))


def of_shares(count: int, *, unit_roundoff: float, offset: float | None = None) -> float:
    """How far shares, e_i / sum(e), may be from adding up to 1.

    Errors of the e_i themselves are in both and cancel. What remains are the sum of K terms (K - 1), and a quotient, or a
    reciprocal and a product (2): gamma_(K + 1).

    Shares computed as exp(x_i - L), L = max(x) + log(sum(exp(x - max(x)))), round more: two elementary functions, at the end
    and in the sum (2 `ELEMENTARY`), and numbers that are not of size 1, in whose exponential an absolute error is a relative
    one. These are the logarithm, log K at most (`ELEMENTARY` log K), L, |x| + log K at most, and the differences x_i - L and
    x_i - max(x), each log K at most for the mean over the shares.

    Args:
        count: K, of shares in a whole.
        unit_roundoff: of the dtype.
        offset: the largest |x| where shares are computed from the logarithm of a sum; else None.
    """
    operations = count + 1
    if offset is not None:
        operations += 2 * ELEMENTARY + math.ceil((ELEMENTARY + 3) * math.log(max(count, 1)) + offset)
    return float(of_operations(operations, 1.0, unit_roundoff=unit_roundoff))


def of_means(count: int, magnitude: Any, *, unit_roundoff: float) -> Any:
    """How far a mean of K values, weighted by shares of 1, may lie beyond the largest and the least of them.

    The shares add up to 1 but for gamma_(K + 1) (`of_shares`); K products and K - 1 sums follow: gamma_(2 K + 1).

    Args:
        count: K, of values.
        magnitude: of the largest value.
        unit_roundoff: of the dtype.
    """
    return of_operations(2 * count + 1, magnitude, unit_roundoff=unit_roundoff)


def of_cosines(terms: int, *, unit_roundoff: float) -> float:
    """How far the cosine of two vectors, the dot product of both over their norms, may lie beyond 1.

    A sum of n squares is off by gamma_n, relatively, its root by half of that and a rounding, and a quotient (or a reciprocal
    and a product) rounds again: gamma_(n / 2 + 3) for each of the two vectors. The dot product has n operations more, and
    by Cauchy and Schwarz its terms' magnitudes add up to 1 at most: gamma_(2 n + 6).

    Args:
        terms: n, the vectors' size.
        unit_roundoff: of the dtype.
    """
    return float(of_operations(2 * terms + 6, 1.0, unit_roundoff=unit_roundoff))


def of_transform(length: int, magnitude: Any, *, unit_roundoff: float) -> Any:
    """How far the real or the imaginary part of a Fourier transform of windowed frames may be off, computed as a product.

    Its waves are cos(2 pi t k / n) with t < L and k / n <= 1/2: a quotient, two products and a rounded pi in a phase of at most
    pi (L - 1) move a wave by four units of roundoff of that, and its own computation by `ELEMENTARY`. It is multiplied with
    a window's value (rounded; a product) and divided by the window's sum or norm (L, and a quotient); then a sample is
    multiplied with it, and L of them are added (L).

    Args:
        length: L, samples in a frame.
        magnitude: the sum of the magnitudes of the windowed samples.
        unit_roundoff: of the dtype.
    """
    waves = math.ceil(4 * math.pi * (length - 1)) + ELEMENTARY
    return of_operations(waves + 2 * length + 3, magnitude, unit_roundoff=unit_roundoff)


@dataclass(frozen=True)
class Kernel:
    """Of an interpolation along one axis.

    Attributes:
        width: how many pixels it spans.
        total: the largest sum of the magnitudes of its weights.
        rounding: how far all weights together may be off, in units of roundoff, whatever they are divided by.
    """

    width: int
    total: float
    rounding: int


KERNELS: Mapping[str, Kernel] = MappingProxyType(
    {
        "nearest": Kernel(1, 1.0, 0),
        "bilinear": Kernel(2, 1.0, 1),
        "bicubic": Kernel(4, 1.375, 49),
        "lanczos3": Kernel(6, 1.55, 12),
        "lanczos5": Kernel(10, 1.87, 20),
    }
)
"""`bilinear` has the weights f and 1 - f: one rounding. `bicubic` is cubic convolution (R. Keys, 1981) with a = -1/2 or -3/4:
Higham's running error bound (algorithm 5.1) of Horner's rule for its four weights adds up to 49 u at most, for a = -3/4 where
pixels coincide. `lanczos` has, where pixels coincide, weights of zero that are computed as sin(pi k) over pi k, and pi and
its product with k round: 2 u for each weight. What weights are off in proportion is divided away.
`tests/test_tolerance_of_laws.py` works the numbers out again."""


def pixels_summed(interpolation: str, source: int, target: int, *, antialias: bool) -> int:
    """Of how many pixels along an axis a new one is made: the kernel's width, stretched when an image gets smaller.

    Args:
        interpolation: a name of `KERNELS`.
        source: the size before.
        target: the size after.
        antialias: whether the kernel is stretched.
    """
    stretch = max(1.0, source / target) if antialias and target else 1.0
    return max(1, min(source, math.ceil(KERNELS[interpolation].width * stretch) + 1))


def of_interpolation(interpolation: str, pixels: Sequence[int], magnitude: Any, *, unit_roundoff: float) -> Any:
    """How far interpolation along several axes, one after the other, may be off where its weights add up to 1.

    Along an axis, t weights are divided by their sum (t operations and what the weights themselves are off: `Kernel.rounding`),
    in float32 where the images are in half precision, as TensorFlow, PyTorch and JAX do; then they are cast (1), and multiplied
    and added (t). Each is in proportion to the sum of the weights' magnitudes, of every axis. The result is cast (1).

    Args:
        interpolation: a name of `KERNELS`.
        pixels: t for each axis: see `pixels_summed`.
        magnitude: of the largest value.
        unit_roundoff: of the dtype.
    """
    kernel = KERNELS[interpolation]
    if not kernel.rounding:
        return of_copies(unit_roundoff=unit_roundoff) + 0 * magnitude
    total = kernel.total ** len(pixels)
    sums = math.ceil(total * sum(each + 1 for each in pixels)) + 1
    weights = math.ceil(total * sum(each + kernel.rounding for each in pixels))
    narrow = gamma(weights, unit_roundoff=min(unit_roundoff, UNIT_ROUNDOFF["float32"]))
    return of_operations(sums, magnitude, unit_roundoff=unit_roundoff) + narrow * magnitude


def of_blur(rows: int, columns: int, magnitude: Any, *, unit_roundoff: float) -> Any:
    """How far a blur may take a pixel beyond the values around it.

    Its weights are products (1) of shares along each axis, which add up to 1 but for gamma_(rows + 1) and gamma_(columns + 1)
    (`of_shares`); rows * columns products are added.

    Args:
        rows: of the kernel.
        columns: of the kernel.
        magnitude: of the largest value.
        unit_roundoff: of the dtype.
    """
    return of_operations(rows * columns + rows + columns + 3, magnitude, unit_roundoff=unit_roundoff)


def hides_no_noise(rounding: Any, deviation: float) -> Any:
    """Whether noise of this standard deviation is hardly changed by rounding: by less than 1/32 of it.

    Errors of up to r, evenly spread, have a variance of r^2 / 3 (Sheppard's correction, with a spacing of 2 r): at 1/32 of the
    deviation that is 1/3072 of the noise's. In the sum of squares of n values a share of e stands out by six of its standard
    deviations, sqrt(2 / n), from n = 2 (6 / e)^2 on: here 7e8, more than any case has.

    Args:
        rounding: how far each value may be off.
        deviation: of the noise.
    """
    return rounding < deviation / 32
