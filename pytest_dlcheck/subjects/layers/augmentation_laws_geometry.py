"""What must hold of images whose pixels were moved at random, whatever was drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.subjects.layers.augmentation_laws import batch_of, pairs, parts
from pytest_dlcheck.subjects.spec import Call, Law
from pytest_dlcheck.tolerance_of_laws import of_copies, of_operations

__all__ = ["FLIPPED", "STAYS_WITHIN_VALUES", "WINDOW_OF_THE_IMAGE"]

Array = NDArray[Any]

BOX_FLIPPED = 3
"""(1 - x / width) width: a quotient, a difference and a product."""
BOX_MOVED = 1
"""x - left: a difference."""
BILINEAR = 8
"""A sum of four values times two weights each, f and 1 - f: two differences for a weight, two products, three sums, a cast."""


def _flipped(call: Call, outputs: Sequence[Array], u: float) -> str | None:
    """Each image as it was or flipped as the mode allows, its masks and boxes with it."""
    found = parts(call, outputs)
    mode = call["mode"]
    ways = {"horizontal": [(), (1,)], "vertical": [(), (0,)]}.get(mode, [(), (0,), (1,), (0, 1)])
    given = call.inputs if isinstance(call.inputs, Mapping) else {}
    masks = None
    if "segmentation_masks" in given:
        masks = (batch_of(call, given["segmentation_masks"]), batch_of(call, found["segmentation_masks"]))
    for index, (x, y) in enumerate(pairs(call, outputs)):
        slack = of_copies(unit_roundoff=u)
        possible = [way for way in ways if np.max(np.abs(np.flip(x, way) - y), initial=0.0) <= slack]
        if not possible:
            return f"image {index} is no {mode} flip of what it was"
        if masks is not None and not any(np.array_equal(np.flip(masks[0][index], way), masks[1][index]) for way in possible):
            return f"the mask of image {index} is not flipped with it"
        if "bounding_boxes" in given:
            boxes = np.asarray(given["bounding_boxes"]["boxes"]).reshape(-1, *given["bounding_boxes"]["boxes"].shape[-2:])[
                index
            ]
            after = found["boxes"].reshape(-1, *boxes.shape)[index]
            wanted = [_flipped_boxes(boxes, way, x.shape[0], x.shape[1]) for way in possible]
            slack = of_operations(BOX_FLIPPED, max(*x.shape[:2], np.max(np.abs(boxes))), unit_roundoff=u)
            if not any(np.max(np.abs(each - after)) <= slack for each in wanted):
                return f"the boxes {boxes.tolist()} of image {index} become {after.tolist()} instead of {wanted[0].tolist()}"
    return None


def _flipped_boxes(boxes: Array, way: tuple[int, ...], height: int, width: int) -> Array:
    left, top, right, bottom = (boxes[:, place] for place in range(4))
    if 1 in way:
        left, right = width - right, width - left
    if 0 in way:
        top, bottom = height - bottom, height - top
    return np.stack([left, top, right, bottom], axis=-1)


FLIPPED = Law("flipped_or_the_same", _flipped, training=True)


def _window(call: Call, outputs: Sequence[Array], u: float) -> str | None:
    """A window of the target's size, at the same place in the whole batch, boxes with it."""
    both = list(pairs(call, outputs))
    if not both:
        return None
    height, width = call["height"], call["width"]
    rows, columns = both[0][0].shape[:2]
    if rows < height or columns < width:
        return None
    places = []
    for top in range(rows - height + 1):
        for left in range(columns - width + 1):
            if all(
                y.shape[:2] == (height, width)
                and np.max(np.abs(x[top : top + height, left : left + width] - y), initial=0.0) <= of_copies(unit_roundoff=u)
                for x, y in both
            ):
                places.append((top, left))
    if not places:
        return "the images are no windows of what they were, at one place in the batch"
    if isinstance(call.inputs, Mapping) and "bounding_boxes" in call.inputs:
        boxes, after = np.asarray(call.inputs["bounding_boxes"]["boxes"]), parts(call, outputs)["boxes"]
        ends = np.asarray([width, height, width, height])
        wanted = [np.clip(boxes - np.asarray([left, top, left, top]), 0, ends) for top, left in places]
        slack = of_operations(BOX_MOVED, max(rows, columns, np.max(np.abs(boxes))), unit_roundoff=u)
        if not any(np.max(np.abs(each - np.clip(after, 0, ends))) <= slack for each in wanted):
            return f"the boxes {boxes.tolist()} become {after.tolist()} instead of {wanted[0].tolist()}"
    return None


WINDOW_OF_THE_IMAGE = Law("window_of_the_image", _window, training=True)


def _within_values(call: Call, outputs: Sequence[Array], u: float) -> str | None:
    """Interpolation stays between the least and the largest value of image and fill value; the nearest is one of them."""
    fill = call.arguments.get("fill_value")
    # A perspective is always filled; the others only if they say so.
    filled = fill is not None and call.arguments.get("fill_mode", "constant") == "constant"
    for x, y in pairs(call, outputs):
        values = np.append(x.reshape(-1), float(fill or 0.0)) if filled else x.reshape(-1)
        if not values.size:
            continue
        slack = of_operations(BILINEAR, float(np.max(np.abs(values))), unit_roundoff=u)
        if y.min() < values.min() - slack or y.max() > values.max() + slack:
            return f"values from {y.min():g} to {y.max():g}, and the image had {values.min():g} to {values.max():g}"
        if call.arguments.get("interpolation") == "nearest":
            off = np.min(np.abs(y.reshape(-1, 1) - values[None, :]), axis=1)
            # A copy, but that the fill value is rounded.
            if np.max(off, initial=0.0) > of_operations(1, float(np.max(np.abs(values))), unit_roundoff=u):
                return "a pixel has a value that the image has nowhere"
    return None


STAYS_WITHIN_VALUES = Law("stays_within_values", _within_values, training=True)
