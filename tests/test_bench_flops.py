"""Operations by formula, against what is counted by hand; peaks that a framework reaches."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable

import pytest

from pytest_dlcheck.benchmark.flops import fitted_exponent, forward_flops, step_flops
from pytest_dlcheck.models.documented import DOCUMENTED, by_name
from pytest_dlcheck.models.spec import ModelSpec

MLP = 2 * (784 * 128 + 128 * 10)
CNN1 = 2 * (9 * 32 * 26 * 26 + 13 * 13 * 32 * 10)
RNN = 2 * (8 * (8 * 64 + 64 * 64) + 64 * 10)


@pytest.mark.parametrize(("name", "flops"), [("mnist_mlp", MLP), ("mnist_cnn1", CNN1), ("simple_rnn", RNN)])
def test_forward_is_what_the_formula_gives(name: str, flops: int) -> None:
    assert forward_flops(by_name(name)) == flops


@pytest.mark.parametrize(
    ("name", "flops"),
    [
        ("mnist_mlp", 3 * MLP - 2 * 784 * 128),
        ("mnist_cnn1", 3 * CNN1 - 2 * 9 * 32 * 26 * 26),
        ("simple_rnn", 3 * RNN - 2 * 8 * 8 * 64),
        ("linear_regression", 4),
    ],
)
def test_a_step_goes_back_through_all_but_the_inputs(name: str, flops: int) -> None:
    assert step_flops(by_name(name), 1) == flops
    assert step_flops(by_name(name)) == flops * by_name(name).batch_size


@pytest.mark.parametrize("spec", DOCUMENTED, ids=lambda spec: spec.name)
def test_every_documented_model_has_some(spec: ModelSpec) -> None:
    # A weight that is used once is a multiplication and an addition; biases are not counted.
    assert forward_flops(spec) >= spec.parameters
    assert 2 * forward_flops(spec) <= step_flops(spec, 1) <= 3 * forward_flops(spec)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_an_exponent_is_found(exponent: float) -> None:
    sizes = [1.0, 2.0, 4.0, 8.0]
    found, error = fitted_exponent(sizes, [3 * size**exponent for size in sizes])
    assert found == pytest.approx(exponent)
    assert error == pytest.approx(0.0, abs=1e-9)


def test_an_exponent_of_what_scatters_has_an_error() -> None:
    found, error = fitted_exponent([1, 2, 4, 8], [1.0, 2.2, 3.8, 8.3])
    assert abs(found - 1.0) < 2 * error < 0.2
    assert fitted_exponent([1, 2], [1, 4]) == (pytest.approx(2.0), math.inf)


@pytest.mark.parametrize(("sizes", "seconds"), [([1, 1], [1, 2]), ([1], [1]), ([1, 2], [0, 1]), ([1, 2, 3], [1, 2])])
def test_an_exponent_of_nothing_is_an_error(sizes: list[float], seconds: list[float]) -> None:
    with pytest.raises(ValueError, match="two different sizes"):
        fitted_exponent(sizes, seconds)


@pytest.mark.parametrize("backend", ["torch", "tensorflow", "jax"])
def test_peaks_are_reached(backend: str, needs: Callable[..., None]) -> None:
    needs(backend, "keras")
    command = [sys.executable, "-m", "pytest_dlcheck.benchmark.peak", backend, "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert set(found) == {"gemm", "convolution"}
    assert min(found.values()) > 1e8  # a processor of any year
