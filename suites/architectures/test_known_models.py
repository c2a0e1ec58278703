"""Models that people know: the documented ones written in two ways, and small applications of Keras beside their clones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pytest_dlcheck import Backend, Device, EquivalenceReport, ModelsDiffer, Verdict
from pytest_dlcheck.models import build
from pytest_dlcheck.models.documented import DOCUMENTED
from pytest_dlcheck.models.spec import ModelSpec
from pytest_dlcheck.properties.verdict import failed, passed
from pytest_dlcheck.seeds import derive

pytestmark = [pytest.mark.dl_trains, pytest.mark.usefixtures("dl_keras_3")]

Check = Callable[..., EquivalenceReport]
Judge = Callable[[Verdict], None]

# As small as each can be made, and what it is made of.
APPLICATIONS: dict[str, dict[str, Any]] = {
    "MobileNet": {"alpha": 0.25},
    "MobileNetV2": {"alpha": 0.35},
    "MobileNetV3Small": {"alpha": 0.75, "include_preprocessing": True},
    "EfficientNetB0": {},
    "DenseNet121": {},
    "ResNet50V2": {},
}
LARGE = ("EfficientNetB0", "DenseNet121", "ResNet50V2")
SIDE = 32
CLASSES = 4


def _judged(check: Check, one: Any, other: Any, x: Any, *, train: bool = True) -> Verdict:
    try:
        return passed(check(one, other, x, train=train).table())
    except ModelsDiffer as error:
        return failed(str(error))


@pytest.mark.dl_property("sequential_is_functional")
@pytest.mark.parametrize(
    "spec", [pytest.param(spec, id=spec.name, marks=pytest.mark.dl_subject(spec.subject)) for spec in DOCUMENTED]
)
def test_documented(
    spec: ModelSpec, backend: Backend, dl_seed: int, dl_profile: str, check_models_equivalent: Check, dl_judge: Judge
) -> None:
    if dl_profile == "smoke" and backend.compiles_operations:
        pytest.skip(f"from --dl-profile default on: {backend.name} compiles every operation of an eager call for every shape")
    seed = derive(dl_seed, spec.subject, "equivalence")
    backend.seed(seed)
    with backend.quick():
        one, _ = build.documented(spec, backend.keras)
        other = build.functional(spec, backend.keras)
        x = np.random.default_rng(seed).random((4, *spec.input_shape), dtype=np.float32)
        dl_judge(_judged(check_models_equivalent, one, other, x))


@pytest.mark.dl_property("clone")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.dl_subject(f"keras.applications.{name}")) for name in APPLICATIONS]
)
def test_application(
    name: str,
    backend: Backend,
    device: Device,
    dl_seed: int,
    dl_profile: str,
    check_models_equivalent: Check,
    dl_judge: Judge,
) -> None:
    if dl_profile == "smoke" or (dl_profile == "default" and (name in LARGE or backend.compiles_operations)):
        least = "nightly" if name in LARGE or backend.compiles_operations else "default"
        pytest.skip(
            f"from --dl-profile {least} on: it has hundreds of layers, which are run one by one and traced several times"
        )
    make = getattr(backend.keras.applications, name, None)
    if make is None:
        pytest.skip(f"keras {backend.keras.__version__} has no applications.{name}")
    seed = derive(dl_seed, name)
    backend.seed(seed)
    one = make(input_shape=(SIDE, SIDE, 3), weights=None, classes=CLASSES, classifier_activation=None, **APPLICATIONS[name])
    other = backend.keras.models.clone_model(one)
    x = np.random.default_rng(seed).random((2, SIDE, SIDE, 3), dtype=np.float32)
    # Not trained: with batch normalization over two samples, layer upon layer, rounding grows past all bounds in a few steps.
    dl_judge(_judged(check_models_equivalent, one, other, x, train=False))
