"""The training loop in JAX's own operations: one `jax.jit` function a step, its state donated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from pytest_dlcheck.benchmark.loops import ADAM_BETAS, ADAM_EPSILON, ADAM_RATE, SGD_RATE, Array, batch, layers
from pytest_dlcheck.models.spec import Conv2D, Dense, Flatten, Layer, MaxPooling2D, ModelSpec, SimpleRNN

ACTIVATIONS = {
    None: lambda z: z,
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "softmax": jax.nn.softmax,
}


def _apply(layer: Layer, weights: Sequence[Any], activation: Any, x: Any) -> Any:
    if isinstance(layer, Conv2D):
        y = jax.lax.conv_general_dilated(x, weights[0], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return activation(y + weights[1])
    if isinstance(layer, MaxPooling2D):
        window = (1, layer.pool_size, layer.pool_size, 1)
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")
    if isinstance(layer, Flatten):
        return x.reshape(len(x), -1)
    if isinstance(layer, Dense):
        return activation(x @ weights[0] + weights[1])
    if isinstance(layer, SimpleRNN):
        state = jnp.zeros((len(x), layer.units))
        for step in range(x.shape[1]):
            state = activation(x[:, step] @ weights[0] + state @ weights[1] + weights[2])
        return state
    raise TypeError(f"no loop for a layer of kind {layer.kind}")


def _loss(name: str, targets: Any, outputs: Any) -> Any:
    if name == "categorical_crossentropy":
        return -jnp.mean(jnp.sum(targets * jax.nn.log_softmax(outputs), axis=-1))
    if name == "sparse_categorical_crossentropy":
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(outputs), targets[:, None], axis=-1))
    if name == "binary_crossentropy":
        return -jnp.mean(targets * jax.nn.log_sigmoid(outputs) + (1 - targets) * jax.nn.log_sigmoid(-outputs))
    return jnp.mean(jnp.square(outputs - targets))


class Loop:
    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.state: Any = None
        self._update = jax.jit(self._step, donate_argnums=0)

    def restart(self, weights: Sequence[Array]) -> None:
        values = [jnp.array(weight) for weight in weights]
        self.state = (values, [jnp.zeros_like(w) for w in values], [jnp.zeros_like(w) for w in values], jnp.zeros(()))

    def prepare(self, x: Array, y: Array) -> tuple[Any, Any]:
        shaped_x, shaped_y = batch(self.spec, x, y)
        return jnp.asarray(shaped_x), jnp.asarray(shaped_y)

    def _mean_loss(self, values: Sequence[Any], x: Any, y: Any) -> Any:
        for layer, weights, activation in layers(self.spec, values):
            x = _apply(layer, weights, ACTIVATIONS[activation], x)
        return _loss(self.spec.loss, y, x)

    def _step(self, state: Any, x: Any, y: Any) -> tuple[Any, Any]:
        values, first, second, time = state
        loss, gradients = jax.value_and_grad(self._mean_loss)(values, x, y)
        if self.spec.optimizer != "adam":
            return ([w - SGD_RATE * g for w, g in zip(values, gradients, strict=True)], first, second, time), loss
        b1, b2 = ADAM_BETAS
        time = time + 1
        first = [b1 * m + (1 - b1) * g for m, g in zip(first, gradients, strict=True)]
        second = [b2 * v + (1 - b2) * g * g for v, g in zip(second, gradients, strict=True)]
        rate = ADAM_RATE * jnp.sqrt(1 - b2**time) / (1 - b1**time)
        values = [w - rate * m / (jnp.sqrt(v) + ADAM_EPSILON) for w, m, v in zip(values, first, second, strict=True)]
        return (values, first, second, time), loss

    def step(self, x: Any, y: Any) -> Any:
        self.state, loss = self._update(self.state, x, y)
        return loss

    def synchronize(self) -> None:
        jax.block_until_ready(self.state)
