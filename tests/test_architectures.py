"""Architectures as data, and how they are drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from planted_models import ADD, CATALOGUE, DENSE, SHARED

from pytest_dlcheck.architectures.architecture import Architecture, Node, describe, pruned, walk
from pytest_dlcheck.architectures.drawing import Catalogue
from pytest_dlcheck.architectures.kinds import KINDS, draw_architecture
from pytest_dlcheck.cases.case import Build, Case, Tensor, dumps, loads
from pytest_dlcheck.strategies.draw import random_value
from pytest_dlcheck.subjects.layers import FAMILIES, SPECS
from pytest_dlcheck.subjects.spec import LayerSpec


def simplest(low: int, high: int) -> int:
    return low


# Data.


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
