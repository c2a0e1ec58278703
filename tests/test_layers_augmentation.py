"""The references and laws of the augmentation layers: right outputs pass, and each planted wrong one is caught."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Case, Tensor
from pytest_dlcheck.references.layers import augmentation as references
from pytest_dlcheck.subjects.layers import augmentation_laws as laws
from pytest_dlcheck.subjects.layers import augmentation_laws_geometry as moves
from pytest_dlcheck.subjects.layers.augmentation import SPECS
from pytest_dlcheck.subjects.spec import Call, Law

U = 2.0**-24
BY_NAME = {spec.name: spec for spec in SPECS}
RNG = np.random.default_rng(5)
IMAGE = RNG.uniform(20, 200, (2, 3, 4, 3))

Array = NDArray[Any]


def call(inputs: Any, training: bool = True, **arguments: Any) -> Call:
    return Call({"value_range": (0, 255), **arguments}, {}, inputs, training=training)


def holds(law: Law, asked: Call, *outputs: Any) -> bool:
    said = law.check(asked, [np.asarray(each, dtype=np.float64) for each in outputs], U)
    assert said is None or said
    return said is None


# References.


@pytest.mark.parametrize(
    ("factor", "value"), [((0.3, 0.3), 0.3), ([1, 1], 1.0), (0, 0.0), (0.0, 0.0), (0.3, None), ((0, 1), None)]
)
def test_settled(factor: Any, value: float | None) -> None:
    assert references.settled(factor) == value


def test_brightness() -> None:
    x = np.asarray([0.0, 100.0, 250.0]).reshape(1, 1, 1, 3)
    assert references.adjusted_brightness(call(x, factor=(0.1, 0.1))).ravel().tolist() == [25.5, 125.5, 255]
    assert references.adjusted_brightness(call(x, training=False, factor=(0.1, 0.1))) is x


def test_grey() -> None:
    x = np.asarray([100.0, 0.0, 0.0]).reshape(1, 1, 1, 3)
    assert np.allclose(references.converted_to_grey(call(x, factor=1.0)).ravel(), 29.89)
    assert np.allclose(references.blended_with_grey(call(x, factor=(0.5, 0.5))).ravel(), [64.945, 14.945, 14.945])


def test_inverted() -> None:
    x = np.full((1, 1, 1, 3), 0.5)
    assert np.allclose(references.inverted(call(x, factor=(1.0, 1.0), value_range=(-1, 1))), -0.5)
    assert np.allclose(references.inverted(call(x, factor=(0.0, 0.0), value_range=(-1, 1))), 0.5)


def test_posterized() -> None:
    x = np.asarray([255.0, 100.9, 15.0]).reshape(1, 1, 1, 3)
    assert references.posterized(call(x, factor=4)).ravel().tolist() == [240, 96, 0]
    assert references.posterized(call(x / 255, factor=1, value_range=(0, 1))).ravel() == pytest.approx([128 / 255, 0, 0])


def test_solarized() -> None:
    x = np.asarray([0.0, 200.0, 255.0]).reshape(1, 1, 1, 3)
    assert references.solarized(call(x, addition_factor=0.0)).ravel().tolist() == [255, 55, 0]
    assert references.solarized(call(x, addition_factor=(0.2, 0.2))).ravel().tolist() == [204, 4, 0]


@pytest.mark.parametrize(
    ("mode", "row"), [("constant", [9, 1, 2]), ("nearest", [1, 1, 2]), ("wrap", [3, 1, 2]), ("reflect", [1, 1, 2])]
)
def test_moved(mode: str, row: list[float]) -> None:
    x = np.asarray([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
    asked = call(x, height_factor=0.0, width_factor=(1 / 3, 1 / 3), fill_mode=mode, fill_value=9.0)
    assert references.moved(asked).ravel().tolist() == row


def test_moved_with_its_boxes() -> None:
    boxes = {"boxes": np.asarray([[[0.0, 0.0, 2.0, 1.0], [3.0, 0.0, 4.0, 3.0]]]), "labels": np.asarray([[1.0, 2.0]])}
    masks = np.arange(12.0).reshape(1, 3, 4, 1)
    inputs = {"bounding_boxes": boxes, "images": IMAGE[:1], "segmentation_masks": masks}
    found = references.moved(
        call(inputs, height_factor=(0.0, 0.0), width_factor=(0.25, 0.25), fill_mode="constant", fill_value=0.0)
    )
    assert found["bounding_boxes"]["boxes"].tolist() == [[[1, 0, 3, 1], [4, 0, 4, 3]]]
    assert found["bounding_boxes"]["labels"].tolist() == [[1, -1]]
    assert found["segmentation_masks"][0, 0, :, 0].tolist() == [0, 0, 1, 2]


def test_rotated() -> None:
    x = np.asarray([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    # Counter-clockwise: the right column comes to the top.
    assert references.rotated(call(x, factor=(0.25, 0.25)))[0, ..., 0].tolist() == [[2, 4], [1, 3]]
    assert references.whole_turns((0.25, 0.25), 2, 3) is None
    assert references.whole_turns((0.5, 0.5), 2, 3) == 2
    assert references.whole_turns((-0.25, -0.25), 2, 2) == 3
    assert references.whole_turns(0.2, 2, 2) is None


def test_cropped() -> None:
    x = np.arange(8.0).reshape(1, 2, 4, 1)
    assert references.cropped(call(x, height=2, width=2))[0, ..., 0].tolist() == [[1, 2], [5, 6]]


# Laws.


def test_range_and_labels() -> None:
    inputs = {"images": IMAGE, "labels": np.eye(2)}
    assert holds(laws.STAYS_IN_RANGE, call(inputs), IMAGE, np.eye(2))
    assert not holds(laws.STAYS_IN_RANGE, call(inputs), IMAGE + 100, np.eye(2))
    assert holds(laws.KEEPS_LABELS, call(inputs), IMAGE, np.eye(2))
    assert not holds(laws.KEEPS_LABELS, call(inputs), IMAGE, 1 - np.eye(2))


def test_brightness_law() -> None:
    asked = call(IMAGE, factor=0.2)
    assert holds(laws.BRIGHTER_BY_ONE_AMOUNT, asked, np.clip(IMAGE + np.asarray([40, -30]).reshape(2, 1, 1, 1), 0, 255))
    assert not holds(laws.BRIGHTER_BY_ONE_AMOUNT, asked, IMAGE + 53)
    wrong = IMAGE.copy()
    wrong[0, 0, 0, 0] += 1
    assert not holds(laws.BRIGHTER_BY_ONE_AMOUNT, asked, wrong)


def test_contrast_law() -> None:
    mean = IMAGE.mean(axis=(1, 2), keepdims=True)
    asked = call(IMAGE, factor=(0.2, 0.6))
    right = np.clip((IMAGE - mean) * 1.5 + mean, 0, 255)
    assert holds(laws.SCALED_ABOUT_THE_MEAN, asked, right)
    assert not holds(laws.SCALED_ABOUT_THE_MEAN, asked, np.clip((IMAGE - mean) * 0.7 + mean, 0, 255))
    over_all = IMAGE.mean(axis=(1, 2, 3), keepdims=True)
    assert not holds(laws.SCALED_ABOUT_THE_MEAN, asked, (IMAGE - over_all) * 0.9 + over_all)


def test_one_of_two() -> None:
    grey = references.grey(IMAGE)
    assert holds(laws.GREY_OR_THE_SAME, call(IMAGE), np.stack([grey[0], IMAGE[1]]))
    assert not holds(laws.GREY_OR_THE_SAME, call(IMAGE), (grey + IMAGE) / 2)
    ranged = call(IMAGE / 255, value_range=(-1, 1))
    assert holds(laws.INVERTED_OR_THE_SAME, ranged, -IMAGE / 255)
    assert not holds(laws.INVERTED_OR_THE_SAME, ranged, 1 - IMAGE / 255)


def test_blend_law() -> None:
    grey = references.grey(IMAGE)
    assert holds(laws.BLENDED_WITH_GREY, call(IMAGE, factor=0.5), IMAGE + 0.4 * (grey - IMAGE))
    assert not holds(laws.BLENDED_WITH_GREY, call(IMAGE, factor=0.5), IMAGE - 0.1 * (grey - IMAGE))
    assert not holds(laws.BLENDED_WITH_GREY, call(IMAGE, factor=0.5), (IMAGE + grey + grey**1.01) / 3)


def test_hue_and_saturation_laws() -> None:
    turned = np.roll(IMAGE, 1, axis=-1)  # a third of the way round
    assert holds(laws.HUE_KEEPS_EXTREMES, call(IMAGE), turned)
    assert not holds(laws.HUE_KEEPS_EXTREMES, call(IMAGE), turned * 1.01)
    value = IMAGE.max(axis=-1, keepdims=True)
    assert holds(laws.SATURATION_KEEPS_VALUE, call(IMAGE, factor=0.3), (IMAGE + value) / 2)
    assert not holds(laws.SATURATION_KEEPS_VALUE, call(IMAGE, factor=0.3), IMAGE / 2)
    assert not holds(laws.SATURATION_KEEPS_VALUE, call(IMAGE, factor=0.0), IMAGE)


def test_solarization_law() -> None:
    asked = call(IMAGE, addition_factor=0.0, threshold_factor=0.5)
    assert holds(laws.SOLARIZED_ABOVE_A_THRESHOLD, asked, np.where(IMAGE > 90, 255 - IMAGE, IMAGE))
    assert not holds(laws.SOLARIZED_ABOVE_A_THRESHOLD, asked, np.where(IMAGE < 90, 255 - IMAGE, IMAGE))
    assert not holds(laws.SOLARIZED_ABOVE_A_THRESHOLD, asked, np.where(IMAGE > 190, 255 - IMAGE, IMAGE))
    assert not holds(laws.SOLARIZED_ABOVE_A_THRESHOLD, asked, IMAGE / 2)


def test_erasing_law() -> None:
    asked = call(IMAGE, fill_value=300.0)
    erased = IMAGE.copy()
    erased[0, 1:3, 0:2] = 255
    assert holds(laws.ERASED_IN_A_RECTANGLE, asked, erased)
    erased[0, 0, 3] = 255
    assert not holds(laws.ERASED_IN_A_RECTANGLE, asked, erased)


def test_mixing_law() -> None:
    labels = np.eye(2)
    asked = call({"images": IMAGE, "labels": labels})
    share = np.asarray([0.3, 0.9]).reshape(2, 1, 1, 1)
    mixed = IMAGE + share * (IMAGE[::-1] - IMAGE)
    mixed_labels = labels + share.reshape(2, 1) * (labels[::-1] - labels)
    assert holds(laws.MIXED_FROM_TWO, asked, mixed, mixed_labels)
    assert not holds(laws.MIXED_FROM_TWO, asked, mixed, labels)
    assert not holds(laws.MIXED_FROM_TWO, asked, IMAGE - share * (IMAGE[::-1] - IMAGE), labels)
    masks = np.ones((2, 3, 4, 1))
    whole = call({"images": IMAGE, "labels": labels, "segmentation_masks": masks})
    assert holds(laws.MIXED_FROM_TWO, whole, mixed, mixed_labels, masks)
    assert not holds(laws.MIXED_FROM_TWO, whole, mixed, mixed_labels, np.ones((2, 3, 4, 2)))


def test_cutting_law() -> None:
    labels = np.eye(2)
    asked = call({"images": IMAGE, "labels": labels})
    cut = IMAGE.copy()
    cut[0, :2, :2] = IMAGE[1, :2, :2]
    assert holds(laws.CUT_FROM_THE_BATCH, asked, cut, np.asarray([[0.7, 0.3], [0, 1]]))
    assert not holds(laws.CUT_FROM_THE_BATCH, asked, cut, np.asarray([[1.7, 0.3], [0, 1]]))
    cut[0, 0, 0] = IMAGE[1, 2, 3]
    assert not holds(laws.CUT_FROM_THE_BATCH, asked, cut, labels)


def _with_boxes(boxes: Any) -> dict[str, Any]:
    return {"bounding_boxes": {"boxes": np.asarray(boxes, dtype=float), "labels": np.ones((2, 1))}, "images": IMAGE}


def test_flip_law() -> None:
    asked = call(IMAGE, mode="horizontal")
    assert holds(moves.FLIPPED, asked, np.stack([IMAGE[0, :, ::-1], IMAGE[1]]))
    assert not holds(moves.FLIPPED, asked, IMAGE[:, ::-1])
    assert holds(moves.FLIPPED, call(IMAGE, mode="horizontal_and_vertical"), IMAGE[:, ::-1, ::-1])
    boxes = [[[0, 0, 1, 2]], [[1, 1, 4, 3]]]
    flipped = [[[3, 0, 4, 2]], [[0, 1, 3, 3]]]
    labelled = call(_with_boxes(boxes), mode="horizontal")
    assert holds(moves.FLIPPED, labelled, flipped, np.ones((2, 1)), IMAGE[:, :, ::-1])
    assert not holds(moves.FLIPPED, labelled, boxes, np.ones((2, 1)), IMAGE[:, :, ::-1])
    masks = np.arange(24.0).reshape(2, 3, 4, 1)
    masked = call({"images": IMAGE, "segmentation_masks": masks}, mode="horizontal")
    assert not holds(moves.FLIPPED, masked, IMAGE[:, :, ::-1], masks)


def test_window_law() -> None:
    asked = call(IMAGE, height=2, width=2)
    assert holds(moves.WINDOW_OF_THE_IMAGE, asked, IMAGE[:, 1:3, 2:4])
    assert not holds(moves.WINDOW_OF_THE_IMAGE, asked, np.stack([IMAGE[0, 1:3, 2:4], IMAGE[1, :2, :2]]))
    assert not holds(moves.WINDOW_OF_THE_IMAGE, asked, IMAGE[:, ::2, :2])
    labelled = call(_with_boxes([[[2, 1, 4, 3]], [[0, 0, 3, 2]]]), height=2, width=2)
    assert holds(moves.WINDOW_OF_THE_IMAGE, labelled, [[[0, 0, 2, 2]], [[0, 0, 1, 1]]], np.ones((2, 1)), IMAGE[:, 1:3, 2:4])
    assert not holds(moves.WINDOW_OF_THE_IMAGE, labelled, [[[1, 0, 2, 1]], [[0, 0, 2, 0]]], np.ones((2, 1)), IMAGE[:, 1:3, 2:4])


def test_values_law() -> None:
    nearest = call(IMAGE, interpolation="nearest", fill_mode="constant", fill_value=0.0)
    moved = np.zeros_like(IMAGE)
    moved[:, :, 1:] = IMAGE[:, :, :-1]
    assert holds(moves.STAYS_WITHIN_VALUES, nearest, moved)
    assert not holds(moves.STAYS_WITHIN_VALUES, nearest, moved / 2)
    smooth = call(IMAGE, interpolation="bilinear", fill_mode="reflect", fill_value=0.0)
    assert holds(moves.STAYS_WITHIN_VALUES, smooth, (IMAGE + IMAGE[:, :, ::-1]) / 2)
    assert not holds(moves.STAYS_WITHIN_VALUES, smooth, moved)


def _law(layer: str, name: str) -> Law:
    return next(each for each in BY_NAME[layer].laws if each.name == name)


def test_blur_law() -> None:
    law = _law("RandomGaussianBlur", "blurred_within_its_values")
    assert holds(law, call(IMAGE, kernel_size=(3, 3)), IMAGE * 0.8)
    assert not holds(law, call(IMAGE, kernel_size=(3, 3)), IMAGE * 1.2)


@pytest.mark.parametrize(("factor", "law"), [("brightness_factor", "brightness_alone"), ("contrast_factor", "contrast_alone")])
def test_jitter_laws_speak_of_one_adjustment_alone(factor: str, law: str) -> None:
    wrong = 255 - IMAGE
    assert not holds(_law("RandomColorJitter", law), call(IMAGE, True, **{factor: 0.1}), wrong)
    assert holds(_law("RandomColorJitter", law), call(IMAGE, True, **{factor: 0.1}, hue_factor=0.1), wrong)


def test_channels_first_and_one_image() -> None:
    one = np.moveaxis(IMAGE[0], -1, 0)
    asked = Call({"mode": "horizontal", "data_format": "channels_first"}, {}, one, training=True)
    assert holds(moves.FLIPPED, asked, one[:, :, ::-1])
    assert not holds(moves.FLIPPED, asked, one[::-1])


# What is random.


@pytest.mark.parametrize(
    ("layer", "arguments", "random"),
    [
        ("RandomBrightness", {"factor": (0.4, 0.4)}, False),
        ("RandomBrightness", {"factor": 0.4}, True),
        ("RandomContrast", {"factor": (0.4, 0.4)}, True),
        ("RandomContrast", {"factor": 0.0}, False),
        ("RandomSaturation", {"factor": (0.5, 0.5)}, False),
        ("RandomInvert", {}, True),
        ("RandomInvert", {"factor": [1.0, 1.0]}, False),
        ("RandomPosterization", {"factor": 3}, False),
        ("Solarization", {}, False),
        ("Solarization", {"threshold_factor": 0.5}, True),
        ("RandomColorJitter", {}, False),
        ("RandomColorJitter", {"hue_factor": 0.1}, True),
        ("RandAugment", {"num_ops": 0}, False),
        ("AugMix", {}, True),
        ("RandomCrop", {"height": 2, "width": 2}, True),
        ("RandomCrop", {"height": 4, "width": 2}, False),
        ("RandomTranslation", {"height_factor": (0.0, 0.0), "width_factor": 0.2}, True),
        ("RandomRotation", {"factor": (0.25, 0.25)}, True),
        ("RandomRotation", {"factor": (0.5, 0.5)}, False),
        ("RandomZoom", {"height_factor": (0.0, 0.0)}, False),
        ("RandomShear", {}, False),
        ("RandomPerspective", {}, True),
    ],
)
def test_random(layer: str, arguments: dict[str, Any], random: bool) -> None:
    case = Case(f"keras.layers.{layer}", arguments, Tensor((2, 3, 4, 3)))
    assert BY_NAME[layer].random(case, True) is random
    assert not BY_NAME[layer].random(case, False)
