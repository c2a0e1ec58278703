"""Random models: is a model the same function as Sequential, functional and subclass, copied, saved, cut, frozen, trained?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_dlcheck import Backend, Device, Verdict
from pytest_dlcheck.architectures.check import EFFORTS, ArchitectureCheck, catalogue_of
from pytest_dlcheck.architectures.drawing import KINDS
from pytest_dlcheck.architectures.training_mode import observe_training_mode, training_reaches_layers
from pytest_dlcheck.backends import versions
from pytest_dlcheck.finding import Finding
from pytest_dlcheck.known_issues import KnownIssue, load
from pytest_dlcheck.seeds import derive
from pytest_dlcheck.subjects.spec import LayerSpec


@pytest.mark.dl_property("forms")
@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.dl_subject(f"architectures.{kind}")) for kind in KINDS])
def test_forms(
    kind: str,
    backend: Backend,
    device: Device,
    dl_compiled_once: None,
    dl_seed: int,
    dl_profile: str,
    dl_share_s: float | None,
    dl_findings: Callable[[list[Finding]], None],
) -> None:
    installed = versions(backend.name)
    if installed["keras"].startswith("2."):
        pytest.skip(f"models are drawn from the specs of Keras 3's layers, and Keras {installed['keras']} is installed")

    def issues(spec: LayerSpec) -> list[KnownIssue]:
        return [each for each in load() if each.speaks_of(spec.subject, backend.name, installed, device.kind)]

    catalogue = catalogue_of(backend, installed["keras"], device.kind, issues)
    seed = derive(dl_seed, "architectures", kind)
    check = ArchitectureCheck(kind, catalogue, backend, seed=seed, effort=EFFORTS[dl_profile], budget_s=dl_share_s)
    dl_findings(check.run())


@pytest.mark.dl_trains
@pytest.mark.dl_property("training_reaches_layers")
@pytest.mark.parametrize(
    "hands_on",
    [
        pytest.param(True, id="handed-on", marks=pytest.mark.dl_subject("keras.Model.handing_training_on")),
        pytest.param(False, id="left-to-keras", marks=pytest.mark.dl_subject("keras.Model.leaving_training_to_keras")),
    ],
)
def test_training_reaches_layers(
    hands_on: bool, backend: Backend, device: Device, dl_seed: int, dl_judge: Callable[[Verdict], None]
) -> None:
    seed = derive(dl_seed, "training_mode")
    dl_judge(training_reaches_layers(observe_training_mode(backend, hands_on=hands_on, seed=seed)))
