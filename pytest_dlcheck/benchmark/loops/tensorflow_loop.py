"""The training loop in TensorFlow's own operations: one `tf.function` a step, with the fused optimizer kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from pytest_dlcheck.benchmark.loops import ADAM_BETAS, ADAM_EPSILON, ADAM_RATE, SGD_RATE, Array, batch, layers
from pytest_dlcheck.models.spec import Conv2D, Dense, Flatten, Layer, MaxPooling2D, ModelSpec, SimpleRNN

ACTIVATIONS = {None: tf.identity, "relu": tf.nn.relu, "tanh": tf.tanh, "sigmoid": tf.sigmoid, "softmax": tf.nn.softmax}


def _apply(layer: Layer, weights: Sequence[Any], activation: Any, x: Any) -> Any:
    if isinstance(layer, Conv2D):
        return activation(tf.nn.bias_add(tf.nn.conv2d(x, weights[0], 1, "VALID"), weights[1]))
    if isinstance(layer, MaxPooling2D):
        return tf.nn.max_pool2d(x, layer.pool_size, layer.pool_size, "VALID")
    if isinstance(layer, Flatten):
        return tf.reshape(x, (tf.shape(x)[0], -1))
    if isinstance(layer, Dense):
        return activation(tf.nn.bias_add(x @ weights[0], weights[1]))
    if isinstance(layer, SimpleRNN):
        state = tf.zeros((tf.shape(x)[0], layer.units))
        for step in range(x.shape[1]):
            state = activation(tf.nn.bias_add(x[:, step] @ weights[0] + state @ weights[1], weights[2]))
        return state
    raise TypeError(f"no loop for a layer of kind {layer.kind}")


def _loss(name: str, targets: Any, outputs: Any) -> Any:
    if name == "categorical_crossentropy":
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, outputs))
    if name == "sparse_categorical_crossentropy":
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs))
    if name == "binary_crossentropy":
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(targets, outputs))
    return tf.reduce_mean(tf.math.squared_difference(outputs, targets))


class Loop:
    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.weights: list[Any] = []
        self.moments: list[tuple[Any, Any]] = []
        self.powers = [tf.Variable(1.0), tf.Variable(1.0)]
        # Not with XLA: on a CPU it doubles the step of a convolution. Nothing in it depends on a tensor's value.
        self.step = tf.function(self._step, autograph=False)

    def restart(self, weights: Sequence[Array]) -> None:
        if not self.weights:
            self.weights = [tf.Variable(weight) for weight in weights]
            self.moments = [(tf.Variable(tf.zeros_like(w)), tf.Variable(tf.zeros_like(w))) for w in self.weights]
        for variable, moments, weight in zip(self.weights, self.moments, weights, strict=True):
            variable.assign(weight)
            for moment in moments:
                moment.assign(tf.zeros_like(moment))
        for power in self.powers:
            power.assign(1.0)

    def prepare(self, x: Array, y: Array) -> tuple[Any, Any]:
        shaped_x, shaped_y = batch(self.spec, x, y)
        return tf.constant(shaped_x), tf.constant(shaped_y)

    def _step(self, x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            for layer, weights, activation in layers(self.spec, self.weights):
                x = _apply(layer, weights, ACTIVATIONS[activation], x)
            loss = _loss(self.spec.loss, y, x)
        gradients = tape.gradient(loss, self.weights)
        if self.spec.optimizer == "adam":
            for power, beta in zip(self.powers, ADAM_BETAS, strict=True):
                power.assign(power * beta)
            for weight, (m, v), gradient in zip(self.weights, self.moments, gradients, strict=True):
                tf.raw_ops.ResourceApplyAdam(
                    var=weight.handle,
                    m=m.handle,
                    v=v.handle,
                    beta1_power=self.powers[0],
                    beta2_power=self.powers[1],
                    lr=ADAM_RATE,
                    beta1=ADAM_BETAS[0],
                    beta2=ADAM_BETAS[1],
                    epsilon=ADAM_EPSILON,
                    grad=gradient,
                )
        else:
            for weight, gradient in zip(self.weights, gradients, strict=True):
                tf.raw_ops.ResourceApplyGradientDescent(var=weight.handle, alpha=SGD_RATE, delta=gradient)
        return loss

    def synchronize(self) -> None:
        tf.test.experimental.sync_devices()
