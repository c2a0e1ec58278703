"""Random models: is a model the same function as Sequential, functional and subclass, copied, saved, cut, frozen, trained?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_dlcheck import Backend, Device, Verdict
from pytest_dlcheck.architectures.added_losses import added_losses_count, observe_added_losses
from pytest_dlcheck.architectures.check import EFFORTS, ArchitectureCheck, catalogue_of
from pytest_dlcheck.architectures.kinds import KINDS
from pytest_dlcheck.architectures.training_mode import observe_training_mode, training_reaches_layers
from pytest_dlcheck.backends import versions
from pytest_dlcheck.finding import Finding
from pytest_dlcheck.known_issues import KnownIssue, known_here, load
from pytest_dlcheck.seeds import derive
from pytest_dlcheck.subjects.spec import LayerSpec

pytestmark = pytest.mark.usefixtures("dl_keras_3")


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

    def issues(spec: LayerSpec) -> list[KnownIssue]:
        here = [each for each in load() if each.speaks_of(spec.subject, backend.name, installed, device.kind)]
        # Models are not called with no samples.
        here = [each for each in here if each.property != "no_samples"]
        return [found for each in here if (found := each.where_computed(backend.onednn)) is not None]

    catalogue = catalogue_of(backend, installed["keras"], device.kind, issues)
    seed = derive(dl_seed, "architectures", kind)
    check = ArchitectureCheck(
        kind,
        catalogue,
        backend,
        seed=seed,
        effort=EFFORTS[dl_profile],
        known=lambda name: known_here(f"architectures.{kind}", name, backend, device),
        budget_s=dl_share_s,
    )
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


@pytest.mark.dl_trains
@pytest.mark.parametrize(
    "regularizer",
    [
        pytest.param("kernel_regularizer", marks=pytest.mark.dl_property("added_losses_of_weights")),
        pytest.param("activity_regularizer", marks=pytest.mark.dl_property("added_losses_of_outputs")),
    ],
)
@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(name, marks=pytest.mark.dl_subject(f"keras.Model.training_in_{name}"))
        for name in ("float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
    ],
)
def test_added_losses(
    policy: str, regularizer: str, backend: Backend, device: Device, dl_judge: Callable[[Verdict], None]
) -> None:
    dl_judge(added_losses_count(observe_added_losses(backend, policy=policy, regularizer=regularizer)))
