"""Gradients of single layers against their closed forms, which are the same on every backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pytest_dlcheck import Backend
from pytest_dlcheck.references import backpropagation as by_hand

pytestmark = [pytest.mark.dl_trains, pytest.mark.dl_property("closed_form"), pytest.mark.usefixtures("wide")]

Check = Callable[..., None]
Pull = Callable[..., Any]


def _weights(layer: Any, rng: np.random.Generator) -> list[Any]:
    values = [rng.standard_normal(weight.shape) for weight in layer.weights]
    layer.set_weights(values)
    return values


@pytest.mark.dl_subject("keras.layers.Dense")
def test_dense(backend: Backend, dl_seed: int, pull_back: Pull, agrees: Check) -> None:
    rng = np.random.default_rng(dl_seed)
    x, v = rng.standard_normal((4, 5)), rng.standard_normal((4, 3))
    layer = backend.keras.layers.Dense(3, dtype="float64")
    layer.build(x.shape)
    kernel, _ = _weights(layer, rng)
    agrees(pull_back(layer, x, [v]), lambda move: by_hand.dense(move(x), move(kernel), move(v)))


@pytest.mark.dl_subject("keras.losses.SparseCategoricalCrossentropy")
@pytest.mark.parametrize("through", ["logits", "softmax"])
def test_softmax_with_cross_entropy(backend: Backend, dl_seed: int, pull_back: Pull, agrees: Check, through: str) -> None:
    rng = np.random.default_rng(dl_seed)
    keras, logits, labels = backend.keras, rng.standard_normal((6, 4)), np.array([0, 3, 1, 1, 2, 3])

    def loss(z: Any) -> Any:
        scores = z if through == "logits" else keras.ops.softmax(z)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=through == "logits")(labels, scores)

    found = pull_back(loss, logits)
    agrees(found, lambda move: {"z": by_hand.cross_entropy_of_logits(move(logits), labels)})


@pytest.mark.dl_subject("keras.layers.Conv2D")
def test_convolution(backend: Backend, dl_seed: int, pull_back: Pull, agrees: Check) -> None:
    rng = np.random.default_rng(dl_seed)
    x, v = rng.standard_normal((2, 5, 6, 3)), rng.standard_normal((2, 3, 5, 4))
    layer = backend.keras.layers.Conv2D(4, (3, 2), dtype="float64", data_format="channels_last")
    layer.build(x.shape)
    kernel, _ = _weights(layer, rng)
    agrees(
        pull_back(layer, x, [v]),
        lambda move: {
            "inputs": by_hand.conv2d_input(move(kernel), move(v)),
            "kernel": by_hand.conv2d_kernel(move(x), move(v)),
            "bias": move(v).sum(axis=(0, 1, 2)),
        },
    )


@pytest.mark.dl_subject("keras.layers.Conv2DTranspose")
def test_convolution_by_its_input_is_the_transposed_convolution(
    backend: Backend, dl_seed: int, pull_back: Pull, agrees: Check
) -> None:
    rng = np.random.default_rng(dl_seed)
    x, v = rng.standard_normal((2, 5, 6, 3)), rng.standard_normal((2, 3, 5, 4))
    conv = backend.keras.layers.Conv2D(4, (3, 2), use_bias=False, dtype="float64", data_format="channels_last")
    transposed = backend.keras.layers.Conv2DTranspose(3, (3, 2), use_bias=False, dtype="float64", data_format="channels_last")
    conv.build(x.shape)
    transposed.build(v.shape)
    (kernel,) = _weights(conv, rng)
    # Both hold (height, width, the convolution's input channels, its filters).
    transposed.set_weights([kernel])
    found = pull_back(conv, x, [v])["inputs"]
    with_layer = pull_back(transposed, v, [x])["inputs"]
    agrees({"inputs": found}, lambda move: {"inputs": by_hand.conv2d_input(move(kernel), move(v))})
    # And the gradient of the transposed one is the convolution: <x, convT(v)> by v.
    agrees({"v": with_layer}, lambda move: {"v": _convolved(move(x), move(kernel), v.shape)})


def _convolved(x: Any, kernel: Any, shape: tuple[int, ...]) -> Any:
    found = np.zeros(shape)
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            found += x[:, i : i + shape[1], j : j + shape[2]] @ kernel[i, j]
    return found


@pytest.mark.dl_subject("keras.layers.Embedding")
def test_embedding_adds_up_what_is_looked_up_twice(backend: Backend, dl_seed: int, pull_back: Pull, agrees: Check) -> None:
    rng = np.random.default_rng(dl_seed)
    indices, v = np.array([[0, 2, 2], [4, 2, 0]]), rng.standard_normal((2, 3, 4))
    layer = backend.keras.layers.Embedding(6, 4, dtype="float64")
    layer.build(indices.shape)
    _weights(layer, rng)
    found = pull_back(layer, indices, [v])
    agrees(found, lambda move: {"embeddings": by_hand.embedding(indices, 6, move(v))})
    never = [1, 3, 5]
    assert not np.any(found["embeddings"][never]), "rows that nothing looks up have a gradient"
