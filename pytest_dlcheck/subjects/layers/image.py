"""Specs of the layers that prepare images: rescaling, resizing, cropping, contrast, bounding boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Case, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import image as references
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.identities import compute_dtype, of_array
from pytest_dlcheck.subjects.images import (
    ALONE_IS_BATCH_OF_ONE,
    FORMATS_AGREE,
    draw_image,
    draw_value_range,
    images_of,
    takes_dictionaries,
    with_boxes,
    with_labels,
    with_masks,
)
from pytest_dlcheck.subjects.spec import Call, Identity, Law, LayerSpec, Older, World
from pytest_dlcheck.tolerance_of_laws import FROM_UNIT, TO_UNIT, of_interpolation, of_range, pixels_summed

__all__ = ["SPECS"]

Array = NDArray[Any]

PREPROCESSING = "https://keras.io/api/layers/preprocessing_layers/image_preprocessing/"
AUGMENTATION = "https://keras.io/api/layers/preprocessing_layers/image_augmentation/"
SINGLE = ("float32", "float64")
LANCZOS = ("lanczos3", "lanczos5")


# Rescaling.


def _rescaling(d: Draw) -> None:
    d.set("scale", d.choice([2.0, 1.0 / 255, 1.0 / 127.5, -0.5, 3, 0.0]))
    d.option("offset", [-1.0, 1, 0.5, -2.5])
    d.common_options()
    shape = d.shape(d.choice([2, 4, 3, 1]))
    d.inputs = d.integers(shape, 0, 255, ("uint8", "int32", "int64")) if d.flag(3) else d.floats(shape)
    if len(shape) == 3 and d.flag(4):
        d.masks = (d.padding(*shape[:2]),)


def _as_two_steps(case: Case) -> Case | None:
    """The offset given to the images beforehand, where both sides are computed alike: by a scale of one."""
    if case.arguments["scale"] != 1 / 127.5 or not isinstance(case.inputs, Tensor) or case.inputs.dtype != "float":
        return None
    return case.with_arguments(scale=2 * case.arguments["scale"]).replace(
        inputs=of_array(make(case.inputs, compute_dtype(case)) / 2)
    )


# Resizing.


def _resizing(d: Draw) -> None:
    d.set("height", d.size())
    d.set("width", d.size())
    interpolation = d.option("interpolation", ["bilinear", "nearest", "bicubic", *LANCZOS], "bilinear", one_in=2)
    kept = d.choice([None, None, "crop_to_aspect_ratio", "pad_to_aspect_ratio"])
    for name in ("crop_to_aspect_ratio", "pad_to_aspect_ratio"):
        if kept == name:
            d.set(name, True)
        else:
            d.option(name, [False], one_in=6)
    d.option("fill_mode", ["constant"], one_in=4)
    d.option("fill_value", [3.0, 0.5, -1])
    d.option("antialias", [True, False])
    data_format = d.data_format()
    d.common_options()
    # What is rounded to integers ties too often, but for pixels that are only copied.
    image = draw_image(d, data_format, alone=False, integers=interpolation == "nearest")
    d.inputs = image
    if takes_dictionaries(d):
        data = with_labels(d, image)
        d.inputs = with_masks(d, data, data_format) if d.flag() else data


def _resizing_unsupported(case: Case, world: World) -> str | None:
    if world.backend == "torch" and case.arguments.get("interpolation") in LANCZOS:
        return "PyTorch has no Lanczos interpolation, and Keras says so"
    return None


def _size_arguments(case: Case) -> tuple[int, int]:
    return case.arguments["height"], case.arguments["width"]


def _of_resizing(call: Call, images: Array, unit_roundoff: float) -> float:
    """How far rounding may take a pixel of a resized image, where a weighted mean has one value."""
    spatial = images.shape[-2:] if call.channels_first else images.shape[-3:-1]
    pixels = [
        pixels_summed(call["interpolation"], source, call[name], antialias=call["antialias"])
        for source, name in zip(spatial, ("height", "width"), strict=True)
    ]
    largest = float(np.max(np.abs(images), initial=0.0))
    return float(of_interpolation(call["interpolation"], pixels, largest, unit_roundoff=unit_roundoff))


def _same_size(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    """An image of the target's size stays as it is."""
    images = np.asarray(images_of(call.inputs), dtype=np.float64)
    spatial = images.shape[-2:] if call.channels_first else images.shape[-3:-1]
    if tuple(spatial) != (call["height"], call["width"]):
        return None
    (output,) = [each for each in outputs if each.ndim == images.ndim][:1]
    off = float(np.max(np.abs(output - images), initial=0.0))
    bound = _of_resizing(call, images, unit_roundoff)
    return None if off <= bound else f"an image that has the size already is changed, by {off:.3g}"


def _constant_stays(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    """An image of one value stays of one value: the weights of every pixel sum to one."""
    images = np.asarray(images_of(call.inputs), dtype=np.float64)
    if images.size == 0 or np.ptp(images) > 0 or call["pad_to_aspect_ratio"]:
        return None
    (output,) = [each for each in outputs if each.ndim == images.ndim][:1]
    off = float(np.max(np.abs(output - images.flat[0]), initial=0.0))
    bound = _of_resizing(call, images, unit_roundoff)
    return None if off <= bound else f"an image of {images.flat[0]:g} alone is off by {off:.3g}"


# Cropping.


def _center_crop(d: Draw) -> None:
    d.set("height", d.size())
    d.set("width", d.size())
    data_format = d.data_format()
    d.common_options()
    image = draw_image(d, data_format, alone=False)
    d.inputs = image
    if takes_dictionaries(d):
        data = with_labels(d, image)
        d.inputs = with_masks(d, data, data_format) if d.flag() else data


# Contrast.


def _auto_contrast(d: Draw) -> None:
    value_range = draw_value_range(d)
    if d.flag(6):
        d.settings["image_data_format"] = "channels_first"
    d.common_options()
    d.inputs = draw_image(d, d.settings.get("image_data_format", "channels_last"), value_range, alone=False)


def _equalization(d: Draw) -> None:
    value_range = draw_value_range(d)
    d.option("bins", [256, 16, 2])
    data_format = d.data_format()
    d.common_options()
    d.inputs = draw_image(d, data_format, value_range, alone=False)


def _clahe(d: Draw) -> None:
    value_range = draw_value_range(d)
    d.option("clip_limit", [1.0, 40.0, 0.0])
    grid = d.option("tile_grid_size", [(2, 2), (1, 1), (2, 3), (1, 4)], (8, 8), one_in=2)
    data_format = d.data_format()
    d.common_options()
    # Tiles of one pixel and more, so that no tile lies outside of the image.
    small = d.world.backend == "jax"
    spatial = (grid[0] * d.integer(1, 1 if small else 2), grid[1] * d.integer(1, 1 if small else 2))
    d.inputs = draw_image(d, data_format, value_range, alone=False, spatial=spatial)


STRETCH = TO_UNIT + FROM_UNIT + 2
"""Levels are mapped to (0, 255) and back: a product more on the one way, a quotient more on the other."""


def _in_range(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    """Images stay in `value_range`."""
    low, high = sorted(call["value_range"])
    bound = of_range(low, high, count=STRETCH, unit_roundoff=unit_roundoff)
    output = outputs[0]
    if output.size and not (np.min(output) >= low - bound and np.max(output) <= high + bound):
        return f"values from {np.min(output):g} to {np.max(output):g}, and the range is {low:g} to {high:g}"
    return None


def _levels_keep_their_order(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    """With one tile for the whole image, equalization maps levels to levels, brighter ones to no darker ones."""
    if tuple(call["tile_grid_size"]) != (1, 1):
        return None
    images, output = np.asarray(call.inputs, dtype=np.float64), outputs[0]
    axis = 1 if call.channels_first else -1
    low, high = sorted(call["value_range"])
    bound = of_range(low, high, count=STRETCH, unit_roundoff=unit_roundoff)
    before = np.moveaxis(images, axis, 1).reshape(images.shape[0] * images.shape[axis], -1)
    after = np.moveaxis(output, axis, 1).reshape(before.shape)
    for levels, found in zip(before, after, strict=True):
        order = np.argsort(levels, kind="stable")
        steps = np.diff(found[order])
        if steps.size and np.min(steps) < -bound and np.min(steps[np.diff(levels[order]) > 0], initial=0.0) < -bound:
            return f"levels {levels[order].tolist()} become {found[order].tolist()}, which is not in order"
    return None


# Bounding boxes.


def _max_num_bounding_boxes(d: Draw) -> None:
    d.set("max_number", d.integer(1, 5))
    d.option("fill_value", [-1, 0, 7])
    d.common_options()
    height, width = d.shape(2, 2)
    image = draw_image(d, spatial=(height, width), alone=False)
    data = with_labels(d, image) if d.flag(3) else {"images": image}
    d.inputs = with_boxes(d, data, (height, width))


COMMON = (ALONE_IS_BATCH_OF_ONE, FORMATS_AGREE)

SPECS = (
    LayerSpec(
        "Rescaling",
        _rescaling,
        references.rescaling,
        PREPROCESSING + "rescaling/",
        identities=(Identity("half_the_image_at_twice_the_scale", _as_two_steps),),
    ),
    LayerSpec(
        "Resizing",
        _resizing,
        references.resizing,
        PREPROCESSING + "resizing/",
        laws=(Law("same_size_is_identity", _same_size), Law("constant_stays_constant", _constant_stays)),
        identities=COMMON,
        unsupported=_resizing_unsupported,
        # Older versions neither pad nor smooth, as the later ones by default.
        older=Older(absent={"pad_to_aspect_ratio": False, "fill_value": 0.0, "antialias": False}),
    ),
    LayerSpec("CenterCrop", _center_crop, references.center_crop, PREPROCESSING + "center_crop/", identities=COMMON),
    LayerSpec(
        "AutoContrast",
        _auto_contrast,
        references.auto_contrast,
        AUGMENTATION + "auto_contrast/",
        policies=SINGLE,
        laws=(Law("stays_in_value_range", _in_range),),
        identities=(ALONE_IS_BATCH_OF_ONE,),
    ),
    LayerSpec(
        "Equalization",
        _equalization,
        references.equalization,
        AUGMENTATION + "equalization/",
        policies=SINGLE,
        laws=(Law("stays_in_value_range", _in_range),),
        identities=COMMON,
    ),
    LayerSpec(
        "ContrastLimitedAdaptiveHistogramEqualization",
        _clahe,
        source=AUGMENTATION + "contrast_limited_adaptive_histogram_equalization/",
        # Histograms are made in float32, whatever the policy is.
        policies=("float32",),
        not_differentiable="values are looked up in a table of how often rounded ones occur",
        laws=(Law("stays_in_value_range", _in_range), Law("one_tile_keeps_the_order", _levels_keep_their_order)),
        identities=COMMON,
    ),
    LayerSpec(
        "MaxNumBoundingBoxes",
        _max_num_bounding_boxes,
        references.max_num_bounding_boxes,
        PREPROCESSING + "max_num_bounding_boxes/",
        policies=("float32",),
    ),
)
