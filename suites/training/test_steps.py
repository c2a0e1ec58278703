"""Does every way of training take the steps that float64 NumPy takes, and do scores not depend on the batch size?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_dlcheck import Backend
from pytest_dlcheck.observe.training import MODES, SOURCES, StepsObserver
from pytest_dlcheck.properties import training
from pytest_dlcheck.properties.verdict import Verdict

pytestmark = [pytest.mark.dl_trains, pytest.mark.usefixtures("dl_keras_3")]

Judge = Callable[[Verdict], None]
FromProfile = Callable[[str, str], None]

ONLY = {"tf_data": ["tensorflow"], "torch_data_loader": ["torch"]}
# PyTorch documents that it takes one step at a time.
COMPILED = {name: ["tensorflow", "jax"] for name in MODES if name.startswith("steps_per_execution")}


def _named(names: Any, only: dict[str, list[str]]) -> list[Any]:
    return [pytest.param(name, marks=[pytest.mark.dl_only(*only[name])] if name in only else []) for name in names]


@pytest.mark.dl_subject("keras.Model.fit")
@pytest.mark.dl_property("steps")
def test_fit(steps: StepsObserver, dl_judge: Judge) -> None:
    dl_judge(training.takes_the_steps(steps.fitted))


@pytest.mark.dl_subject("keras.Model.fit")
@pytest.mark.dl_property("reported_loss")
def test_fit_reports_the_loss_of_an_epoch(steps: StepsObserver, dl_judge: Judge) -> None:
    dl_judge(training.reported_losses(steps.fitted))


@pytest.mark.dl_subject("keras.Model.fit")
@pytest.mark.dl_property("initial_epoch")
def test_fit_goes_on(steps: StepsObserver, dl_judge: Judge) -> None:
    dl_judge(training.takes_the_steps(steps.resumed))


@pytest.mark.dl_subject("keras.Model.train_on_batch")
@pytest.mark.dl_property("steps")
def test_train_on_batch(steps: StepsObserver, dl_judge: Judge) -> None:
    dl_judge(training.takes_the_steps(steps.batch_by_batch))


@pytest.mark.dl_subject("keras.Model.train_on_batch")
@pytest.mark.dl_property("reported_loss")
def test_train_on_batch_reports_the_loss_of_a_step(steps: StepsObserver, dl_judge: Judge) -> None:
    dl_judge(training.reported_losses(steps.batch_by_batch))


@pytest.mark.dl_subject("keras.optimizers.SGD.apply")
@pytest.mark.dl_property("written_out_loop")
def test_loop_by_hand(steps: StepsObserver, dl_judge: Judge) -> None:
    dl_judge(training.first_failure(training.takes_the_steps(steps.written_out), training.reported_losses(steps.written_out)))


@pytest.mark.dl_subject("keras.Model.fit")
@pytest.mark.dl_property("data_source")
@pytest.mark.parametrize("source", _named(SOURCES, ONLY))
def test_data_source(steps: StepsObserver, source: str, dl_judge: Judge) -> None:
    dl_judge(training.takes_the_steps(steps.source(source)))


@pytest.mark.dl_subject("keras.Model.compile")
@pytest.mark.dl_property("mode")
@pytest.mark.parametrize("mode", _named(MODES, COMPILED))
def test_mode(steps: StepsObserver, backend: Backend, mode: str, from_profile: FromProfile, dl_judge: Judge) -> None:
    if (mode, backend.name) == ("jit_compile", "torch"):
        from_profile("nightly", "torch.compile takes minutes for one step on a CPU")
    if (mode, backend.name) == ("run_eagerly", "jax"):
        from_profile("default", "JAX compiles every operation")
    if mode in ("jit_compile", "steps_per_execution=5"):
        from_profile("default", "every mode is compiled anew")
    seen = steps.mode(mode)
    dl_judge(training.first_failure(training.takes_the_steps(seen), training.reported_losses(seen)))


@pytest.mark.dl_subject("keras.Model.fit")
@pytest.mark.dl_property("sample_weight")
def test_sample_weight(steps: StepsObserver, dl_judge: Judge) -> None:
    dl_judge(training.takes_the_steps(steps.weighted))


@pytest.mark.dl_subject("keras.Model.fit")
@pytest.mark.dl_property("class_weight")
def test_class_weight(steps: StepsObserver, dl_judge: Judge) -> None:
    dl_judge(training.takes_the_steps(steps.weighted_by_class))


@pytest.mark.dl_subject("keras.Model.fit")
@pytest.mark.dl_property("validation_split")
def test_validation_split(steps: StepsObserver, dl_judge: Judge) -> None:
    dl_judge(training.first_failure(training.takes_the_steps(steps.split), training.held_out_loss(steps.split)))


@pytest.fixture
def sizes(dl_profile: str) -> tuple[int, ...]:
    """Of batches of 20 samples: a short last one in some, one sample in it, all at once, more than there are."""
    return (8, 20) if dl_profile == "smoke" else (1, 7, 8, 19, 20, 32)


@pytest.mark.dl_subject("keras.Model.evaluate")
@pytest.mark.dl_property("batch_size")
def test_evaluate(steps: StepsObserver, sizes: tuple[int, ...], dl_judge: Judge) -> None:
    dl_judge(training.batch_size_is_irrelevant(steps.evaluated(sizes)))


@pytest.mark.dl_subject("keras.Model.evaluate")
@pytest.mark.dl_property("sample_weight")
def test_evaluate_weighted(steps: StepsObserver, sizes: tuple[int, ...], dl_judge: Judge) -> None:
    dl_judge(training.batch_size_is_irrelevant(steps.evaluated(sizes, weighted=True)))


@pytest.mark.dl_subject("keras.Model.predict")
@pytest.mark.dl_property("batch_size")
def test_predict(steps: StepsObserver, sizes: tuple[int, ...], dl_judge: Judge) -> None:
    dl_judge(training.batch_size_is_irrelevant(steps.predicted(sizes)))
