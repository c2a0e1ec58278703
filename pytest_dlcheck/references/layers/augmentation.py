"""Image augmentation in float64, where nothing about it is random: at inference, and with factors that leave no choice.

What is drawn at random can only be told by laws; those are in `pytest_dlcheck.subjects.layers.augmentation_laws`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.references.layers.image import largest_window, on_images, resize
from pytest_dlcheck.subjects.spec import Call

__all__ = [
    "adjusted_brightness",
    "blended_with_grey",
    "converted_to_grey",
    "cropped",
    "grey",
    "identity",
    "inverted",
    "moved",
    "posterized",
    "rotated",
    "settled",
    "solarized",
    "whole_turns",
]

Array = NDArray[Any]

LUMA = (0.2989, 0.5870, 0.1140)
"""The weights of red, green and blue in the luma of ITU-R BT.601, as `tf.image.rgb_to_grayscale` gives them."""


def settled(factor: Any) -> float | None:
    """The one value that a factor can take; None if it leaves a choice."""
    if isinstance(factor, (tuple, list)):
        return float(factor[0]) if factor[0] == factor[1] else None
    return 0.0 if factor == 0 else None


def identity(call: Call) -> Any:
    """y = x: "at inference time, the output will be identical to the input", as each layer's page says; labels, boxes and masks
    too. The same in training where the factors are those of no change."""
    # In training the layers compute, and may round even integers.
    return _images_alone(call, lambda batch: batch) if call.training else call.inputs


def _images_alone(call: Call, function: Callable[[Array], Array]) -> Any:
    """The images changed, and all that comes with them left as it is."""
    if isinstance(call.inputs, Mapping):
        return {**call.inputs, "images": on_images(call, _wide(call.inputs["images"]), function)}
    return on_images(call, _wide(call.inputs), function)


def _wide(array: Array) -> Array:
    return np.asarray(array, dtype=np.float64)


def _range(call: Call) -> tuple[float, float]:
    low, high = sorted(call["value_range"])
    return float(low), float(high)


# Colour.


def adjusted_brightness(call: Call) -> Any:
    """y = clip(x + factor (high - low), low, high)
    (https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_brightness/).
    """
    factor = settled(call["factor"])
    if not call.training or factor is None:
        return identity(call)
    low, high = _range(call)
    return _images_alone(call, lambda batch: np.clip(batch + factor * (high - low), low, high))


def grey(batch: Array) -> Array:
    """The luma of each pixel, in as many channels as there were."""
    return np.repeat((batch @ np.asarray(LUMA))[..., None], batch.shape[-1], axis=-1)


def converted_to_grey(call: Call) -> Any:
    """Every channel is 0.2989 R + 0.5870 G + 0.1140 B, with a factor of one
    (https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_grayscale/; ITU-R BT.601).
    """
    return _images_alone(call, grey) if call.training and call["factor"] == 1 else identity(call)


def blended_with_grey(call: Call) -> Any:
    """y = (1 - factor) x + factor grey(x)
    (https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_color_degeneration/; ITU-R BT.601).
    """
    factor = settled(call["factor"])
    if not call.training or not factor:
        return identity(call)
    return _images_alone(call, lambda batch: batch + factor * (grey(batch) - batch))


def inverted(call: Call) -> Any:
    """y = low + high - x, the complement within the range, with a probability of one
    (https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_invert/).
    """
    if not call.training or settled(call["factor"]) != 1:
        return identity(call)
    low, high = _range(call)
    return _images_alone(call, lambda batch: low + high - batch)


def posterized(call: Call) -> Any:
    """Of the 8 bits of each channel, the highest `factor` are kept
    (https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_posterization/).
    """
    if not call.training:
        return identity(call)
    low, high = _range(call)
    step = 2 ** (8 - call["factor"])

    def one(batch: Array) -> Array:
        # A level that rounding left a hair below its integer is that integer.
        levels = np.floor((batch - low) / (high - low) * 255 + 1e-9)
        return np.asarray(low + np.floor(levels / step) * step / 255 * (high - low))

    return _images_alone(call, one)


def solarized(call: Call) -> Any:
    """y = low + high - clip(x + addition_factor (high - low)), with a threshold of zero: "the layer performs solarization to
    all values" (https://keras.io/api/layers/preprocessing_layers/image_augmentation/solarization/).
    """
    addition = settled(call["addition_factor"])
    if not call.training or addition is None:
        return identity(call)
    low, high = _range(call)
    return _images_alone(call, lambda batch: low + high - np.clip(batch + addition * (high - low), low, high))


# Geometry.

PADDINGS: Mapping[str, str] = MappingProxyType(
    {"reflect": "symmetric", "wrap": "wrap", "nearest": "edge", "constant": "constant"}
)
"""The fill modes in NumPy's words: `reflect` repeats the edge, (d c b a | a b c d | d c b a)."""


def _shifted(batch: Array, down: int, right: int, mode: str, value: float) -> Array:
    """Images moved by whole pixels, what comes in filled in that mode."""
    rows, columns = batch.shape[1:3]
    widths = ((0, 0), (abs(down),) * 2, (abs(right),) * 2, (0, 0))
    more = {"constant_values": value} if mode == "constant" else {}
    padded = np.pad(batch, widths, mode=PADDINGS[mode], **more)  # type: ignore[call-overload]
    top, left = abs(down) - down, abs(right) - right
    return np.asarray(padded[:, top : top + rows, left : left + columns])


def size_of(call: Call, images: Array) -> tuple[int, int]:
    """Height and width."""
    height, width = images.shape[-2:] if call.channels_first else images.shape[-3:-1]
    return int(height), int(width)


def moved(call: Call) -> Any:
    """Moved down and to the right by whole pixels: factor times the size
    (https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_translation/).

    Masks move with the image, and so do boxes, as far as they stay inside; the label of one that does not becomes -1.
    """
    if not call.training:
        return identity(call)
    images = call.inputs["images"] if isinstance(call.inputs, Mapping) else call.inputs
    height, width = size_of(call, images)
    down = round((settled(call["height_factor"]) or 0.0) * height)
    right = round((settled(call["width_factor"]) or 0.0) * width)

    def one(batch: Array) -> Array:
        return _shifted(batch, down, right, call["fill_mode"], call["fill_value"])

    found = _images_alone(call, one)
    if isinstance(found, dict) and "segmentation_masks" in found:
        found["segmentation_masks"] = on_images(call, found["segmentation_masks"], one)
    if isinstance(found, dict) and "bounding_boxes" in found:
        boxes, labels = found["bounding_boxes"]["boxes"], found["bounding_boxes"]["labels"]
        inside = np.clip(boxes + np.asarray([right, down, right, down]), 0, np.asarray([width, height, width, height]))
        empty = (inside[..., 2] - inside[..., 0]) * (inside[..., 3] - inside[..., 1]) <= 0
        found["bounding_boxes"] = {"boxes": inside, "labels": np.where(empty, -1.0, labels)}
    return found


def whole_turns(factor: Any, height: int, width: int) -> int | None:
    """How many quarter turns counter-clockwise a settled factor is, None if it is none that maps pixels onto pixels."""
    angle = settled(factor)
    if angle is None or (4 * angle) % 1:
        return None
    turns = int(4 * angle) % 4
    return turns if turns % 2 == 0 or height == width else None


def rotated(call: Call) -> Any:
    """Turned counter-clockwise by quarter turns: a factor is a fraction of 2 pi
    (https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_rotation/).
    """
    images = call.inputs["images"] if isinstance(call.inputs, Mapping) else call.inputs
    turns = whole_turns(call["factor"], *size_of(call, images))
    if not call.training or not turns:
        return identity(call)

    def one(batch: Array) -> Array:
        return np.rot90(batch, turns, axes=(1, 2))

    found = _images_alone(call, one)
    if isinstance(found, dict) and "segmentation_masks" in found:
        found["segmentation_masks"] = on_images(call, found["segmentation_masks"], one)
    return found


def cropped(call: Call) -> Any:
    """The largest window of the target's aspect ratio, resized: at inference, and of an image that is smaller than the target
    (https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_crop/).
    """
    return _images_alone(
        call, lambda batch: resize(largest_window(batch, call["height"], call["width"]), call["height"], call["width"])
    )
