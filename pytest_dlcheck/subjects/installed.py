"""A layer's spec, as it is for the Keras that is installed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

from pytest_dlcheck.subjects.keras_2 import of_generation
from pytest_dlcheck.subjects.spec import LayerSpec, World, class_of

if TYPE_CHECKING:
    from pytest_dlcheck.backends.base import Backend

__all__ = ["Installed", "installed_layer"]


class Installed(NamedTuple):
    """A layer that can be checked here.

    Attributes:
        spec: as it is for this generation of Keras.
        kind: the class.
        world: where it runs.
    """

    spec: LayerSpec
    kind: type
    world: World


def installed_layer(spec: LayerSpec, backend: Backend, keras_version: str, device: str) -> Installed | str:
    """A spec's layer in an installed Keras; why there is none to check, as a text, if there is not.

    Args:
        spec: of the layer.
        backend: loaded.
        keras_version: `3.15.1`.
        device: the kind of device.
    """
    kind = class_of(spec, backend, keras_version)
    if isinstance(kind, str):
        return kind
    spec = of_generation(spec, keras_version)
    world = World.of(backend.name, keras_version, kind, device, spec.older.arguments)
    return Installed(spec, kind, dataclasses.replace(world, onednn=backend.onednn))
