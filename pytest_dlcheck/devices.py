"""Devices by name, and what a backend finds of them. Nothing here imports a framework."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from pytest_dlcheck.errors import DlcheckError

__all__ = ["BUILTIN_KINDS", "DeviceKind", "DeviceName", "Discovery", "kinds_by_name"]


@dataclass(frozen=True)
class DeviceKind:
    """A kind of device, and what each framework calls it; a plugin adds one with `pytest_dlcheck_device_kinds`.

    Args:
        name: as in `--dl-device` and in test ids: `gpu`.
        platforms: backend name -> the framework's own word: `{"tensorflow": "GPU", "jax": "gpu", "torch": "cuda"}`.
            What is not there does not know the kind.
    """

    name: str
    platforms: Mapping[str, str] = field(hash=False)

    def __post_init__(self) -> None:
        # The name becomes part of options and test ids, where ',' and ':' separate and 'all' and 'auto' have a meaning.
        if not self.name.isidentifier() or self.name != self.name.lower() or self.name in ("all", "auto"):
            raise DlcheckError(f"{self.name!r} cannot name a kind of device: use one lower-case word")


BUILTIN_KINDS: tuple[DeviceKind, ...] = (
    DeviceKind("cpu", MappingProxyType({"tensorflow": "CPU", "jax": "cpu", "torch": "cpu", "numpy": "cpu"})),
    DeviceKind("gpu", MappingProxyType({"tensorflow": "GPU", "jax": "gpu", "torch": "cuda"})),
    # Keras on PyTorch does not run on a TPU.
    DeviceKind("tpu", MappingProxyType({"tensorflow": "TPU", "jax": "tpu"})),
)


def kinds_by_name(added: Iterable[DeviceKind]) -> dict[str, DeviceKind]:
    """The built-in kinds and those added, by name, in that order; adding a name twice is an error."""
    kinds = {kind.name: kind for kind in BUILTIN_KINDS}
    for kind in added:
        if kind.name in kinds:
            raise DlcheckError(f"the device kind {kind.name!r} is defined twice")
        kinds[kind.name] = kind
    return kinds


@dataclass(frozen=True)
class DeviceName:
    """One device: its kind and its index among those of its kind."""

    kind: str
    index: int = 0

    @classmethod
    def parse(cls, text: str) -> DeviceName:
        """Reads `gpu` (the first one) or `gpu:1`.

        Raises:
            DlcheckError: the text is neither.
        """
        kind, colon, index = text.strip().partition(":")
        if not kind.isidentifier() or (colon and not (index.isascii() and index.isdigit())):
            raise DlcheckError(f"{text!r} names no device: write a kind like 'gpu', or a kind and an index like 'gpu:1'")
        return cls(kind, int(index) if colon else 0)

    @property
    def id(self) -> str:
        """As in a test id: `cpu`, `gpu:1`."""
        return self.kind if self.index == 0 else str(self)

    def __str__(self) -> str:
        """As in a report: `cpu:0`."""
        return f"{self.kind}:{self.index}"


class Discovery(NamedTuple):
    """What one backend offers on this machine: the answer of a process that has imported it.

    `devices` holds per kind a description of each device, the first being index 0; `missing` says per kind why there is
    none. With `error` set the backend itself cannot be used.
    """

    backend: str
    versions: Mapping[str, str]
    devices: Mapping[str, Sequence[str]]
    missing: Mapping[str, str]
    error: str | None = None
    seconds: float = 0.0

    def why_not(self, device: DeviceName) -> str | None:
        """None if the device is there, else the reason why it is not."""
        if self.error is not None:
            return self.error
        found = self.devices.get(device.kind, ())
        if device.index < len(found):
            return None
        if not found:
            return f"{self.backend} finds no {device.kind}: {self.missing.get(device.kind, 'it does not know this kind')}"
        return f"{self.backend} finds {len(found)} of kind {device.kind}, so there is no {device}"

    def names(self) -> list[DeviceName]:
        return [DeviceName(kind, index) for kind, found in self.devices.items() for index in range(len(found))]
