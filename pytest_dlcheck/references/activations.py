"""Activations in float64, from their formulas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from pytest_dlcheck.cases.case import Build, Name

__all__ = ["ACTIVATIONS", "activation", "softmax"]

Array = NDArray[Any]

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def softmax(x: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """exp(x_i) / sum_j exp(x_j)."""
    return np.asarray(special.softmax(x, axis=axis))


def _relu(x: Array, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Array:
    """max(x, 0); with the options: `max_value` above it, x from `threshold` on, negative_slope (x - threshold) below."""
    y = np.where(x >= threshold, x, negative_slope * (x - threshold))
    return y if max_value is None else np.where(y > max_value, max_value, y)


ACTIVATIONS: Mapping[str, Callable[..., Array]] = MappingProxyType(
    {
        "linear": lambda x: x,
        "relu": _relu,
        "relu6": lambda x: np.clip(x, 0, 6),
        "leaky_relu": lambda x, negative_slope=0.2: np.where(x > 0, x, negative_slope * x),
        "elu": lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
        "selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0))),
        "celu": lambda x, alpha=1.0: np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0) / alpha),
        "sigmoid": special.expit,
        "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
        "hard_sigmoid_of_keras_2": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
        "tanh": np.tanh,
        "hard_tanh": lambda x: np.clip(x, -1, 1),
        "softplus": lambda x: np.logaddexp(0, x),
        "softsign": lambda x: x / (1 + np.abs(x)),
        "softmax": softmax,
        "log_softmax": lambda x, axis=-1: special.log_softmax(x, axis=axis),
        "log_sigmoid": lambda x: -np.logaddexp(0, -x),
        "exponential": np.exp,
        "silu": lambda x: x * special.expit(x),
        "swish": lambda x: x * special.expit(x),
        "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
        # Hendrycks and Gimpel, arXiv:1606.08415: x Phi(x).
        "gelu": lambda x, approximate=False: (
            0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) if approximate else x * special.ndtr(x)
        ),
        "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
        "tanh_shrink": lambda x: x - np.tanh(x),
        "soft_shrink": lambda x, threshold=0.5: np.sign(x) * np.maximum(np.abs(x) - threshold, 0),
        "hard_shrink": lambda x, threshold=0.5: np.where(np.abs(x) > threshold, x, 0),
        "squareplus": lambda x, b=4: (x + np.sqrt(x**2 + b)) / 2,
        "double": lambda x: x + x,
    }
)
"""By the name that Keras gives them; `double` is this package's own (`subjects.callables`)."""

_LAYERS = {"LeakyReLU": "leaky_relu", "ReLU": "relu", "ELU": "elu", "Softmax": "softmax"}


def activation(given: Any) -> Callable[[Array], Array]:
    """The function that an argument `activation` stands for: None, a name, a function or a layer.

    Raises:
        KeyError: there is no reference of that activation.
    """
    if given is None:
        return ACTIVATIONS["linear"]
    if isinstance(given, str):
        return ACTIVATIONS[given]
    if isinstance(given, Name):
        return ACTIVATIONS[given.path.rpartition(".")[2]]
    assert isinstance(given, Build)
    name = _LAYERS[given.path.rpartition(".")[2]]
    options = dict(given.arguments)
    return lambda x: ACTIVATIONS[name](x, **options)
