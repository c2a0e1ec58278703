"""Hooks by which a conftest.py or another plugin extends pytest-dlcheck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_dlcheck.devices import DeviceKind, Discovery


@pytest.hookspec
def pytest_dlcheck_device_kinds(config: pytest.Config) -> Sequence[DeviceKind]:
    """Further kinds of device, beside `cpu`, `gpu` and `tpu`.

    Called once, in the controller; the workers get what it gave.
    """
    raise NotImplementedError


@pytest.hookspec(firstresult=True)
def pytest_dlcheck_discover(
    config: pytest.Config, backend: str, kinds: Mapping[str, DeviceKind], cpu_devices: int
) -> Discovery | None:
    """What a backend offers on this machine, asked before any worker starts.

    pytest-dlcheck itself asks a process of its own that imports the framework. Implement this to answer from elsewhere: a
    cluster's inventory, a recording.
    """
    raise NotImplementedError
