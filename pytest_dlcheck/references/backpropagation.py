"""Gradients by hand, in float64: the chain rule written out for the tutorials' models, and the closed forms of single layers.

dL/dw = dL/dz dz/dw throughout, from the loss back to the first layer (Rumelhart, Hinton and Williams, Learning representations
by back-propagating errors, Nature 323, 1986); through time for the recurrent layer (Werbos, Backpropagation through time: what
it does and how to do it, Proceedings of the IEEE 78(10), 1990).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "cnn",
    "conv2d_input",
    "conv2d_kernel",
    "cross_entropy_of_logits",
    "dense",
    "embedding",
    "linear_regression",
    "logistic_regression",
    "mlp",
    "rnn",
    "sigmoid",
    "softmax",
    "tanh_network",
]

Array = NDArray[Any]


def sigmoid(z: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-z)))


def softmax(z: Array) -> Array:
    shifted = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


# Single layers.


def dense(x: Array, kernel: Array, v: Array) -> dict[str, Array]:
    """Of <v, x W + b>.

    Args:
        x: (batch, inputs).
        kernel: W, (inputs, units).
        v: (batch, units).
    """
    return {"inputs": v @ kernel.T, "kernel": x.T @ v, "bias": v.sum(axis=0)}


def cross_entropy_of_logits(logits: Array, labels: Array) -> Array:
    """Of the mean over samples of -log softmax(z)[label], by z: (softmax(z) - one-hot) / samples.

    Args:
        logits: (samples, classes).
        labels: (samples,), integers.
    """
    return np.asarray((softmax(logits) - np.eye(logits.shape[1])[labels]) / len(logits))


def conv2d_input(kernel: Array, v: Array) -> Array:
    """Of <v, conv(x)> by x, stride 1 and `valid`: the transposed convolution of v, which adds v times the kernel at each place.

    Dumoulin and Visin, A guide to convolution arithmetic for deep learning, arXiv:1603.07285, section 4.

    Args:
        kernel: (height, width, channels, filters).
        v: (batch, rows, columns, filters).
    """
    height, width, channels, _ = kernel.shape
    batch, rows, columns, _ = v.shape
    found = np.zeros((batch, rows + height - 1, columns + width - 1, channels))
    for i in range(height):
        for j in range(width):
            found[:, i : i + rows, j : j + columns] += v @ kernel[i, j].T
    return found


def conv2d_kernel(x: Array, v: Array) -> Array:
    """Of <v, conv(x)> by the kernel, stride 1 and `valid`: x correlated with v.

    Args:
        x: (batch, height, width, channels).
        v: (batch, rows, columns, filters).
    """
    rows, columns = v.shape[1:3]
    height, width = x.shape[1] - rows + 1, x.shape[2] - columns + 1
    return np.stack(
        [
            np.stack([np.einsum("brcx,brcy->xy", x[:, i : i + rows, j : j + columns], v) for j in range(width)])
            for i in range(height)
        ]
    )


def embedding(indices: Array, rows: int, v: Array) -> Array:
    """Of <v, table[indices]> by the table: each v is added to its row, as often as it is looked up.

    Args:
        indices: integers, any shape.
        rows: of the table.
        v: of the indices' shape and one more axis.
    """
    table = np.zeros((rows, v.shape[-1]))
    np.add.at(table, indices.reshape(-1), v.reshape(-1, v.shape[-1]))
    return table


# Models with their losses.


def linear_regression(w: Mapping[str, Array], x: Array, y: Array) -> dict[str, Array]:
    """Of the mean of (x w + b - y)^2: dL/dw = 2/n x^T (x w + b - y).

    Args:
        w: `kernel` (inputs, 1) and `bias` (1,).
        x: (n, inputs).
        y: (n, 1).
    """
    error = 2 * (x @ w["kernel"] + w["bias"] - y) / len(x)
    return {"kernel": x.T @ error, "bias": error.sum(axis=0)}


def logistic_regression(w: Mapping[str, Array], x: Array, y: Array) -> dict[str, Array]:
    """Of the mean binary cross-entropy of 1 / (1 + exp(-(x w + b))): dL/dw = 1/n x^T (sigmoid(x w + b) - y).

    Arguments as for `linear_regression`, with y 0 or 1.
    """
    error = (sigmoid(x @ w["kernel"] + w["bias"]) - y) / len(x)
    return {"kernel": x.T @ error, "bias": error.sum(axis=0)}


def tanh_network(w: Mapping[str, Array], x: Array, y: Array) -> dict[str, Array]:
    """Of the mean of (tanh(x w1 + b1) w2 + b2 - y)^2, link by link.

    Args:
        w: `w1` (inputs, hidden), `b1`, `w2` (hidden, 1), `b2`.
        x: (n, inputs).
        y: (n, 1).
    """
    a1 = np.tanh(x @ w["w1"] + w["b1"])
    dl_dy = 2 * (a1 @ w["w2"] + w["b2"] - y) / len(x)
    dl_dz1 = (dl_dy @ w["w2"].T) * (1 - a1**2)
    return {"w1": x.T @ dl_dz1, "b1": dl_dz1.sum(axis=0), "w2": a1.T @ dl_dy, "b2": dl_dy.sum(axis=0)}


def mlp(w: Mapping[str, Array], x: Array, labels: Array) -> dict[str, Array]:
    """Of the mean cross-entropy of softmax(relu(x w1 + b1) w2 + b2).

    Args:
        w: `w1`, `b1`, `w2`, `b2`.
        x: (n, inputs).
        labels: (n,), integers.
    """
    a1 = np.maximum(x @ w["w1"] + w["b1"], 0)
    dl_dz2 = cross_entropy_of_logits(a1 @ w["w2"] + w["b2"], labels)
    dl_dz1 = (dl_dz2 @ w["w2"].T) * (a1 > 0)
    return {"w1": x.T @ dl_dz1, "b1": dl_dz1.sum(axis=0), "w2": a1.T @ dl_dz2, "b2": dl_dz2.sum(axis=0)}


def cnn(w: Mapping[str, Array], x: Array, labels: Array) -> dict[str, Array]:
    """Of the mean cross-entropy of: convolution, relu, max pooling 2x2, flatten, dense, softmax: the one-convolution CNN.

    Args:
        w: `kernel` (height, width, channels, filters), `bias`, `w2` (features, classes), `b2`.
        x: (n, height, width, channels); the convolution's output has even sizes.
        labels: (n,), integers.
    """
    height, width, _, filters = w["kernel"].shape
    rows, columns = x.shape[1] - height + 1, x.shape[2] - width + 1
    z = np.zeros((len(x), rows, columns, filters)) + w["bias"]
    for i in range(height):
        for j in range(width):
            z += x[:, i : i + rows, j : j + columns] @ w["kernel"][i, j]
    a = np.maximum(z, 0)
    windows = a.reshape(len(x), rows // 2, 2, columns // 2, 2, filters)
    pooled = windows.max(axis=(2, 4))
    flat = pooled.reshape(len(x), -1)
    dl_dz2 = cross_entropy_of_logits(flat @ w["w2"] + w["b2"], labels)
    dl_dpooled = (dl_dz2 @ w["w2"].T).reshape(pooled.shape)
    # The largest entry of a window gets its gradient, the others none; where relu left zeros only, none gets through anyway.
    largest = windows == pooled[:, :, None, :, None]
    dl_da = np.where(largest, dl_dpooled[:, :, None, :, None], 0).reshape(a.shape)
    dl_dz = dl_da * (z > 0)
    return {
        "kernel": conv2d_kernel(x, dl_dz),
        "bias": dl_dz.sum(axis=(0, 1, 2)),
        "w2": flat.T @ dl_dz2,
        "b2": dl_dz2.sum(axis=0),
    }


def rnn(w: Mapping[str, Array], x: Array, y: Array) -> dict[str, Array]:
    """Of the mean of (h_T V + c - y)^2 with h_t = tanh(x_t W + h_(t-1) U + b): back-propagation through time.

    Args:
        w: `W` (inputs, units), `U` (units, units), `b`, `V` (units, 1), `c`.
        x: (n, steps, inputs).
        y: (n, 1).
    """
    states = [np.zeros((len(x), w["U"].shape[0]))]
    for t in range(x.shape[1]):
        states.append(np.tanh(x[:, t] @ w["W"] + states[-1] @ w["U"] + w["b"]))
    dl_dy = 2 * (states[-1] @ w["V"] + w["c"] - y) / len(x)
    found = {name: np.zeros_like(value) for name, value in w.items()}
    found["V"], found["c"] = states[-1].T @ dl_dy, dl_dy.sum(axis=0)
    dl_dh = dl_dy @ w["V"].T
    for t in reversed(range(x.shape[1])):
        dl_dz = dl_dh * (1 - states[t + 1] ** 2)
        found["W"] += x[:, t].T @ dl_dz
        found["U"] += states[t].T @ dl_dz
        found["b"] += dl_dz.sum(axis=0)
        dl_dh = dl_dz @ w["U"].T
    return found
