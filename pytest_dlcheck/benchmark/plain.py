"""A backend without a framework, to time what is plain Python or NumPy: the harness is tested on itself with it."""

from __future__ import annotations

import contextlib
from typing import Any

from pytest_dlcheck.backends.base import Array, Backend
from pytest_dlcheck.devices import DeviceName, Discovery

__all__ = ["NAME", "PlainBackend"]

NAME = "none"


class PlainBackend(Backend):
    """The CPU, and nothing to import. Only workloads of the user's own run on it; their model needs `fit` and `weights`."""

    name = NAME

    def load(self) -> None:
        """There is nothing to load."""

    def discover(self) -> Discovery:
        return Discovery(NAME, {}, {"cpu": ["cpu"]}, {}, seconds=0.0)

    def find(self, platform: str) -> tuple[list[str], str]:
        return (["cpu"], "") if platform == "cpu" else ([], "without a framework there is the CPU only")

    def scope(self, device: DeviceName) -> contextlib.AbstractContextManager[object]:
        return contextlib.nullcontext()

    def activate(self, device: DeviceName) -> contextlib.AbstractContextManager[object]:
        return contextlib.nullcontext()

    def locate(self, value: Any) -> set[tuple[str, int]]:
        return {("cpu", 0)}

    def verify(self, value: Any, device: DeviceName) -> None:
        """Everything lies in the host's memory."""

    def put(self, array: Array) -> Array:
        return array

    def gradients_of(self, model: Any, inputs: Any, objective: Any) -> list[Array | None]:
        raise NotImplementedError("without a framework nothing is differentiated")
