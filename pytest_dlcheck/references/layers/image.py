"""Rescaling, resizing, cropping and contrast of images in float64.

Formulas on images are written for channels last, a batch of them; `last` and `first` take care of the other format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.subjects.spec import Call, Expected

__all__ = [
    "auto_contrast",
    "center_crop",
    "equalization",
    "largest_window",
    "max_num_bounding_boxes",
    "on_images",
    "rescaling",
    "resize",
    "resizing",
]

Array = NDArray[Any]


def on_images(call: Call, images: Array, function: Callable[[Array], Array]) -> Array:
    """A function of a batch of images, channels last, applied to one image or a batch, in both formats."""
    alone = images.ndim == 3
    batch = images[None] if alone else images
    if call.channels_first:
        batch = np.moveaxis(batch, 1, -1)
    found = np.asarray(function(batch))
    if call.channels_first:
        found = np.moveaxis(found, -1, 1)
    return np.asarray(found[0] if alone else found)


def rescaling(call: Call) -> Expected:
    """y = x scale + offset (https://keras.io/api/layers/preprocessing_layers/image_preprocessing/rescaling/)."""
    y = np.asarray(call.inputs, dtype=np.float64) * call["scale"] + call["offset"]
    return Expected(y, mask=call.masks[0] if call.masks else None, checks_mask=True)


# Resizing.


def _triangle(x: Array) -> Array:
    return np.maximum(0.0, 1.0 - np.abs(x))


def _keys(x: Array) -> Array:
    """Keys' cubic convolution with a = -1/2, the value for which it reproduces quadratics (Keys 1981, equation 4)."""
    a, d = -0.5, np.abs(x)
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * (d**3 - 5 * d**2 + 8 * d - 4)
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _lanczos(radius: int) -> Callable[[Array], Array]:
    return lambda x: np.where(np.abs(x) < radius, np.sinc(x) * np.sinc(x / radius), 0.0)


KERNELS: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {"bilinear": _triangle, "bicubic": _keys, "lanczos3": _lanczos(3), "lanczos5": _lanczos(5)}
)


def _weights(size: int, target: int, interpolation: str, antialias: bool) -> Array:
    """The matrix [target, size] that resizes one axis.

    Pixel i covers [i, i + 1): its centre in the old image is (i + 1/2) size / target. A kernel is widened by the ratio of the
    sizes when it shrinks an image with antialiasing, and its weights inside the image sum to one.
    """
    ratio = size / target
    if interpolation == "nearest":
        # The nearest centre: the pixel that the centre lies in.
        index = np.minimum(np.floor((np.arange(target) + 0.5) * ratio + 1e-9).astype(int), size - 1)
        return np.asarray(np.eye(size)[index])
    centres = (np.arange(target) + 0.5) * ratio
    wide = max(ratio, 1.0) if antialias else 1.0
    weights = KERNELS[interpolation]((np.arange(size)[None, :] + 0.5 - centres[:, None]) / wide)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def resize(images: Array, height: int, width: int, interpolation: str = "bilinear", antialias: bool = False) -> Array:
    """Images, channels last, at another size, one axis after the other, with half-pixel centres.

    https://www.tensorflow.org/api_docs/python/tf/image/resize, https://docs.jax.dev/en/latest/_autosummary/jax.image.resize.html
    """
    rows = _weights(images.shape[-3], height, interpolation, antialias)
    columns = _weights(images.shape[-2], width, interpolation, antialias)
    return np.asarray(np.einsum("ih,jw,...hwc->...ijc", rows, columns, images))


def largest_window(images: Array, height: int, width: int) -> Array:
    """The largest centred window of the aspect ratio height : width, in whole pixels
    (https://keras.io/api/data_loading/image/, `smart_resize`).
    """
    old_height, old_width = images.shape[-3:-1]
    tall = max(1, min(old_height, old_width * height // width))
    wide = max(1, min(old_width, old_height * width // height))
    top, left = (old_height - tall) // 2, (old_width - wide) // 2
    return images[..., top : top + tall, left : left + wide, :]


def padded_to_ratio(images: Array, height: int, width: int, value: float) -> Array:
    """The image in the middle of the smallest frame of the aspect ratio height : width that holds it, in whole pixels."""
    old_height, old_width = images.shape[-3:-1]
    tall = max(old_height, old_width * height // width)
    wide = max(old_width, old_height * width // height)
    top, left = (tall - old_height) // 2, (wide - old_width) // 2
    found = np.full((*images.shape[:-3], tall, wide, images.shape[-1]), float(value))
    found[..., top : top + old_height, left : left + old_width, :] = images
    return found


def _resized(call: Call, images: Array, interpolation: str) -> Array:
    def one(batch: Array) -> Array:
        if call["crop_to_aspect_ratio"]:
            batch = largest_window(batch, call["height"], call["width"])
        elif call["pad_to_aspect_ratio"]:
            batch = padded_to_ratio(batch, call["height"], call["width"], call["fill_value"])
        return resize(batch, call["height"], call["width"], interpolation, call["antialias"])

    return on_images(call, images, one)


def resizing(call: Call) -> Any:
    """Resize, of the largest window or after padding if so asked
    (https://keras.io/api/layers/preprocessing_layers/image_preprocessing/resizing/).

    Segmentation masks are resized to the nearest, labels are left as they are.
    """
    if not isinstance(call.inputs, Mapping):
        return _of_type(call.inputs, _resized(call, call.inputs, call["interpolation"]))
    found = dict(call.inputs)
    found["images"] = _of_type(found["images"], _resized(call, found["images"], call["interpolation"]))
    if "segmentation_masks" in found:
        masks = found["segmentation_masks"]
        found["segmentation_masks"] = _of_type(masks, _resized(call, masks, "nearest"))
    return found


def _of_type(given: Array, found: Array) -> Array:
    """Integers come out as integers, so that a segmentation mask stays one."""
    return np.rint(found).astype(given.dtype) if given.dtype.kind in "iu" else found


def center_crop(call: Call) -> Any:
    """The central window; of a smaller image, its largest window of the target's aspect ratio, resized
    (https://keras.io/api/layers/preprocessing_layers/image_preprocessing/center_crop/).

    Where the margins cannot be equal, the one before is the smaller ("the input image is left-padded by 1 pixel").
    """
    height, width = call["height"], call["width"]

    def one(batch: Array) -> Array:
        top, left = (batch.shape[1] - height) // 2, (batch.shape[2] - width) // 2
        if top < 0 or left < 0 or batch.shape[1] < height or batch.shape[2] < width:
            return resize(largest_window(batch, height, width), height, width)
        return batch[:, top : top + height, left : left + width]

    if not isinstance(call.inputs, Mapping):
        return on_images(call, np.asarray(call.inputs, dtype=np.float64), one)
    found = dict(call.inputs)
    found["images"] = on_images(call, np.asarray(found["images"], dtype=np.float64), one)
    if "segmentation_masks" in found:
        found["segmentation_masks"] = on_images(call, found["segmentation_masks"], one)
    return found


# Contrast.


def auto_contrast(call: Call) -> Array:
    """y = low + (x - min x) (high - low) / (max x - min x), each channel of each image on its own; one of a single value stays
    (https://keras.io/api/layers/preprocessing_layers/image_augmentation/auto_contrast/; `ImageOps.autocontrast` of Pillow).
    """
    low, high = sorted(call["value_range"])

    def one(batch: Array) -> Array:
        least, most = batch.min(axis=(1, 2), keepdims=True), batch.max(axis=(1, 2), keepdims=True)
        flat = least == most
        spread = np.where(flat, 1.0, most - least)
        return np.where(flat, batch, low + (batch - least) / spread * (high - low))

    return on_images(call, np.asarray(call.inputs, dtype=np.float64), one)


def equalization(call: Call) -> Array:
    """With cdf the number of pixels up to a grey level and N of all, level v becomes
    round(255 (cdf(v) - cdf_min) / (N - cdf_min)), for each channel of each image
    (https://keras.io/api/layers/preprocessing_layers/image_augmentation/equalization/;
    https://en.wikipedia.org/wiki/Histogram_equalization). A channel of one level stays as it is. `bins` levels are told apart.
    """
    low, high = sorted(call["value_range"])
    bins = call["bins"]

    def channel(values: Array) -> Array:
        levels = np.clip(np.floor((values - low) / (high - low) * (bins - 1) + 1e-9), 0, bins - 1).astype(int)
        cumulative = np.cumsum(np.bincount(levels.reshape(-1), minlength=bins))
        first = cumulative[cumulative > 0][0]
        if first == levels.size:
            return values
        table = np.rint(255 * (cumulative - first) / (levels.size - first))
        return np.asarray(low + table[levels] / 255 * (high - low))

    def one(batch: Array) -> Array:
        found = np.empty(batch.shape)
        for index in range(batch.shape[0]):
            for place in range(batch.shape[-1]):
                found[index, ..., place] = channel(batch[index, ..., place])
        return found

    return on_images(call, np.asarray(call.inputs, dtype=np.float64), one)


# Bounding boxes.


def max_num_bounding_boxes(call: Call) -> Any:
    """The first `max_number` boxes and their labels, and `fill_value` where there are fewer
    (https://keras.io/api/layers/preprocessing_layers/image_preprocessing/max_num_bounding_boxes/).
    """
    number, fill = call["max_number"], call["fill_value"]

    def cut(values: Array) -> Array:
        found = np.full((values.shape[0], number, *values.shape[2:]), fill, dtype=values.dtype)
        kept = values[:, :number]
        found[:, : kept.shape[1]] = kept
        return found

    boxes = call.inputs["bounding_boxes"]
    return {**call.inputs, "bounding_boxes": {name: cut(boxes[name]) for name in ("boxes", "labels")}}
