"""A case on two products, as plain values: what properties of differences judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_dlcheck.peers.answers import Answer
from pytest_dlcheck.properties.layers.judging import Judging
from pytest_dlcheck.subjects.spec import World
from pytest_dlcheck.tolerance import Bounded

__all__ = ["Comparison", "Slopes"]


@dataclass(frozen=True)
class Slopes:
    """Gradients of the sum of all outputs times cotangents, in float64, and how far off a computation in float32 may be.

    Attributes:
        inputs: by each floating input.
        weights: by each given weight; None for one that is not trained.
        names: of the weights.
    """

    inputs: Sequence[Bounded]
    weights: Sequence[Bounded | None]
    names: Sequence[str]


@dataclass(frozen=True)
class Comparison:
    """One case on two products.

    Attributes:
        judging: what was observed here, with the reference.
        product: the other one, in a few words.
        world: what the other one is, as specs ask for it.
        answer: of the call in inference mode over there.
        training: of the call in training mode; None where it was not asked for.
        slopes: gradients from here; None where there are none.
        slopes_answer: of the call with gradients over there.
    """

    judging: Judging
    product: str
    world: World
    answer: Answer
    training: Answer | None = None
    slopes: Slopes | None = None
    slopes_answer: Answer | None = None
