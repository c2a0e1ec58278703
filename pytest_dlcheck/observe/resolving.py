"""From a case's plain values to the objects of an installed Keras."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.backends.keras_2 import KerasTwo
from pytest_dlcheck.cases.case import Build, Name, Tensor
from pytest_dlcheck.subjects.callables import CUSTOM_OBJECTS
from pytest_dlcheck.subjects.keras_2 import as_called

__all__ = ["find", "global_settings", "resolve"]


@contextlib.contextmanager
def global_settings(backend: Backend, settings: Mapping[str, Any]) -> Iterator[None]:
    """Inside, Keras has these global settings (`image_data_format`, `epsilon`), and knows our custom objects."""
    config = backend.keras_api.config
    before = {name: getattr(config, name)() for name in settings}
    for name, value in settings.items():
        getattr(config, f"set_{name}")(value)
    try:
        with backend.alone(), backend.keras_api.saving.custom_object_scope(dict(CUSTOM_OBJECTS)):
            yield
    finally:
        for name, value in before.items():
            getattr(config, f"set_{name}")(value)


def find(backend: Backend, path: str) -> Any:
    """What a path names: `keras.layers.Dense`, or a function of any module.

    Raises:
        AttributeError: this Keras has no such name.
    """
    module, _, rest = path.partition(".")
    if module == "keras":
        found: Any = backend.keras_api
        for part in rest.split("."):
            found = getattr(found, part)
        return found
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def resolve(backend: Backend, value: Any, array: Callable[[Tensor], Any]) -> Any:
    """A case's value as the object that it stands for.

    Args:
        backend: loaded.
        value: plain, or a nest with `Name`, `Build` and `Tensor` in it.
        array: makes the values of a tensor.
    """
    if isinstance(value, Tensor):
        return array(value)
    if isinstance(value, Name):
        return find(backend, value.path)
    if isinstance(value, Build):
        given = [resolve(backend, item, array) for item in value.positional]
        arguments = as_called(value.path, value.arguments) if isinstance(backend.keras_api, KerasTwo) else value.arguments
        return find(backend, value.path)(*given, **resolve(backend, dict(arguments), array))
    if isinstance(value, Mapping):
        return {key: resolve(backend, item, array) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(resolve(backend, item, array) for item in value)
    return value
