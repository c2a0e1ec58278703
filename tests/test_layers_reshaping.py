"""References, laws and identities of the reshaping layers, without a framework."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_dlcheck.cases.case import Case, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import reshaping as references
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import Call

U = 2.0**-24
LAST = {"data_format": "channels_last"}
FIRST = {"data_format": "channels_first"}


def identity(layer: str, name: str) -> Any:
    return next(each for each in SPECS[layer].identities if each.name == name)


def law(layer: str, name: str) -> Any:
    return next(each for each in SPECS[layer].laws if each.name == name).check


def test_reshape_permute_flatten_repeat() -> None:
    x = np.arange(12.0).reshape(2, 3, 2)
    assert references.reshape(Call({"target_shape": (-1, 3)}, {}, x)).tolist()[0] == [[0, 1, 2], [3, 4, 5]]
    assert references.reshape(Call({"target_shape": [6]}, {}, x)).tolist()[1] == [6, 7, 8, 9, 10, 11]
    assert references.permute(Call({"dims": (2, 1)}, {}, x)).tolist()[0] == [[0, 2, 4], [1, 3, 5]]
    assert references.flatten(Call(LAST, {}, x)).tolist()[0] == [0, 1, 2, 3, 4, 5]
    assert references.flatten(Call(FIRST, {}, x)).tolist()[0] == [0, 2, 4, 1, 3, 5]
    assert references.flatten(Call(LAST, {}, np.array([1.0, 2.0]))).tolist() == [[1.0], [2.0]]
    assert references.repeat_vector(Call({"n": 2}, {}, np.array([[1.0, 2.0]]))).tolist() == [[[1.0, 2.0], [1.0, 2.0]]]


@pytest.mark.parametrize(
    ("given", "rank", "expected"),
    [
        (1, 2, [(1, 1), (1, 1)]),
        ((1, 2), 1, [(1, 2)]),
        ((1, 2), 2, [(1, 1), (2, 2)]),
        (((1, 2), (0, 3)), 2, [(1, 2), (0, 3)]),
    ],
)
def test_pairs(given: Any, rank: int, expected: Any) -> None:
    assert references.pairs(given, rank) == expected


def test_padding_and_cropping_in_both_formats() -> None:
    x = np.arange(1.0, 5.0).reshape(1, 2, 2, 1)
    padded = references.zero_padding(Call({"padding": ((1, 0), (0, 1)), **LAST}, {}, x))
    assert padded[0, :, :, 0].tolist() == [[0, 0, 0], [1, 2, 0], [3, 4, 0]]
    first = references.zero_padding(Call({"padding": ((1, 0), (0, 1)), **FIRST}, {}, np.moveaxis(x, -1, 1)))
    assert np.array_equal(np.moveaxis(first, 1, -1), padded)
    back = references.cropping(Call({"cropping": ((1, 0), (0, 1)), **LAST}, {}, padded))
    assert np.array_equal(back, x)
    steps = references.cropping(
        Call({"cropping": (1, 0)}, {}, np.arange(3.0).reshape(1, 3, 1), settings={"image_data_format": "channels_first"})
    )
    assert steps.tolist() == [[[1.0], [2.0]]]


def test_resampling_adds_up_and_is_symmetric() -> None:
    assert references.resampling(2, 2, "nearest").tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
    assert references.resampling(2, 2, "bilinear").tolist() == [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    for interpolation in references.KERNELS:
        weights = references.resampling(5, 3, interpolation)
        np.testing.assert_allclose(weights.sum(axis=1), 1)
        np.testing.assert_allclose(weights, weights[::-1, ::-1], atol=1e-12)
    # A cubic kernel follows a straight line wherever all of its reach is inside.
    line = references.resampling(7, 2, "bicubic") @ np.arange(7.0)
    np.testing.assert_allclose(line[4:10], (np.arange(14)[4:10] + 0.5) / 2 - 0.5)


def test_up_sampling_takes_each_axis_by_its_own_factor() -> None:
    x = np.arange(4.0).reshape(1, 2, 2, 1)
    near = references.up_sampling(Call({"size": (1, 2), **LAST}, {}, x))
    assert near[0, :, :, 0].tolist() == [[0, 0, 1, 1], [2, 2, 3, 3]]
    smooth = references.up_sampling(Call({"size": (2, 1), "interpolation": "bilinear", **LAST}, {}, x))
    assert smooth[0, :, :, 0].tolist() == [[0, 1], [0.5, 1.5], [1.5, 2.5], [2, 3]]


def test_values_are_moved_bit_for_bit() -> None:
    check = law("Permute", "moves_values_exactly")
    x = np.arange(4.0).reshape(1, 2, 2)
    call = Call({"dims": (2, 1)}, {}, x)
    assert check(call, [x.transpose(0, 2, 1)], U) is None
    assert check(call, [x], U) is not None
    assert check(call, [x.transpose(0, 2, 1) + 1e-12], U) is not None
    assert "shape" in check(call, [x[:, :1]], U)


def test_laws_of_up_sampling() -> None:
    constant = law("UpSampling2D", "constant_stays")
    call = Call({"size": 2, "interpolation": "bicubic", **LAST}, {}, np.full((1, 2, 2, 1), 3.0))
    assert constant(call, [np.full((1, 4, 4, 1), 3.0)], U) is None
    assert constant(call, [np.full((1, 4, 4, 1), 3.001)], U) is not None
    between = law("UpSampling2D", "stays_between")
    mixed = Call({"size": 2, "interpolation": "bilinear", **LAST}, {}, np.array([0.0, 1.0]).reshape(1, 1, 2, 1))
    assert between(mixed, [np.array([0.0, 1.0])], U) is None
    assert between(mixed, [np.array([1.1])], U) is not None


def run(case: Case) -> np.ndarray:
    """What the reference makes of a case."""
    defaults = {"data_format": None, "size": 2, "padding": 1, "cropping": 1}
    reference: Any = SPECS[case.name].reference
    inputs = make(case.inputs).astype(np.float64)
    return np.asarray(reference(Call({**defaults, **case.arguments}, {}, inputs, settings=case.settings)))


@pytest.mark.parametrize(
    ("layer", "name", "arguments", "shape"),
    [
        ("Reshape", "is_flatten", {"target_shape": (-1,)}, (2, 3, 2)),
        ("Reshape", "sizes_named", {"target_shape": [2, -1]}, (2, 3, 2)),
        ("Permute", "and_back", {"dims": (3, 1, 2)}, (1, 2, 3, 4)),
        ("UpSampling1D", "plane_of_width_1", {"size": 3}, (1, 2, 3)),
        ("UpSampling2D", "mirrored", {"size": (3, 2), "interpolation": "bicubic"}, (1, 3, 2, 1)),
        ("UpSampling2D", "mirrored", {"data_format": "channels_first"}, (1, 3, 2, 1)),
        ("UpSampling2D", "other_data_format", {"size": (3, 2)}, (1, 3, 2, 4)),
        ("ZeroPadding1D", "cropped_off_again", {"padding": (1, 2)}, (1, 2, 3)),
        ("ZeroPadding2D", "cropped_off_again", {"padding": (1, 2)}, (1, 2, 3, 1)),
        ("ZeroPadding2D", "pairs", {"padding": (1, 2)}, (1, 2, 3, 1)),
        ("ZeroPadding3D", "other_data_format", {"padding": ((1, 0), (2, 1), (0, 1))}, (1, 2, 3, 1, 2)),
        ("Cropping2D", "pairs", {"cropping": (0, 1)}, (1, 4, 3, 1)),
    ],
)
def test_identities(layer: str, name: str, arguments: Any, shape: tuple[int, ...]) -> None:
    case = Case(f"keras.layers.{layer}", arguments, Tensor(shape))
    relation = identity(layer, name)
    other = relation.other(case)
    assert other is not None
    assert (other.subject, other.arguments, other.inputs) != (case.subject, case.arguments, case.inputs)
    found = run(other)
    np.testing.assert_allclose(relation.expected(case, [run(case)])[0], found)
    moved = np.roll(found, 1)
    assert not np.allclose(relation.expected(case, [run(case)])[0], moved)


def test_identities_that_say_nothing() -> None:
    assert (
        identity("Reshape", "is_flatten").other(Case("keras.layers.Reshape", {"target_shape": (2, 3)}, Tensor((1, 6)))) is None
    )
    assert (
        identity("Reshape", "sizes_named").other(Case("keras.layers.Reshape", {"target_shape": (6,)}, Tensor((1, 6)))) is None
    )
    padding = Case("keras.layers.ZeroPadding1D", {"data_format": "channels_first"}, Tensor((1, 2, 3)))
    assert identity("ZeroPadding1D", "cropped_off_again").other(padding) is None
