"""What the foreign objects of `subjects.foreign_objects` compute, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Name
from pytest_dlcheck.subjects.spec import Call, Expected

__all__ = ["flax_layer", "jax_layer", "tfsm_layer", "torch_module"]

Array = NDArray[Any]


def tfsm_layer(call: Call) -> Array:
    """x W + b by the endpoint `serve`, twice that by `train`, which is called in training if it was named as the endpoint for
    it (https://keras.io/api/layers/backend_specific_layers/tfsm_layer/)."""
    kernel, bias = call.weights.values()
    endpoint = call["call_endpoint"]
    if call.training and call["call_training_endpoint"]:
        endpoint = call["call_training_endpoint"]
    return np.asarray((call.inputs @ kernel + bias) * (2 if endpoint == "train" else 1))


def torch_module(call: Call) -> Array:
    """x W^T + b with the layer's weights, and its hyperbolic tangent if the module takes it
    (https://keras.io/api/layers/backend_specific_layers/torch_module_wrapper/)."""
    weight, bias = call.weights.values()
    y = call.inputs @ weight.T + bias
    return np.asarray(np.tanh(y) if call["module"].path.endswith("torch_tanh") else y)


def jax_layer(call: Call) -> Expected:
    """x W + b with the layer's weights, bias first as JAX sorts them; doubled in training, or with its training calls counted
    (https://keras.io/api/layers/backend_specific_layers/jax_layer/)."""
    function: Name = call["call_fn"]
    names = list(call.weights)
    bias, kernel = (call.weights[name] for name in names[:2])
    y = call.inputs @ kernel + bias
    if function.path.endswith("jax_affine_trained") and call.training:
        y = 2 * y
    state = {names[2]: call.weights[names[2]] + call.training} if function.path.endswith("jax_counted") else {}
    return Expected(np.asarray(y), state=state)


def flax_layer(call: Call) -> Array:
    """x W + b with the layer's weights, bias first as JAX sorts them
    (https://keras.io/api/layers/backend_specific_layers/flax_layer/)."""
    bias, kernel = call.weights.values()
    return np.asarray(call.inputs @ kernel + bias)
