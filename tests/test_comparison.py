"""How far off a value is, in words."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_dlcheck.properties.comparison import identical, within
from pytest_dlcheck.tolerance import Bounded


def bounded(value: float, tolerance: float) -> Bounded:
    return Bounded(np.full((2, 3), value), np.full((2, 3), tolerance), "as the test says")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("value", [1.0, 1.5, -3.0, 0.75, 2.0**-10])
def test_errors_are_told_in_units_in_the_last_place(dtype: str, value: float) -> None:
    actual = np.full((2, 3), value, dtype=dtype)
    actual[1, 2] += 4 * np.abs(np.spacing(actual[1, 2]))
    actual[0, 1] += 2 * np.abs(np.spacing(actual[0, 1]))
    verdict = within("outputs", actual, bounded(value, float(np.finfo(dtype).eps) * abs(value) / 4))
    assert verdict.outcome == "fail"
    assert f"worst   {actual[1, 2].item()!r} instead of {value!r} at [1, 2], off by" in verdict.message
    assert "(4 ulp)\n" in verdict.message
    assert "(3 ulp) in the median" in verdict.message
    assert verdict.message.endswith("(4 ulp) at most")


def test_of_a_dtype_that_numpy_lacks() -> None:
    actual = np.ones((2, 3), dtype=np.float32)
    actual[0, 0] += 2.0**-7  # bfloat16 has 8 significant bits
    verdict = within("outputs", actual, bounded(1.0, 1e-6), "bfloat16")
    assert "off by 0.00781 (1 ulp)" in verdict.message


def test_what_is_not_finite_has_no_distance() -> None:
    verdict = within("outputs", np.array([[1, np.nan, 1], [1, 1, 1]]), bounded(1.0, 1e-6))
    assert "1 of 6 values" in verdict.message
    assert "worst   nan instead of 1.0 at [0, 1], off by nan" in verdict.message
    assert "none of the wrong values is finite" in verdict.message


def test_within_its_tolerance() -> None:
    assert within("outputs", np.full((2, 3), 1.05), bounded(1.0, 0.1)).outcome == "pass"
    assert within("outputs", np.full((2, 4), 1.0), bounded(1.0, 0.1)).message == "outputs: shape (2, 4) instead of (2, 3)"


def test_identical_names_the_first_difference() -> None:
    assert identical("weights", np.zeros(3), np.zeros(3)).outcome == "pass"
    assert (
        "1 of 3 values differ; the first is 1.0 instead of 0.0 at [2]"
        in identical("w", np.array([0, 0, 1.0]), np.zeros(3)).message
    )
