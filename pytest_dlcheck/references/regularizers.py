"""Regularizers in float64 (https://keras.io/api/layers/regularizers/)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Build

__all__ = ["penalty"]

# What a name alone stands for.
DEFAULT = 0.01


def penalty(given: Any, values: NDArray[np.float64]) -> float | None:
    """l1 sum |w| + l2 sum w^2; None where there is no reference of that regularizer.

    Args:
        given: a constructor's argument: None, a name, or what builds a regularizer.
        values: of the weight, or of the output.
    """
    if given is None:
        return 0.0
    name, options = (given.lower(), {}) if isinstance(given, str) else ("", {})
    if isinstance(given, Build):
        name, options = given.path.rpartition(".")[2].lower(), dict(given.arguments)
    first = options.get("l1", DEFAULT) if name in {"l1", "l1_l2", "l1l2"} else 0.0
    second = options.get("l2", DEFAULT) if name in {"l2", "l1_l2", "l1l2"} else 0.0
    if name == "l1l2":  # the class's own defaults are nought
        first, second = options.get("l1", 0.0), options.get("l2", 0.0)
    if name not in {"l1", "l2", "l1_l2", "l1l2"}:
        return None
    return float(first * np.sum(np.abs(values)) + second * np.sum(np.square(values)))
