"""The references, laws and identities of the image layers, against values worked out by hand or by SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from pytest_dlcheck.cases.case import Case, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import image as references
from pytest_dlcheck.subjects import images
from pytest_dlcheck.subjects.layers import image
from pytest_dlcheck.subjects.layers.image import SPECS
from pytest_dlcheck.subjects.spec import Call, World

U = 2.0**-24
BY_NAME = {spec.name: spec for spec in SPECS}

RESIZING: dict[str, Any] = {
    "interpolation": "bilinear",
    "crop_to_aspect_ratio": False,
    "pad_to_aspect_ratio": False,
    "fill_value": 0.0,
    "antialias": False,
    "data_format": None,
}


def call(inputs: Any, **arguments: Any) -> Call:
    return Call(arguments, {}, inputs)


def row(*values: float) -> NDArray[Any]:
    """A batch of one image of one row and one channel."""
    return np.asarray(values, dtype=np.float64).reshape(1, 1, -1, 1)


def test_rescaling() -> None:
    found = references.rescaling(call(np.asarray([0, 255], dtype=np.uint8), scale=1 / 127.5, offset=-1.0))
    assert np.allclose(found.outputs, [-1, 1])


def test_bilinear_has_half_pixel_centres() -> None:
    found = references.resize(row(0, 4), 1, 4)
    assert np.allclose(found.ravel(), [0, 1, 3, 4])


def test_bilinear_is_scipys_between_the_centres() -> None:
    batch = np.random.default_rng(0).random((1, 5, 4, 1))
    found = references.resize(batch, 7, 3)
    rows = np.clip((np.arange(7) + 0.5) * 5 / 7 - 0.5, 0, 4)
    columns = np.clip((np.arange(3) + 0.5) * 4 / 3 - 0.5, 0, 3)
    grid = np.meshgrid(rows, columns, indexing="ij")
    assert np.allclose(found[0, ..., 0], ndimage.map_coordinates(batch[0, ..., 0], grid, order=1))


def test_nearest_takes_the_pixel_of_the_centre() -> None:
    assert references.resize(row(1, 2, 3), 1, 5, "nearest").ravel().tolist() == [1, 1, 2, 3, 3]
    assert references.resize(row(1, 2, 3, 4), 1, 2, "nearest").ravel().tolist() == [2, 4]


def test_antialiased_halving_averages_with_the_neighbours() -> None:
    # A triangle over four pixels: 1, 3, 3, 1 eighths, at the edges without the one outside.
    found = references.resize(row(0, 0, 8, 0), 1, 2, "bilinear", antialias=True).ravel()
    assert np.allclose(found, [8 / 7, 24 / 7])


@pytest.mark.parametrize("interpolation", ["bicubic", "lanczos3", "lanczos5", "bilinear"])
@pytest.mark.parametrize("antialias", [True, False])
def test_kernels_leave_constants_alone(interpolation: str, antialias: bool) -> None:
    assert np.allclose(references.resize(np.full((1, 5, 3, 2), 7.0), 2, 4, interpolation, antialias), 7)


def test_bicubic_is_keys() -> None:
    # Between the second and the third of four: -1, 9, 9, -1 sixteenths, by Keys with a = -1/2.
    weights = references.resize(np.eye(4).reshape(4, 1, 4, 1), 1, 8, "bicubic").reshape(4, 8)
    quarter = [-9 / 128, 111 / 128, 29 / 128, -3 / 128]
    assert np.allclose(weights[:, 3], quarter)


def test_crop_and_pad_to_aspect_ratio() -> None:
    wide = np.arange(8.0).reshape(1, 2, 4, 1)
    cropped = references.resizing(call(wide, height=2, width=2, **{**RESIZING, "crop_to_aspect_ratio": True}))
    assert cropped[0, ..., 0].tolist() == [[1, 2], [5, 6]]
    padded = references.resizing(call(wide, height=4, width=4, **{**RESIZING, "pad_to_aspect_ratio": True, "fill_value": 9.0}))
    assert padded[0, :, 0, 0].tolist() == [9, 0, 4, 9]


def test_resizing_where_neither_padding_nor_smoothing_is_an_argument_yet() -> None:
    absent = BY_NAME["Resizing"].older.absent
    assert set(absent) == {"pad_to_aspect_ratio", "fill_value", "antialias"}
    older = {name: each for name, each in RESIZING.items() if name not in absent}
    image = np.random.default_rng(0).random((1, 6, 5, 3))
    found = references.resizing(call(image, height=3, width=2, **absent, **older))
    np.testing.assert_array_equal(found, references.resizing(call(image, height=3, width=2, **RESIZING)))


def test_resizing_a_dictionary() -> None:
    inputs = {"images": row(0, 4), "labels": np.ones((1, 4)), "segmentation_masks": row(1, 2)}
    found = references.resizing(call(inputs, height=1, width=4, **RESIZING))
    assert found["images"].ravel().tolist() == [0, 1, 3, 4]
    assert found["segmentation_masks"].ravel().tolist() == [1, 1, 2, 2]
    assert found["labels"] is inputs["labels"]


def test_resizing_channels_first_and_alone() -> None:
    arguments = {**RESIZING, "data_format": "channels_first"}
    found = references.resizing(call(np.asarray([[[0.0, 4.0]]]), height=1, width=4, **arguments))
    assert found.shape == (1, 1, 4)
    assert np.allclose(found.ravel(), [0, 1, 3, 4])


def test_center_crop() -> None:
    found = references.center_crop(call(np.arange(20.0).reshape(1, 4, 5, 1), height=3, width=2, data_format=None))
    assert found[0, ..., 0].tolist() == [[1, 2], [6, 7], [11, 12]]
    smaller = references.center_crop(call(row(0, 4), height=2, width=2, data_format=None))
    assert smaller.ravel().tolist() == [0, 0, 0, 0]


def test_auto_contrast() -> None:
    found = references.auto_contrast(call(row(10, 20, 30), value_range=(0, 255)))
    assert np.allclose(found.ravel(), [0, 127.5, 255])
    assert references.auto_contrast(call(row(7, 7), value_range=(0, 255))).ravel().tolist() == [7, 7]


def test_equalization_is_that_of_the_textbook() -> None:
    # The example of the Wikipedia page in small: cdf 1, 3, 4 of 4 pixels.
    found = references.equalization(call(row(52, 55, 55, 200), value_range=(0, 255), bins=256))
    assert found.ravel().tolist() == [0, 170, 170, 255]
    two = np.concatenate([row(0, 10), row(3, 3)])
    assert references.equalization(call(two, value_range=(0, 255), bins=256))[..., 0].tolist() == [[[0, 255]], [[3, 3]]]


def test_max_num_bounding_boxes() -> None:
    boxes = {"boxes": np.ones((1, 1, 4)), "labels": np.zeros((1, 1))}
    inputs = {"images": row(1), "bounding_boxes": boxes}
    found = references.max_num_bounding_boxes(call(inputs, max_number=2, fill_value=-1))
    assert found["bounding_boxes"]["boxes"].tolist() == [[[1] * 4, [-1] * 4]]
    assert found["bounding_boxes"]["labels"].tolist() == [[0, -1]]
    fewer = references.max_num_bounding_boxes(call({"bounding_boxes": found["bounding_boxes"]}, max_number=1, fill_value=0))
    assert fewer["bounding_boxes"]["labels"].tolist() == [[0]]


def law(name: str, of: str) -> Any:
    return next(each for each in BY_NAME[of].laws if each.name == name).check


def test_same_size_law() -> None:
    check = law("same_size_is_identity", "Resizing")
    asked = call(row(1, 2), height=1, width=2, **RESIZING)
    assert check(asked, [row(1, 2)], U) is None
    assert "changed" in check(asked, [row(1, 2.001)], U)


def test_constant_law() -> None:
    check = law("constant_stays_constant", "Resizing")
    asked = call(row(3, 3), height=1, width=3, **RESIZING)
    assert check(asked, [row(3, 3, 3)], U) is None
    assert "off by" in check(asked, [row(3, 2.9, 3)], U)


def test_range_law() -> None:
    check = law("stays_in_value_range", "AutoContrast")
    asked = call(row(0, 1), value_range=(0, 1))
    assert check(asked, [row(0, 1)], U) is None
    assert "range" in check(asked, [row(-0.01, 1)], U)


def test_order_law() -> None:
    check = law("one_tile_keeps_the_order", "ContrastLimitedAdaptiveHistogramEqualization")
    asked = call(row(5, 1, 9), value_range=(0, 255), tile_grid_size=(1, 1), data_format=None)
    assert check(asked, [row(100, 0, 255)], U) is None
    assert "order" in check(asked, [row(0, 100, 255)], U)


def case(name: str, inputs: Any, **arguments: Any) -> Case:
    return Case(f"keras.layers.{name}", arguments, inputs)


def test_one_image_alone() -> None:
    given = case("AutoContrast", Tensor((2, 1, 2, 3)))
    other = images.ALONE_IS_BATCH_OF_ONE.other(given)
    assert other is not None
    assert np.array_equal(make(other.inputs), make(given.inputs)[0])
    outputs = [np.arange(12.0).reshape(2, 1, 2, 3)]
    assert np.array_equal(images.ALONE_IS_BATCH_OF_ONE.expected(given, outputs)[0], outputs[0][0])
    assert images.ALONE_IS_BATCH_OF_ONE.other(other) is None


def test_formats_agree() -> None:
    given = case("Resizing", Tensor((2, 1, 2, 3)), height=1, width=1)
    other = images.FORMATS_AGREE.other(given)
    assert other is not None
    assert other.arguments["data_format"] == "channels_first"
    assert other.inputs.shape == (2, 3, 1, 2)
    assert images.FORMATS_AGREE.expected(given, [np.zeros((2, 1, 2, 3))])[0].shape == (2, 3, 1, 2)


def test_rescaling_in_two_steps() -> None:
    (identity,) = BY_NAME["Rescaling"].identities
    given = case("Rescaling", Tensor((2, 2)), scale=1 / 127.5)
    other = identity.other(given)
    assert other is not None
    assert other.arguments["scale"] == 2 / 127.5
    assert np.array_equal(make(other.inputs) * 2, make(given.inputs))


def test_lanczos_is_not_on_torch() -> None:
    given = case("Resizing", Tensor((1, 2, 2, 1)), interpolation="lanczos3")
    unsupported = BY_NAME["Resizing"].unsupported
    assert unsupported(given, World("torch"))
    assert unsupported(given, World("jax")) is None
    assert unsupported(given.with_arguments(interpolation="bilinear"), World("torch")) is None


def test_every_spec_says_where_it_is_documented() -> None:
    assert all(spec.source.startswith((image.PREPROCESSING, image.AUGMENTATION)) for spec in SPECS)
