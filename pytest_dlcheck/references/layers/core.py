"""Dense layers, embeddings and what hands its input on, in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.references.activations import activation
from pytest_dlcheck.subjects.spec import Call, Expected

__all__ = ["dense", "einsum_dense", "embedding", "identity", "lambda_layer", "masking", "reversible_embedding"]

Array = NDArray[Any]


def _kernel(call: Call, name: str = "kernel") -> Array:
    """W, or with low-rank adaptation W + (alpha / rank) A B (arXiv:2106.09685); alpha is the rank unless it is given."""
    kernel = call.weights[name]
    rank = call.arguments.get("lora_rank")
    if not rank:
        return kernel
    alpha = call.arguments.get("lora_alpha")
    scale = 1.0 if alpha is None else alpha / rank
    return np.asarray(kernel + scale * (call.weights[f"lora_{name}_a"] @ call.weights[f"lora_{name}_b"]))


def dense(call: Call) -> Expected:
    """y = f(x W + b), over the last axis (https://keras.io/api/layers/core_layers/dense/)."""
    y = call.inputs @ _kernel(call)
    if call["use_bias"]:
        y = y + call.weights["bias"]
    return Expected(activation(call["activation"])(np.asarray(y)), mask=_only(call), checks_mask=True)


def einsum_dense(call: Call) -> Array:
    """y = f(einsum(equation, x, W) + b), b along `bias_axes` (https://keras.io/api/layers/core_layers/einsum_dense/)."""
    y = np.asarray(np.einsum(call["equation"], call.inputs, _kernel(call)))
    if call["bias_axes"]:
        y = y + _along(call.weights["bias"], call["bias_axes"], call["equation"].split("->")[1], y)
    return activation(call["activation"])(y)


def _along(bias: Array, axes: str, output: str, like: Array) -> Array:
    """The bias with an axis for each of the output's, of size 1 where it has none."""
    elided = like.ndim - len(output.replace("...", ""))
    letters = output.replace("...", "." * elided) if "..." in output else output
    sizes = [size if letter in axes else 1 for letter, size in zip(letters, like.shape, strict=True)]
    return bias.reshape(sizes)


def embedding(call: Call) -> Expected:
    """Row x of the table for each integer x; with `mask_zero`, zeros are masked.

    https://keras.io/api/layers/core_layers/embedding/
    """
    table = _kernel(call, "embeddings")
    return Expected(table[call.inputs], mask=call.inputs != 0 if call["mask_zero"] else None, checks_mask=True)


def reversible_embedding(call: Call) -> Expected:
    """Forwards as Embedding. In reverse x E^T, or x R if weights are not tied, capped softly at c: c tanh(x / c).

    https://keras.io/api/layers/core_layers/reversible_embedding/
    """
    if not call.keywords.get("reverse", False):
        return embedding(call)
    table = call.weights["embeddings"].T if call["tie_weights"] else call.weights["reverse_embeddings"]
    logits = call.inputs @ table
    cap = call["logit_soft_cap"]
    return Expected(logits if cap is None else np.tanh(logits / cap) * cap)


def _tell_apart(call: Call) -> Array:
    mask = call.masks[0] if call.masks else None
    return np.asarray(-call.inputs if mask is None else call.inputs * mask[..., None])


_FUNCTIONS: Mapping[str, Callable[[Call], Any]] = MappingProxyType(
    {
        "double": lambda call: 2 * call.inputs,
        "affine": lambda call: call.inputs * call["arguments"].get("scale", 1.0) + call["arguments"].get("shift", 0.0),
        "first_feature": lambda call: call.inputs[..., :1],
        "halve_in_training": lambda call: call.inputs * (0.5 if call.training else 1.0),
        "zero_where_masked": _tell_apart,
        "magnitude": lambda call: np.abs(call.inputs),
        "total": lambda call: call.inputs[0] + call.inputs[1],
    }
)
"""What the functions of `subjects.callables` compute, said again."""


def lambda_layer(call: Call) -> Expected:
    """f(x), with the keyword arguments given; the function's `mask` and `training` are the call's, if it takes them.

    The mask is what `mask` gives, none if that is None (https://keras.io/api/layers/core_layers/lambda/).
    """
    name = call["function"].path.rpartition(".")[2]
    keeps = call["mask"] is not None and call["mask"].path.endswith("keep_mask")
    return Expected(_FUNCTIONS[name](call), mask=_only(call) if keeps else None, checks_mask=True)


def masking(call: Call) -> Expected:
    """Steps whose features are all `mask_value` are masked (https://keras.io/api/layers/core_layers/masking/).

    The documentation leaves open what stands in the output at a masked step; every version of Keras puts zeros there.
    """
    mask = np.any(call.inputs != call["mask_value"], axis=-1)
    return Expected(np.where(mask[..., None], call.inputs, 0.0), mask=mask, checks_mask=True)


def identity(call: Call) -> Expected:
    """x, and its mask (https://keras.io/api/layers/core_layers/identity/)."""
    return Expected(call.inputs, mask=_only(call), checks_mask=True)


def _only(call: Call) -> Array | None:
    return call.masks[0] if call.masks else None
