"""Architectures as data, how they are drawn, and what the properties say of planted observations."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from planted_models import MIDDLE, THAWED, value

from pytest_dlcheck.architectures.added_losses import AddedLosses, added_losses_count
from pytest_dlcheck.architectures.architecture import Architecture, Node, describe, pruned, walk
from pytest_dlcheck.architectures.check import ArchitectureCheck, ArchitectureEffort, names_of_model
from pytest_dlcheck.architectures.drawing import Catalogue
from pytest_dlcheck.architectures.kinds import KINDS, draw_architecture
from pytest_dlcheck.architectures.observation import FormSeen, Frozen, Listing, ModelsSeen, Run, Variable
from pytest_dlcheck.architectures.properties import PROPERTIES
from pytest_dlcheck.architectures.rounding import predicts_alike
from pytest_dlcheck.architectures.script import architecture_script
from pytest_dlcheck.architectures.training_mode import TrainingMode, training_reaches_layers
from pytest_dlcheck.cases.case import Build, Case, Tensor, dumps, loads
from pytest_dlcheck.known_issues import KnownIssue
from pytest_dlcheck.observe.layer_observation import Raised, Value
from pytest_dlcheck.properties.verdict import PASS, failed, passed
from pytest_dlcheck.strategies.draw import random_value
from pytest_dlcheck.subjects.layers import FAMILIES, SPECS
from pytest_dlcheck.subjects.spec import LayerSpec, World

CATALOGUE = Catalogue(lambda spec: World("numpy"))


def simplest(low: int, high: int) -> int:
    return low


# Data.

DENSE = Build("keras.layers.Dense", {"units": 2})
ADD = Build("keras.layers.Add")
SHARED = Architecture(
    (Tensor((2, 3)), Tensor((2, 3))), (DENSE, ADD), (Node(0, (0,)), Node(0, (1,)), Node(1, (2, 3))), (4,), seed=3
)


def test_an_architecture_survives_json() -> None:
    nested = Architecture(
        (Tensor((2, 3)),), (SHARED, DENSE), (Node(1, (0,)),), (1,), "mixed_float16", {"image_data_format": "x"}
    )
    for each in (SHARED, nested):
        assert loads(dumps(each)) == each


def test_it_is_told_call_by_call() -> None:
    assert describe(SHARED).splitlines() == [
        "x0 = float[2, 3] normal #0",
        "x1 = float[2, 3] normal #0",
        "t0 = layers.Dense(units=2) #0(x0)",
        "t1 = layers.Dense(units=2) #0(x1)",
        "t2 = layers.Add()([t0, t1])",
        "gives t2",
        "float32, seed 3",
    ]


def test_a_chain_is_what_sequential_can_hold() -> None:
    chain = Architecture((Tensor((2, 3)),), (DENSE, DENSE), (Node(0, (0,)), Node(1, (1,))), (2,))
    assert chain.is_chain
    assert not SHARED.is_chain
    assert not chain.replace(nodes=(Node(0, (0,)), Node(0, (1,)))).is_chain, "one layer twice"
    assert not chain.replace(outputs=(1, 2)).is_chain, "two outputs"


def test_what_no_output_depends_on_is_left_out() -> None:
    layers = (DENSE, ADD, Build("keras.layers.ReLU"))
    loose = Architecture(
        (Tensor((2, 3)), Tensor((2, 9)), Tensor((2, 3))), layers, (Node(2, (1,)), Node(0, (0,)), Node(1, (4, 2))), (5,)
    )
    kept = pruned(loose)
    assert kept.inputs == (Tensor((2, 3)), Tensor((2, 3)))
    assert kept.layers == (DENSE, ADD)
    assert kept.nodes == (Node(0, (0,)), Node(1, (2, 1)))
    assert kept.outputs == (3,)
    assert pruned(kept) == kept


# Drawing.


def drawn(kind: str, seed: int, catalogue: Catalogue = CATALOGUE) -> Architecture:
    return random_value(lambda source: draw_architecture(source, catalogue, kind), seed)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_drawn_model_can_be_read_in_order(kind: str) -> None:
    for seed in range(60):
        model = drawn(kind, seed)
        count = len(model.inputs)
        assert {recipe.shape[0] for recipe in model.inputs} == {model.batch}
        for index, node in enumerate(model.nodes):
            assert max(node.inputs) < count + index, "it reads what stands before it"
        assert pruned(model) == model
        assert drawn(kind, seed) == model, "one seed, one model"


SIMPLEST = {"chain": 1, "branches": 3, "nested": 1, "several": 1, "recurrent": 1}


@pytest.mark.parametrize(("kind", "calls"), SIMPLEST.items())
def test_what_everything_shrinks_towards(kind: str, calls: int) -> None:
    assert len(draw_architecture(simplest, CATALOGUE, kind).nodes) == calls


def test_kinds_are_what_they_say() -> None:
    def some(kind: str, holds: Callable[[Architecture], bool]) -> bool:
        return any(holds(drawn(kind, seed)) for seed in range(60))

    assert all(drawn("chain", seed).is_chain for seed in range(60))
    assert some("branches", lambda model: any(len(node.inputs) > 1 for node in model.nodes))
    assert some("shared", lambda model: len({node.layer for node in model.nodes}) < len(model.nodes))
    assert some("shared", lambda model: any(isinstance(layer, Architecture) for layer in model.layers))
    assert all(any(isinstance(layer, Architecture) for layer in drawn("nested", seed).layers) for seed in range(60))
    assert some("several", lambda model: len(model.inputs) > 2 and len(model.outputs) > 1)
    assert some(
        "recurrent", lambda model: "keras.layers.Masking" in model.kinds() and model.kinds().count("keras.layers.LSTM") > 1
    )


def test_most_families_are_drawn() -> None:
    kinds = {path for kind in KINDS for seed in range(120) for path in drawn(kind, seed).kinds()}
    assert len(kinds) > 60


def test_what_the_register_knows_is_not_drawn() -> None:
    catalogue = dataclasses.replace(CATALOGUE, known=lambda spec, case: spec.name != "ReLU")
    kinds = {path for kind in ("chain", "branches") for seed in range(60) for path in drawn(kind, seed, catalogue).kinds()}
    assert kinds <= {f"keras.layers.{name}" for name in ("ReLU", "Dense", "Flatten", "Reshape", "Add")}


def test_what_is_called_twice_depends_on_no_order() -> None:
    for seed in range(120):
        model = drawn("shared", seed)
        twice = [model.layers[node.layer] for node in model.nodes if sum(node.layer == each.layer for each in model.nodes) > 1]
        for layer in twice:
            for build in layer.layers if isinstance(layer, Architecture) else [layer]:
                name = build.path.rpartition(".")[2]
                assert name not in {"BatchNormalization", "SpectralNormalization"}
                # What drops nothing, or everything, draws no number that matters.
                assert "Dropout" not in name or build.arguments["rate"] in {0, 1}


@pytest.mark.parametrize("kind", ["chain", "nested", "branches"])
def test_a_global_setting_is_meant_by_every_layer(kind: str) -> None:
    offered: list[tuple[str, dict[str, Any], dict[str, Any]]] = []

    def note(spec: LayerSpec, case: Case) -> bool:
        offered.append((case.subject, dict(case.without("name").arguments), dict(case.settings)))
        return False

    catalogue = dataclasses.replace(CATALOGUE, known=note)
    images = {spec.subject for family in ("convolutional", "pooling") for spec in FAMILIES[family]}
    looked_at = 0
    for seed in range(400):
        offered.clear()
        model = drawn(kind, seed, catalogue)
        for build in walk(model):
            given = {name: value for name, value in build.arguments.items() if name != "dtype"}
            if not model.settings or build.path not in images or "data_format" in given:
                continue
            # Its spec drew its input's shape for the format that the setting says, not for the other one.
            assert model.settings in [
                settings for path, arguments, settings in offered if (path, arguments) == (build.path, given)
            ]
            looked_at += 1
    assert looked_at > 5


def test_layers_that_a_version_lacks_are_not_drawn() -> None:
    nothing = dataclasses.replace(CATALOGUE, world=lambda spec: None)
    assert set(drawn("chain", 0, nothing).kinds()) <= {"keras.layers.Dense", "keras.layers.Flatten", "keras.layers.Reshape"}
    assert SPECS["Dense"].name == "Dense"


# Properties: a sound observation, and one planted defect for each.


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


# The check.

EFFORT = ArchitectureEffort(models=5, op_by_op=2, copies=1, shrink_s=10)
BACKEND: Any = SimpleNamespace(name="torch", compiles_operations=False)


def check(judge: Callable[..., Any], **changes: Any) -> Any:
    return ArchitectureCheck("chain", CATALOGUE, BACKEND, seed=1, effort=EFFORT, judge=judge, **changes)


def test_what_fails_is_shrunk() -> None:
    def judge(architecture: Architecture, backend: Any, *, copies: bool) -> Any:
        return {"outputs": failed("wrong") if len(architecture.nodes) > 1 else passed("right")}

    bad = [each for each in check(judge).run() if not each.is_harmless()]
    assert bad
    for finding in bad:
        assert isinstance(finding.case, Architecture)
        # Sequential has nothing shorter of two calls.
        assert len(finding.case.nodes) == 2, finding.message
        assert "smallest model:" in finding.message
        assert loads(str(finding.dump()["case"])) == finding.case


def test_what_the_register_knows_of_models_is_known_and_not_shrunk() -> None:
    issue = KnownIssue("id", "architectures.*", "outputs", {}, "why", "link", "2026-11-22", where="'Dense' in classes")

    def judge(architecture: Architecture, backend: Any, *, copies: bool) -> Any:
        return {"outputs": failed("wrong")}

    def verdicts(where: str) -> set[str]:
        entry = issue._replace(where=where)
        return {each.verdict for each in check(judge, known=lambda name: [entry] if name == "outputs" else []).run()}

    assert verdicts("'NoSuchLayer' in classes") == {"fail"}
    assert verdicts("policy in ('float32', 'mixed_float16', 'mixed_bfloat16', 'bfloat16')") == {"known"}


@pytest.mark.parametrize(("where", "judged"), [("weight_regularized", False), ("policy != ''", True)])
def test_what_cannot_be_run_is_left_out_as_long_as_there_is_something_else(where: str, judged: bool) -> None:
    issue = KnownIssue("id", "architectures.*", "accepts", {}, "why", "link", "2026-11-22", where=where)
    looked: list[bool] = []

    def judge(architecture: Architecture, backend: Any, *, copies: bool) -> Any:
        looked.append(bool(names_of_model(architecture)["weight_regularized"]))
        return {"accepts": passed("it runs")}

    check(judge, known=lambda name: [issue] if name == "accepts" else []).run()
    assert len(looked) == EFFORT.models, "as many as without the entry"
    assert judged or not any(looked)


def test_what_conditions_may_speak_of() -> None:
    plain = names_of_model(SHARED)
    assert not plain["activity_regularized"]
    assert not plain["weight_regularized"]
    assert "Add" in plain["classes"]
    inner = Build("keras.layers.TimeDistributed", {"layer": Build("keras.layers.Dense", {"kernel_regularizer": "l2"})})
    assert names_of_model(SHARED.replace(layers=(inner, ADD)))["weight_regularized"]
    assert names_of_model(SHARED.replace(layers=(DENSE, Build("keras.layers.ActivityRegularization"))))["activity_regularized"]


def test_as_many_are_drawn_as_the_effort_says_and_some_are_copied() -> None:
    looked: list[bool] = []

    def judge(architecture: Architecture, backend: Any, *, copies: bool) -> Any:
        looked.append(copies)
        return {"outputs": passed("right")}

    found = check(judge).run()
    assert looked == [True] + [False] * 4
    assert sum(each.examples for each in found) == 5
    assert all(each.verdict == PASS for each in found)


def test_a_budget_cuts_and_says_so() -> None:
    found = check(lambda architecture, backend, copies: {"outputs": passed("right")}, budget_s=0.0).run()
    assert [each.message for each in found if each.verdict == "skip"] == ["the budget of 0 s left time for 1 of 5 models"]


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind 'ring'; there are chain"):
        ArchitectureCheck("ring", CATALOGUE, BACKEND, seed=0, effort=EFFORT)


# As a script, and again.


def test_a_model_becomes_a_script_of_its_own(tmp_path: Path, needs: Callable[..., None]) -> None:
    needs("torch")
    nested = Architecture(
        (Tensor((2, 3)),), (Build("keras.layers.LayerNormalization"), DENSE), (Node(0, (0,)), Node(1, (1,))), (2,)
    )
    recurrent = Build("keras.layers.Bidirectional", {"layer": Build("keras.layers.GRU", {"units": 2})})
    reshape = Build("keras.layers.Reshape", {"target_shape": (2, 1)})
    model = SHARED.replace(
        layers=(DENSE, ADD, nested, Build("keras.layers.Dense", {"units": 3}), reshape, recurrent),
        nodes=(Node(0, (0,)), Node(0, (1,)), Node(1, (2, 3)), Node(3, (4,)), Node(2, (5,)), Node(4, (6,)), Node(5, (7,))),
        outputs=(4, 8),
        policy="mixed_bfloat16",
    )
    path = tmp_path / "model.py"
    path.write_text(architecture_script(model, "torch", 'outputs: fail\nit says """no"""'))
    done = subprocess.run([sys.executable, path], check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    parts = re.split(r"\w+ (?:inference|training)\n|losses .*\n", done.stdout)
    tensors = [part for part in parts if part.startswith("[tensor")]
    # Inference and training of both forms: the same outputs, since nothing in it is random.
    assert len(tensors) == 4
    assert tensors[0].partition("grad_fn")[0] == tensors[2].partition("grad_fn")[0]


def test_a_stored_model_is_looked_at_again(tmp_path: Path, needs: Callable[..., None]) -> None:
    needs("torch")
    path = tmp_path / "model.json"
    path.write_text(json.dumps({"case": json.loads(dumps(SHARED)), "backend": "torch"}))
    command = [sys.executable, "-m", "pytest_dlcheck.cli", "replay", path]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "t1 = layers.Dense(units=2) #0(x1)" in done.stdout
    assert "training_call" in done.stdout
