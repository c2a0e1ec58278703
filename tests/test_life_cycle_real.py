"""The observer of files and configs on real frameworks, and on frameworks that are deliberately broken."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Needs = Callable[..., None]

BROKEN = """
import numpy as np
import pytest

from pytest_dlcheck.models.custom import custom_objects
from pytest_dlcheck.models.tiny import CHAIN, CUSTOM, IMAGE, SHARED
from pytest_dlcheck.observe.life_cycle import LifeCycleObserver
from pytest_dlcheck.observe.resume_elsewhere import resumed_elsewhere
from pytest_dlcheck.properties import life_cycle as properties

JUDGED = {
    "plain": lambda life: properties.config_is_plain(life.plain),
    "config": lambda life: properties.rebuilt_is_the_same(life.rebuilt("config")),
    "clone": lambda life: properties.rebuilt_is_the_same(life.rebuilt("clone")),
    "keras": lambda life: properties.file_keeps_everything(life.reloaded("keras")),
    "weights": lambda life: properties.file_keeps_everything(life.reloaded("weights")),
    "settings": lambda life: properties.saving_leaves_settings(life.reloaded("keras")),
    "foreign": lambda life: properties.is_refused(life.foreign_weights(IMAGE)),
    "resume": lambda life: properties.resumed_is_uninterrupted(life.resumed),
    "lambda": lambda life: properties.is_refused(life.loaded_with_a_lambda()[0]),
    "unregistered": lambda life: properties.is_refused(life.unregistered()[0]),
}


def said(life, name):
    return JUDGED[name](life)


def fails(life, name, words):
    verdict = said(life, name)
    assert verdict.outcome == "fail", verdict.message
    assert words in verdict.message


@pytest.mark.parametrize("name", JUDGED)
def test_what_is_right_passes(backend, tmp_path, name):
    verdict = said(LifeCycleObserver(CUSTOM, backend, tmp_path, 1, custom_objects()), name)
    assert verdict.outcome == "pass", verdict.message


@pytest.fixture
def custom(backend):
    objects = custom_objects()
    return objects, objects["Gated"]


def test_a_config_without_an_argument(backend, tmp_path, custom):
    objects, gated = custom

    class Gated(gated):
        def get_config(self):
            return {**super().get_config(), "activation": None}

    life = LifeCycleObserver(CUSTOM, backend, tmp_path, 1, {**objects, "Gated": Gated})
    fails(life, "config", "outputs")
    fails(life, "keras", "outputs")


def test_a_config_with_an_object_in_it(backend, tmp_path):
    life = LifeCycleObserver(SHARED, backend, tmp_path, 1)
    life.model.get_config = lambda: {"units": np.int64(3)}
    fails(life, "plain", "not JSON serializable")


def test_a_weight_that_is_not_written(backend, tmp_path, custom):
    objects, gated = custom

    class Gated(gated):
        def save_own_variables(self, store):
            store["0"] = np.asarray(backend.to_numpy(self.gate))

        def load_own_variables(self, store):
            self.gate.assign(np.asarray(store["0"]))

    life = LifeCycleObserver(CUSTOM, backend, tmp_path, 1, {**objects, "Gated": Gated})
    fails(life, "keras", "weights, number")
    fails(life, "weights", "weights, number")


def test_an_optimizer_that_starts_anew(backend, tmp_path, monkeypatch):
    monkeypatch.setattr(backend.keras.optimizers.Optimizer, "load_own_variables", lambda self, store: None)
    life = LifeCycleObserver(CHAIN, backend, tmp_path, 1)
    fails(life, "keras", "optimizer variables")
    fails(life, "resume", "after resuming")


def test_saving_that_takes_the_optimizer_out(backend, tmp_path):
    life = LifeCycleObserver(CHAIN, backend, tmp_path, 1)
    model, save = life.model, life.model.save

    def forgetful(path, *args, **kwargs):
        save(path, *args, **kwargs)
        model._compile_config.config.pop("optimizer")

    model.save = forgetful
    fails(life, "settings", "afterwards")


def test_a_callback_that_counts_epochs_anew(backend, tmp_path, monkeypatch):
    scheduler = backend.keras.callbacks.LearningRateScheduler
    begin = scheduler.on_epoch_begin
    life = LifeCycleObserver(CHAIN, backend, tmp_path, 1)
    life.model  # trained, before the callback breaks
    monkeypatch.setattr(scheduler, "on_epoch_begin", lambda self, epoch, logs=None: begin(self, epoch - 2, logs))
    fails(life, "resume", "after resuming")


def test_another_process_goes_on_where_this_one_was(backend, tmp_path):
    life = LifeCycleObserver(CUSTOM, backend, tmp_path, 1)
    verdict = properties.resumed_is_uninterrupted(resumed_elsewhere(life))
    assert verdict.outcome == "pass", verdict.message
    assert "in another process" in verdict.message


def test_a_file_that_the_first_process_completes_from_memory(backend, tmp_path, monkeypatch):
    # The optimizer's state is put back from what this process remembers: in here all is well, elsewhere it is lost.
    keras, remembered = backend.keras, {}
    load, save = keras.models.load_model, keras.Model.save

    def forgetful(model, path, *args, **kwargs):
        optimizer = model.optimizer
        kept = [backend.to_numpy(variable) for variable in optimizer.variables]
        remembered[str(path)] = kept
        for variable in optimizer.variables[2:]:
            variable.assign(np.zeros(variable.shape))
        save(model, path, *args, **kwargs)
        for variable, value in zip(optimizer.variables, kept):
            variable.assign(value)

    def completed(path, *args, **kwargs):
        model = load(path, *args, **kwargs)
        for variable, value in zip(model.optimizer.variables, remembered[str(path)]):
            variable.assign(value)
        return model

    monkeypatch.setattr(keras.Model, "save", forgetful)
    monkeypatch.setattr(keras.models, "load_model", completed)
    life = LifeCycleObserver(CHAIN, backend, tmp_path, 1)
    assert said(life, "resume").outcome == "pass"
    verdict = properties.resumed_is_uninterrupted(resumed_elsewhere(life))
    assert verdict.outcome == "fail" and "in another process" in verdict.message, verdict.message


def test_a_file_that_another_process_cannot_load(backend, tmp_path):
    life = LifeCycleObserver(CHAIN, backend, tmp_path, 1)
    life.model
    life.checkpoint.write_bytes(b"")
    verdict = properties.resumed_is_uninterrupted(resumed_elsewhere(life))
    assert verdict.outcome == "fail" and "resuming in another process" in verdict.message


def test_a_clone_that_shares_its_layers(backend, tmp_path, monkeypatch):
    monkeypatch.setattr(backend.keras.models, "clone_model", lambda model: backend.keras.Model(model.inputs, model.outputs))
    fails(LifeCycleObserver(SHARED, backend, tmp_path, 1), "clone", "the config is another")
    monkeypatch.setattr(
        backend.keras.models,
        "clone_model",
        lambda model: backend.keras.Model(model.inputs, model.outputs, name=model.name),
    )
    fails(LifeCycleObserver(SHARED, backend, tmp_path, 1), "clone", "after those of the new model were changed")


def test_weights_that_fit_are_loaded_and_others_left(backend, tmp_path, monkeypatch):
    load = backend.keras.Model.load_weights
    monkeypatch.setattr(
        backend.keras.Model, "load_weights", lambda self, path, **options: load(self, path, skip_mismatch=True)
    )
    fails(LifeCycleObserver(SHARED, backend, tmp_path, 1), "foreign", "raises nothing")


def test_python_code_that_is_loaded_unasked(backend, tmp_path, monkeypatch):
    load = backend.keras.models.load_model
    monkeypatch.setattr(
        backend.keras.models, "load_model", lambda path, **options: load(path, **{**options, "safe_mode": False})
    )
    fails(LifeCycleObserver(SHARED, backend, tmp_path, 1), "lambda", "raises nothing")
"""


# Where each model is compiled anew, those defects alone that depend on the backend.
FEW = "optimizer or clone or not_written"


@pytest.mark.parametrize(("backend", "chosen", "count"), [("torch", "", 22), ("tensorflow", FEW, 5), ("jax", FEW, 5)])
def test_broken_frameworks_are_caught(pytester: pytest.Pytester, needs: Needs, backend: str, chosen: str, count: int) -> None:
    needs(backend, "keras")
    pytester.makepyfile(test_broken=BROKEN)
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:warnings", "-k", chosen)
    result = pytester.runpytest_subprocess("--dl-backend", backend, *options)
    assert result.parseoutcomes()["passed"] == count
    assert "failed" not in result.parseoutcomes()
