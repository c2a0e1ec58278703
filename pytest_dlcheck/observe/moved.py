"""What a model gives when its weights and inputs are moved by two units of roundoff: how far rounding alone may carry it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, moved_start

__all__ = ["DRAWS", "from_moved", "move"]

Arrays = tuple[NDArray[Any], ...]

DRAWS = 3


def move(array: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Each float times 1 plus or minus two units of roundoff of its dtype; what is not a float stays."""
    unit = UNIT_ROUNDOFF.get(str(array.dtype))
    if unit is None:
        return array
    return moved_start(array, unit, rng)


def from_moved(
    backend: Backend, model: Any, x: Arrays, run: Callable[[Arrays], Arrays], *, seed: int, variables: list[Any] | None = None
) -> Arrays:
    """What `run` gives for each of its results from `DRAWS` moved starts: one row a draw.

    Args:
        backend: of the model.
        model: whose weights are moved; they are put back.
        x: inputs; the floats among them are moved.
        run: is given the moved inputs.
        seed: of the signs.
        variables: what else `run` changes, and is put back.
    """
    rng = np.random.default_rng(seed)
    held = [*model.weights, *(variables or [])]
    before = [backend.to_numpy(variable) for variable in held]
    rows = []
    for _ in range(DRAWS):
        for weight, value in zip(model.weights, before, strict=False):
            weight.assign(move(value, rng))
        rows.append(run(tuple(move(each, rng) for each in x)))
        for variable, value in zip(held, before, strict=True):
            variable.assign(value)
    return tuple(np.stack(each) for each in zip(*rows, strict=True))
