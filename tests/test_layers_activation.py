"""References, laws and identities of the activation layers, without a framework."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import special

from pytest_dlcheck.cases.case import Build, Case, Name, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import activation as references
from pytest_dlcheck.strategies.draw import random_case
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import Call, World

X = np.array([[-2.0, -0.5, 0.0], [0.5, 1.0, 7.0]])
U = 2.0**-24


def identity(layer: str, name: str) -> Any:
    return next(each for each in SPECS[layer].identities if each.name == name)


def law(layer: str, name: str) -> Any:
    return next(each for each in SPECS[layer].laws if each.name == name).check


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("relu", np.maximum(X, 0)),
        (None, X),
        (Name("keras.activations.tanh"), np.tanh(X)),
        (Build("keras.layers.ReLU", {"max_value": 2.0, "negative_slope": 0.5}), [[-1, -0.25, 0], [0.5, 1, 2]]),
        (Build("keras.layers.ELU", {"alpha": 0.5, "dtype": "float16"}), np.where(X > 0, X, 0.5 * (np.exp(X) - 1))),
        ("sparse_plus", [[0, 0.0625, 0.25], [0.5625, 1, 7]]),
        ("sparse_sigmoid", [[0, 0.25, 0.5], [0.75, 1, 1]]),
        ("hard_swish", X * np.clip(X + 3, 0, 6) / 6),
    ],
)
def test_activation(given: Any, expected: Any) -> None:
    found = references.activation_layer(Call({"activation": given}, {}, X)).outputs
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-15)


def test_glu_gates_one_half_by_the_other() -> None:
    x = np.array([[1.0, -2.0, 0.0, 3.0]])
    found = references.activation_layer(Call({"activation": "glu"}, {}, x)).outputs
    np.testing.assert_allclose(found, [[0.5, -2 / (1 + np.exp(-3.0))]])


def test_sparsemax_is_the_nearest_point_of_the_simplex() -> None:
    np.testing.assert_allclose(references.sparsemax(np.array([0.0, 0.0])), [0.5, 0.5])
    np.testing.assert_allclose(references.sparsemax(np.array([3.0, 0.0, 0.0])), [1, 0, 0])
    x = np.array([0.6, 0.2, -1.0])
    y = references.sparsemax(x)
    assert y.sum() == pytest.approx(1)
    for other in np.random.default_rng(0).dirichlet(np.ones(3), 200):
        assert np.sum((x - y) ** 2) <= np.sum((x - other) ** 2) + 1e-12


def test_relu_and_its_kin() -> None:
    arguments = {"max_value": 6.0, "negative_slope": 0.5, "threshold": 1.0}
    assert references.relu(Call(arguments, {}, X)).outputs.tolist() == [[-1.5, -0.75, -0.5], [-0.25, 1.0, 6.0]]
    assert references.leaky_relu(Call({"negative_slope": 0.5}, {}, X)).outputs.tolist() == [[-1, -0.25, 0], [0.5, 1, 7]]
    alpha = {"alpha": np.array([2.0, 4.0, 8.0])}
    assert references.p_relu(Call({}, alpha, X)).outputs.tolist() == [[-4, -2, 0], [0.5, 1, 7]]
    np.testing.assert_allclose(
        references.elu(Call({"alpha": 2.0}, {}, X)).outputs[0], [2 * np.expm1(-2), 2 * np.expm1(-0.5), 0]
    )


def test_softmax_over_what_the_mask_keeps() -> None:
    x, mask = np.array([[1.0, 2.0, 30.0]]), np.array([[True, True, False]])
    found = references.softmax(Call({"axis": -1}, {}, x, {"mask": mask})).outputs
    np.testing.assert_allclose(found, [[*special.softmax([1.0, 2.0]), 0]])
    both = references.softmax(Call({"axis": [1, 2]}, {}, np.zeros((1, 2, 2)))).outputs
    np.testing.assert_allclose(both, np.full((1, 2, 2), 0.25))


def test_laws_of_softmax() -> None:
    ones = law("Softmax", "sums_to_one")
    call = Call({"axis": -1}, {}, X[:, :2], {"mask": np.array([[True, False], [True, True]])})
    right = np.array([[1.0, 0.0], [0.25, 0.75]])
    assert ones(call, [right], U) is None
    assert ones(call, [right * (1 + 1e-5)], U) is not None
    nothing = law("Softmax", "masked_get_nothing")
    assert nothing(call, [right], U) is None
    assert nothing(call, [np.array([[0.75, 0.25], [0.25, 0.75]])], U) is not None


def test_a_jump_is_exact() -> None:
    check = law("ReLU", "exact_at_the_threshold")
    call = Call({"max_value": None, "negative_slope": 0.0, "threshold": 1.0}, {}, np.array([0.5, 1.0, 2.0]))
    assert check(call, [np.array([0.0, 1.0, 2.0])], U) is None
    assert "x = np.float64(1.0)" in check(call, [np.array([0.0, 0.0, 2.0])], U)
    steps = law("Activation", "steps_are_exact")
    edge = Call({"activation": "hard_shrink"}, {}, np.array([0.5, -0.75]))
    assert steps(edge, [np.array([0.0, -0.75])], U) is None
    assert steps(edge, [np.array([0.5, -0.75])], U) is not None
    assert steps(Call({"activation": "relu"}, {}, X), [X], U) is None


def test_ranges() -> None:
    check = law("Activation", "stays_in_its_range")
    call = Call({"activation": Name("keras.activations.sigmoid")}, {}, X)
    assert check(call, [np.array([0.0, 1.0])], U) is None
    assert check(call, [np.array([1.001])], U) is not None
    assert check(Call({"activation": "linear"}, {}, X), [np.array([-1e9])], U) is None


def test_mirrored_activations() -> None:
    case = Case("keras.layers.Activation", {"activation": "sigmoid"}, Tensor((2,), literal=[1.0, -3.0]))
    relation = identity("Activation", "complement")
    other = relation.other(case)
    assert make(other.inputs).tolist() == [-1.0, 3.0]
    outputs = special.expit(np.array([1.0, -3.0]))
    np.testing.assert_allclose(relation.expected(case, [outputs])[0], special.expit(np.array([-1.0, 3.0])))
    assert identity("Activation", "odd").other(case) is None
    assert identity("Activation", "odd").other(case.with_arguments(activation=Name("keras.activations.tanh"))) is not None


def test_a_name_is_its_function() -> None:
    relation = identity("Activation", "name_is_function")
    case = Case("keras.layers.Activation", {"activation": "relu"}, Tensor((2,)))
    other = relation.other(case)
    assert other.arguments == {"activation": Name("keras.activations.relu")}
    assert relation.other(other).arguments == {"activation": "relu"}
    assert relation.other(case.with_arguments(activation=Name("pytest_dlcheck.subjects.callables.double"))) is None


def test_a_leaky_relu_is_a_relu_with_a_slope() -> None:
    case = Case("keras.layers.LeakyReLU", {}, Tensor((2,)))
    other = identity("LeakyReLU", "is_relu_with_a_slope").other(case)
    assert (other.subject, other.arguments) == ("keras.layers.ReLU", {"negative_slope": 0.3})


def test_softmax_of_shifted_inputs_and_turned_axes() -> None:
    case = Case("keras.layers.Softmax", {"axis": (1, 2)}, Tensor((1, 2, 2), values="small_integers"))
    shifted = identity("Softmax", "shift_invariant").other(case)
    assert np.array_equal(make(shifted.inputs), make(case.inputs) + 4)
    assert identity("Softmax", "shift_invariant").other(case.replace(inputs=Tensor((2, 2)))) is None
    assert identity("Softmax", "order_of_axes").other(case).arguments == {"axis": (2, 1)}
    assert identity("Softmax", "negative_axis_is_positive").other(case).arguments == {"axis": (-2, -1)}


def test_only_what_is_masked_is_drawn_far_above_the_rest() -> None:
    found = 0
    for seed in range(400):
        case = random_case(SPECS["Softmax"], World("torch"), seed)[0]
        places = [place for place, value in case.inputs.planted if value == 1e10]
        if places:
            mask = np.broadcast_to(make(case.call["mask"]), case.inputs.shape).reshape(-1)
            assert not mask[places].any()
            found += 1
    assert found > 5
