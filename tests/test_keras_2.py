"""Keras 2 through the specs of Keras 3: what is renamed, what is absent, what is not run."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pytest_dlcheck.backends.keras_2 import is_keras_2, path_of, plain
from pytest_dlcheck.cases.case import Build, Case, Name, Tensor
from pytest_dlcheck.cases.script import script
from pytest_dlcheck.observe.layer import defaults_of, named
from pytest_dlcheck.observe.nests import declared_shapes
from pytest_dlcheck.references.activations import ACTIVATIONS
from pytest_dlcheck.subjects.keras_2 import KERAS_2_ONLY, LAYERS, VALUES, of_generation
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import World


def test_generations_are_told_by_their_version() -> None:
    assert is_keras_2("2.15.0")
    assert not is_keras_2("3.0.5")


def test_a_spec_stays_as_it_is_for_keras_3() -> None:
    for spec in SPECS.values():
        assert of_generation(spec, "3.15.1") is spec


def test_every_entry_speaks_of_a_layer_with_a_spec() -> None:
    assert set(LAYERS) <= set(SPECS)
    assert not KERAS_2_ONLY & set(SPECS)
    for name, layer in LAYERS.items():
        drawn = World("tensorflow", (2, 15), frozenset(layer.arguments.values()), "cpu")
        assert not any(drawn.takes(later) for later in layer.arguments), name


def test_a_renamed_argument_is_known_by_its_later_name() -> None:
    class LeakyReLU:
        def __init__(self, alpha: float = 0.3) -> None:
            self.alpha = alpha

    renamed = LAYERS["LeakyReLU"].arguments
    assert defaults_of(LeakyReLU, renamed) == {"negative_slope": 0.3}
    assert World.of("tensorflow", "2.15.0", LeakyReLU, "cpu", renamed).takes("negative_slope")
    assert not World.of("tensorflow", "2.15.0", LeakyReLU, "cpu").takes("negative_slope")


def test_a_renamed_weight_is_known_by_its_later_name() -> None:
    renamed = LAYERS["DepthwiseConv2D"].weights
    assert named("depthwise_kernel", renamed) == "kernel"
    assert named("inner/depthwise_kernel", renamed) == "inner/kernel"
    assert named("bias", renamed) == "bias"


def test_a_variable_has_a_path_in_both_generations() -> None:
    assert path_of(SimpleNamespace(path="dense/kernel", name="kernel")) == "dense/kernel"
    assert path_of(SimpleNamespace(name="dense/kernel:0")) == "dense/kernel"


def test_shapes_may_be_tensorflows_own() -> None:
    shape = SimpleNamespace(as_list=lambda: [None, 3])
    assert declared_shapes([shape, (2,)]).shapes == [(None, 3), (2,)]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("hard_sigmoid", VALUES["hard_sigmoid"]),
        ("tanh", "tanh"),
        (Name("keras.activations.hard_sigmoid"), Name(f"keras.activations.{VALUES['hard_sigmoid']}")),
        (
            [Build("keras.layers.LSTM", {"units": 2, "activation": "hard_sigmoid"})],
            [Build("keras.layers.LSTM", {"units": 2, "activation": VALUES["hard_sigmoid"]})],
        ),
    ],
)
def test_an_activation_that_was_another_function_is_told_from_it(given: Any, meant: Any) -> None:
    assert of_generation(SPECS["LSTM"], "2.15.0").older.meant(given) == meant
    assert SPECS["LSTM"].older.meant(given) == given


def test_the_older_hard_sigmoid() -> None:
    x = np.array([-3.0, -2.5, 0.0, 1.0, 2.5, 3.0])
    assert ACTIVATIONS[VALUES["hard_sigmoid"]](x).tolist() == [0.0, 0.0, 0.5, 0.7, 1.0, 1.0]
    assert ACTIVATIONS["hard_sigmoid"](x)[1] > 0


@pytest.mark.parametrize(
    ("case", "left_out"),
    [
        (Case("keras.layers.Conv2D", {"data_format": "channels_first"}, Tensor((1, 1, 2, 2))), True),
        (Case("keras.layers.Conv2D", {"data_format": "channels_last"}, Tensor((1, 2, 2, 1))), False),
        (Case("keras.layers.Flatten", {"data_format": "channels_first"}, Tensor((1, 1, 2, 2))), False),
        (Case("keras.layers.Resizing", {}, Tensor((1, 1, 2, 2)), settings={"image_data_format": "channels_first"}), True),
        (
            Case(
                "keras.layers.TimeDistributed",
                {"layer": Build("keras.layers.MaxPooling1D", {})},
                Tensor((1, 1, 2, 2)),
                settings={"image_data_format": "channels_first"},
            ),
            True,
        ),
    ],
)
def test_channels_first_is_not_run(case: Case, left_out: bool) -> None:
    assert (of_generation(SPECS[case.name], "2.15.0").older.not_here(case) is not None) == left_out
    assert SPECS[case.name].older.not_here(case) is None


def test_a_script_uses_the_names_of_its_generation() -> None:
    inside = Build("keras.layers.LeakyReLU", {"negative_slope": 0.1})
    case = Case(
        "keras.layers.TimeDistributed",
        {"layer": inside},
        Tensor((1, 2, 3)),
        masks=(Tensor((1, 2), "bool", "padding"),),
        policy="bfloat16",
        settings={"epsilon": 1e-3},
    )
    older, later = script(case, "tensorflow", "", "2.15.0"), script(case, "tensorflow", "", "3.15.1")
    assert "LeakyReLU(alpha=0.1)" in older
    assert "LeakyReLU(negative_slope=0.1)" in later
    for text, names in ((older, ("keras.backend.set_epsilon", "tf.cast", "tf.convert_to_tensor")),):
        assert all(name in text for name in names)
        assert "keras.ops" not in text
    for name in ("keras.config.set_epsilon", "keras.ops.cast", "keras.ops.convert_to_tensor"):
        assert name in later


@pytest.mark.parametrize(("keras", "ops"), [("2.15.0", "tf"), ("3.15.1", "keras.ops")])
def test_a_script_holds_our_functions_in_the_words_of_its_generation(keras: str, ops: str) -> None:
    case = Case("keras.layers.Lambda", {"function": Name("pytest_dlcheck.subjects.callables.double")}, Tensor((1, 2)))
    text = script(case, "tensorflow", "", keras)
    assert f"return {ops}.add(x, x)" in text
    assert "operations" not in text


def test_a_config_of_keras_212_as_json_knows_it() -> None:
    class Shape:
        def as_list(self) -> list[int | None]:
            return [None, 2]

    found = plain({"a": np.arange(3), "b": (np.int64(7), "x", None), "c": {"d": Shape()}})
    assert json.loads(json.dumps(found)) == {"a": [0, 1, 2], "b": [7, "x", None], "c": {"d": [None, 2]}}
