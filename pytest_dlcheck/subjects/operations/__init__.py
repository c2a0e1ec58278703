"""Every exported function of `keras.ops`, `keras.activations` and `keras.losses`, with the losses' classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType, ModuleType
from typing import Any

from pytest_dlcheck.subjects.operations import (
    activations,
    control,
    elementwise,
    images,
    linear_algebra,
    losses,
    neural,
    reductions,
    reshaping,
)
from pytest_dlcheck.subjects.operations.record import Operation

__all__ = ["MODULES", "OPERATIONS", "find", "uncovered"]

MODULES = ("ops", "ops.image", "ops.linalg", "ops.nn", "ops.numpy", "activations", "losses")
"""The modules of Keras whose functions are looked at."""


def _joined(operations: Iterable[Operation]) -> Mapping[str, Operation]:
    """By name; one that several files speak of has the variants of each."""
    found: dict[str, Operation] = {}
    for each in operations:
        before = found.get(each.name)
        if before is not None:
            why = before.not_differentiable
            if each.not_differentiable != why:
                raise ValueError(f"{each.name} is said to be differentiable, and not to be")
            variants, more = (*before.variants, *each.variants), (*before.more, *each.more)
            each = Operation(each.name, variants, why, before.unsupported, more)  # noqa: PLW2901
        found[each.name] = each
    return MappingProxyType(found)


OPERATIONS: Mapping[str, Operation] = _joined(
    each
    for module in (activations, control, elementwise, images, linear_algebra, losses, neural, reductions, reshaping)
    for each in module.OPERATIONS
)
"""By name below `keras`: `ops.arccosh`."""


def find(keras: Any, name: str) -> Any:
    """The function of that name; None where this Keras has none."""
    found: Any = keras
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def uncovered(keras: Any, names: Iterable[str] = ()) -> list[str]:
    """What this Keras exports and no record speaks of.

    Args:
        keras: the module.
        names: of the records; by default all of them.
    """
    known = frozenset(names or OPERATIONS)
    # `keras.ops.nn` and the like hold the functions of `keras.ops` once more.
    seen = {id(value) for name, value in vars(keras.ops).items()}
    found = []
    for module in MODULES:
        for name, value in sorted(vars(find(keras, module) or object).items()):
            if name.startswith("_") or isinstance(value, ModuleType) or not callable(value):
                continue
            if f"{module}.{name}" not in known and not ("." in module and id(value) in seen):
                found.append(f"{module}.{name}")
    return found
