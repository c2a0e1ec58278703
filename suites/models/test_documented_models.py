"""Do the documented models behave: built, trained, scored, saved, as the tutorials and their formulas say?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_dlcheck.observe.model import ModelObserver
from pytest_dlcheck.properties import models
from pytest_dlcheck.properties.verdict import Verdict

Judge = Callable[[Verdict], None]


@pytest.mark.dl_property("parameter_count")
def test_parameter_count(model: ModelObserver, judge: Judge) -> None:
    judge(models.parameter_count(model.spec, model.structure))


@pytest.mark.dl_property("placement")
def test_placement(model: ModelObserver, judge: Judge) -> None:
    judge(models.placed_on_device(model.device, model.placement))


@pytest.mark.dl_property("forward")
def test_forward_matches_reference(model: ModelObserver, judge: Judge) -> None:
    judge(models.forward_matches_reference(model.spec, model.forward))


@pytest.mark.dl_property("functional")
def test_functional_is_sequential(model: ModelObserver, judge: Judge) -> None:
    judge(models.functional_is_sequential(model.spec, model.functional))


@pytest.mark.dl_trains
@pytest.mark.dl_property("gradients")
def test_weights_learn(model: ModelObserver, judge: Judge) -> None:
    judge(models.weights_learn(model.spec, model.gradients))


@pytest.mark.dl_trains
@pytest.mark.dl_property("fit_is_the_loop")
def test_fit_is_the_loop(model: ModelObserver, judge: Judge) -> None:
    judge(models.fit_is_the_loop(model.spec, model.loop))


@pytest.mark.dl_trains
@pytest.mark.dl_property("loss_falls")
def test_loss_falls(model: ModelObserver, judge: Judge) -> None:
    judge(models.loss_falls(model.spec, model.training))


@pytest.mark.dl_trains
@pytest.mark.dl_property("level")
def test_reaches_level(model: ModelObserver, judge: Judge) -> None:
    judge(models.reaches_level(model.spec, model.training))


@pytest.mark.dl_trains
@pytest.mark.dl_property("evaluate")
def test_evaluate_agrees(model: ModelObserver, judge: Judge) -> None:
    judge(models.evaluate_agrees(model.spec, model.scoring))


@pytest.mark.dl_trains
@pytest.mark.dl_property("predict")
def test_predict_agrees(model: ModelObserver, judge: Judge) -> None:
    judge(models.predict_agrees(model.spec, model.scoring))


@pytest.mark.dl_trains
@pytest.mark.dl_property("same_seed")
def test_same_seed_same_run(model: ModelObserver, judge: Judge) -> None:
    judge(models.same_seed_same_run(model.spec, model.repeat))


@pytest.mark.dl_trains
@pytest.mark.dl_property("save_and_load")
def test_save_and_load(model: ModelObserver, judge: Judge) -> None:
    judge(models.save_and_load(model.spec, model.saved))
