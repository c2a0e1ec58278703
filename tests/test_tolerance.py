"""TP, the tolerance of a layer against its float64 reference: what it lets pass, and what it does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pytest_dlcheck.tolerance import MARGIN, SMALLEST_NORMAL, UNIT_ROUNDOFF, Bounded, moved_start, of_sum, perturbed

Move = Callable[[np.ndarray], np.ndarray]

DTYPES = ("float16", "float32", "float64")


def of_product(x: np.ndarray, w: np.ndarray, dtype: str) -> Bounded:
    exact = x.astype(np.float64), w.astype(np.float64)
    return perturbed(lambda move: move(exact[0]) @ move(exact[1]), unit_roundoff=UNIT_ROUNDOFF[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(20))
def test_a_right_computation_stays_within(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, w = (rng.normal(size=shape).astype(dtype) for shape in ((4, 9), (9, 3)))
    bounded = of_product(x, w, dtype)
    assert (np.abs((x @ w).astype(np.float64) - bounded.value) <= bounded.tolerance).all()


@pytest.mark.parametrize(("dtype", "defect"), [("float16", 0.05), ("float32", 1e-4), ("float64", 1e-12)])
def test_a_wrong_one_does_not(dtype: str, defect: float) -> None:
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=shape).astype(dtype) for shape in ((4, 9), (9, 3)))
    bounded = of_product(x, w, dtype)
    off = np.abs(bounded.value).max() * defect
    assert (off > bounded.tolerance).all()


def test_cancellation_widens_it() -> None:
    """Far from zero a difference keeps few digits, and none of them is wrong."""
    near, far = (np.array([[offset, -offset + 1]]) for offset in (1.0, 1e6))
    ones = np.ones((2, 1))
    allowed = [float(of_product(each, ones, "float32").tolerance.max()) for each in (near, far)]
    assert allowed[1] > 1e4 * allowed[0]


def test_every_dtype_has_its_margin() -> None:
    assert set(MARGIN) == set(UNIT_ROUNDOFF)
    for dtype, margin in MARGIN.items():
        bounded = perturbed(lambda move: move(np.ones(3)), unit_roundoff=UNIT_ROUNDOFF[dtype])
        assert bounded.derived.startswith(f"{margin} times")
        # Each of three equal entries moves by 2 u: their change, its root mean square, half of it for the largest value.
        expected = (margin * (2 + 2 + 1) + 4) * UNIT_ROUNDOFF[dtype]
        np.testing.assert_allclose(bounded.tolerance, expected, rtol=0.01)


def test_what_vanishes_in_half_precision_is_allowed_to() -> None:
    x = np.array([3e-4, 5e-4], dtype=np.float16)
    product = x * x  # some 1e-7, where float16 has two numbers
    bounded = perturbed(lambda move: move(x.astype(np.float64)) ** 2, unit_roundoff=UNIT_ROUNDOFF["float16"])
    assert (np.abs(product.astype(np.float64) - bounded.value) <= bounded.tolerance).all()
    single = perturbed(lambda move: move(x.astype(np.float64)) ** 2, unit_roundoff=UNIT_ROUNDOFF["float32"])
    assert (np.abs(product.astype(np.float64) - single.value) > single.tolerance).all()


def test_a_subnormal_number_may_be_flushed_and_zero_is_exact() -> None:
    def scaled(values: list[float]) -> Bounded:
        return perturbed(lambda move: move(np.array(values)) * 1e12, unit_roundoff=UNIT_ROUNDOFF["float32"])

    assert scaled([-1e-39]).tolerance[0] > 1e-27
    assert scaled([0.0]).tolerance[0] <= 8 * SMALLEST_NORMAL


def test_infinities_do_not_widen_it() -> None:
    with np.errstate(divide="ignore"):
        bounded = perturbed(lambda move: 1 / move(np.array([0.0, 2.0])), unit_roundoff=2.0**-24)
    assert bounded.value.tolist() == [np.inf, 0.5]
    assert np.isfinite(bounded.tolerance).all()


def test_of_sum_grows_with_what_is_summed() -> None:
    assert of_sum(2.0, unit_roundoff=2.0**-24) == pytest.approx(2 * of_sum(1.0, unit_roundoff=2.0**-24))
    assert of_sum(0.0, unit_roundoff=2.0**-11, terms=4) == 4 * 2.0**-24


def test_a_moved_start_is_two_units_away_and_whole_numbers_stay() -> None:
    unit = UNIT_ROUNDOFF["float32"]
    start = np.array([1.0, -3.0, 0.0, 1e-3], dtype=np.float32)
    moved = moved_start(start, unit, np.random.default_rng(0))
    assert moved.dtype == start.dtype
    assert moved[2] == 0
    away = np.abs(moved.astype(np.float64) / np.where(start == 0, 1, start) - 1)[[0, 1, 3]]
    # Two units, and the rounding of the product, half a unit in the last place: one unit of roundoff at most.
    assert (away > 0).all()
    assert (away <= 3 * unit).all()
    count = np.array([3])
    assert moved_start(count, unit, np.random.default_rng(0)) is count
