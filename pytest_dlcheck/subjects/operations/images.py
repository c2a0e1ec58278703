"""`keras.ops.image`: sampling, filters and colors."""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_dlcheck.subjects.operations.record import Maker, Operation, Variant, at, between, given, positive, real

__all__ = ["OPERATIONS"]

_IMAGE = real(1, 5, 6, 2)
_FIRST = real(1, 2, 5, 6)
_FILLS = ("reflect", "wrap", "mirror", "nearest")

# Near enough to the identity to stay inside, and off the points of the grid, where sampling has corners.
_TRANSFORM = [1.03, 0.11, 0.27, -0.07, 0.96, 0.31, 0.004, -0.003]
_CORNERS = [[[0.0, 0.0], [5.0, 0.0], [0.0, 4.0], [5.0, 4.0]]]
_MOVED = [[[0.37, 0.21], [4.71, 0.33], [0.13, 3.59], [4.83, 3.87]]]


def _image(name: str, *variants: Variant, why: str = "") -> Operation:
    return Operation(f"ops.image.{name}", variants, why)


def _colors() -> Maker:
    """Pixels whose channels are apart: hue and value have corners where two are equal."""

    def make(rng: np.random.Generator) -> Any:
        found = rng.permuted(np.broadcast_to([0.2, 0.5, 0.8], (1, 2, 3, 3)), axis=-1)
        return found + rng.uniform(-0.09, 0.09, found.shape)

    return make


def _hues() -> Maker:
    """Hues between the sixths of the circle, at which the conversion has its corners."""

    def make(rng: np.random.Generator) -> Any:
        hue = (rng.integers(0, 6, (1, 2, 3)) + rng.uniform(0.2, 0.8, (1, 2, 3))) / 6
        return np.stack([hue, *rng.uniform(0.2, 0.8, (2, 1, 2, 3))], axis=-1)

    return make


def _first(maker: Maker) -> Maker:
    return lambda rng: np.moveaxis(maker(rng), -1, 1)


def _coordinates(rng: np.random.Generator) -> Any:
    return np.stack([rng.integers(0, 3, 5), rng.integers(0, 4, 5)]) + rng.uniform(0.15, 0.4, (2, 5))


def _stretched(stretch: Any, image: Any, scale: Any, translation: Any, **options: Any) -> Any:
    return stretch(image, (1, 4, 7, 2), scale, translation, (1, 2), **options)


_TRANSFORMS: tuple[Variant, ...] = (
    at(_IMAGE, given(_TRANSFORM), fixed=(1,)),
    at(_IMAGE, given(_TRANSFORM), label="by the transform"),
    *(at(_IMAGE, given(_TRANSFORM), fixed=(1,), fill_mode=mode) for mode in ("reflect", "wrap", "nearest")),
    at(_IMAGE, given(_TRANSFORM), fixed=(1,), interpolation="nearest"),
    at(_IMAGE, given(_TRANSFORM), fixed=(1,), fill_value=0.5),
    at(_FIRST, given(_TRANSFORM), fixed=(1,), data_format="channels_first"),
)

OPERATIONS: tuple[Operation, ...] = (
    _image("affine_transform", *_TRANSFORMS),
    # By the images alone: the coefficients come out in float32 on JAX, too coarse for differences by the points.
    _image(
        "perspective_transform",
        at(_IMAGE, given(_CORNERS), given(_MOVED), fixed=(1, 2)),
        at(_IMAGE, given(_CORNERS), given(_MOVED), fixed=(1, 2), interpolation="nearest"),
        at(_FIRST, given(_CORNERS), given(_MOVED), fixed=(1, 2), data_format="channels_first"),
    ),
    _image(
        "elastic_transform",
        at(_IMAGE, alpha=3.0, sigma=1.5, seed=7),
        at(_IMAGE, alpha=3.0, sigma=1.5, seed=7, interpolation="nearest"),
        at(_FIRST, alpha=3.0, sigma=1.5, seed=7, data_format="channels_first"),
    ),
    _image(
        "resize",
        *(at(_IMAGE, size=(7, 4), interpolation=how) for how in ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")),
        at(_IMAGE, size=(3, 3), antialias=True),
        at(_IMAGE, size=(4, 4), crop_to_aspect_ratio=True),
        at(_IMAGE, size=(8, 4), pad_to_aspect_ratio=True),
        at(_FIRST, size=(7, 4), data_format="channels_first"),
        at(real(5, 6, 2), size=(7, 4), label="one image"),
    ),
    _image(
        "scale_and_translate",
        *(
            at(_IMAGE, given([0.83, 1.27]), given([0.21, -0.33]), call=_stretched, method=method, antialias=antialias)
            for method, antialias in (
                ("linear", True),
                ("linear", False),
                ("cubic", True),
                ("lanczos3", True),
                ("lanczos5", False),
            )
        ),
    ),
    _image("map_coordinates", *(at(real(4, 5), _coordinates, order=order) for order in (1, 0))),
    _image("map_coordinates", *(at(real(4, 5), _coordinates, order=1, fill_mode=mode) for mode in _FILLS)),
    _image(
        "crop_images",
        at(_IMAGE, top_cropping=1, left_cropping=2, target_height=3, target_width=3),
        at(_FIRST, bottom_cropping=1, right_cropping=2, target_height=3, target_width=3, data_format="channels_first"),
    ),
    _image(
        "pad_images",
        at(_IMAGE, top_padding=1, left_padding=2, target_height=8, target_width=9),
        at(_FIRST, bottom_padding=1, right_padding=2, target_height=8, target_width=9, data_format="channels_first"),
    ),
    _image(
        "extract_patches",
        at(_IMAGE, size=(3, 2), strides=2, padding="same"),
        at(_IMAGE, size=2),
        at(_IMAGE, size=2, dilation_rate=2, strides=1),
        at(_FIRST, size=2, data_format="channels_first"),
    ),
    _image(
        "extract_patches_3d",
        at(real(1, 4, 3, 5, 2), size=(2, 1, 3), strides=2, padding="same"),
        at(real(1, 4, 4, 4, 1), size=2),
        at(real(1, 2, 4, 4, 4), size=2, data_format="channels_first"),
    ),
    _image(
        "gaussian_blur",
        at(_IMAGE),
        at(_IMAGE, kernel_size=(5, 3), sigma=(0.7, 1.6)),
        at(_FIRST, data_format="channels_first"),
    ),
    _image("rgb_to_grayscale", at(_colors()), at(_first(_colors()), data_format="channels_first")),
    _image("rgb_to_hsv", at(_colors()), at(_first(_colors()), data_format="channels_first")),
    _image("hsv_to_rgb", at(_hues()), at(_first(_hues()), data_format="channels_first")),
    _image("sobel_edges", at(_IMAGE), at(_FIRST, data_format="channels_first")),
    _image(
        "ssim",
        at(between(0.1, 0.9, 1, 12, 12, 1), between(0.1, 0.9, 1, 12, 12, 1)),
        at(between(0.1, 0.9, 1, 6, 7, 2), between(0.1, 0.9, 1, 6, 7, 2), filter_size=3, filter_sigma=0.8, max_val=2.0),
        at(positive(1, 2, 6, 7), positive(1, 2, 6, 7), filter_size=3, data_format="channels_first"),
    ),
)
