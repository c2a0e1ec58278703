"""The array frameworks that Keras runs on. Importing this imports none of them."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Mapping
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING

from pytest_dlcheck.errors import DlcheckError

if TYPE_CHECKING:
    from pytest_dlcheck.backends.base import Backend
    from pytest_dlcheck.devices import DeviceKind

__all__ = ["BACKENDS", "create", "importable", "installed", "present", "versions"]

BACKENDS = ("tensorflow", "jax", "torch", "numpy")
"""In the order in which a default is chosen. `numpy` runs forward only."""


# Under which names each framework is distributed, the likeliest first.
DISTRIBUTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "tensorflow": (
            "tensorflow",
            "tensorflow-cpu",
            "tf-nightly",
            "tf-nightly-cpu",
            "tensorflow-rocm",
            "tensorflow-macos",
            "tf-keras",
        ),
        "jax": ("jax", "jaxlib"),
        "torch": ("torch",),
        "numpy": (),
    }
)


def importable(module: str) -> bool:
    """Whether a module is installed; it is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def installed(name: str) -> bool:
    """Whether the backend's framework, and Keras, are there to be imported; neither is imported."""
    return importable(name) and importable("keras")


def versions(name: str) -> dict[str, str]:
    """The installed versions that make up a product, read without importing any of it."""
    found = {}
    for package in (*DISTRIBUTIONS[name], "keras", "numpy"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def create(name: str, kinds: Mapping[str, DeviceKind], cpu_devices: int = 1) -> Backend:
    """The backend of that name, not yet loaded; the CPU is to appear as `cpu_devices` devices."""
    module = importlib.import_module(f"pytest_dlcheck.backends.{name}_backend")
    backend: Backend = module.BACKEND(kinds, cpu_devices)
    return backend


def present() -> Backend:
    """The backend that Keras runs on in this process, or would run on.

    Raises:
        DlcheckError: it is not installed.
    """
    from pytest_dlcheck.devices import kinds_by_name

    running = getattr(sys.modules.get("keras"), "backend", None)
    chosen = os.environ.get("KERAS_BACKEND") if running is None else running.backend()
    name = chosen or next((each for each in BACKENDS if installed(each)), None)
    if name not in BACKENDS or not installed(name):
        raise DlcheckError(f"KERAS_BACKEND is {name!r}, which is not installed; there are {', '.join(BACKENDS)}")
    return create(name, kinds_by_name(()))
