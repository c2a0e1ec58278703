"""What laws of layers let pass: correctly rounded computations, and nothing that is off by more than they allow."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import pytest

from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, least, of_formula, of_lost_digits
from pytest_dlcheck.tolerance_of_laws import (
    FROM_UNIT,
    HSV,
    KERNELS,
    LUMA,
    MIX,
    TO_UNIT,
    gamma,
    hides_no_noise,
    of_blur,
    of_copies,
    of_cosines,
    of_interpolation,
    of_means,
    of_operations,
    of_range,
    of_shares,
    of_transform,
    pixels_summed,
)

Array = np.ndarray
TYPES = {"float32": np.float32, "float16": np.float16}
if find_spec("ml_dtypes"):  # which later versions of Keras bring along
    import ml_dtypes

    TYPES["bfloat16"] = ml_dtypes.bfloat16
DTYPES = tuple(TYPES)
SEEDS = range(20)


def wide(array: Array) -> Array:
    return np.asarray(array).astype(np.float64)


def added(terms: Array) -> Array:
    """The sum along the last axis, one term after the other, each time rounded to the terms' dtype."""
    total = terms[..., 0]
    for place in range(1, terms.shape[-1]):
        total = total + terms[..., place]
    return total


def drawn(seed: int, dtype: str, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> Array:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(TYPES[dtype])


def test_gamma_is_that_of_the_book() -> None:
    assert gamma(0, unit_roundoff=2.0**-24) == 0
    assert gamma(4, unit_roundoff=2.0**-8) == pytest.approx((4 / 256) / (1 - 4 / 256))
    assert math.isinf(gamma(256, unit_roundoff=2.0**-8))
    # The products of factors 1 + u and 1 / (1 - u), the worst there are, stay below it.
    assert gamma(40, unit_roundoff=2.0**-8) > (1 + 2.0**-8) ** 40 - 1
    assert gamma(40, unit_roundoff=2.0**-8) > (1 - 2.0**-8) ** -40 - 1


def test_where_nothing_is_known_anything_is_allowed() -> None:
    assert math.isinf(of_operations(256, 0.0, unit_roundoff=2.0**-8))
    assert np.isinf(of_operations(300, np.zeros(2), unit_roundoff=2.0**-8)).all()


# What is computed in a dtype, its bound, and the exact value: (computed, exact, bound).

Computation = Callable[[str, int], tuple[Array, Array, Array]]


def scaled(dtype: str, seed: int) -> tuple[Array, Array, Array]:
    """x / (1 - rate), of a rate that is no number of the dtype."""
    x, one = drawn(seed, dtype, (50,)), TYPES[dtype](1)
    exact = wide(x) / (1 - 0.1)
    computed = x * (one / (one - TYPES[dtype](0.1)))
    # The rate's rounding, a difference, a reciprocal and a product.
    return wide(computed), exact, of_operations(4, np.abs(exact), unit_roundoff=UNIT_ROUNDOFF[dtype])


def luma(dtype: str, seed: int) -> tuple[Array, Array, Array]:
    x = drawn(seed, dtype, (50, 3), 0, 255)
    weights = np.array([0.2989, 0.587, 0.114])
    exact = wide(x) @ weights
    return wide(added(x * weights.astype(TYPES[dtype]))), exact, of_operations(LUMA, exact, unit_roundoff=UNIT_ROUNDOFF[dtype])


def mixed(dtype: str, seed: int) -> tuple[Array, Array, Array]:
    x, y, one = drawn(seed, dtype, (50,)), drawn(seed + 100, dtype, (50,)), TYPES[dtype](1)
    w = TYPES[dtype](1 / 3)
    exact = wide(x) * 1 / 3 + wide(y) * 2 / 3
    # A weight's rounding is relative: where it is off by u w, 1 - w is off by u w too, and that is below u (1 - w) for w < 1/2.
    bound = of_operations(MIX, np.maximum(np.abs(wide(x)), np.abs(wide(y))), unit_roundoff=UNIT_ROUNDOFF[dtype])
    return wide(w * x + (one - w) * y), exact, np.asarray(bound)


def there_and_back(dtype: str, seed: int) -> tuple[Array, Array, Array]:
    """From [10, 200] to [0, 1] and back."""
    x = drawn(seed, dtype, (50,), 10, 200)
    low, high = TYPES[dtype](10), TYPES[dtype](200)
    t = (x - low) / (high - low)
    bound = of_range(10, 200, count=TO_UNIT + FROM_UNIT, unit_roundoff=UNIT_ROUNDOFF[dtype])
    return wide(t * (high - low) + low), wide(x), np.full(x.shape, bound)


def summed_to_one(dtype: str, seed: int) -> tuple[Array, Array, Array]:
    e = np.exp(drawn(seed, dtype, (20, 9), -3, 3).astype(np.float32)).astype(TYPES[dtype])
    shares = e * (TYPES[dtype](1) / added(e))[:, None]
    return wide(shares).sum(axis=-1), np.ones(20), np.full(20, of_shares(9, unit_roundoff=UNIT_ROUNDOFF[dtype]))


def summed_to_one_by_logarithm(dtype: str, seed: int) -> tuple[Array, Array, Array]:
    x = drawn(seed, dtype, (20, 9), -8, 8)

    def function(name: str, array: Array) -> Array:
        return np.asarray(getattr(np, name)(array.astype(np.float32)).astype(TYPES[dtype]))

    largest = x.max(axis=-1, keepdims=True)
    logarithm = function("log", added(function("exp", x - largest)))[:, None] + largest
    bound = of_shares(9, unit_roundoff=UNIT_ROUNDOFF[dtype], offset=float(np.abs(wide(x)).max()))
    return wide(function("exp", x - logarithm)).sum(axis=-1), np.ones(20), np.full(20, bound)


def mean_of_one_value(dtype: str, seed: int) -> tuple[Array, Array, Array]:
    e = np.exp(drawn(seed, dtype, (20, 7)).astype(np.float32)).astype(TYPES[dtype])
    value = drawn(seed + 100, dtype, (20, 1))
    shares = e / added(e)[:, None]
    bound = of_means(7, np.abs(wide(value[:, 0])), unit_roundoff=UNIT_ROUNDOFF[dtype])
    return wide(added(shares * value)), wide(value[:, 0]), np.asarray(bound)


def cosine_with_itself(dtype: str, seed: int) -> tuple[Array, Array, Array]:
    x = drawn(seed, dtype, (20, 12))
    norm = np.sqrt(added(x * x).astype(np.float32)).astype(TYPES[dtype])
    unit = x * (TYPES[dtype](1) / norm)[:, None]
    return wide(added(unit * unit)), np.ones(20), np.full(20, of_cosines(12, unit_roundoff=UNIT_ROUNDOFF[dtype]))


def value_and_darkest(dtype: str, seed: int) -> tuple[Array, Array, Array]:
    """From RGB to S and V, and from those the brightest and the darkest channel."""
    x, one = drawn(seed, dtype, (50, 3), 0.01, 1), TYPES[dtype](1)
    high, low = x.max(axis=-1), x.min(axis=-1)
    s = (high - low) / high
    found = np.stack([high * ((one - s) + s), high * (one - s)])
    exact = wide(np.stack([high, low]))
    return wide(found), exact, np.broadcast_to(of_operations(HSV, wide(high), unit_roundoff=UNIT_ROUNDOFF[dtype]), exact.shape)


def interpolated(dtype: str, seed: int) -> tuple[Array, Array, Array]:
    """A constant, by bilinear weights along two axes, cast to the dtype."""
    rng, one = np.random.default_rng(seed), np.float32(1)
    value = drawn(seed, dtype, (50,))
    total = value
    for _ in range(2):
        f = rng.random(50).astype(np.float32)
        total = f.astype(TYPES[dtype]) * total + (one - f).astype(TYPES[dtype]) * total
    bound = of_interpolation("bilinear", (2, 2), np.abs(wide(value)), unit_roundoff=UNIT_ROUNDOFF[dtype])
    return wide(total), wide(value), np.asarray(bound)


def blurred(dtype: str, seed: int) -> tuple[Array, Array, Array]:
    """A constant, by a kernel of 3 x 5."""
    value = drawn(seed, dtype, (20, 1))

    def weights(size: int) -> Array:
        e = np.exp(-((np.arange(size) - size // 2) ** 2) / (1.0 + seed)).astype(TYPES[dtype])
        return np.asarray(e / added(e))

    kernel = (weights(3)[:, None] * weights(5)).reshape(-1)
    bound = of_blur(3, 5, np.abs(wide(value[:, 0])), unit_roundoff=UNIT_ROUNDOFF[dtype])
    return wide(added(value * kernel)), wide(value[:, 0]), np.asarray(bound)


def transformed(dtype: str, seed: int) -> tuple[Array, Array, Array]:
    """The real part of a Fourier transform of frames of 6 samples, by a product with waves."""
    kind, length = TYPES[dtype], 6
    x = drawn(seed, dtype, (20, 1, length))
    window = (0.5 + 0.125 * np.arange(length)) / 1.1
    t, k = np.arange(length), np.arange(length // 2 + 1)[:, None]
    phase = (kind(2) * t.astype(kind)) * (k.astype(kind) / kind(length)) * kind(np.pi)
    wave = np.cos(phase.astype(np.float32)).astype(kind)
    narrow = window.astype(kind)
    kernel = wave * narrow / added(narrow)
    exact = (wide(x) * (np.cos(2 * np.pi * t * k / length) * window / window.sum())).sum(axis=-1)
    magnitude = (np.abs(wide(x)) * window / window.sum()).sum(axis=-1)
    return (
        wide(added(x * kernel)),
        exact,
        np.broadcast_to(of_transform(length, magnitude, unit_roundoff=UNIT_ROUNDOFF[dtype]), exact.shape),
    )


COMPUTATIONS: tuple[Computation, ...] = (
    scaled,
    luma,
    mixed,
    there_and_back,
    summed_to_one,
    summed_to_one_by_logarithm,
    mean_of_one_value,
    cosine_with_itself,
    value_and_darkest,
    interpolated,
    blurred,
    transformed,
)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("computation", COMPUTATIONS, ids=lambda each: each.__name__)
def test_a_rounded_computation_stays_within(computation: Computation, dtype: str) -> None:
    for seed in SEEDS:
        computed, exact, bound = computation(dtype, seed)
        assert (np.abs(computed - exact) <= bound).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("computation", COMPUTATIONS, ids=lambda each: each.__name__)
def test_slightly_more_does_not(computation: Computation, dtype: str) -> None:
    """The bound is as wide as its docstring says, and a value that is off by a hundredth more is out."""
    _, exact, bound = computation(dtype, 0)
    off = exact + 1.01 * np.asarray(bound)
    assert (np.abs(off - exact) > bound).all()


@pytest.mark.parametrize("computation", COMPUTATIONS, ids=lambda each: each.__name__)
def test_a_defect_of_a_ten_thousandth_does_not_in_float32(computation: Computation) -> None:
    for seed in SEEDS:
        computed, exact, bound = computation("float32", seed)
        clear = np.abs(exact) > 0.2 * np.abs(exact).max()
        assert (np.abs(computed * (1 + 1e-4) - exact) > bound)[clear].all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_copy_may_only_vanish(dtype: str) -> None:
    u = UNIT_ROUNDOFF[dtype]
    tiny = np.float32(1e-39) if dtype != "float16" else np.float16(2.0**-24)
    assert float(tiny) <= of_copies(unit_roundoff=u) == least(u)
    assert abs(float(TYPES[dtype](1) - (1 + 2 * u))) > of_copies(unit_roundoff=u)


def test_the_nearest_pixel_is_a_copy() -> None:
    assert of_interpolation("nearest", (1, 1), 7.0, unit_roundoff=2.0**-24) == of_copies(unit_roundoff=2.0**-24)


def running_error(coefficients: tuple[float, ...], x: Array) -> Array:
    """Higham, algorithm 5.1, in units of roundoff: what Horner's rule may be off."""
    y = coefficients[0] * np.ones_like(x)
    error = np.abs(y) / 2
    for coefficient in coefficients[1:]:
        y = x * y + coefficient
        error = np.abs(x) * error + np.abs(y)
    return np.asarray(2 * error - np.abs(y))


def test_the_error_of_cubic_weights_is_that_of_horners_rule() -> None:
    t = np.linspace(0, 1, 101)
    worst = 0.0
    for a in (-0.5, -0.75):
        inner, outer = (a + 2, -(a + 3), 0.0, 1.0), (a, -5 * a, 8 * a, -4 * a)
        sides = running_error(outer, 1 + t) + running_error(inner, t)
        worst = max(worst, float(np.max(sides + sides[::-1])))
    assert KERNELS["bicubic"].rounding == worst


def weights(name: str, t: Array) -> Array:
    """Of the pixels around a place that is t from the one left of it."""
    if name == "bilinear":
        return np.stack([1 - t, t])
    if name == "bicubic":
        a = -0.75
        x = np.abs(np.arange(-1, 3)[:, None] - t)
        return np.where(x <= 1, ((a + 2) * x - (a + 3)) * x**2 + 1, ((a * x - 5 * a) * x + 8 * a) * x - 4 * a)
    radius = int(name[-1])
    x = np.arange(-radius + 1, radius + 1)[:, None] - t
    found = np.sinc(x) * np.sinc(x / radius)
    return np.asarray(found / found.sum(axis=0))


@pytest.mark.parametrize("name", ["bilinear", "bicubic", "lanczos3", "lanczos5"])
def test_a_kernel_spans_and_weighs_what_it_says(name: str) -> None:
    found = weights(name, np.linspace(0, 1, 101))
    assert len(found) == KERNELS[name].width
    total = float(np.abs(found).sum(axis=0).max())
    assert total <= KERNELS[name].total + 1e-9 < total + 0.02


@pytest.mark.parametrize("name", ["lanczos3", "lanczos5"])
def test_the_zeros_of_lanczos_weigh_what_pi_is_rounded_by(name: str) -> None:
    k = np.arange(1, KERNELS[name].width // 2, dtype=np.float32)
    near = np.abs(np.sin(np.float32(np.pi) * k) / (np.float32(np.pi) * k))
    assert (near <= 2 * 2.0**-24).all()
    assert KERNELS[name].rounding == 2 * KERNELS[name].width


def test_a_kernel_is_stretched_where_the_image_shrinks() -> None:
    assert pixels_summed("bilinear", 100, 100, antialias=True) == 3
    assert pixels_summed("bilinear", 100, 25, antialias=True) == 9
    assert pixels_summed("bilinear", 100, 25, antialias=False) == 3
    assert pixels_summed("lanczos5", 4, 2, antialias=True) == 4


def test_noise_that_rounding_hides_is_not_looked_at() -> None:
    assert hides_no_noise(0.01, 1.0)
    assert not hides_no_noise(0.05, 1.0)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=200_000)
    spacing = 2 / 32  # rounding to multiples of it is off by 1/32 at most
    assert np.var(np.round(noise / spacing) * spacing) == pytest.approx(np.var(noise), rel=3e-3)


def test_half_of_the_digits() -> None:
    assert of_lost_digits(1.0, unit_roundoff=UNIT_ROUNDOFF["float32"]) == 2.0**-12
    assert of_lost_digits(2.0, unit_roundoff=UNIT_ROUNDOFF["bfloat16"]) == 0.5
    # A variance as the difference of two squares is no more than imprecise; one that lost its sign and size is defective.
    x = np.float32(3) + np.random.default_rng(0).normal(size=1000).astype(np.float32)
    naive = np.mean(x * x) - np.mean(x) ** 2
    assert abs(float(naive) - wide(x).var()) <= of_lost_digits(10.0, unit_roundoff=UNIT_ROUNDOFF["float32"])
    assert of_lost_digits(10.0, unit_roundoff=UNIT_ROUNDOFF["float32"]) < 0.01


def test_another_formula_is_told_from_rounding_in_float64() -> None:
    x = np.random.default_rng(0).normal(size=(4, 100))
    size = float(np.abs(x).sum(axis=1).max())
    assert np.max(np.abs(added(x) - np.array([math.fsum(row) for row in x]))) <= of_formula(size)
    variance = x.var(axis=1)
    assert (np.abs(variance - (variance + 1e-7)) > of_formula(float(variance.max()))).all()
