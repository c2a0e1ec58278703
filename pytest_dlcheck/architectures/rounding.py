"""Whether two runs are one to the last bit, and what rounding may make of them where they are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.architectures.observation import Run
from pytest_dlcheck.architectures.watcher import Watcher
from pytest_dlcheck.observe.layer_observation import Value
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, moved_start

__all__ = ["MOVES", "equal", "moved_runs", "predicts_alike", "same_runs", "same_values"]

Array = NDArray[Any]

MOVES = 3


def same_values(one: Sequence[Value], other: Sequence[Value]) -> bool:
    """Whether two sequences of arrays are the same to the last bit, NaN like NaN."""
    return len(one) == len(other) and all(equal(a.array, b.array) for a, b in zip(one, other, strict=True))


def equal(one: Array, other: Array) -> bool:
    """Whether two arrays are the same to the last bit, NaN like NaN."""
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))


def same_runs(one: Run, other: Run) -> bool:
    """Whether two models computed the same to the last bit, as far as both were run."""

    def arrays(run: Run, name: str) -> dict[str, Array]:
        return {key: value for key, value in getattr(run, name).items() if value is not None}

    def agree(name: str) -> bool:
        mine, theirs = arrays(one, name), arrays(other, name)
        return not mine or not theirs or all(key in theirs and equal(value, theirs[key]) for key, value in mine.items())

    return (
        same_values(one.inference, other.inference)
        and same_values(one.training, other.training)
        and list(one.losses) == list(other.losses)
        and (not one.predicted or not other.predicted or same_values(one.predicted, other.predicted))
        and (not one.steps or not other.steps or list(one.steps) == list(other.steps))
        and all(agree(name) for name in ("state", "gradients", "after", "optimizer"))
    )


def predicts_alike(run: Run) -> bool:
    """Whether `predict_on_batch`, if it was run, gave what the call gave to the last bit: a graph may fuse the same sums."""
    return not run.predicted or same_values(run.inference, run.predicted)


def moved_runs(watcher: Watcher, state: Mapping[str, Array], dtype: str, *, trains: bool) -> list[Run]:
    """What a model computes from weights and inputs moved by two units of roundoff of a dtype, a few times.

    Args:
        watcher: of the model; it is left with its own inputs and the state given.
        state: of every variable.
        dtype: that the model computes in.
        trains: whether gradients and training steps are wanted, too.
    """
    unit, rng, found = UNIT_ROUNDOFF[dtype], np.random.default_rng(0), []
    inputs = watcher.inputs

    for _ in range(MOVES):
        watcher.put([moved_start(array, unit, rng) for array in inputs])
        watcher.set_state({name: moved_start(value, unit, rng) for name, value in state.items()})
        found.append(watcher.run(trains=trains))
    watcher.put(inputs)
    watcher.set_state(state)
    return found
