"""The properties of training as a whole pass what is right and catch planted defects. No framework."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pytest_dlcheck.observe.training_learnt import Growth, Learning, Repeated
from pytest_dlcheck.properties import training_learning as properties

BEFORE = (np.float32([[1, 2], [3, 4]]), np.float32([0, 0]))
AFTER = (np.float32([[1.5, 2.5], [2.5, 4.5]]), np.float32([0.1, -0.1]))
RIGHT = Learning((1.2, 0.5, 0.01), ("kernel", "bias"), BEFORE, AFTER)


def test_every_parameter_learns() -> None:
    assert properties.every_parameter_learns(RIGHT).outcome == "pass"
    for index, value in ((1, BEFORE[1]), (0, np.float32([[1, 2.5], [2.5, 4.5]])), (1, np.float32([0.1, np.nan]))):
        after = list(AFTER)
        after[index] = value
        assert properties.every_parameter_learns(replace(RIGHT, after=tuple(after))).outcome == "fail"


@pytest.mark.parametrize(("last", "outcome"), [(0.086, "pass"), (0.087, "fail"), (1.1, "fail"), (float("nan"), "fail")])
def test_one_batch_overfits(last: float, outcome: str) -> None:
    """ln 2 / 8 is 0.0866."""
    assert properties.one_batch_overfits(replace(RIGHT, losses=(1.2, last)), 8).outcome == outcome


def test_below_the_bound_every_sample_is_right() -> None:
    """The most uneven losses whose mean is just below ln 2 / n: one sample has all of it, and still half of the probability."""
    losses = np.array([np.log(2) * 0.999, *[0] * 7])
    assert losses.mean() < np.log(2) / 8
    assert np.exp(-losses).min() > 0.5


def test_same_seed() -> None:
    weights = (np.float32([1, 2]),)
    right = Repeated(((1.0, 0.5), (1.0, 0.5), (1.1, 0.6)), (weights, weights, (np.float32([3, 4]),)))
    assert properties.same_seed_same_run(right).outcome == "pass"
    near = (np.nextafter(weights[0], np.float32(9)),)
    for wrong in (
        replace(right, losses=((1.0, 0.5), (1.0, 0.5 + 1e-9), (1.1, 0.6))),
        replace(right, losses=((1.0, 0.5), (1.0, 0.5), (1.0, 0.5))),
        replace(right, weights=(weights, near, weights)),
    ):
        assert properties.same_seed_same_run(wrong).outcome == "fail"


GROWTH = Growth("predict", 2, (6, 6, 6, 6, 6), (21, 23, 23, 23, 23), (0, 0, 0, 0, 0))


def test_leaves_nothing() -> None:
    assert properties.leaves_nothing(GROWTH).outcome == "pass"
    # What grows and falls, or grows at first only, is a cache; what grows in every round is not.
    assert properties.leaves_nothing(replace(GROWTH, objects=(21, 25, 22, 26, 23))).outcome == "pass"
    for kind in ("arrays", "objects", "buffers"):
        verdict = properties.leaves_nothing(replace(GROWTH, **{kind: (6, 8, 10, 12, 14)}))
        assert verdict.outcome == "fail"
        assert "leaves 1 " in verdict.message
    assert properties.leaves_nothing(replace(GROWTH, arrays=(6, 6))).outcome == "fail"
