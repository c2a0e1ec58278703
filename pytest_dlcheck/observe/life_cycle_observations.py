"""What became of a model that was taken apart, written to a file, or read from one: plain arrays and names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.observe.layer_observation import Raised

__all__ = ["Exported", "Held", "Plain", "Rebuilt", "Refused", "Reloaded", "Resumed", "Run"]

Array = NDArray[np.generic]
Arrays = tuple[Array, ...]


@dataclass(frozen=True)
class Held:
    """All that a model holds at one moment."""

    names: tuple[str, ...]
    """Of the weights: the outermost layer's name and the weight's own."""
    weights: Arrays
    seeds: Arrays
    """The states of the model's random generators."""
    optimizer: Arrays
    """The optimizer's variables: its step count, learning rate, and moments. Empty for a model that is not compiled."""
    config: str
    """As JSON, without what says how the layers were built (the batch's size then, say)."""
    settings: str
    """What `compile` was given, as JSON."""
    outputs: Arrays
    """For the probe's inputs, in inference."""


@dataclass(frozen=True)
class Plain:
    """A model's config, as text by the `json` of Python's library, or why there is none."""

    text: str | Raised
    again: str | Raised
    """Of the model that was made from the text."""


@dataclass(frozen=True)
class Rebuilt:
    """A model made again from a description of the architecture, and given the weights afterwards."""

    way: str
    original: Held
    rebuilt: Held
    original_after: Arrays
    """The original's weights once every weight of the new model had been changed."""


@dataclass(frozen=True)
class Reloaded:
    """A model, and what came back from a file of it."""

    way: str
    original: Held
    reloaded: Held
    original_after: Held
    """The original once the file had been written and read."""
    kept: frozenset[str]
    """What the file keeps beside weights and outputs: of `optimizer`, `settings`, `config`."""


@dataclass(frozen=True)
class Run:
    """Some epochs of training."""

    history: Mapping[str, tuple[float, ...]]
    """The epochs' losses and metrics, by name."""
    held: Held
    """At the end."""


@dataclass(frozen=True)
class Resumed:
    """A training run, and the second part of it begun anew from a file that was written in the middle."""

    way: str
    begun: int
    """How many epochs lie before the file."""
    uninterrupted: Run
    resumed: Run
    start: Held
    """What came back from the file, before training went on."""


@dataclass(frozen=True)
class Refused:
    """An attempt that must fail with an error that says why."""

    what: str
    error: Raised | None
    """None where nothing was raised."""
    words: tuple[str, ...]
    """What the error must name, in any case of letters: one of them."""
    untouched: bool = True
    """Whether what the attempt was made on is as it was before."""


@dataclass(frozen=True)
class Exported:
    """A model's outputs, and those of the SavedModel that it was exported to, for batches of several sizes."""

    called: Mapping[int, Arrays]
    moved: Mapping[int, tuple[Array, ...]]
    """By the size of the batch: for each output, what the model gives with its weights and floating-point inputs moved by two
    units of roundoff, one row a draw."""
    read: Mapping[str, Mapping[int, Arrays]]
    """By what read the SavedModel."""
