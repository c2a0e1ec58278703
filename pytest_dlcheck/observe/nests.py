"""Nests of tensors: their leaves, their structure, and the names of a layer's weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pytest_dlcheck.observe.layer_observation import Declared

__all__ = ["declared_shapes", "is_text", "leaves_of", "map_leaves", "short_names", "structure_of"]


def leaves_of(nest: Any) -> list[Any]:
    """The tensors of a nest, dictionaries by key; None is no tensor."""
    if nest is None:
        return []
    if isinstance(nest, Mapping):
        return [leaf for key in sorted(nest) for leaf in leaves_of(nest[key])]
    if isinstance(nest, (list, tuple)):
        return [leaf for item in nest for leaf in leaves_of(item)]
    return [nest]


def structure_of(nest: Any) -> str:
    """The nest with a star for each tensor; lists and tuples are alike, as Keras takes them."""
    if nest is None:
        return "None"
    if isinstance(nest, Mapping):
        return "{" + ", ".join(f"{key}: {structure_of(nest[key])}" for key in sorted(nest)) + "}"
    if isinstance(nest, (list, tuple)):
        return "[" + ", ".join(structure_of(item) for item in nest) + "]"
    return "*"


def map_leaves(function: Callable[[Any], Any], nest: Any) -> Any:
    if isinstance(nest, Mapping):
        return {key: map_leaves(function, item) for key, item in sorted(nest.items())}
    if isinstance(nest, (list, tuple)):
        return type(nest)(map_leaves(function, item) for item in nest)
    return function(nest)


def _is_shape(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(size is None or isinstance(size, (int, np.integer)) for size in value)


def declared_shapes(found: Any) -> Declared:
    """What `compute_output_shape` returned.

    Raises:
        TypeError: it holds something that is no shape.
    """
    shapes: list[tuple[int | None, ...]] = []

    def walk(value: Any) -> str:
        if hasattr(value, "as_list"):  # TensorFlow's own, in Keras 2
            value = value.as_list()
        if _is_shape(value):
            shapes.append(tuple(value))
            return "*"
        if isinstance(value, Mapping):
            return "{" + ", ".join(f"{key}: {walk(value[key])}" for key in sorted(value)) + "}"
        if isinstance(value, (list, tuple)):
            return "[" + ", ".join(walk(item) for item in value) + "]"
        raise TypeError(f"{value!r} is no shape")

    return Declared(walk(found), shapes)


def is_text(tensor: Any) -> bool:
    return getattr(getattr(tensor, "dtype", None), "name", "") in {"string", "object", "str"}


def short_names(paths: Sequence[str]) -> list[str]:
    """The last parts of each path that tell it from the others; a number where they are all the same."""
    found: list[str] = []
    for index, path in enumerate(paths):
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            name = "/".join(parts[-count:])
            if sum(other == name or other.endswith("/" + name) for other in paths) == 1:
                break
        else:
            name = f"{parts[-1]}#{index}"
        found.append(name)
    return found
