"""One observer of each kind per backend and device: a model is compiled once, and put back to its start for every test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_dlcheck import Backend, Device
from pytest_dlcheck.observe.training import StepsObserver
from pytest_dlcheck.observe.training_weights import MaskObserver, RepetitionObserver
from pytest_dlcheck.seeds import derive

PROFILES = ("smoke", "default", "nightly")


@pytest.fixture(scope="session")
def observers() -> dict[tuple[type, str], Any]:
    """Those that were made, by class and device."""
    return {}


@pytest.fixture(scope="session")
def observer_of(
    backend: Backend, device: Device, dl_compiled_once: None, dl_seed: int, observers: dict[tuple[type, str], Any]
) -> Callable[[type], Any]:
    """The observer of a class on this backend and device, its data and weights drawn from the run's seed."""

    def make(kind: type) -> Any:
        key = (kind, str(device))
        if key not in observers:
            observers[key] = kind(backend, derive(dl_seed, "training", kind.__name__))
        return observers[key]

    return make


@pytest.fixture
def from_profile(dl_profile: str) -> Callable[[str, str], None]:
    """`from_profile("default", why)`: skips the test in a profile that draws less."""

    def need(least: str, why: str) -> None:
        if PROFILES.index(dl_profile) < PROFILES.index(least):
            pytest.skip(f"from --dl-profile {least} on: {why}")

    return need


@pytest.fixture(scope="session")
def steps(observer_of: Callable[[type], Any]) -> StepsObserver:
    """The classifier that is trained in every way."""
    found: StepsObserver = observer_of(StepsObserver)
    return found


@pytest.fixture(scope="session")
def repetition(observer_of: Callable[[type], Any]) -> RepetitionObserver:
    """The classifier whose samples are weighted and repeated."""
    found: RepetitionObserver = observer_of(RepetitionObserver)
    return found


@pytest.fixture(scope="session")
def masks(observer_of: Callable[[type], Any]) -> MaskObserver:
    """The recurrent model on padded sentences."""
    found: MaskObserver = observer_of(MaskObserver)
    return found
