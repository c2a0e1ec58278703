"""Keras on NumPy: forward only, on the CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from pytest_dlcheck.backends.base import Array, Backend
from pytest_dlcheck.devices import DeviceName

__all__ = ["BACKEND", "NumpyBackend"]


class NumpyBackend(Backend):
    name = "numpy"
    trains = False

    def find(self, platform: str) -> tuple[list[str], str]:
        return (["cpu"], "") if platform == "cpu" else ([], f"NumPy does not know {platform!r}")

    def scope(self, device: DeviceName) -> contextlib.AbstractContextManager[object]:
        del device
        return contextlib.nullcontext()

    def locate(self, value: Any) -> set[tuple[str, int]]:
        if not isinstance(value, np.ndarray | np.generic):
            raise TypeError(f"{type(value).__name__} is no NumPy array")
        return {("cpu", 0)}

    def put(self, array: Array) -> Any:
        return np.array(array)

    def gradients_of(self, model: Any, inputs: Any, objective: Callable[[Any], Any]) -> list[Array | None]:
        raise NotImplementedError("Keras on NumPy runs forward only")


BACKEND = NumpyBackend
