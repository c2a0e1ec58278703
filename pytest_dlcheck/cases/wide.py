"""A case's arguments in float64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_dlcheck.cases.case import Build

__all__ = ["in_float64"]


def in_float64(value: Any) -> Any:
    """Arguments in which every layer that has a policy of its own computes in float64."""
    if isinstance(value, Build):
        return Build(value.path, in_float64(value.arguments), in_float64(value.positional))
    if isinstance(value, Mapping):
        return {name: "float64" if name == "dtype" else in_float64(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(in_float64(each) for each in value)
    return value
