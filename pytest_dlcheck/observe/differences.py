"""By what an observer can tell two layers apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pytest_dlcheck.observe.layer_observation import LayerObservation, Outcome, Raised

__all__ = ["differences"]


def differences(first: LayerObservation, second: LayerObservation) -> list[str]:
    """What differs between two observations, beside what the layers say of themselves; nothing if nothing does."""
    return [
        *_of_calls("", first.eager, second.eager),
        *_of_calls(" in training", first.training, second.training),
        *_of_weights(first, second),
    ]


def _of_calls(mode: str, one: Outcome | Raised | None, other: Outcome | Raised | None) -> Iterator[str]:
    if not isinstance(one, Outcome) or not isinstance(other, Outcome):
        if type(one) is not type(other):
            yield f"an error{mode}"
        return
    if one.structure != other.structure or [v.array.shape for v in one.values] != [v.array.shape for v in other.values]:
        yield f"shape{mode}"
    elif [value.dtype for value in one.values] != [value.dtype for value in other.values]:
        yield f"dtype{mode}"
    elif not _all_same([value.array for value in one.values], [value.array for value in other.values]):
        yield f"values{mode}"
    if list(one.losses) != list(other.losses):
        yield f"losses{mode}"
    if not _all_same(one.masks, other.masks):
        yield f"masks{mode}"
    if not _all_same(list(one.state.values()), list(other.state.values())):
        yield f"state{mode}"


def _of_weights(first: LayerObservation, second: LayerObservation) -> Iterator[str]:
    if isinstance(first.weights, Raised) or isinstance(second.weights, Raised):
        return
    for what in ("name", "initial", "trainable", "constrained", "dtype"):
        if not _all_same([getattr(each, what) for each in first.weights], [getattr(each, what) for each in second.weights]):
            yield f"weights: {what}"


def _all_same(first: Any, second: Any) -> bool:
    return len(first) == len(second) and all(_same(one, other) for one, other in zip(first, second, strict=True))


def _same(one: Any, other: Any) -> bool:
    """Whether two values, arrays or not, are the same; NaN is NaN."""
    if one is None or other is None:
        return one is other
    first, second = np.asarray(one), np.asarray(other)
    if first.shape != second.shape:
        return False
    equal = first == second
    if first.dtype.kind in "fc" and second.dtype.kind in "fc":
        equal = equal | (np.isnan(first) & np.isnan(second))
    return bool(np.all(equal))
