"""From a tensor's recipe to its values: the same array for the same recipe, on every machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Tensor

__all__ = ["INTERESTING", "KINDS", "make", "weight_values"]

Array = NDArray[Any]

INTERESTING = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 1e-3, -1e-3, 100.0, -100.0, 1e-39, -1e-39)
"""What is planted into inputs: zeros of both signs, ties, a subnormal number of float32, and what saturates a gate."""

Kind = Callable[[np.random.Generator, tuple[int, ...], float, float], Array]

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "zeros": lambda rng, shape, low, high: np.zeros(shape),
        "ones": lambda rng, shape, low, high: np.ones(shape),
        "normal": lambda rng, shape, low, high: rng.standard_normal(shape),
        # Exact in every dtype, and full of ties.
        "small_integers": lambda rng, shape, low, high: rng.integers(-3, 4, shape).astype(np.float64),
        "uniform": lambda rng, shape, low, high: low + (high - low) * rng.random(shape),
        "positive": lambda rng, shape, low, high: np.abs(rng.standard_normal(shape)) + 0.1,
        "large": lambda rng, shape, low, high: 100 * rng.standard_normal(shape),
        # Past the numbers that stand for infinity where one has been chosen too small.
        "huge": lambda rng, shape, low, high: 1e10 * rng.standard_normal(shape),
        "tiny": lambda rng, shape, low, high: 1e-3 * rng.standard_normal(shape),
        # Far from zero and close together, where a variance cancels.
        "offset": lambda rng, shape, low, high: 10 + rng.standard_normal(shape) / 4,
        # One in several is zero.
        "sparse": lambda rng, shape, low, high: rng.standard_normal(shape) * (rng.random(shape) < 0.4),
        "integers": lambda rng, shape, low, high: rng.integers(int(low), int(high) + 1, shape),
        "distinct": lambda rng, shape, low, high: rng.permutation(int(np.prod(shape))).reshape(shape).astype(np.float64),
        "bool": lambda rng, shape, low, high: rng.random(shape) < 0.5,
        # Runs of valid steps and then padding, each row of a length of its own, at least one.
        "padding": lambda rng, shape, low, high: _padding(rng, shape),
    }
)


def _padding(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    if not shape or shape[-1] == 0:
        return np.ones(shape, dtype=bool)
    lengths = rng.integers(1, shape[-1] + 1, (*shape[:-1], 1))
    rows: Array = np.arange(shape[-1]) < lengths
    return rows


def make(tensor: Tensor, float_dtype: str = "float32") -> Array:
    """The array of a recipe.

    Args:
        tensor: the recipe.
        float_dtype: what `float` stands for. A dtype that NumPy lacks (bfloat16) comes as float32 whose values it can hold.
    """
    if tensor.dtype == "string":
        return np.asarray(tensor.literal, dtype=object).reshape(tensor.shape)
    if tensor.literal is not None:
        found = np.asarray(tensor.literal).reshape(tensor.shape)
    else:
        rng = np.random.default_rng([tensor.seed, len(tensor.shape), *tensor.shape])
        found = np.array(KINDS[tensor.values](rng, tensor.shape, tensor.low, tensor.high))
        flat = found.reshape(-1)
        for position, value in tensor.planted:
            if flat.size:
                flat[position % flat.size] = value
    return rounded_to(found, float_dtype) if tensor.dtype == "float" else found.astype(tensor.dtype)


def rounded_to(values: Array, dtype: str) -> Array:
    """The values in a floating dtype; bfloat16, which NumPy lacks, in float32 with the lower 16 bits rounded away."""
    if dtype != "bfloat16":
        return values.astype(dtype)
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    # To nearest, ties to even, as the hardware does.
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return np.asarray(bits.astype(np.uint32).view(np.float32).reshape(values.shape))


def weight_values(seed: int, index: int, name: str, shape: tuple[int, ...]) -> Array:
    """Values for a weight, float64: of the size that a trained layer has, and no two alike.

    Initial values hide defects: a bias of zeros, a gamma of ones, moving averages that nothing has moved.

    Args:
        seed: of the case.
        index: of the weight in its layer.
        name: the last part of its path; what measures a spread must be positive.
        shape: of the weight.
    """
    rng = np.random.default_rng([seed, index, 17])
    values = rng.standard_normal(shape) / np.sqrt(max(1.0, np.prod(shape[:-1]) if len(shape) > 1 else 4.0))
    if "variance" in name or "stddev" in name:
        return np.asarray(np.abs(values) + 0.5)
    if name in {"gamma", "scale"}:
        return np.asarray(1 + values / 2)
    return np.asarray(values)
