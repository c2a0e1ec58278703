"""Does a model come back from its config and its files as it was, and does training go on from a file as if nothing were?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_dlcheck import Backend, Device
from pytest_dlcheck.models.tiny import CHAIN, CUSTOM, IMAGE, SHARED, TEXT, TINY, TinySpec
from pytest_dlcheck.observe.export import exported, why_not
from pytest_dlcheck.observe.life_cycle import LifeCycleObserver
from pytest_dlcheck.observe.resume_elsewhere import resumed_elsewhere
from pytest_dlcheck.properties import life_cycle
from pytest_dlcheck.properties.verdict import Verdict
from pytest_dlcheck.seeds import derive

Judge = Callable[[Verdict], None]

pytestmark = [pytest.mark.dl_trains, pytest.mark.usefixtures("dl_keras_3")]


# Those that between them show most; the others wait for `default`.
IN_SMOKE = (CHAIN, TEXT, SHARED, CUSTOM)


def parameters(*specs: TinySpec) -> list[Any]:
    return [pytest.param(spec, id=spec.name, marks=pytest.mark.dl_subject(f"saving.{spec.name}")) for spec in specs]


@pytest.fixture(scope="module")
def observed() -> dict[tuple[str, str, str], LifeCycleObserver]:
    """By backend, device and model: tests that take some of the models only come after those that take all."""
    return {}


@pytest.fixture(scope="module", params=parameters(*TINY))
def life(
    request: pytest.FixtureRequest,
    backend: Backend,
    device: Device,
    dl_keras_3: None,
    dl_compiled_once: None,
    dl_seed: int,
    dl_profile: str,
    tmp_path_factory: pytest.TempPathFactory,
    observed: dict[tuple[str, str, str], LifeCycleObserver],
) -> LifeCycleObserver:
    """A tiny model on this backend and device; what it goes through is observed once, and every property reads it."""
    spec: TinySpec = request.param
    if dl_profile == "smoke" and spec not in IN_SMOKE:
        pytest.skip(f"the model {spec.name!r} is left to --dl-profile default")
    key = (backend.name, str(device), spec.name)
    if key not in observed:
        seed = derive(dl_seed, "saving", spec.name)
        observed[key] = LifeCycleObserver(spec, backend, tmp_path_factory.mktemp(spec.name), seed)
    return observed[key]


@pytest.mark.dl_property("plain_config")
def test_config_is_plain(life: LifeCycleObserver, dl_judge: Judge) -> None:
    dl_judge(life_cycle.config_is_plain(life.plain))


@pytest.mark.dl_property("from_config")
def test_from_config(life: LifeCycleObserver, dl_judge: Judge) -> None:
    dl_judge(life_cycle.rebuilt_is_the_same(life.rebuilt("config")))


@pytest.mark.dl_property("from_json")
def test_from_json(life: LifeCycleObserver, dl_judge: Judge) -> None:
    dl_judge(life_cycle.rebuilt_is_the_same(life.rebuilt("json")))


@pytest.mark.dl_property("clone")
def test_clone(life: LifeCycleObserver, dl_judge: Judge) -> None:
    dl_judge(life_cycle.rebuilt_is_the_same(life.rebuilt("clone")))


@pytest.mark.dl_property("keras_file")
def test_keras_file(life: LifeCycleObserver, dl_judge: Judge) -> None:
    dl_judge(life_cycle.file_keeps_everything(life.reloaded("keras")))


@pytest.mark.dl_property("weights_file")
def test_weights_file(life: LifeCycleObserver, dl_judge: Judge) -> None:
    dl_judge(life_cycle.file_keeps_everything(life.reloaded("weights")))


@pytest.mark.dl_property("legacy_file")
def test_legacy_file(life: LifeCycleObserver, dl_judge: Judge) -> None:
    dl_judge(life_cycle.file_keeps_everything(life.reloaded("h5")))


@pytest.mark.dl_property("foreign_weights")
def test_foreign_weights_are_refused(life: LifeCycleObserver, dl_judge: Judge) -> None:
    other = TINY[(TINY.index(life.spec) + 1) % len(TINY)]
    dl_judge(life_cycle.is_refused(life.foreign_weights(other)))


@pytest.mark.dl_property("resume")
def test_resume(life: LifeCycleObserver, dl_judge: Judge) -> None:
    dl_judge(life_cycle.resumed_is_uninterrupted(life.resumed))


# A process for each model, which imports the framework anew.
@pytest.mark.parametrize("life", parameters(CHAIN, CUSTOM), indirect=True)
@pytest.mark.dl_property("resume_elsewhere")
def test_resume_in_another_process(life: LifeCycleObserver, device: Device, dl_judge: Judge) -> None:
    if device.kind != "cpu":
        pytest.skip("the other process is not told of a device, and what it takes by itself may be another one")
    dl_judge(life_cycle.resumed_is_uninterrupted(resumed_elsewhere(life)))


@pytest.mark.parametrize("life", parameters(*(spec for spec in TINY if spec.random)), indirect=True)
@pytest.mark.dl_property("random_state")
def test_random_state(life: LifeCycleObserver, dl_judge: Judge) -> None:
    dl_judge(life_cycle.file_keeps_random_state(life.reloaded("keras")))


@pytest.mark.dl_property("legacy_optimizer")
def test_legacy_optimizer(life: LifeCycleObserver, dl_judge: Judge) -> None:
    dl_judge(life_cycle.file_keeps_optimizer(life.reloaded("h5")))


@pytest.mark.dl_property("saving_leaves_settings")
def test_saving_leaves_settings(life: LifeCycleObserver, dl_judge: Judge) -> None:
    dl_judge(life_cycle.saving_leaves_settings(life.reloaded("keras")))


@pytest.mark.dl_property("legacy_leaves_settings")
def test_legacy_leaves_settings(life: LifeCycleObserver, dl_judge: Judge) -> None:
    dl_judge(life_cycle.saving_leaves_settings(life.reloaded("h5")))


@pytest.mark.parametrize("life", parameters(CUSTOM), indirect=True)
@pytest.mark.dl_property("unregistered")
def test_a_class_that_is_not_registered(life: LifeCycleObserver, dl_judge: Judge) -> None:
    refused, loaded = life.unregistered()
    dl_judge(life_cycle.is_refused(refused))
    dl_judge(life_cycle.file_keeps_everything(loaded))


@pytest.mark.parametrize("life", parameters(SHARED), indirect=True)
@pytest.mark.dl_property("safe_mode")
def test_python_code_is_not_loaded_unless_asked_for(life: LifeCycleObserver, dl_judge: Judge) -> None:
    refused, loaded = life.loaded_with_a_lambda()
    dl_judge(life_cycle.is_refused(refused))
    dl_judge(life_cycle.file_keeps_everything(loaded))


@pytest.mark.dl_only("tensorflow")
@pytest.mark.dl_property("export")
def test_export(life: LifeCycleObserver, dl_judge: Judge) -> None:
    dl_judge(life_cycle.export_computes_the_same(exported(life)))


@pytest.mark.dl_only("jax", "torch")
@pytest.mark.parametrize("life", parameters(CHAIN, IMAGE, SHARED), indirect=True)
@pytest.mark.dl_property("export")
def test_export_to_tensorflow(life: LifeCycleObserver, dl_profile: str, dl_judge: Judge) -> None:
    if dl_profile == "smoke":
        pytest.skip("a SavedModel needs TensorFlow's import beside the backend's: --dl-profile default")
    reason = why_not(life.backend)
    if reason is not None:
        pytest.skip(reason)
    dl_judge(life_cycle.export_computes_the_same(exported(life)))
