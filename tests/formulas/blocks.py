"""Whole blocks of networks: recurrent, attention, residual, classification."""

from __future__ import annotations

from typing import Any

import numpy as np

from formulas.base import Function, normal, sigmoid, softmax

__all__ = ["ATTENTION", "CLASSIFICATION", "CROSS_ENTROPY", "RECURRENT", "RESIDUAL"]


def _recurrent_value(xp: Any, x: Any, w: Any, u: Any, b: Any) -> Any:
    return _states(xp, x, w, u, b)[-1]


def _states(xp: Any, x: Any, w: Any, u: Any, b: Any) -> list[Any]:
    states = [0.0 * b]
    for time in range(x.shape[0]):
        states.append(xp.tanh(xp.matmul(w, x[time]) + xp.matmul(u, states[-1]) + b))
    return states


def _recurrent(
    xp: Any,
    v: Any,
    x: Any,
    w: Any,
    u: Any,
    b: Any,
    *,
    through_time: bool = True,
    transpose: bool = True,
    late: int = 0,
    lag: int = 1,
    bias_each_step: bool = True,
    stop: bool = False,
) -> Any:
    """h_t = tanh(W x_t + U h_(t-1) + b), back through time.

    Args:
        xp: the namespace.
        v: the cotangent of the last state.
        x: inputs, time first.
        w: of the inputs.
        u: of the state.
        b: bias.
        through_time: whether the gradient goes on to the step before.
        transpose: whether it goes through U transposed.
        late: the first so many steps add nothing to the weights' gradients.
        lag: 1, as the state of the step before meets U; 0 takes that of the same step.
        bias_each_step: whether every step adds to the gradient by the bias.
        stop: whether the states count as constants in the second derivative.
    """
    states = _states(xp, x, w, u, b)
    if stop:
        states = [xp.stop_gradient(state) for state in states]
    by_x: list[Any] = []
    by_w, by_u, by_b = 0.0 * w, 0.0 * u, 0.0 * b
    back = v
    for time in reversed(range(x.shape[0])):
        inner = back * (1.0 - states[time + 1] * states[time + 1])
        by_x.insert(0, xp.matmul(xp.transpose(w), inner))
        if time >= late:
            by_w = by_w + xp.expand_dims(inner, 1) * x[time]
            by_u = by_u + xp.expand_dims(inner, 1) * states[time + 1 - lag]
        by_b = by_b + inner if bias_each_step or time == x.shape[0] - 1 else by_b
        back = xp.matmul(xp.transpose(u) if transpose else u, inner) if through_time else 0.0 * inner
    return [xp.stack(by_x), by_w, by_u, by_b]


RECURRENT = Function(
    "recurrent cell over time",
    ("x", "w", "u", "b"),
    lambda rng: [rng.standard_normal((4, 2)), rng.standard_normal((3, 2)) / 2, rng.standard_normal((3, 3)) / 2, rng.random(3)],
    _recurrent_value,
    _recurrent,
)


def _attention_parts(xp: Any, q: Any, k: Any) -> Any:
    return softmax(xp, xp.matmul(q, xp.transpose(k)) / k.shape[1] ** 0.5)


def _attention(
    xp: Any,
    v: Any,
    q: Any,
    k: Any,
    values: Any,
    *,
    scaled: bool = True,
    through_weights: bool = True,
    coupling: bool = True,
    transpose: bool = True,
    stop: bool = False,
) -> Any:
    weights = _attention_parts(xp, q, k)
    by_weights = xp.matmul(v, xp.transpose(values))
    inner = by_weights - xp.sum(by_weights * weights, axis=-1, keepdims=True) if coupling else by_weights
    by_scores = weights * inner
    if scaled:
        by_scores = by_scores / k.shape[1] ** 0.5
    by_values = xp.matmul(xp.transpose(weights) if transpose else weights, v)
    by_k = xp.matmul(xp.transpose(by_scores), xp.stop_gradient(q) if stop else q)
    return [xp.matmul(by_scores, k), by_k if through_weights else 0.0 * by_k, by_values]


ATTENTION = Function(
    "dot attention",
    ("query", "key", "value"),
    normal((3, 2), (3, 2), (3, 2)),
    lambda xp, q, k, values: xp.matmul(_attention_parts(xp, q, k), values),
    _attention,
)


def _cross_entropy_value(xp: Any, x: Any, z: Any) -> Any:
    return xp.maximum(x, 0.0 * x) - x * z + xp.log(1.0 + xp.exp(-xp.abs(x)))


def _cross_entropy(xp: Any, v: Any, x: Any, z: Any, *, target: float = 1.0, stop: bool = False) -> Any:
    s = sigmoid(xp, x)
    return [v * ((xp.stop_gradient(s) if stop else s) - target * z), -v * x]


CROSS_ENTROPY = Function(
    "sigmoid cross-entropy",
    ("logits", "targets"),
    lambda rng: [2 * rng.standard_normal((3, 2)), rng.random((3, 2))],
    _cross_entropy_value,
    _cross_entropy,
)


def _classification_value(xp: Any, x: Any, w: Any) -> Any:
    """The mean of softmax cross-entropy over a batch, class 0 for every sample."""
    logits = xp.matmul(x, w)
    return xp.mean(xp.log(xp.sum(xp.exp(logits), axis=1)) - logits[:, 0])


def _classification(
    xp: Any, v: Any, x: Any, w: Any, *, by_count: bool = True, target: float = 1.0, last: bool = True, stop: bool = False
) -> Any:
    hit = np.zeros(w.shape[1])
    hit[0] = target
    s = softmax(xp, xp.matmul(x, w))
    by_logits = v * ((xp.stop_gradient(s) if stop else s) - xp.constant(hit))
    by_logits = by_logits / x.shape[0] if by_count else by_logits
    by_w = xp.matmul(xp.transpose(x), by_logits) if last else xp.matmul(xp.transpose(x[:-1]), by_logits[:-1])
    return [xp.matmul(by_logits, xp.transpose(w)), by_w]


CLASSIFICATION = Function("softmax regression", ("x", "w"), normal((4, 3), (3, 3)), _classification_value, _classification)


def _network(xp: Any, v: Any, x: Any, w: Any, u: Any, *, skip: bool = True, inner: bool = True, stop: bool = False) -> Any:
    """x + tanh(x W) U: a block with a residual connection."""
    hidden = xp.tanh(xp.matmul(x, w))
    held = xp.stop_gradient(hidden) if stop else hidden
    by_hidden = xp.matmul(v, xp.transpose(u)) * (1.0 - held * held)
    by_x = xp.matmul(by_hidden, xp.transpose(w))
    through = (v if skip else 0.0 * v) + (by_x if inner else 0.0 * by_x)
    return [through, xp.matmul(xp.transpose(x), by_hidden), xp.matmul(xp.transpose(hidden), v)]


RESIDUAL = Function(
    "residual block",
    ("x", "w", "u"),
    normal((3, 3), (3, 3), (3, 3)),
    lambda xp, x, w, u: x + xp.matmul(xp.tanh(xp.matmul(x, w)), u),
    _network,
)
