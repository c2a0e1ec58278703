"""Normalization layers in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.subjects.spec import Call, Expected

__all__ = [
    "batch_normalization",
    "group_normalization",
    "layer_normalization",
    "positions",
    "rms_normalization",
    "unit_normalization",
]

Array = NDArray[Any]


def positions(axis: Any, rank: int) -> tuple[int, ...]:
    """One or several axes, counted from the front, in order."""
    axes = axis if isinstance(axis, (list, tuple)) else [axis]
    return tuple(sorted(each % rank for each in axes))


def _along(values: Array, axes: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """A weight that spans some axes, ready to broadcast."""
    return values.reshape([size if axis in axes else 1 for axis, size in enumerate(shape)])


def _affine(call: Call, x: Array, axes: tuple[int, ...]) -> Array:
    """gamma x + beta, as far as the layer has them."""
    if call["scale"]:
        x = x * _along(call.weights["gamma"], axes, x.shape)
    if call["center"]:
        x = x + _along(call.weights["beta"], axes, x.shape)
    return x


def _mask(call: Call) -> Any:
    """The mask of the keyword, else the attached one."""
    given = call.keywords.get("mask")
    return given if given is not None or not call.masks else call.masks[0]


def _with_mask(call: Call, outputs: Array, **state: Array) -> Expected:
    return Expected(outputs, mask=_mask(call), checks_mask=True, state=state)


def _moments(x: Array, axes: tuple[int, ...], mask: Array | None) -> tuple[Array, Array]:
    """Mean and (biased) variance over some axes, of the entries that the mask keeps."""
    kept = np.ones_like(x) if mask is None else np.broadcast_to(np.asarray(mask, bool)[..., None], x.shape).astype(float)
    count = kept.sum(axis=axes, keepdims=True)
    mean = (x * kept).sum(axis=axes, keepdims=True) / count
    return mean, (kept * (x - mean) ** 2).sum(axis=axes, keepdims=True) / count


def batch_normalization(call: Call) -> Expected:
    """https://keras.io/api/layers/normalization_layers/batch_normalization/, arXiv:1502.03167.

    gamma (x - mean) / sqrt(var + epsilon) + beta, with the moments of the batch in training (of its unmasked positions), the
    moving ones otherwise or when the layer is not trainable; moving = momentum moving + (1 - momentum) batch.

    With `renorm` (arXiv:1702.03275, algorithm 1): sigma_B = sqrt(var + epsilon), r = clip(sigma_B / sigma) and
    d = clip((mean - mu) / sigma), the normalized value is multiplied by r and moved by d, and mu and sigma are moving
    averages as well.
    """
    x = call.inputs
    axes = positions(call["axis"], x.ndim)
    if not (call.training and call.arguments.get("trainable", True)):
        mean, variance = (_along(call.weights[name], axes, x.shape) for name in ("moving_mean", "moving_variance"))
        return _with_mask(call, _affine(call, (x - mean) / np.sqrt(variance + call["epsilon"]), axes))

    mean, variance = _moments(x, tuple(axis for axis in range(x.ndim) if axis not in axes), _mask(call))
    deviation = np.sqrt(variance + call["epsilon"])
    normalized = (x - mean) / deviation

    def moved(name: str, momentum: float, value: Array) -> Array:
        return np.asarray(momentum * call.weights[name] + (1 - momentum) * value.reshape(-1))

    state = {"moving_mean": moved("moving_mean", call["momentum"], mean)}
    if call.arguments.get("renorm"):
        mu, sigma = (_along(call.weights[name], axes, x.shape) for name in ("renorm_mean", "renorm_stddev"))
        limits = call["renorm_clipping"] or {}
        r = np.clip(deviation / sigma, limits.get("rmin", 0), limits.get("rmax", np.inf))
        d = np.clip((mean - mu) / sigma, -limits.get("dmax", np.inf), limits.get("dmax", np.inf))
        normalized = normalized * r + d
        state["renorm_mean"] = moved("renorm_mean", call["renorm_momentum"], mean)
        state["renorm_stddev"] = moved("renorm_stddev", call["renorm_momentum"], deviation)
    else:
        state["moving_variance"] = moved("moving_variance", call["momentum"], variance)
    return _with_mask(call, _affine(call, normalized, axes), **state)


def layer_normalization(call: Call) -> Expected:
    """(x - mean) / sqrt(var + epsilon) gamma + beta, moments over `axis` of each sample, gamma and beta spanning it.

    https://keras.io/api/layers/normalization_layers/layer_normalization/, arXiv:1607.06450.
    """
    x = call.inputs
    axes = positions(call["axis"], x.ndim)
    mean, variance = _moments(x, axes, None)
    return _with_mask(call, _affine(call, (x - mean) / np.sqrt(variance + call["epsilon"]), axes))


def group_normalization(call: Call) -> Expected:
    """Moments over all but batch, of each of `groups` equal parts of the channels; gamma and beta per channel.

    https://keras.io/api/layers/normalization_layers/group_normalization/, arXiv:1803.08494. -1 groups: one per channel.
    """
    axes = positions(call["axis"], call.inputs.ndim)
    x = np.moveaxis(call.inputs, axes[0], -1)
    channels = x.shape[-1]
    groups = channels if call["groups"] == -1 else call["groups"]
    parts = x.reshape(*x.shape[:-1], groups, channels // groups)
    over = (*range(1, parts.ndim - 2), parts.ndim - 1)
    mean, variance = _moments(parts, over, None)
    normalized = ((parts - mean) / np.sqrt(variance + call["epsilon"])).reshape(x.shape)
    return _with_mask(call, _affine(call, np.moveaxis(normalized, -1, axes[0]), axes))


def rms_normalization(call: Call) -> Expected:
    """scale x / sqrt(mean(x^2) + epsilon).

    https://keras.io/api/layers/normalization_layers/rms_normalization/, arXiv:1910.07467.
    """
    x = call.inputs
    axes = positions(call["axis"], x.ndim)
    root = np.sqrt((x**2).mean(axis=axes, keepdims=True) + call["epsilon"])
    return Expected(x / root * _along(call.weights["scale"], axes, x.shape))


def unit_normalization(call: Call) -> Expected:
    """x / |x|, the Euclidean norm over `axis` (https://keras.io/api/layers/normalization_layers/unit_normalization/).

    A norm below 1e-12 counts as that much (https://keras.io/api/ops/nn/#normalize: "a lower bound value for the norm").
    """
    x = call.inputs
    norm = np.sqrt((x**2).sum(axis=positions(call["axis"], x.ndim), keepdims=True))
    return _with_mask(call, x / np.maximum(norm, 1e-12))
