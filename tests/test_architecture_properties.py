"""What the properties of models say of sound observations and of planted defects."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from planted_models import MIDDLE, THAWED, value

from pytest_dlcheck.architectures.added_losses import AddedLosses, added_losses_count
from pytest_dlcheck.architectures.observation import FormSeen, Frozen, Listing, ModelsSeen, Run, Variable
from pytest_dlcheck.architectures.properties import PROPERTIES
from pytest_dlcheck.architectures.rounding import predicts_alike
from pytest_dlcheck.architectures.training_mode import TrainingMode, training_reaches_layers
from pytest_dlcheck.observe.layer_observation import Raised, Value
from pytest_dlcheck.properties.verdict import PASS


def run(**changes: Any) -> Run:
    sound = Run(
        inference=[value(1, 2)],
        masks=[np.array([[True, False]])],
        moved_by_inference=(),
        training=[value(1, 3)],
        losses=[0.5, 0.25],
        state={"l0/0:kernel": np.array([1.0, 2.0]), "l0/1:count": np.array([3])},
        gradients={"l0/0:kernel": np.array([0.5, -0.5]), "l1/0:kernel": None},
        predicted=[value(1, 2)],
        steps=[3.0, 2.0, 1.5],
        after={"l0/0:kernel": np.array([0.5, 1.0])},
        optimizer={"velocity of l0/0:kernel": np.array([0.1, 0.2]), "iteration": np.array(3)},
    )
    return dataclasses.replace(sound, **changes)


def test_what_only_predict_computes_otherwise_is_seen() -> None:
    assert predicts_alike(run())
    assert predicts_alike(run(predicted=[]))
    assert not predicts_alike(run(predicted=[value(1, np.nextafter(np.float32(2), np.float32(3)))]))


LISTING = Listing(
    rows=[("x0", 0), ("l0", 2), ("add", 0)],
    totals={"total": 2, "trainable": 2, "non-trainable": 0},
    layers=("x0", "l0"),
    sizes=(0, 2),
    weights=(2, 0),
    optimizer=0,
    by_name={"x0": (0,), "l0": (1,)},
    by_index=((0,), (1,)),
    refused=(True, True),
)


def listing(**changes: Any) -> dict[str, Listing]:
    return {"listing": dataclasses.replace(LISTING, **changes)}


def form(**changes: Any) -> FormSeen:
    made = {name: changes.pop(name) for name in list(changes) if name in Run.__dataclass_fields__}
    sound = FormSeen(
        parameters=2,
        variables={"l0": (Variable("kernel", (2,), "float32", True), Variable("seed_generator_state", (2,), "uint32", False))},
        weights=("l0/0:kernel", "l1/0:kernel"),
        declared=[(None, 2)],
        run=run(**made),
        listing=LISTING,
    )
    return dataclasses.replace(sound, **changes)


def seen(**changes: Any) -> ModelsSeen:
    found = ModelsSeen("float32", ordered=True)
    found.forms = {"functional": form(), "sequential": form(), "subclass": form(**changes)}
    found.copies = {"clone": form(steps=(), gradients={}, predicted=())}
    found.frozen = Frozen(0, (), ("l0/0:kernel",), ("l0/0:kernel", "l9/0:kernel"))
    found.cut = {"l0": ([value(1, 2)], [value(1, 2)])}
    found.batches = [value(1, 2)]
    found.middle, found.thawed = MIDDLE, THAWED
    found.inside = {"functional model inside a graph function": [value(1, 2)]}
    found.longer = ModelsSeen("float32", forms={"fresh subclass": form(), "open sizes": form()})
    # What rounding does: a few units in the last place.
    found.moved = [run(inference=[value(1 + 1e-7, 2)], steps=[3.0, 2.0000002, 1.5], gradients={**run().gradients})]
    return found


def test_sound_observations_pass_everything() -> None:
    for name, check in PROPERTIES.items():
        verdict = check(seen())
        assert verdict is not None, name
        assert verdict.outcome == PASS, (name, verdict.message)


def nudged(amount: float) -> list[Value]:
    return [Value("float32", np.array([[1 + amount, 2]], dtype="float32"))]


OTHER = (Variable("kernel", (3,), "float32", True),)
PLANTED: list[tuple[str, dict[str, Any], str]] = [
    ("outputs", {"inference": nudged(1e-3)}, "outputs of the subclass"),
    ("outputs", {"inference": [value(1, 2, dtype="float16")]}, "float16 instead of float32"),
    ("outputs", {"inference": [value(1, np.nan)]}, "finite in one of the two"),
    ("outputs", {"inference": []}, "0 of them instead of 1"),
    ("outputs", {"inference": [value(1, 2, 3)]}, "shape"),
    ("masks", {"masks": [None]}, "no mask"),
    ("masks", {"masks": [np.array([[True, True]])]}, "carries the mask"),
    ("training_call", {"training": [value(1, 2)]}, "in training mode"),
    ("training_call", {"losses": [0.5]}, "1 of them instead of 2"),
    ("training_call", {"losses": [0.5, 0.5]}, "losses that the subclass adds"),
    ("training_call", {"state": {**run().state, "l0/1:count": np.array([4])}}, "count"),
    ("training_call", {"state": {**run().state, "l0/0:kernel": np.array([1.0, 2.5])}}, "kernel"),
    ("inference_keeps", {"moved_by_inference": ("l0/1:count",)}, "inference changes l0/1:count"),
    ("gradients", {"gradients": {**run().gradients, "l0/0:kernel": np.array([0.5, 0.5])}}, "gradient in the subclass"),
    ("gradients", {"gradients": {**run().gradients, "l1/0:kernel": np.array([0.0])}}, "one here, and none there"),
    ("gradients", {"gradients": {"l0/0:kernel": np.array([0.5, -0.5])}}, "not of the same variables"),
    ("training", {"steps": [3.0, 2.1, 1.5]}, "step by step"),
    ("training", {"after": {"l0/0:kernel": np.array([0.5, 1.1])}}, "after 3 steps"),
    ("training", {"optimizer": {**run().optimizer, "velocity of l0/0:kernel": np.array([0.1, 0.3])}}, "optimizer"),
    ("training", {"optimizer": {**run().optimizer, "iteration": np.array(2)}}, "iteration is 2 instead of 3"),
    ("summary", listing(rows=[("x0", 0), ("l0", 4)]), "does not list l0 with 2 parameters"),
    ("summary", listing(rows=[("x0", 0)]), "does not list l0"),
    ("summary", listing(rows=[*LISTING.rows, ("l0", 2)]), "not so often"),
    ("summary", listing(totals={**LISTING.totals, "trainable": 0}), "says trainable params: 0"),
    ("summary", listing(totals={}), "says total params: None"),
    (
        "summary",
        listing(totals={"total": 2, "trainable": 0, "non-trainable": 2}, weights=(0, 2)),
        "'non-trainable': 2}, and that of the first form",
    ),
    ("get_layer", listing(by_index=((0,), (0,))), "get_layer(index=1) gives another object"),
    ("get_layer", listing(by_name={"x0": (0,), "l0": ()}), "get_layer('l0') gives no layer"),
    ("get_layer", listing(by_name={"x0": (0,), "l0": (0,)}), "get_layer('l0') gives no layer"),
    ("get_layer", listing(refused=(False, True)), "no ValueError for a name"),
    ("summary", {"listing": Raised("KeyError", "l0", "summary and get_layer")}, "KeyError in summary"),
    ("predict", {"predicted": nudged(1e-3)}, "predict_on_batch of the subclass"),
    ("declared", {"declared": [(None, 3)]}, "declares"),
    ("declared", {"declared": [(None, 2), (None, 2)]}, "declares"),
    ("parameters", {"parameters": 4}, "counts 4 parameters"),
    ("parameters", {"parameters": 3, "variables": {"l0": OTHER}}, "instead of"),
    ("parameters", {"weights": ("l1/0:kernel", "l0/0:kernel")}, "lists its weights as"),
    ("parameters", {"weights": ("l0/0:kernel",)}, "lists its weights as"),
]


@pytest.mark.parametrize(("name", "planted", "said"), PLANTED)
def test_a_planted_defect_is_seen(name: str, planted: dict[str, Any], said: str) -> None:
    verdict = PROPERTIES[name](seen(**planted))
    assert verdict is not None
    assert verdict.outcome != PASS
    assert said in verdict.message


@pytest.mark.parametrize(
    ("name", "field", "planted", "said"),
    [
        ("frozen", "frozen", Frozen(2, (), ("a",), ("a",)), "2 trainable weights"),
        ("frozen", "frozen", Frozen(0, ("a",), ("a",), ("a",)), "training moves a"),
        ("frozen", "frozen", Frozen(0, (), ("a", "b"), ("a",)), "no longer trains b"),
        ("cut", "cut", {"l0": ([value(1, 2.5)], [value(1, 2)])}, "other values"),
        ("cut", "cut", {"l0": ([value(1)], [value(1, 2)])}, "float32[1, 1] and not float32[1, 2]"),
        ("batches", "batches", nudged(1e-3), "sample by sample"),
        ("accepts", "cut", Raised("ValueError", "no graph", "the models cut out of it"), "no graph"),
        ("accepts", "frozen", Raised("ValueError", "nothing to train", "the frozen model"), "nothing to train"),
    ],
)
def test_a_defect_of_what_is_done_to_a_model_is_seen(name: str, field: str, planted: Any, said: str) -> None:
    observed = seen()
    setattr(observed, field, planted)
    verdict = PROPERTIES[name](observed)
    assert verdict is not None
    assert verdict.outcome != PASS
    assert said in verdict.message


def test_a_form_that_cannot_be_built_is_told() -> None:
    observed = seen()
    observed.forms["sequential"] = Raised("ValueError", "no such shape", "the sequential model")
    verdict = PROPERTIES["accepts"](observed)
    assert verdict is not None
    assert verdict.outcome != PASS
    assert "sequential: ValueError in the sequential model: no such shape" in verdict.message


def test_rounding_is_allowed_for_and_told_from_logic() -> None:
    def said(amount: float) -> str:
        verdict = PROPERTIES["outputs"](seen(inference=nudged(amount)))
        assert verdict is not None
        return verdict.outcome

    assert said(3e-7) == PASS
    assert said(1e-4) != PASS


def test_without_moved_runs_only_the_last_bit_will_do() -> None:
    observed = seen(inference=nudged(3e-7))
    observed.moved = []
    verdict = PROPERTIES["outputs"](observed)
    assert verdict is not None
    assert "nothing is known of what rounding may do" in verdict.message


def test_where_they_part_stands_in_the_message() -> None:
    observed = seen(inference=nudged(1e-3))
    observed.parting = {"subclass": "the error starts in l3"}
    verdict = PROPERTIES["outputs"](observed)
    assert verdict is not None
    assert verdict.message.endswith("the error starts in l3")


def test_variables_that_have_other_names_may_stand_for_each_other() -> None:
    renamed = {"l0": (dataclasses.replace(form().variables["l0"][0], name="w"), form().variables["l0"][1])}
    observed = seen(variables=renamed)
    assert (verdict := PROPERTIES["parameters"](observed)) is not None
    assert verdict.outcome != PASS
    observed.named = False
    assert (verdict := PROPERTIES["parameters"](observed)) is not None
    assert verdict.outcome == PASS


@pytest.mark.parametrize(
    ("mode", "outcome"),
    [
        (TrainingMode(0.0, 40.0, (30.0, 0.5, 77.0)), PASS),
        (TrainingMode(0.0, 40.0, (0.0, 0.0, 0.0)), "fail"),
        (TrainingMode(0.0, 0.0, (0.0, 0.0, 0.0)), "fail"),
    ],
)
def test_training_mode_that_reaches_no_layer_is_seen(mode: TrainingMode, outcome: str) -> None:
    assert training_reaches_layers(mode).outcome == outcome


@pytest.mark.parametrize(
    ("losses", "outcome"),
    [
        (AddedLosses("float32", 9.0, 0.5, 9.5), PASS),
        (AddedLosses("bfloat16", 9.0, 2.0, 11.03125), PASS),
        (AddedLosses("float32", 9.0, 0.5, 9.0), "fail"),
        (AddedLosses("bfloat16", 9.0, 0.5, 9.0), "fail"),
        (AddedLosses("float32", 9.0, 0.5, 10.0), "fail"),
        (AddedLosses("float32", 9.0, 0.0, 9.0), "fail"),
        (AddedLosses("float16", 9.0, 0.5, Raised("TypeError", "two dtypes", "the training step")), "fail"),
    ],
)
def test_a_loss_that_layers_add_and_training_loses_is_seen(losses: AddedLosses, outcome: str) -> None:
    assert added_losses_count(losses).outcome == outcome
