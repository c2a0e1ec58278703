"""The properties of files, configs and resuming catch planted defects, and pass what is right. No framework needed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_dlcheck.models.tiny import TINY, by_name
from pytest_dlcheck.observe.archives import Archived, Expected
from pytest_dlcheck.observe.layer_observation import Raised
from pytest_dlcheck.observe.life_cycle_observations import (
    Exported,
    Held,
    Plain,
    Rebuilt,
    Refused,
    Reloaded,
    Resumed,
    Run,
)
from pytest_dlcheck.properties import life_cycle as properties

Defect = Callable[[Any], Any]

RNG = np.random.default_rng(0)
W = (RNG.normal(size=(3, 2)).astype(np.float32), np.zeros(2, np.float32))
OUTPUTS = (RNG.normal(size=(3, 2)).astype(np.float32),)
CONFIG = json.dumps(
    {"layers": [{"class_name": "Dense", "config": {"activation": "relu", "units": 2}}], "name": "m"}, sort_keys=True
)
HELD = Held(
    names=("dense/kernel", "dense/bias"),
    weights=W,
    seeds=(np.array([3, 8], np.uint32),),
    optimizer=(np.array(8), np.float32(0.01) * np.ones(()), W[0] / 2, W[0] ** 2),
    config=CONFIG,
    settings=json.dumps({"loss": "mse", "optimizer": {"class_name": "Adam"}}, sort_keys=True),
    outputs=OUTPUTS,
)
EARLIER = replace(HELD, weights=tuple(w - np.float32(0.1) for w in W))
UNINTERRUPTED = Run({"loss": (4.0, 3.0, 2.5, 2.25), "learning_rate": (0.04, 0.02, 0.01, 0.005)}, HELD)
MOVED = tuple(np.stack([o * np.float32(1 + 2**-23), o * np.float32(1 - 2**-23), o]) for o in OUTPUTS)
EXPECTED = Expected(
    x=(np.ones((3, 3), np.float32),),
    outputs=OUTPUTS,
    moved=MOVED,
    weights=W,
    optimizer=HELD.optimizer,
    inputs=(np.ones((8, 3), np.float32),),
    targets=(np.ones((8, 2), np.float32),),
    losses=np.array([2.0, 1.5]),
    moved_losses=np.array([[2.0, 1.5], [2.0000002, 1.5000001], [2.0, 1.4999999]]),
)
NEARLY = tuple(np.nextafter(o, np.float32(9)) for o in OUTPUTS)
RAISED = Raised("ValueError", "no such thing", "loading")

RIGHT: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "plain": (Plain(CONFIG, CONFIG), properties.config_is_plain),
    "rebuilt": (Rebuilt("config", HELD, HELD, W), properties.rebuilt_is_the_same),
    "reloaded": (
        Reloaded("keras", HELD, HELD, HELD, frozenset(("optimizer", "settings", "config"))),
        properties.file_keeps_everything,
    ),
    "random_state": (Reloaded("keras", HELD, HELD, HELD, frozenset()), properties.file_keeps_random_state),
    "optimizer": (Reloaded("h5", HELD, HELD, HELD, frozenset()), properties.file_keeps_optimizer),
    "settings": (Reloaded("h5", HELD, HELD, HELD, frozenset()), properties.saving_leaves_settings),
    "resumed": (
        Resumed("here", 2, UNINTERRUPTED, Run({"loss": (2.5, 2.25), "learning_rate": (0.01, 0.005)}, HELD), EARLIER),
        properties.resumed_is_uninterrupted,
    ),
    "refused": (
        Refused("loading", Raised("TypeError", "Could not locate class 'Gated'", "x"), ("gated",)),
        properties.is_refused,
    ),
    "archived": (
        [Archived("chain", EXPECTED, W, HELD.optimizer, NEARLY, np.array([2.0000001, 1.5]))],
        lambda seen: properties.archive_computes_the_same("3.0.5", seen),
    ),
    "exported": (
        Exported({3: OUTPUTS}, {3: MOVED}, {"tf.saved_model.load": {3: NEARLY}}),
        properties.export_computes_the_same,
    ),
}


def changed(held: Held, part: str, index: int = 0) -> Held:
    """The state with one value of a part changed in its last bit (or its whole, for integers)."""
    arrays = list(getattr(held, part))
    array = np.array(arrays[index])
    array.flat[0] = np.nextafter(array.flat[0], np.float32(9)) if array.dtype.kind == "f" else array.flat[0] + 1
    arrays[index] = array
    return replace(held, **{part: tuple(arrays)})


def another(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def archived(**parts: Any) -> Defect:
    return lambda seen: [replace(seen[0], **parts)]


def trained(**parts: Any) -> Defect:
    return lambda seen: replace(seen, resumed=replace(seen.resumed, **parts))


DEFECTS: dict[str, list[tuple[str, Defect, str]]] = {
    "plain": [
        ("an object that JSON cannot hold", lambda s: replace(s, text=RAISED), "no such thing"),
        ("a config that cannot be made a model of", lambda s: replace(s, again=RAISED), "no such thing"),
        ("an argument lost on the way", lambda s: replace(s, again=another(CONFIG, "relu", "linear")), "activation is"),
    ],
    "rebuilt": [
        ("an error", lambda s: RAISED, "no such thing"),
        (
            "an argument lost",
            lambda s: replace(s, rebuilt=replace(HELD, config=another(CONFIG, '"units": 2', '"units": 3'))),
            "units",
        ),
        (
            "a weight too few",
            lambda s: replace(s, rebuilt=replace(HELD, names=HELD.names[:1])),
            "instead of dense/kernel, dense/bias",
        ),
        ("another name", lambda s: replace(s, rebuilt=replace(HELD, names=("d/kernel", "d/bias"))), "the weights are"),
        ("another shape", lambda s: replace(s, rebuilt=replace(HELD, weights=(W[0].T, W[1]))), "shape"),
        (
            "weights that are shared",
            lambda s: replace(s, original_after=(W[0] + 1, W[1])),
            "after those of the new model were changed",
        ),
        ("other outputs", lambda s: replace(s, rebuilt=changed(HELD, "outputs")), "outputs"),
    ],
    "reloaded": [
        ("an error", lambda s: RAISED, "no such thing"),
        ("a weight's last bit", lambda s: replace(s, reloaded=changed(HELD, "weights")), "weights, number 0"),
        ("a weight lost", lambda s: replace(s, reloaded=replace(HELD, weights=W[:1])), "1 instead of 2"),
        ("the step count lost", lambda s: replace(s, reloaded=changed(HELD, "optimizer")), "optimizer variables"),
        ("a moment lost", lambda s: replace(s, reloaded=changed(HELD, "optimizer", 3)), "optimizer variables, number 3"),
        (
            "the loss lost",
            lambda s: replace(s, reloaded=replace(HELD, settings=another(HELD.settings, "mse", "mae"))),
            "compile",
        ),
        ("the compiling lost", lambda s: replace(s, reloaded=replace(HELD, settings="null")), "compile"),
        (
            "another activation",
            lambda s: replace(s, reloaded=replace(HELD, config=another(CONFIG, "relu", "elu"))),
            "activation",
        ),
        ("other outputs", lambda s: replace(s, reloaded=changed(HELD, "outputs")), "outputs"),
        ("saving that changes the model", lambda s: replace(s, original_after=changed(HELD, "weights")), "afterwards"),
        ("saving that draws numbers", lambda s: replace(s, original_after=changed(HELD, "seeds")), "afterwards"),
    ],
    "random_state": [
        ("a generator that begins anew", lambda s: replace(s, reloaded=changed(HELD, "seeds")), "states of random generators"),
        ("a generator lost", lambda s: replace(s, reloaded=replace(HELD, seeds=())), "0 instead of 1"),
        ("nothing to look at", lambda s: replace(s, original=replace(HELD, seeds=())), "no random generator"),
    ],
    "optimizer": [
        ("a fresh optimizer", lambda s: replace(s, reloaded=replace(HELD, optimizer=HELD.optimizer[:2])), "2 instead of 4")
    ],
    "settings": [
        ("an error", lambda s: RAISED, "no such thing"),
        (
            "the optimizer taken out",
            lambda s: replace(s, original_after=replace(HELD, settings=another(HELD.settings, "Adam", "RMSprop"))),
            "what compile was given, of the model that was saved",
        ),
        ("nothing to look at", lambda s: replace(s, original=replace(HELD, settings="null")), "not compiled"),
    ],
    "resumed": [
        ("an error", lambda s: RAISED, "no such thing"),
        (
            "another loss in its last bit",
            trained(history={"loss": (2.5, 2.2500000000000004), "learning_rate": (0.01, 0.005)}),
            "loss after",
        ),
        (
            "epochs that begin anew",
            trained(history={"loss": (2.5, 2.25), "learning_rate": (0.04, 0.02)}),
            "learning_rate after",
        ),
        ("an epoch too many", trained(history={"loss": (2.5, 2.25, 2.0), "learning_rate": (0.01, 0.005, 0.003)}), "loss after"),
        ("a metric lost", lambda s: replace(s, resumed=replace(s.resumed, history={"loss": (2.5, 2.25)})), "the history has"),
        ("a weight", trained(held=changed(HELD, "weights")), "weights at the end"),
        ("a moment", trained(held=changed(HELD, "optimizer", 2)), "optimizer variables at the end"),
        ("random numbers drawn too often", trained(held=changed(HELD, "seeds")), "random generators at the end"),
        ("no training at all", lambda s: replace(s, start=HELD), "moved no weight"),
    ],
    "refused": [
        ("no error", lambda s: replace(s, error=None), "raises nothing"),
        ("an error that names nothing", lambda s: replace(s, error=Raised("KeyError", "'x'", "y")), "names none of gated"),
        ("half of the weights changed", lambda s: replace(s, untouched=False), "has changed weights"),
    ],
    "archived": [
        ("an error", lambda s: [RAISED], "no such thing"),
        ("nothing loaded", lambda s: [], "no file of Keras 3.0.5"),
        ("weights in another order", archived(weights=W[::-1]), "weights of chain"),
        ("moments in another order", archived(optimizer=(*HELD.optimizer[:2], *HELD.optimizer[:1:-1])), "optimizer variables"),
        ("other outputs", archived(outputs=tuple(o * np.float32(1.0001) for o in OUTPUTS)), "output 0 of chain"),
        ("an output lost", archived(outputs=()), "0 outputs instead of 1"),
        ("another step count", archived(optimizer=(np.array(9, np.int32), *HELD.optimizer[1:])), "optimizer variables"),
        ("another learning rate", archived(losses=np.array([2.0, 1.51])), "losses of the next steps"),
    ],
    "exported": [
        ("an error", lambda s: RAISED, "no such thing"),
        ("nothing read", lambda s: replace(s, read={}), "nothing read"),
        ("training mode", lambda s: replace(s, read={"a": {3: tuple(o * np.float32(1.001) for o in OUTPUTS)}}), "a, 3 samples"),
        ("an output lost", lambda s: replace(s, read={"a": {3: ()}}), "0 outputs"),
        ("another dtype", lambda s: replace(s, read={"a": {3: tuple(o.astype(np.float64) for o in OUTPUTS)}}), "float64"),
        ("the batch it was traced with", lambda s: replace(s, read={"a": {3: tuple(o[:1] for o in OUTPUTS)}}), "shape"),
    ],
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_observation_passes(name: str) -> None:
    seen, judge = RIGHT[name]
    verdict = judge(seen)
    assert verdict.outcome == "pass", verdict.message
    assert verdict.message


@pytest.mark.parametrize(
    ("name", "planted", "words"),
    [
        pytest.param(name, planted, words, id=f"{name}: {what}")
        for name, cases in DEFECTS.items()
        for what, planted, words in cases
    ],
)
def test_a_planted_defect_is_caught(name: str, planted: Defect, words: str) -> None:
    seen, judge = RIGHT[name]
    verdict = judge(planted(seen))
    assert verdict.outcome == "fail"
    assert words in verdict.message


def test_every_property_has_planted_defects() -> None:
    assert set(DEFECTS) == set(RIGHT)
    assert len(RIGHT) == len(properties.__all__)


def test_what_a_format_does_not_keep_is_not_asked_of_it() -> None:
    fresh = replace(HELD, optimizer=HELD.optimizer[:2], settings="null")
    seen = Reloaded("weights", HELD, fresh, HELD, frozenset())
    assert properties.file_keeps_everything(seen).outcome == "pass"


def test_a_counter_may_be_narrower_or_wider_than_in_the_file() -> None:
    (right,), judge = RIGHT["archived"]
    counted = (right.optimizer[0].astype(np.int32), *right.optimizer[1:])
    assert judge([replace(right, optimizer=counted)]).outcome == "pass"


class TestTinyModels:
    def test_an_unknown_one_lists_the_known(self) -> None:
        with pytest.raises(LookupError, match="no tiny model 'huge'; there are chain, image"):
            by_name("huge")

    @pytest.mark.parametrize("spec", TINY, ids=lambda spec: spec.name)
    def test_data_fits(self, spec: Any) -> None:
        x, y = spec.data(5, 3)
        again, _ = spec.data(5, 3)
        assert [each.shape for each in x] == [(5, *field.shape) for field in spec.inputs.values()]
        assert [each.shape for each in y] == [(5, *field.shape) for field in spec.targets]
        assert all(np.array_equal(one, two) for one, two in zip(x, again, strict=True))
        assert len(spec.outputs) == len(spec.targets) == len(spec.losses)

    def test_between_them_they_hold_what_a_file_can_lose(self) -> None:
        kinds = {part.kind for spec in TINY for layer in spec.layers.values() for part in (layer, *layer.parts)}
        needed = {"BatchNormalization", "Dropout", "Embedding", "LSTM", "Bidirectional", "Sequential", "Gated", "Normalization"}
        assert needed <= kinds
        assert any(len(spec.inputs) == len(spec.outputs) == 2 for spec in TINY)
        called = [[call.layer for call in spec.calls] for spec in TINY]
        assert any(len(layers) > len(set(layers)) for layers in called)
