"""How many floating-point operations a model's training step is, by formula. Imports no framework and no numpy.

Counted are the products and sums of convolutions and matrix products, each a multiplication and an addition, as is usual for
model FLOPs (Chowdhery et al., PaLM, 2022, appendix B): they are what an ideal computation cannot do without. Activations,
biases, losses and the optimizer are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_dlcheck.models.spec import Conv2D, Dense, Layer, ModelSpec, SimpleRNN

__all__ = ["fitted_exponent", "forward_flops", "step_flops"]

Shape = tuple[int, ...]


def _of_layer(layer: Layer, shape: Shape) -> int:
    """Of one sample's forward pass."""
    if isinstance(layer, Dense):
        return 2 * math.prod(shape) * layer.units
    if isinstance(layer, Conv2D):
        height, width, filters = layer.output_shape(shape)
        return 2 * layer.kernel_size**2 * shape[-1] * filters * height * width
    if isinstance(layer, SimpleRNN):
        steps, features = shape
        return 2 * steps * (features + layer.units) * layer.units
    return 0


def forward_flops(spec: ModelSpec) -> int:
    """Of the forward pass of one sample."""
    return sum(_of_layer(layer, shape) for layer, shape in spec.shapes())


def step_flops(spec: ModelSpec, batch: int | None = None) -> int:
    """Of one training step: forward, the gradient of the weights, and that of the inputs, which the first layer needs not.

    Args:
        spec: the model.
        batch: samples in the step; the model's own by default.
    """
    total, first = 0, True
    for layer, shape in spec.shapes():
        forward = _of_layer(layer, shape)
        if not forward:
            continue
        if isinstance(layer, SimpleRNN) and first:
            # The states' gradient goes back through the recurrent product; only the inputs' is not needed.
            steps, features = shape
            total += 3 * forward - 2 * steps * features * layer.units
        else:
            total += (2 if first else 3) * forward
        first = False
    return total * (spec.batch_size if batch is None else batch)


def fitted_exponent(sizes: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """By which power of a size the time grows: the slope of log(time) over log(size), by least squares.

    Returns:
        The exponent, and the standard error of it; infinite with two sizes, which any line passes through.

    Raises:
        ValueError: there are fewer than two different sizes, or something is not above zero.
    """
    if len(sizes) != len(seconds) or len(set(sizes)) < 2 or min(*sizes, *seconds) <= 0:
        raise ValueError("an exponent needs two different sizes at least, and times above zero")
    x, y = [math.log(size) for size in sizes], [math.log(second) for second in seconds]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    square = sum((each - mean_x) ** 2 for each in x)
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / square
    if len(x) == 2:
        return slope, math.inf
    rest = sum((b - mean_y - slope * (a - mean_x)) ** 2 for a, b in zip(x, y, strict=True))
    return slope, math.sqrt(rest / (len(x) - 2) / square)
