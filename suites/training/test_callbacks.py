"""Do callbacks do what they document?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from pytest_dlcheck import Backend
from pytest_dlcheck.observe.training_callbacks import CallbackObserver
from pytest_dlcheck.observe.training_watched import Planned, draw_plan, draw_plateau
from pytest_dlcheck.properties import training_callbacks
from pytest_dlcheck.properties.training import first_failure
from pytest_dlcheck.properties.verdict import Verdict
from pytest_dlcheck.seeds import derive

pytestmark = [pytest.mark.dl_trains, pytest.mark.usefixtures("dl_keras_3")]

Judge = Callable[[Verdict], None]
Draw = Callable[[np.random.Generator], Planned]
Draws = Callable[[Draw], Iterator[Planned]]

PLANS = {"smoke": 3, "default": 20, "nightly": 80}
FALLING = (5.0, 4.0, 3.0, 2.5, 2.0, 1.5)
LEVEL = (2.0,) * 9


@pytest.fixture(scope="session")
def callbacks(observer_of: Callable[[type], CallbackObserver]) -> CallbackObserver:
    """The classifier that is trained under callbacks."""
    return observer_of(CallbackObserver)


@pytest.fixture
def drawn(request: pytest.FixtureRequest, dl_seed: int, dl_profile: str) -> Draws:
    """Draws as many plans as the profile asks for, from a seed of the test's own."""
    rng = np.random.default_rng(derive(dl_seed, "callbacks", request.function.__name__))

    def draws(draw: Draw) -> Iterator[Planned]:
        for _ in range(PLANS[dl_profile]):
            yield draw(rng)

    return draws


@pytest.mark.dl_subject("keras.callbacks.EarlyStopping")
@pytest.mark.dl_property("stops_early")
def test_early_stopping(callbacks: CallbackObserver, drawn: Draws, dl_judge: Judge) -> None:
    runs = [callbacks.watched("EarlyStopping", plan) for plan in drawn(draw_plan)]
    dl_judge(first_failure(*map(training_callbacks.stops_early, runs)))


@pytest.mark.dl_subject("keras.callbacks.EarlyStopping")
@pytest.mark.dl_property("baseline")
def test_early_stopping_at_a_baseline(callbacks: CallbackObserver, dl_judge: Judge) -> None:
    arguments = {"monitor": "loss", "mode": "min", "patience": 2, "baseline": FALLING[-1] - 0.5}
    dl_judge(training_callbacks.stops_by_the_baseline(callbacks.watched("EarlyStopping", Planned(FALLING, False, arguments))))


@pytest.mark.dl_subject("keras.callbacks.ReduceLROnPlateau")
@pytest.mark.dl_property("reduces_the_rate")
def test_reduce_on_plateau(callbacks: CallbackObserver, drawn: Draws, dl_judge: Judge) -> None:
    runs = [callbacks.watched("ReduceLROnPlateau", plan) for plan in drawn(draw_plateau)]
    dl_judge(first_failure(*map(training_callbacks.reduces_the_rate, runs)))


@pytest.mark.dl_subject("keras.callbacks.ReduceLROnPlateau")
@pytest.mark.dl_property("cooldown")
def test_reduce_on_plateau_and_rest(callbacks: CallbackObserver, dl_judge: Judge) -> None:
    arguments = {"monitor": "loss", "mode": "min", "patience": 1, "factor": 0.5, "min_delta": 0.0, "min_lr": 0.0, "cooldown": 1}
    dl_judge(training_callbacks.reduces_the_rate(callbacks.watched("ReduceLROnPlateau", Planned(LEVEL, False, arguments))))


def _draw_checkpoint(rng: np.random.Generator) -> Planned:
    plan = draw_plan(rng)
    chosen = {name: plan.arguments[name] for name in ("monitor", "mode")}
    return replace(plan, arguments={**chosen, "save_best_only": bool(rng.integers(4)), "save_weights_only": True})


@pytest.mark.dl_subject("keras.callbacks.ModelCheckpoint")
@pytest.mark.dl_property("keeps_the_best")
def test_checkpoint(callbacks: CallbackObserver, drawn: Draws, dl_judge: Judge) -> None:
    runs = [callbacks.watched("ModelCheckpoint", plan, checkpoint=True) for plan in drawn(_draw_checkpoint)]
    dl_judge(first_failure(*map(training_callbacks.keeps_the_best, runs)))


@pytest.mark.dl_subject("keras.callbacks.ModelCheckpoint")
@pytest.mark.dl_property("save_freq")
def test_checkpoint_every_so_many_batches(callbacks: CallbackObserver, dl_judge: Judge) -> None:
    dl_judge(training_callbacks.saves_every_so_often(callbacks.checkpoints))


@pytest.mark.dl_subject("keras.callbacks.LearningRateScheduler")
@pytest.mark.dl_property("schedule")
def test_schedule(callbacks: CallbackObserver, dl_judge: Judge) -> None:
    dl_judge(training_callbacks.follows_the_schedule(callbacks.scheduled))


@pytest.mark.dl_subject("keras.callbacks.TerminateOnNaN")
@pytest.mark.dl_property("stops_at_nan")
def test_terminate_on_nan(callbacks: CallbackObserver, dl_judge: Judge) -> None:
    dl_judge(training_callbacks.stops_at_nan(callbacks.ended))


@pytest.mark.dl_subject("keras.callbacks.BackupAndRestore")
@pytest.mark.dl_property("resumes")
def test_backup_and_restore(callbacks: CallbackObserver, dl_judge: Judge) -> None:
    dl_judge(training_callbacks.backs_up(callbacks.backup))


# An epoch has four batches, a run sixteen. In the middle of an epoch, and with the end of one.
TWICE = [
    pytest.param("epoch", (6, 13), id="epochs", marks=pytest.mark.dl_property("resumes_twice")),
    pytest.param(4, (4, 12), id="whole-epochs", marks=pytest.mark.dl_property("resumes_twice_between_epochs")),
    pytest.param(3, (6, 9), id="batches", marks=pytest.mark.dl_property("resumes_twice_within_an_epoch")),
]


@pytest.mark.dl_subject("keras.callbacks.BackupAndRestore")
@pytest.mark.parametrize(("save_freq", "stops"), TWICE)
def test_backup_and_restore_twice(
    save_freq: str | int, stops: tuple[int, ...], callbacks: CallbackObserver, dl_judge: Judge
) -> None:
    dl_judge(training_callbacks.backs_up_twice(callbacks.broken_twice(save_freq, stops)))


@pytest.mark.dl_subject("keras.callbacks.BackupAndRestore")
@pytest.mark.dl_property("goes_back_to_no_epoch")
def test_backup_and_restore_keeps_the_epoch(callbacks: CallbackObserver, dl_judge: Judge) -> None:
    dl_judge(training_callbacks.goes_back_to_no_epoch(callbacks.broken_twice(3, (6, 9))))


@pytest.mark.dl_subject("keras.callbacks.BackupAndRestore")
@pytest.mark.dl_property("fit_after_a_restored_one")
def test_fit_after_a_restored_one(callbacks: CallbackObserver, dl_judge: Judge) -> None:
    dl_judge(training_callbacks.fits_from_the_first_epoch(*callbacks.fitted_again))


@pytest.fixture
def _has_averages(backend: Backend) -> None:
    if not hasattr(backend.keras.callbacks, "SwapEMAWeights"):
        pytest.skip(f"Keras {backend.keras.__version__} has no SwapEMAWeights")


@pytest.mark.dl_subject("keras.callbacks.SwapEMAWeights")
@pytest.mark.dl_property("averages")
@pytest.mark.usefixtures("_has_averages")
def test_averages_are_scored(callbacks: CallbackObserver, dl_judge: Judge) -> None:
    dl_judge(training_callbacks.averages_are_scored(callbacks.averaged))


@pytest.mark.dl_subject("keras.callbacks.SwapEMAWeights")
@pytest.mark.dl_property("predict")
@pytest.mark.usefixtures("_has_averages")
def test_averages_are_swapped_back(callbacks: CallbackObserver, dl_judge: Judge) -> None:
    dl_judge(training_callbacks.swaps_back_after_predicting(callbacks.averaged))


@pytest.mark.dl_subject("keras.optimizers.SGD")
@pytest.mark.dl_property("averages_fit_again")
def test_fit_again_with_averages(callbacks: CallbackObserver, dl_judge: Judge) -> None:
    dl_judge(training_callbacks.fits_again(callbacks.continued))
