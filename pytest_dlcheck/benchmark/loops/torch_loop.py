"""The training loop in PyTorch's own operations: modules' functions, autograd, the fused optimizers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from pytest_dlcheck.benchmark.loops import ADAM_BETAS, ADAM_EPSILON, ADAM_RATE, SGD_RATE, Array, batch, layers
from pytest_dlcheck.models.spec import Conv2D, Dense, Flatten, Layer, MaxPooling2D, ModelSpec, SimpleRNN

ACTIVATIONS = {
    None: lambda z: z,
    "relu": functional.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softmax": lambda z: functional.softmax(z, dim=-1),
}


def _layout(spec: ModelSpec, weights: Sequence[Array]) -> list[Array]:
    """Keras's weights in PyTorch's layout: channels first, matrices transposed, and what follows a Flatten reordered."""
    converted: list[Array] = []
    before_flatten: tuple[int, ...] | None = None
    remaining = list(weights)
    for layer, shape in spec.shapes():
        if isinstance(layer, Flatten) and len(shape) == 3:
            before_flatten = shape
        elif isinstance(layer, Conv2D):
            kernel, bias, *remaining = remaining
            converted += [kernel.transpose(3, 2, 0, 1), bias]
        elif isinstance(layer, Dense):
            kernel, bias, *remaining = remaining
            if before_flatten is not None:
                # Keras flattens height, width, channels; PyTorch channels, height, width.
                kernel = kernel.reshape(*before_flatten, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
                before_flatten = None
            converted += [kernel.T, bias]
        elif isinstance(layer, SimpleRNN):
            kernel, recurrent, bias, *remaining = remaining
            converted += [kernel.T, recurrent.T, bias]
    return [np.ascontiguousarray(weight) for weight in converted]


def _apply(layer: Layer, weights: Sequence[Any], activation: Any, x: Any) -> Any:
    if isinstance(layer, Conv2D):
        return activation(functional.conv2d(x, weights[0], weights[1]))
    if isinstance(layer, MaxPooling2D):
        return functional.max_pool2d(x, layer.pool_size)
    if isinstance(layer, Flatten):
        return x.flatten(1)
    if isinstance(layer, Dense):
        return activation(functional.linear(x, weights[0], weights[1]))
    if isinstance(layer, SimpleRNN):
        state = x.new_zeros(len(x), layer.units)
        for step in range(x.shape[1]):
            state = activation(functional.linear(x[:, step], weights[0], weights[2]) + functional.linear(state, weights[1]))
        return state
    raise TypeError(f"no loop for a layer of kind {layer.kind}")


def _loss(name: str, targets: Any, outputs: Any) -> Any:
    if name in ("categorical_crossentropy", "sparse_categorical_crossentropy"):
        return functional.cross_entropy(outputs, targets)  # probabilities or class numbers
    if name == "binary_crossentropy":
        return functional.binary_cross_entropy_with_logits(outputs, targets)
    return functional.mse_loss(outputs, targets)


class Loop:
    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.weights: list[Any] = []
        self.steps = 0
        self.optimizer: Any = None

    def restart(self, weights: Sequence[Array]) -> None:
        self.weights = [torch.tensor(weight).requires_grad_() for weight in _layout(self.spec, weights)]
        self.steps = 0
        if self.spec.optimizer == "adam":
            self.optimizer = torch.optim.Adam(self.weights, lr=ADAM_RATE, betas=ADAM_BETAS, fused=True)
        else:
            self.optimizer = torch.optim.SGD(self.weights, lr=SGD_RATE, fused=True)

    def prepare(self, x: Array, y: Array) -> tuple[Any, Any]:
        shaped_x, shaped_y = batch(self.spec, x, y)
        if shaped_x.ndim == 4:
            shaped_x = np.ascontiguousarray(shaped_x.transpose(0, 3, 1, 2))
        return torch.tensor(shaped_x), torch.tensor(shaped_y)

    def step(self, x: Any, y: Any) -> Any:
        self.steps += 1
        self.optimizer.zero_grad(set_to_none=True)
        for layer, weights, activation in layers(self.spec, self.weights):
            x = _apply(layer, weights, ACTIVATIONS[activation], x)
        loss = _loss(self.spec.loss, y, x)
        loss.backward()
        if self.spec.optimizer == "adam":
            # Keras adds epsilon to sqrt(v), PyTorch to sqrt(v / (1 - b2^t)): this makes them one formula.
            for group in self.optimizer.param_groups:
                group["eps"] = ADAM_EPSILON / math.sqrt(1 - ADAM_BETAS[1] ** self.steps)
        self.optimizer.step()
        return loss.detach()

    def synchronize(self) -> None:
        device = self.weights[0].device
        if device.type != "cpu":
            torch.get_device_module(device.type).synchronize(device)
