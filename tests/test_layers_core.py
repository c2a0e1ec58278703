"""References, laws and identities of the core layers, without a framework."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_dlcheck.cases.case import Build, Case, Name, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import core as references
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import Call

X = np.array([[1.0, 2.0], [3.0, -4.0]])
PLAIN = {"activation": None, "use_bias": True, "bias_axes": None}


def identity(layer: str, name: str) -> Any:
    return next(each for each in SPECS[layer].identities if each.name == name)


def law(layer: str, name: str) -> Any:
    return next(each for each in SPECS[layer].laws if each.name == name).check


def test_dense() -> None:
    call = Call(PLAIN, {"kernel": np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]]), "bias": np.array([0.5, 0.0, -1.0])}, X)
    assert references.dense(call).outputs.tolist() == [[1.5, 2.0, 3.0], [3.5, -4.0, 1.0]]


@pytest.mark.parametrize(("alpha", "scale"), [(None, 1.0), (4, 2.0)])
def test_low_rank_adaptation_adds_a_scaled_product(alpha: int | None, scale: float) -> None:
    a, b = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0], [2.0]])
    weights = {"kernel": np.zeros((2, 1)), "bias": np.zeros(1), "lora_kernel_a": a, "lora_kernel_b": b}
    found = references.dense(Call({**PLAIN, "lora_rank": 2, "lora_alpha": alpha}, weights, X))
    assert found.outputs.tolist() == [[scale * 5.0], [scale * -5.0]]


def test_einsum_dense_puts_the_bias_where_its_axes_are() -> None:
    x = np.arange(12.0).reshape(2, 3, 2)
    arguments = {**PLAIN, "equation": "abc,cd->abd", "bias_axes": "b"}
    bias = np.array([[10.0], [20.0], [30.0]])
    found = references.einsum_dense(Call(arguments, {"kernel": np.eye(2), "bias": bias}, x))
    assert np.array_equal(found, x + np.array([10.0, 20.0, 30.0])[None, :, None])


def test_einsum_dense_with_an_ellipsis_at_the_end() -> None:
    x = np.arange(12.0).reshape(2, 2, 3)
    arguments = {**PLAIN, "equation": "ab...,bc->ac...", "bias_axes": "c"}
    kernel, bias = np.array([[1.0], [2.0]]), np.array([[5.0]])
    found = references.einsum_dense(Call(arguments, {"kernel": kernel, "bias": bias}, x))
    assert np.array_equal(found, (x[:, 0] + 2 * x[:, 1] + 5)[:, None])


def test_embedding_and_its_mask() -> None:
    table = np.array([[0.0, 1.0], [2.0, 3.0]])
    found = references.embedding(Call({"mask_zero": True}, {"embeddings": table}, np.array([[1, 0]])))
    assert found.outputs.tolist() == [[[2.0, 3.0], [0.0, 1.0]]]
    assert found.mask is not None
    assert found.mask.tolist() == [[True, False]]


def test_reversible_embedding_in_reverse() -> None:
    arguments = {"tie_weights": True, "logit_soft_cap": None, "mask_zero": False}
    weights = {"embeddings": np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])}
    found = references.reversible_embedding(Call(arguments, weights, X, {"reverse": True}))
    assert found.outputs.tolist() == [[1.0, 2.0, 3.0], [3.0, -4.0, -1.0]]
    capped = references.reversible_embedding(Call({**arguments, "logit_soft_cap": 2.0}, weights, X, {"reverse": True}))
    assert np.allclose(capped.outputs, 2 * np.tanh(found.outputs / 2))


def test_lambda_tells_training_and_masks() -> None:
    arguments = {"function": Name("x.halve_in_training"), "mask": None}
    assert references.lambda_layer(Call(arguments, {}, X, training=True)).outputs.tolist() == (X / 2).tolist()
    x, mask = np.ones((1, 2, 1)), np.array([[True, False]])
    masked = {"function": Name("x.zero_where_masked"), "mask": Name("x.keep_mask")}
    found = references.lambda_layer(Call(masked, {}, x, masks=[mask]))
    assert found.outputs.tolist() == [[[1.0], [0.0]]]
    assert found.mask is mask
    assert references.lambda_layer(Call(masked, {}, x)).outputs.tolist() == [[[-1.0], [-1.0]]]


def test_masking_and_its_law() -> None:
    x = np.array([[[1.0, 1.0], [1.0, 2.0]]])
    call = Call({"mask_value": 1.0}, {}, x)
    found = references.masking(call)
    assert found.outputs.tolist() == [[[0.0, 0.0], [1.0, 2.0]]]
    assert found.mask is not None
    assert found.mask.tolist() == [[False, True]]
    check = law("Masking", "moves_nothing_else")
    assert check(call, [found.outputs], 2.0**-24) is None
    assert check(call, [x], 2.0**-24) is not None


def test_look_ups_are_exact() -> None:
    check = law("Embedding", "rows_of_the_table")
    call = Call({"lora_rank": None}, {"embeddings": np.array([[0.1], [0.2]])}, np.array([1, 0]))
    assert check(call, [np.array([[0.2], [0.1]])], 2.0**-24) is None
    assert check(call, [np.array([[0.2], [0.1 + 1e-9]])], 2.0**-24) is not None


def test_the_given_table_is_the_first() -> None:
    check = law("Embedding", "starts_from_the_given_weights")
    given = {"weights": Build("numpy.array", positional=([[1.0], [2.0]],))}
    assert check(Call(given, {"embeddings": np.array([[1.0], [2.0]])}, np.array([0])), [], 2.0**-24) is None
    assert check(Call(given, {"embeddings": np.array([[1.0], [0.0]])}, np.array([0])), [], 2.0**-24) is not None


def test_logits_stay_within_their_cap() -> None:
    check = law("ReversibleEmbedding", "within_the_cap")
    call = Call({"logit_soft_cap": 2.0}, {}, X, {"reverse": True})
    assert check(call, [np.array([2.0, -1.0])], 2.0**-24) is None
    assert check(call, [np.array([2.1])], 2.0**-24) is not None


def test_dense_is_an_einsum_and_back() -> None:
    case = Case("keras.layers.Dense", {"units": 3, "use_bias": False, "activation": "relu"}, Tensor((2, 2)))
    other = identity("Dense", "is_an_einsum").other(case)
    assert other.subject == "keras.layers.EinsumDense"
    assert other.arguments == {"equation": "...x,xy->...y", "output_shape": 3, "bias_axes": None, "activation": "relu"}
    back = identity("EinsumDense", "is_dense").other(other)
    assert (back.subject, back.arguments) == (case.subject, case.arguments)
    assert identity("EinsumDense", "is_dense").other(other.with_arguments(equation="ab,cb->ac")) is None


def test_rank_n_is_rank_2() -> None:
    relation = identity("Dense", "rank_n_is_rank_2")
    case = Case("keras.layers.Dense", {"units": 1}, Tensor((2, 3, 2)))
    assert relation.other(case).inputs.shape == (6, 2)
    assert relation.expected(case, [np.zeros((2, 3, 1))])[0].shape == (6, 1)
    assert relation.other(case.replace(inputs=Tensor((2, 2)))) is None


def test_weights_enter_linearly() -> None:
    relation = identity("Dense", "twice_the_weights_is_twice_the_outputs")
    case = Case("keras.layers.Dense", {"units": 1}, Tensor((2, 2)))
    weights = relation.weights(case, [np.ones((2, 1)), np.ones(1)])
    call = Call(PLAIN, dict(zip(("kernel", "bias"), weights, strict=True)), X)
    first = references.dense(Call(PLAIN, {"kernel": np.ones((2, 1)), "bias": np.ones(1)}, X)).outputs
    assert np.array_equal(references.dense(call).outputs, relation.expected(case, [first])[0])
    assert relation.other(case.with_arguments(activation="relu")) is None
    nothing = identity("Dense", "weights_of_zero_give_zero")
    assert not np.any(nothing.weights(case, [np.ones((2, 1))])[0])
    assert not np.any(nothing.expected(case, [first])[0])


def test_an_embedding_is_a_product_with_one_hot_vectors() -> None:
    case = Case("keras.layers.Embedding", {"input_dim": 3, "output_dim": 2}, Tensor((2,), "int32", literal=[2, 0]))
    other = identity("Embedding", "one_hot_times_the_table").other(case)
    assert make(other.inputs).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert other.arguments == {"units": 2, "use_bias": False}
