"""Does a sample count as often as its weight says, and a padded step not at all?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_dlcheck.observe.training_weights import MaskObserver, RepetitionObserver
from pytest_dlcheck.properties import training, training_weights
from pytest_dlcheck.properties.verdict import Verdict

pytestmark = [pytest.mark.dl_trains, pytest.mark.dl_subject("keras.Model.fit"), pytest.mark.usefixtures("dl_keras_3")]

Judge = Callable[[Verdict], None]


@pytest.mark.dl_property("weight_is_repetition")
def test_weight_is_repetition(repetition: RepetitionObserver, dl_judge: Judge) -> None:
    dl_judge(training.takes_the_steps(repetition.observed))


@pytest.mark.dl_property("masked_loss")
def test_masked_loss(masks: MaskObserver, dl_judge: Judge) -> None:
    dl_judge(training_weights.masked_loss(masks.masked))


@pytest.mark.dl_property("masked_embedding")
def test_padding_is_not_learnt(masks: MaskObserver, dl_judge: Judge) -> None:
    dl_judge(training_weights.padding_is_not_learnt(masks.masked))


@pytest.mark.dl_property("masked_targets")
def test_targets_behind_the_mask(masks: MaskObserver, dl_judge: Judge) -> None:
    dl_judge(training_weights.makes_no_difference(masks.other_targets))


@pytest.mark.dl_property("padding")
def test_longer_padding(masks: MaskObserver, dl_judge: Judge) -> None:
    dl_judge(training_weights.makes_no_difference(masks.longer))
