"""From a case to what is sent to a peer: plain JSON in the peer's own words, with every array made already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Case, Tensor, plain, revive
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.peers.translation import Translation, translated

__all__ = ["item_of"]

Array = NDArray[Any]


def item_of(
    case: Case,
    table: Translation,
    weights: Sequence[tuple[str, Array]] | None,
    *,
    training: bool = False,
    cotangents: Sequence[Array | None] | None = None,
) -> dict[str, Any]:
    """A case as a peer takes it.

    Args:
        case: in the words of Keras 3.
        table: to the peer's.
        weights: names and values of all weights, in order; None to leave the layer its own.
        training: the mode of the call.
        cotangents: for each output what its gradient is summed with, None for one without a gradient; None for no gradients.

    Raises:
        NoCounterpart: the peer's generation has no words for it.
    """
    theirs = translated(case, table)
    renamed = table.weights.get(case.name, {})

    def values(value: Any) -> Any:
        return _made(plain(value), case)

    return {
        "subject": theirs.subject,
        "arguments": values(dict(theirs.arguments)),
        "policy": theirs.policy,
        "settings": dict(theirs.settings),
        "inputs": values(theirs.inputs),
        "call": values(dict(theirs.call)),
        "masks": None if theirs.masks is None else [None if mask is None else make(mask) for mask in theirs.masks],
        "adapt": None if theirs.adapt is None else values(theirs.adapt),
        "training": training,
        "weights": None if weights is None else [[_named(name, renamed), np.asarray(value)] for name, value in weights],
        "cotangents": None if cotangents is None else list(cotangents),
    }


def _named(name: str, renamed: Any) -> str:
    """A weight's name over there; a number that only told it from others goes."""
    path, _, last = name.partition("#")[0].rpartition("/")
    last = renamed.get(last, last)
    return f"{path}/{last}" if path else last


def _made(value: Any, case: Case) -> Any:
    """Plain JSON, with the array in the place of each tensor's recipe."""
    if isinstance(value, list):
        return [_made(item, case) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"$tensor"}:
        tensor = revive(value)
        assert isinstance(tensor, Tensor)
        array = make(tensor, case.compute_dtype)
        # With a mixed policy the layer itself casts; the values survive that.
        return array.astype(np.float32) if tensor.dtype == "float" and case.policy.startswith("mixed") else array
    return {key: _made(item, case) for key, item in value.items()}
