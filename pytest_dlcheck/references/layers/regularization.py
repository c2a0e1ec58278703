"""Regularization layers: in inference, and at a rate of zero, they hand on what they get."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.subjects.spec import Call, Expected

__all__ = ["activity_regularization", "alpha_dropout_values", "handed_on", "noise_shape"]

Array = NDArray[Any]

# Of the activation selu, arXiv:1706.02515, to which alpha dropout belongs.
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def handed_on(call: Call) -> Expected:
    """y = x: `training` is what makes a difference (https://keras.io/api/layers/regularization_layers/)."""
    return Expected(call.inputs, mask=call.masks[0] if call.masks else None, checks_mask=True)


def activity_regularization(call: Call) -> Expected:
    """y = x, and a loss of (l1 sum |x| + l2 sum x^2) / samples.

    https://keras.io/api/layers/regularization_layers/activity_regularization/; that activities are divided by the size of the
    batch says https://keras.io/api/layers/regularizers/ ("the value returned by the activity_regularizer object gets divided
    by the input batch size so that the relative weighting between the weight regularizers and the activity regularizers does
    not change with the batch size").
    """
    x = call.inputs
    loss = call["l1"] * np.abs(x).sum() + call["l2"] * (x**2).sum()
    found = handed_on(call)
    return Expected(found.outputs, found.mask, checks_mask=True, losses=float(loss) / max(1, len(x)))


def alpha_dropout_values(x: Array, rate: float) -> tuple[Array, float]:
    """What becomes of x if it is kept, and what of anything that is dropped.

    Klambauer et al., arXiv:1706.02515, section "new dropout technique": what is dropped becomes alpha' = -scale alpha, then
    a x + b with a = (q + alpha'^2 q (1 - q))^(-1/2), b = -a (1 - q) alpha', q = 1 - rate, restores mean 0 and variance 1.
    """
    kept, low = 1 - rate, -SELU_SCALE * SELU_ALPHA
    a = (kept + low**2 * kept * rate) ** -0.5
    b = -a * rate * low
    return np.asarray(a * x + b), float(a * low + b)


def noise_shape(call: Call, shape: tuple[int, ...], layer: str) -> tuple[int, ...]:
    """The shape of the mask that is multiplied with the input: 1 along an axis means that all of it shares its fate.

    As given by `noise_shape` (None: as the input); a spatial dropout drops whole channels of each sample.
    """
    if layer.startswith("Spatial"):
        last = layer == "SpatialDropout1D" or not call.channels_first
        channel = len(shape) - 1 if last else 1
        return tuple(size if axis in (0, channel) else 1 for axis, size in enumerate(shape))
    given = call.arguments.get("noise_shape")
    if given is None:
        return shape
    return tuple(own if size is None else size for size, own in zip(given, shape, strict=True))
