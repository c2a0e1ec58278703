"""Names that need no configuration: `tf2.18`, `tf2.18-keras3.5`, `keras3.5`, `keras3.5-jax`, `keras3.5-torch`."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pytest_dlcheck.errors import DlcheckError

__all__ = ["FORMS", "KERAS", "TENSORFLOW", "understood"]

FORMS = "tf2.18, tf2.18-keras3.5, keras3.5, keras3.5-jax, keras3.5-torch"


class TensorFlowRelease(NamedTuple):
    """A minor release of TensorFlow.

    Attributes:
        pythons: the minor versions of Python 3 that it has wheels for, the first and the last.
        keras: the minor version of Keras that was the newest when it was released; None where Keras 2 belongs to it.
    """

    pythons: tuple[int, int]
    keras: str | None = None


class KerasRelease(NamedTuple):
    """A minor release of Keras 3.

    Attributes:
        tensorflow: the minor release of TensorFlow of the same time.
        jax: the release of JAX of the same time.
        pythons: the minor versions of Python 3 that this JAX has wheels for, the first and the last.
        further: requirements that the release does not state itself.
    """

    tensorflow: str
    jax: str
    pythons: tuple[int, int]
    further: tuple[str, ...] = ()


TENSORFLOW: Mapping[str, TensorFlowRelease] = MappingProxyType(
    {
        "2.12": TensorFlowRelease((8, 11)),
        "2.13": TensorFlowRelease((8, 11)),
        "2.14": TensorFlowRelease((9, 11)),
        "2.15": TensorFlowRelease((9, 11)),
        "2.16": TensorFlowRelease((9, 12), "3.0"),
        "2.17": TensorFlowRelease((9, 12), "3.4"),
        "2.18": TensorFlowRelease((9, 12), "3.6"),
        "2.19": TensorFlowRelease((9, 12), "3.9"),
        "2.20": TensorFlowRelease((9, 13), "3.11"),
        "2.21": TensorFlowRelease((10, 13), "3.13"),
    }
)
"""Released when: the package index's dates; docs/peers.md has the command that shows them."""

# NumPy 2 came after these releases, which do not know it and do not say so.
_OLD_NUMPY = ("numpy<2",)

KERAS: Mapping[str, KerasRelease] = MappingProxyType(
    {
        "3.0": KerasRelease("2.16", "0.4.25", (9, 12), _OLD_NUMPY),
        "3.1": KerasRelease("2.16", "0.4.25", (9, 12), _OLD_NUMPY),
        "3.2": KerasRelease("2.16", "0.4.26", (9, 12), _OLD_NUMPY),
        "3.3": KerasRelease("2.16", "0.4.26", (9, 12), _OLD_NUMPY),
        "3.4": KerasRelease("2.17", "0.4.30", (9, 12)),
        "3.5": KerasRelease("2.17", "0.4.31", (10, 12)),
        "3.6": KerasRelease("2.18", "0.4.34", (10, 13)),
        "3.7": KerasRelease("2.18", "0.4.35", (10, 13)),
        "3.8": KerasRelease("2.18", "0.4.38", (10, 13)),
        "3.9": KerasRelease("2.19", "0.5.2", (10, 13)),
        "3.10": KerasRelease("2.19", "0.6.0", (10, 13)),
        "3.11": KerasRelease("2.20", "0.7.0", (11, 13)),
        "3.12": KerasRelease("2.20", "0.8.0", (11, 13)),
        "3.13": KerasRelease("2.21", "0.9.0", (11, 13)),
        "3.14": KerasRelease("2.21", "0.10.1", (11, 13)),
        "3.15": KerasRelease("2.21", "0.10.2", (11, 13)),
    }
)

_VERSION = r"(\d+\.\d+)(\.\d+)?"
_TENSORFLOW = re.compile(rf"(?:tf|tensorflow){_VERSION}(?:-keras{_VERSION})?")
_KERAS = re.compile(rf"keras{_VERSION}(?:-(tensorflow|jax|torch))?")


def _pinned(package: str, minor: str, patch: str | None) -> str:
    return f"{package}=={minor}{patch}" if patch else f"{package}=={minor}.*"


def _pythons(first: int, last: int) -> str:
    return f"python>=3.{first},<3.{last + 1}"


def _release(table: Mapping[str, TensorFlowRelease] | Mapping[str, KerasRelease], product: str, minor: str) -> None:
    if minor not in table:
        known = list(table)
        raise DlcheckError(
            f"{product} {minor} is not known by name, {known[0]} to {known[-1]} are: "
            "write its requirements into [tool.dlcheck.peers]"
        )


def _tensorflow(name: str, minor: str, patch: str | None, keras: str | None, keras_patch: str | None) -> tuple[str, ...]:
    _release(TENSORFLOW, "TensorFlow", minor)
    release = TENSORFLOW[minor]
    requirements = (_pythons(*release.pythons), _pinned("tensorflow-cpu", minor, patch))
    if release.keras is None:
        if keras is not None:
            raise DlcheckError(
                f"{name}: TensorFlow {minor} has a Keras 2 of its own; Keras {keras} needs TensorFlow 2.16 or newer"
            )
        return requirements
    if keras is not None:
        _release(KERAS, "Keras", keras)
    return (*requirements, _pinned("keras", keras or release.keras, keras_patch))


def _keras(minor: str, patch: str | None, backend: str) -> tuple[str, ...]:
    _release(KERAS, "Keras", minor)
    release = KERAS[minor]
    keras = _pinned("keras", minor, patch)
    if backend == "tensorflow":
        return _tensorflow("", release.tensorflow, None, minor, patch)
    if backend == "jax":
        return (_pythons(*release.pythons), keras, f"jax=={release.jax}", *release.further)
    # PyTorch's wheels for the CPU alone come from elsewhere than its others, and often for one Python only: the one that runs.
    first, last = release.pythons
    python = f"python==3.{sys.version_info.minor}" if first <= sys.version_info.minor <= last else _pythons(first, last)
    return (python, keras, "torch", *release.further)


def understood(name: str) -> tuple[tuple[str, ...], str] | None:
    """The requirements and the backend that a name stands for; None if it is of no known form.

    Raises:
        DlcheckError: it is of a known form, and there is no such release.
    """
    if (match := _TENSORFLOW.fullmatch(name)) is not None:
        minor, patch, keras, keras_patch = match.groups()
        return _tensorflow(name, minor, patch, keras, keras_patch), "tensorflow"
    if (match := _KERAS.fullmatch(name)) is not None:
        minor, patch, backend = match.groups()
        backend = backend or "tensorflow"
        return _keras(minor, patch, backend), backend
    return None
