"""Other ways to build an architecture: with a fixed batch, on the first call, by `build`, with sizes left open."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

from pytest_dlcheck.architectures.architecture import Architecture, walk
from pytest_dlcheck.architectures.forms import deferred, functional
from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.cases.case import Build, Tensor

__all__ = ["OPEN", "lengthened", "takes_any_length", "ways_of"]

OPEN = "open sizes"
"""The way that leaves the length of sequences open."""

MORE = 2  # steps of a longer sequence

ANY_LENGTH = frozenset(
    {"Activation", "AlphaDropout", "Dense", "Dropout", "ELU", "Embedding", "GaussianDropout", "GaussianNoise", "Identity"}
    | {"LeakyReLU", "Masking", "ReLU", "SpatialDropout1D"}
    | {"Add", "Average", "Maximum", "Minimum", "Multiply"}
)
"""Layers that read the second axis as one of any length, whatever their arguments."""

OVER_TIME = frozenset({"LSTM", "GRU", "SimpleRNN"})
AROUND = frozenset({"Bidirectional", "TimeDistributed"})
FEATURES_LAST = frozenset(
    {"BatchNormalization", "Conv1D", "GlobalAveragePooling1D", "GlobalMaxPooling1D", "LayerNormalization"}
)


def _any_length(build: Build) -> bool:
    name = build.path.rpartition(".")[2]
    if name in AROUND:
        inner = [each for each in build.arguments.values() if isinstance(each, Build)]
        return all(map(_any_length, inner))
    if name in OVER_TIME:
        return not build.arguments.get("unroll")
    if name in FEATURES_LAST:
        return not {"axis", "data_format"} & set(build.arguments)
    return name in ANY_LENGTH


def takes_any_length(architecture: Architecture) -> bool:
    """Whether every input is a sequence, and no layer depends on how long it is."""
    sequences = all(len(each.shape) == (3 if each.dtype == "float" else 2) for each in architecture.inputs)
    return sequences and not architecture.settings and all(map(_any_length, walk(architecture)))


def lengthened(architecture: Architecture) -> Architecture:
    """The same model with longer sequences."""
    inputs = [
        dataclasses.replace(each, shape=(each.shape[0], each.shape[1] + MORE, *each.shape[2:])) for each in architecture.inputs
    ]
    return architecture.replace(inputs=tuple(inputs))


def _length_open(recipe: Tensor) -> tuple[int | None, ...]:
    return (None, None, *recipe.shape[2:])


def _whole(recipe: Tensor) -> tuple[int | None, ...]:
    return tuple(recipe.shape)


def _built(architecture: Architecture, backend: Backend) -> Any:
    model = deferred(architecture, backend)
    model.build((None, *architecture.inputs[0].shape[1:]))
    return model


def ways_of(architecture: Architecture, backend: Backend) -> dict[str, Callable[[], Any]]:
    """What builds the model in each of the ways that there are for it."""
    found: dict[str, Callable[[], Any]] = {"fixed batch": partial(functional, architecture, backend, shaped=_whole)}
    if architecture.is_chain:
        found["built by its first call"] = partial(deferred, architecture, backend)
        if architecture.inputs[0].dtype == "float":  # `build` knows no dtypes
            found["built by build"] = partial(_built, architecture, backend)
    if takes_any_length(architecture):
        found[OPEN] = partial(functional, architecture, backend, shaped=_length_open)
    return found
