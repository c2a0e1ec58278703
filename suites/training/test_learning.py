"""Does training learn, with every weight and the same from the same seed, and does it leave nothing behind?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_dlcheck.observe.training_learning import OVERFITTED, LearningObserver
from pytest_dlcheck.properties import training_learning
from pytest_dlcheck.properties.verdict import Verdict

pytestmark = [pytest.mark.dl_trains, pytest.mark.usefixtures("dl_keras_3")]

Judge = Callable[[Verdict], None]


@pytest.fixture(scope="session")
def learning(observer_of: Callable[[type], LearningObserver]) -> LearningObserver:
    """The dense stack with batch normalization and dropout."""
    return observer_of(LearningObserver)


@pytest.mark.dl_subject("keras.Model.fit")
@pytest.mark.dl_property("every_parameter_learns")
def test_every_parameter_learns(learning: LearningObserver, dl_judge: Judge) -> None:
    dl_judge(training_learning.every_parameter_learns(learning.learnt))


@pytest.mark.dl_subject("keras.Model.fit")
@pytest.mark.dl_property("one_batch_overfits")
def test_one_batch_overfits(learning: LearningObserver, dl_judge: Judge) -> None:
    dl_judge(training_learning.one_batch_overfits(learning.learnt, OVERFITTED))


@pytest.mark.dl_subject("keras.Model.fit")
@pytest.mark.dl_property("same_seed")
def test_same_seed(learning: LearningObserver, dl_judge: Judge) -> None:
    dl_judge(training_learning.same_seed_same_run(learning.repeated))


@pytest.mark.dl_property("memory")
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(name, marks=pytest.mark.dl_subject(f"keras.Model.{name}"))
        for name in ("train_on_batch", "fit", "evaluate", "predict")
    ],
)
def test_leaves_nothing(
    learning: LearningObserver, call: str, from_profile: Callable[[str, str], None], dl_judge: Judge
) -> None:
    if call in ("fit", "evaluate"):
        from_profile("default", "train_on_batch and predict take the same steps in less time")
    dl_judge(training_learning.leaves_nothing(learning.growth(call)))
