"""One observer per documented model and API: what it observes is made once, and every property reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from pytest_dlcheck import Backend, Device
from pytest_dlcheck.models import build
from pytest_dlcheck.models.documented import DOCUMENTED
from pytest_dlcheck.models.spec import ModelSpec
from pytest_dlcheck.observe.model import ModelObserver
from pytest_dlcheck.properties.verdict import Verdict
from pytest_dlcheck.seeds import derive


def _parameters() -> Iterator[object]:
    for spec in DOCUMENTED:
        yield pytest.param((spec, "keras"), id=f"{spec.name}-keras", marks=pytest.mark.dl_subject(spec.subject, api="keras"))
        yield pytest.param(
            (spec, "tf.keras"),
            id=f"{spec.name}-tf.keras",
            marks=[pytest.mark.dl_subject(spec.subject, api="tf.keras"), pytest.mark.dl_only("tensorflow")],
        )


@pytest.fixture(scope="session")
def observers() -> dict[tuple[ModelSpec, str, str], ModelObserver]:
    """Those of the model that was tested last; a trained model is large, and the tests come model by model."""
    return {}


@pytest.fixture(scope="session", params=_parameters())
def model(
    request: pytest.FixtureRequest,
    backend: Backend,
    device: Device,
    dl_compiled_once: None,
    dl_seed: int,
    dl_profile: str,
    observers: dict[tuple[ModelSpec, str, str], ModelObserver],
) -> ModelObserver:
    """A documented model on this backend and device, through `keras` or `tf.keras`.

    Where `tf.keras` is `keras` under another name, class by class, one observation serves both: a second run of the same
    code would show nothing new.
    """
    spec, api = request.param
    observed_through = "keras" if api == "tf.keras" and build.same_classes(spec, "tf.keras", "keras") else api
    key = (spec, observed_through, str(device))
    if key not in observers:
        for other in [other for other in observers if other[0] != spec or other[2] != str(device)]:
            del observers[other]
        observers[key] = ModelObserver(
            spec,
            backend,
            device=str(device),
            api=observed_through,
            seed=derive(dl_seed, spec.subject),
            epochs=spec.epochs_in(dl_profile),
        )
    return observers[key]


@pytest.fixture
def judge(
    request: pytest.FixtureRequest, model: ModelObserver, dl_judge: Callable[[Verdict], None]
) -> Callable[[Verdict], None]:
    """Takes the verdict on the model, and says through which API it was observed."""
    _, api = request.node.callspec.params["model"]

    def judge(verdict: Verdict) -> None:
        if api != model.api:
            verdict = replace(verdict, message=f"{verdict.message}\n({api} is {model.api} here, class by class)")
        dl_judge(verdict)

    return judge
