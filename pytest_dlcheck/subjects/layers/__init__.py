"""The specs of every layer that Keras exports, one family a file."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType

from pytest_dlcheck.subjects.spec import LayerSpec

__all__ = ["FAMILIES", "SPECS"]

NAMES = (
    "core",
    "activation",
    "merging",
    "reshaping",
    "convolutional",
    "pooling",
    "recurrent",
    "wrappers",
    "attention",
    "normalization",
    "regularization",
    "preprocessing",
    "spectrogram",
    "image",
    "augmentation",
    "foreign",
)


def _specs(family: str) -> tuple[LayerSpec, ...]:
    found: tuple[LayerSpec, ...] = importlib.import_module(f"{__name__}.{family}").SPECS
    return found


FAMILIES: Mapping[str, tuple[LayerSpec, ...]] = MappingProxyType({family: _specs(family) for family in NAMES})
"""By family, much as `keras.layers` is documented."""

SPECS: Mapping[str, LayerSpec] = MappingProxyType({spec.name: spec for family in FAMILIES.values() for spec in family})
"""By the class's name."""
