"""References of the layers around foreign objects, and the objects that need no framework."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_dlcheck.cases.case import Build, Case, Name, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import foreign
from pytest_dlcheck.subjects import foreign_objects
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import Call

X = np.array([[1.0, 2.0]])
KERNEL = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, -1.0]])
BIAS = np.array([0.5, 0.0, 1.0])
Y = np.array([[1.5, 2.0, 1.0]])
OBJECTS = "pytest_dlcheck.subjects.foreign_objects"


def test_a_saved_models_endpoints() -> None:
    def found(training: bool, **arguments: str | None) -> np.ndarray:
        given = {"call_endpoint": "serve", "call_training_endpoint": None, **arguments}
        return foreign.tfsm_layer(Call(given, {"kernel": KERNEL, "bias": BIAS}, X, training=training))

    assert found(training=False) == pytest.approx(Y)
    assert found(training=True) == pytest.approx(Y)
    assert found(training=False, call_endpoint="train") == pytest.approx(2 * Y)
    assert found(training=True, call_training_endpoint="train") == pytest.approx(2 * Y)
    assert found(training=False, call_training_endpoint="train") == pytest.approx(Y)


def test_a_torch_modules_weights_are_transposed() -> None:
    weights = {"variable": KERNEL.T, "variable_1": BIAS}
    linear = Call({"module": Build(f"{OBJECTS}.torch_linear")}, weights, X)
    assert foreign.torch_module(linear) == pytest.approx(Y)
    tanh = Call({"module": Build(f"{OBJECTS}.torch_tanh")}, weights, X)
    assert foreign.torch_module(tanh) == pytest.approx(np.tanh(Y))


def test_a_jax_functions_parameters_come_sorted() -> None:
    def found(function: str, training: bool = False) -> foreign.Expected:
        weights = {"variable": BIAS, "variable_1": KERNEL, "variable_2": np.zeros(())}
        return foreign.jax_layer(Call({"call_fn": Name(f"{OBJECTS}.{function}")}, weights, X, training=training))

    assert found("jax_affine").outputs == pytest.approx(Y)
    assert found("jax_affine_trained", training=True).outputs == pytest.approx(2 * Y)
    assert found("jax_counted", training=True).state == {"variable_2": 1.0}
    assert found("jax_counted").state == {"variable_2": 0.0}
    assert foreign.flax_layer(Call({}, {"bias": BIAS, "kernel": KERNEL}, X)) == pytest.approx(Y)


def test_the_functions_compute_what_the_reference_says() -> None:
    params = {"kernel": KERNEL, "bias": BIAS}
    assert foreign_objects.jax_affine(params, X) == pytest.approx(Y)
    assert foreign_objects.jax_affine_trained(params, X, training=True) == pytest.approx(2 * Y)
    y, state = foreign_objects.jax_counted(params, foreign_objects.jax_state(), X, training=True)
    assert (y.tolist(), state["calls"]) == (Y.tolist(), 1.0)


def test_repeated_samples_repeat() -> None:
    twice = SPECS["JaxLayer"].identities[0]
    case = Case("keras.layers.JaxLayer", {}, Tensor((2, 1), literal=[[1.0], [2.0]]))
    other = twice.other(case)
    assert other is not None
    assert make(other.inputs)[:, 0].tolist() == [1, 1, 2, 2]
    assert twice.expected(case, [X])[0].shape == (2, 2)


def test_a_vocabulary_file_has_a_word_a_line() -> None:
    path = foreign_objects.vocabulary_file(["été", "two words"])
    assert Path(path).read_text(encoding="utf-8").splitlines() == ["été", "two words"]
    assert foreign_objects.vocabulary_file(["été", "two words"]) == path


def test_texts_are_shouted() -> None:
    assert foreign_objects.shouted(np.asarray(["a", "été"], dtype=object)).tolist() == ["A", "ÉTÉ"]
