"""What the specs of image layers share: how to draw images and what may come with them, and the identities of their forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Case, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.identities import compute_dtype, of_array, other_format, other_format_outputs
from pytest_dlcheck.subjects.spec import Identity

__all__ = [
    "ALONE_IS_BATCH_OF_ONE",
    "FORMATS_AGREE",
    "VALUE_RANGES",
    "draw_image",
    "draw_value_range",
    "images_of",
    "takes_dictionaries",
    "with_boxes",
    "with_labels",
    "with_masks",
]

Array = NDArray[Any]

VALUE_RANGES: tuple[Any, ...] = ((0, 1), (0.0, 255.0), (0.0, 1.0), (-1.0, 1.0), (10, 200))
CLASSES = 4


def draw_value_range(d: Draw, ranges: Sequence[Any] = VALUE_RANGES) -> tuple[float, float]:
    """The argument `value_range`, as a tuple or as a list; (0, 255) if it is not given."""
    low, high = d.option(
        "value_range", lambda: d.choice([as_given for each in ranges for as_given in (each, list(each))]), (0, 255)
    )
    return float(low), float(high)


def draw_image(
    d: Draw,
    data_format: str = "channels_last",
    value_range: tuple[float, float] = (0.0, 255.0),
    *,
    channels: Sequence[int] = (3, 1),
    alone: bool = True,
    integers: bool = True,
    spatial: tuple[int, int] | None = None,
    least: int = 1,
) -> Tensor:
    """A batch of images, or one alone, whose values lie in the range, its ends included.

    Args:
        d: the case in the making.
        data_format: of the images.
        value_range: in which they lie.
        channels: how many there may be.
        alone: whether it may be one image without a batch.
        integers: whether it may be of an integer dtype.
        spatial: height and width; drawn if None.
        least: of height and width.
    """
    height, width = spatial or d.shape(2, least)
    shape = d.image(d.size(), (height, width), d.choice(channels), data_format)
    if alone and d.flag(4):
        shape = shape[1:]
    low, high = value_range
    if integers and low >= 0 and high > 1 and d.flag(4):
        return d.integers(shape, int(low), int(high), ("uint8", "int32", "int64"))
    seed = d.integer(0, 3)
    planted = tuple((d.integer(0, 7), d.choice([low, high])) for _ in range(d.integer(0, 2)))
    # Whole levels, as photographs have them, and anything between.
    if high - low > 1 and d.flag():
        return Tensor(shape, "float", "integers", seed, low, high, planted)
    return Tensor(shape, "float", "uniform", seed, low, high, planted)


def images_of(inputs: Any) -> Any:
    """The images among a layer's inputs."""
    return inputs["images"] if isinstance(inputs, dict) else inputs


def takes_dictionaries(d: Draw) -> bool:
    """Whether the installed Keras documents dictionaries of images, labels, boxes and masks, and one is to be drawn.

    Only in float32: of which dtype labels and boxes are in other policies is not documented.
    """
    return d.world.keras >= (3, 8) and d.policy == "float32" and d.flag(3)


def with_labels(d: Draw, image: Tensor) -> dict[str, Any]:
    """The images with labels as documented: one hot, or nearly, in floating point."""
    shape = (image.shape[0], CLASSES) if len(image.shape) == 4 else (CLASSES,)
    return {"images": image, "labels": Tensor(shape, "float", "uniform", d.integer(0, 3))}


def with_masks(d: Draw, data: dict[str, Any], data_format: str) -> dict[str, Any]:
    """The images with segmentation masks: a class for each pixel, in one channel."""
    shape = list(data["images"].shape)
    shape[-3 if data_format == "channels_first" else -1] = 1
    return {**data, "segmentation_masks": Tensor(tuple(shape), "float", "integers", d.integer(0, 3), 0, CLASSES - 1)}


def with_boxes(d: Draw, data: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """The images with bounding boxes, corner to corner in pixels, and a class for each box."""
    height, width = size
    d.arguments["bounding_box_format"] = "xyxy"
    batch = data["images"].shape[0] if len(data["images"].shape) == 4 else None
    count = d.integer(1, 3)

    def box() -> list[float]:
        left, top = d.integer(0, width - 1), d.integer(0, height - 1)
        return [float(left), float(top), float(d.integer(left + 1, width)), float(d.integer(top + 1, height))]

    boxes = [[box() for _ in range(count)] for _ in range(batch or 1)]
    labels = [[float(d.integer(0, CLASSES - 1)) for _ in range(count)] for _ in range(batch or 1)]
    lead = (count,) if batch is None else (batch, count)
    found = {
        "boxes": Tensor((*lead, 4), "float", literal=boxes[0] if batch is None else boxes),
        "labels": Tensor(lead, "float", literal=labels[0] if batch is None else labels),
    }
    # In the order of the keys, in which the frameworks flatten dictionaries.
    return {"bounding_boxes": found, **data}


# Identities.


def _first_alone(case: Case) -> Case | None:
    if not isinstance(case.inputs, Tensor) or len(case.inputs.shape) != 4 or 0 in case.inputs.shape:
        return None
    return case.replace(inputs=of_array(make(case.inputs, compute_dtype(case))[0], case.inputs.dtype))


def _first_of(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    del case
    return [output[0] for output in outputs]


ALONE_IS_BATCH_OF_ONE = Identity("one_image_alone_is_the_first_of_its_batch", _first_alone, _first_of)
"""An image without a batch is treated as it is in one."""


def _batch_in_other_format(case: Case) -> Case | None:
    return other_format(case) if isinstance(case.inputs, Tensor) and len(case.inputs.shape) == 4 else None


FORMATS_AGREE = Identity("channels_first_is_channels_last_transposed", _batch_in_other_format, other_format_outputs)
"""A batch of images gives the same in both data formats."""
