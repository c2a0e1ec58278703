"""pytest-dlcheck: checks how a deep-learning framework behaves and how fast it trains.

Importing the package imports no framework, no numpy and no Hypothesis; the names below are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_dlcheck.architectures.divergence import Divergence as Divergence
    from pytest_dlcheck.architectures.divergence import first_divergence as first_divergence
    from pytest_dlcheck.architectures.public import EquivalenceReport as EquivalenceReport
    from pytest_dlcheck.architectures.public import ModelsDiffer as ModelsDiffer
    from pytest_dlcheck.architectures.public import check_models_equivalent as check_models_equivalent
    from pytest_dlcheck.backends.base import Backend as Backend
    from pytest_dlcheck.benchmark.measurement import Measurement as Measurement
    from pytest_dlcheck.benchmark.workload import Workload as Workload
    from pytest_dlcheck.devices import DeviceKind as DeviceKind
    from pytest_dlcheck.devices import Discovery as Discovery
    from pytest_dlcheck.errors import DeviceMismatch as DeviceMismatch
    from pytest_dlcheck.errors import DlcheckError as DlcheckError
    from pytest_dlcheck.fixtures import Device as Device
    from pytest_dlcheck.gradients.outcome import GradientReport as GradientReport
    from pytest_dlcheck.gradients.outcome import GradientsWrong as GradientsWrong
    from pytest_dlcheck.gradients.public import check_gradients as check_gradients
    from pytest_dlcheck.properties.verdict import Verdict as Verdict

__version__ = "0.1.0"

_HOMES = {
    "Backend": "backends.base",
    "Device": "fixtures",
    "DeviceKind": "devices",
    "DeviceMismatch": "errors",
    "Discovery": "devices",
    "Divergence": "architectures.divergence",
    "DlcheckError": "errors",
    "EquivalenceReport": "architectures.public",
    "GradientReport": "gradients.outcome",
    "GradientsWrong": "gradients.outcome",
    "ModelsDiffer": "architectures.public",
    "Measurement": "benchmark.measurement",
    "Verdict": "properties.verdict",
    "Workload": "benchmark.workload",
    "check_gradients": "gradients.public",
    "check_models_equivalent": "architectures.public",
    "first_divergence": "architectures.divergence",
}

__all__ = [*_HOMES, "__version__"]  # noqa: PLE0604 - they are strings


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
