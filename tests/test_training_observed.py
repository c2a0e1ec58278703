"""Deliberately broken framework objects, trained by the real observers: each is caught, and its twin that is right passes."""

from __future__ import annotations

import importlib.util

import pytest

from conftest import TRAINING_BACKENDS

BROKEN = '''
import numpy as np
import pytest

from pytest_dlcheck.observe.training import StepsObserver
from pytest_dlcheck.observe.training_callbacks import CallbackObserver
from pytest_dlcheck.observe.training_learning import LearningObserver, count_growth
from pytest_dlcheck.observe.training_precision import AccumulationObserver, ScalingObserver
from pytest_dlcheck.observe.training_watched import Planned
from pytest_dlcheck.observe.training_weights import MaskObserver, RepetitionObserver
from pytest_dlcheck.properties import training, training_callbacks, training_learning, training_precision, training_weights

pytestmark = pytest.mark.usefixtures("dl_compiled_once")
FALLING = (5.0, 4.0, 3.0, 2.5, 2.0, 1.5)
WALK = (3.0, 2.0, 2.0, 1.875, 2.5, 1.0, 1.0, 1.0, 1.0)
STOP = {"monitor": "loss", "mode": "min", "patience": 2, "min_delta": 0.0, "restore_best_weights": True, "start_from_epoch": 0}
REDUCE = {"monitor": "loss", "mode": "min", "patience": 1, "factor": 0.5, "min_delta": 0.0, "min_lr": 0.0, "cooldown": 1}


def says(outcome, *verdicts):
    for verdict in verdicts:
        assert verdict.outcome == outcome, verdict.message


def test_an_optimizer_that_is_off_by_a_thousandth(backend, monkeypatch):
    class SGD(backend.keras.optimizers.SGD):
        def update_step(self, gradient, variable, learning_rate):
            super().update_step(gradient * 1.001, variable, learning_rate)

    monkeypatch.setattr(backend.keras.optimizers, "SGD", SGD)
    seen = StepsObserver(backend, 0)
    says("fail", *map(training.takes_the_steps, (seen.fitted, seen.batch_by_batch, seen.written_out, seen.source("generator"))))


def test_a_normalization_whose_statistics_stay(backend, monkeypatch):
    class BatchNormalization(backend.keras.layers.BatchNormalization):
        def call(self, inputs, training=None, mask=None):
            kept = self.moving_mean + 0
            outputs = super().call(inputs, training=training, mask=mask)
            self.moving_mean.assign(kept)
            return outputs

    monkeypatch.setattr(backend.keras.layers, "BatchNormalization", BatchNormalization)
    verdict = training.takes_the_steps(StepsObserver(backend, 0).fitted)
    says("fail", verdict)
    assert "norm.moving_mean" in verdict.message


def test_a_loss_that_forgets_weights_and_masks(backend, monkeypatch):
    class Forgetful(backend.keras.losses.SparseCategoricalCrossentropy):
        def __call__(self, y_true, y_pred, sample_weight=None):
            return super().__call__(y_true, y_pred + 0)  # which carries no mask

    monkeypatch.setattr(backend.keras.losses, "SparseCategoricalCrossentropy", Forgetful)
    seen, masks = StepsObserver(backend, 0), MaskObserver(backend, 0)
    says("pass", training.takes_the_steps(seen.fitted))
    says("fail", training.takes_the_steps(seen.weighted), training.takes_the_steps(seen.weighted_by_class))
    says("fail", training.takes_the_steps(RepetitionObserver(backend, 0).observed))
    says("fail", training_weights.masked_loss(masks.masked), training_weights.makes_no_difference(masks.other_targets))
    says("fail", training_weights.makes_no_difference(masks.longer))


def test_a_model_that_drops_the_short_batch(backend):
    seen = StepsObserver(backend, 0)
    model = seen.trainee.model
    fit, predict, evaluate = model.fit, model.predict, model.evaluate

    def whole(x, batch_size):
        return len(x) // batch_size * batch_size

    model.fit = lambda x, y, **given: fit(*[each[: whole(x, given["batch_size"])] for each in (x, y)], **given)
    model.predict = lambda x, **given: predict(x[: whole(x, given["batch_size"])], **given)
    model.evaluate = lambda x, y, **given: evaluate(*[each[: whole(x, given["batch_size"])] for each in (x, y)], **given)
    says("fail", training.takes_the_steps(seen.fitted))
    for judge, sizes in ((seen.predicted, (8,)), (seen.evaluated, (8,))):
        says("fail", training.batch_size_is_irrelevant(judge(sizes)))
        says("pass", training.batch_size_is_irrelevant(judge((20,))))


def test_early_stopping(backend, monkeypatch):
    class Late(backend.keras.callbacks.EarlyStopping):
        def __init__(self, **given):
            super().__init__(**{**given, "patience": given["patience"] + 1})

    class Forgetful(backend.keras.callbacks.EarlyStopping):
        def on_train_end(self, logs=None):
            pass

    class ByTheBaseline(backend.keras.callbacks.EarlyStopping):
        """As documented: an epoch that does not reach the baseline is none with an improvement."""

        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            if self.wait >= self.patience and epoch > 0:
                self.model.stop_training = True

    seen, plan = CallbackObserver(backend, 0), Planned(WALK, False, STOP)
    low = Planned(FALLING, False, {"monitor": "loss", "mode": "min", "patience": 2, "baseline": 1.0})
    says("pass", training_callbacks.stops_early(seen.watched("EarlyStopping", plan)))
    for broken in (Late, Forgetful):
        monkeypatch.setattr(backend.keras.callbacks, "EarlyStopping", broken)
        says("fail", training_callbacks.stops_early(seen.watched("EarlyStopping", plan)))
    monkeypatch.setattr(backend.keras.callbacks, "EarlyStopping", ByTheBaseline)
    says("pass", training_callbacks.stops_by_the_baseline(seen.watched("EarlyStopping", low)))
    says("pass", training_callbacks.stops_early(seen.watched("EarlyStopping", plan)))


def test_reduce_on_plateau(backend, monkeypatch):
    class Rests(backend.keras.callbacks.ReduceLROnPlateau):
        """As documented: `cooldown` epochs are waited, not one fewer."""

        def on_epoch_end(self, epoch, logs=None):
            before = float(backend.to_numpy(self.model.optimizer.learning_rate))
            super().on_epoch_end(epoch, logs)
            if float(backend.to_numpy(self.model.optimizer.learning_rate)) != before and self.cooldown:
                self.cooldown_counter = self.cooldown + 1

    seen = CallbackObserver(backend, 0)
    plan, eager = Planned((2.0,) * 6, False, REDUCE), Planned((2.0,) * 6, False, {**REDUCE, "cooldown": 0})
    says("pass", training_callbacks.reduces_the_rate(seen.watched("ReduceLROnPlateau", eager)))
    monkeypatch.setattr(backend.keras.callbacks, "ReduceLROnPlateau", Rests)
    says("pass", training_callbacks.reduces_the_rate(seen.watched("ReduceLROnPlateau", plan)))
    monkeypatch.setattr(Rests, "_is_improvement", lambda self, value, best: True)
    says("fail", training_callbacks.reduces_the_rate(seen.watched("ReduceLROnPlateau", plan)))


def test_other_callbacks(backend, monkeypatch):
    callbacks = backend.keras.callbacks

    class Stale(callbacks.ModelCheckpoint):
        """Saves what the first file holds, for ever."""

        def _save_model(self, epoch, batch, logs):
            self.first = getattr(self, "first", None) or self.model.get_weights()
            now = self.model.get_weights()
            self.model.set_weights(self.first)
            super()._save_model(epoch, batch, logs)
            self.model.set_weights(now)

    class TooLate(callbacks.TerminateOnNaN):
        def on_batch_end(self, batch, logs=None):
            self.bad = getattr(self, "bad", False) or bool(np.isnan(logs["loss"]))

        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = self.bad

    class NeverUsed(callbacks.LearningRateScheduler):
        def on_epoch_begin(self, epoch, logs=None):
            before = float(backend.to_numpy(self.model.optimizer.learning_rate))
            super().on_epoch_begin(epoch, logs)
            self.model.optimizer.learning_rate = before

    class Restarts(callbacks.BackupAndRestore):
        def on_train_begin(self, logs=None):
            pass

    class SwapsBack(callbacks.SwapEMAWeights):
        """As documented: whatever is swapped is swapped back."""

        def on_predict_end(self, logs=None):
            self._swap_variables()
            self._ema_weights_in_model = False

    class Raw(callbacks.SwapEMAWeights):
        def _swap_variables(self):
            pass

    plan = Planned(WALK, False, {"monitor": "loss", "mode": "min", "save_best_only": True, "save_weights_only": True})

    def verdicts():
        seen = CallbackObserver(backend, 0)
        return {
            "ModelCheckpoint": training_callbacks.keeps_the_best(seen.watched("ModelCheckpoint", plan, checkpoint=True)),
            "TerminateOnNaN": training_callbacks.stops_at_nan(seen.ended),
            "LearningRateScheduler": training_callbacks.follows_the_schedule(seen.scheduled),
            "BackupAndRestore": training_callbacks.backs_up(seen.backup),
            "SwapEMAWeights": training_callbacks.averages_are_scored(seen.averaged),
            "predict": training_callbacks.swaps_back_after_predicting(seen.averaged),
        }

    monkeypatch.setattr(callbacks, "SwapEMAWeights", SwapsBack)
    says("pass", *verdicts().values())
    for broken in (Stale, TooLate, NeverUsed, Restarts, Raw):
        monkeypatch.setattr(callbacks, broken.__mro__[1].__name__, broken)
    says("fail", *[verdict for name, verdict in verdicts().items() if name != "predict"])


def test_accumulation_and_scaling(backend, monkeypatch):
    optimizers = backend.keras.optimizers

    class Sums(optimizers.SGD):
        """Takes the sum of the gradients for their mean."""

        def update_step(self, gradient, variable, learning_rate):
            super().update_step(gradient * 2, variable, learning_rate)

    class TakesAll(optimizers.LossScaleOptimizer):
        def check_finite(self, grads):
            return backend.keras.ops.convert_to_tensor(True)

    class Forgets(optimizers.LossScaleOptimizer):
        """Does not scale the loss, and divides the gradients all the same."""

        def scale_loss(self, loss):
            return loss

    right = ScalingObserver(backend, 0).observed
    says("pass", training_precision.skips_what_is_not_finite(right), training_precision.scales_the_loss(right))
    says("pass", training_precision.accumulation_is_the_big_batch(AccumulationObserver(backend, 0).observed))
    for broken, judge in (
        (TakesAll, training_precision.skips_what_is_not_finite),
        (Forgets, training_precision.scales_the_loss),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(optimizers, "LossScaleOptimizer", broken)
            says("fail", judge(ScalingObserver(backend, 0).observed))
    monkeypatch.setattr(optimizers, "SGD", Sums)
    says("fail", training_precision.accumulation_is_the_big_batch(AccumulationObserver(backend, 0).observed))


def test_a_layer_that_is_cut_off_does_not_learn(backend, monkeypatch):
    class CutOff(backend.keras.layers.BatchNormalization):
        def call(self, inputs, training=None, mask=None):
            return super().call(backend.keras.ops.stop_gradient(inputs), training=training, mask=mask)

    says("pass", training_learning.every_parameter_learns(LearningObserver(backend, 0).learnt))
    monkeypatch.setattr(backend.keras.layers, "BatchNormalization", CutOff)
    verdict = training_learning.every_parameter_learns(LearningObserver(backend, 0).learnt)
    says("fail", verdict)
    assert "first" in verdict.message


def test_what_does_not_come_from_the_seed(backend, monkeypatch):
    numbers = iter(range(100))

    class Unseeded(backend.keras.layers.Dropout):
        def __init__(self, rate):
            super().__init__(rate, seed=next(numbers))

    says("pass", training_learning.same_seed_same_run(LearningObserver(backend, 0).repeated))
    monkeypatch.setattr(backend.keras.layers, "Dropout", Unseeded)
    says("fail", training_learning.same_seed_same_run(LearningObserver(backend, 0).repeated))


def test_leaks(backend):
    kept = []
    seen = LearningObserver(backend, 0)
    x = np.ones((8, 5), dtype=np.float32)
    leaks = {
        "arrays": lambda: kept.append(backend.put(x)),
        "objects": lambda: kept.append([]),
        "buffers": lambda: kept.append(x.copy()),
    }
    says("pass", training_learning.leaves_nothing(count_growth(backend, "predict_on_batch", lambda: backend.put(x))))
    for kind, leak in leaks.items():
        verdict = training_learning.leaves_nothing(count_growth(backend, kind, leak))
        says("fail", verdict)
        assert kind in verdict.message and "leaves 1 " in verdict.message, verdict.message
    says("pass", training_learning.leaves_nothing(seen.growth("train_on_batch")))
    step = seen._plain.model.train_on_batch
    seen._plain.model.train_on_batch = lambda *given: kept.append([step(*given)])
    says("fail", training_learning.leaves_nothing(seen.growth("train_on_batch")))
'''


def test_broken_objects_are_caught(pytester: pytest.Pytester) -> None:
    installed = [name for name in ("torch", "tensorflow", "jax") if importlib.util.find_spec(name)]
    if not installed or importlib.util.find_spec("keras") is None:
        pytest.skip(f"needs keras and one of {', '.join(TRAINING_BACKENDS)}, not installed here")
    pytester.makepyfile(test_broken=BROKEN)
    result = pytester.runpytest_subprocess("--dl-backend", installed[0], "-q", "-p", "no:cacheprovider", "-p", "no:warnings")
    result.assert_outcomes(passed=11)
