"""Are accumulated gradients those of the big batch, and a scaled loss the loss?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_dlcheck.observe.training_precision import AccumulationObserver, ScalingObserver
from pytest_dlcheck.properties import training_precision
from pytest_dlcheck.properties.verdict import Verdict

pytestmark = [pytest.mark.dl_trains, pytest.mark.usefixtures("dl_keras_3")]

Judge = Callable[[Verdict], None]


@pytest.mark.dl_subject("keras.optimizers.SGD")
@pytest.mark.dl_property("gradient_accumulation")
def test_accumulation(observer_of: Callable[[type], AccumulationObserver], dl_judge: Judge) -> None:
    observer = observer_of(AccumulationObserver)
    if observer.missing is not None:
        pytest.skip(observer.missing)
    dl_judge(training_precision.accumulation_is_the_big_batch(observer.observed))


@pytest.mark.dl_subject("keras.optimizers.LossScaleOptimizer")
@pytest.mark.dl_property("skips_overflow")
def test_overflow_is_skipped(observer_of: Callable[[type], ScalingObserver], dl_judge: Judge) -> None:
    dl_judge(training_precision.skips_what_is_not_finite(observer_of(ScalingObserver).observed))


@pytest.mark.dl_subject("keras.optimizers.LossScaleOptimizer")
@pytest.mark.dl_property("scaled_loss")
def test_finite_steps_are_unscaled(observer_of: Callable[[type], ScalingObserver], dl_judge: Judge) -> None:
    dl_judge(training_precision.scales_the_loss(observer_of(ScalingObserver).observed))
