"""References, laws and identities of the merging layers, without a framework."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_dlcheck.cases.case import Case, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import merging as references
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import Call

X, Y, Z = np.array([[1.0, 2.0]]), np.array([[5.0, -4.0]]), np.array([[3.0, 3.0]])
U = 2.0**-24


def identity(layer: str, name: str) -> Any:
    return next(each for each in SPECS[layer].identities if each.name == name)


def law(layer: str, name: str) -> Any:
    return next(each for each in SPECS[layer].laws if each.name == name).check


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("add", [9.0, 1.0]),
        ("multiply", [15.0, -24.0]),
        ("average", [3.0, 1 / 3]),
        ("maximum", [5.0, 3.0]),
        ("minimum", [1.0, -4.0]),
    ],
)
def test_merging(name: str, expected: list[float]) -> None:
    found = getattr(references, name)(Call({}, {}, [X, Y, Z])).outputs
    np.testing.assert_allclose(found, [expected])


def test_subtract() -> None:
    assert references.subtract(Call({}, {}, [X, Y])).outputs.tolist() == [[-4.0, 6.0]]


def test_missing_axes_come_after_the_batch() -> None:
    x, y = np.arange(12.0).reshape(2, 3, 2), np.array([[10.0, 20.0], [30.0, 40.0]])
    found = references.add(Call({}, {}, [x, y])).outputs
    assert np.array_equal(found, x + y[:, None, :])


def test_a_masked_step_counts_for_nothing() -> None:
    x, y = np.array([[[1.0], [2.0]]]), np.array([[[5.0], [-4.0]]])
    masks = [np.array([[True, True]]), np.array([[False, True]])]
    call = Call({}, {}, [x, y], masks=masks)
    assert references.maximum(call).outputs.tolist() == [[[1.0], [2.0]]]
    assert references.minimum(call).outputs.tolist() == [[[1.0], [-4.0]]]
    assert references.multiply(call).outputs.tolist() == [[[1.0], [-8.0]]]
    mask = references.add(call).mask
    assert mask is not None
    assert mask.tolist() == [[True, True]]
    assert references.add(Call({}, {}, [x, y], masks=[None, masks[1]])).mask is None


def test_concatenate_and_its_masks() -> None:
    x, y = np.ones((1, 2, 1)), np.zeros((1, 1, 1))
    masks = [np.array([[True, False]]), None]
    over_time = references.concatenate(Call({"axis": 1}, {}, [x, y], masks=masks))
    assert over_time.outputs.tolist() == [[[1.0], [1.0], [0.0]]]
    assert over_time.mask is not None
    assert over_time.mask.tolist() == [[True, False, True]]
    features = references.concatenate(Call({"axis": -1}, {}, [x, x], masks=[masks[0], np.array([[False, False]])]))
    assert features.mask is not None
    assert features.mask.tolist() == [[True, False]]


def test_dot() -> None:
    x, y = np.arange(10.0).reshape(1, 5, 2), np.arange(10.0, 20).reshape(1, 2, 5)
    found = references.dot(Call({"axes": (1, 2), "normalize": False}, {}, [x, y]))
    assert np.array_equal(found, np.array([[[260.0, 360.0], [320.0, 445.0]]]))
    rows = references.dot(Call({"axes": -1, "normalize": True}, {}, [X, 3 * X]))
    np.testing.assert_allclose(rows, [[1.0]])
    assert references.dot(Call({"axes": 1, "normalize": True}, {}, [0 * X, X])).tolist() == [[0.0]]
    tall = references.dot(Call({"axes": [2, 1], "normalize": False}, {}, [np.ones((1, 3, 2)), X]))
    assert tall.tolist() == [[3.0, 3.0, 3.0]]


def test_laws() -> None:
    split = law("Concatenate", "splits_into_the_inputs")
    call = Call({"axis": -1}, {}, [X, Y])
    assert split(call, [np.concatenate([X, Y], -1)], U) is None
    assert split(call, [np.concatenate([Y, X], -1)], U) is not None
    one_of = law("Maximum", "one_of_the_inputs")
    assert one_of(Call({}, {}, [X, Y]), [np.array([[5.0, 2.0]])], U) is None
    assert one_of(Call({}, {}, [X, Y]), [np.array([[5.0, 2.5]])], U) is not None
    cosines = law("Dot", "cosines")
    assert cosines(Call({"normalize": True, "axes": -1}, {}, [X, Y]), [np.array([[1.0]])], U) is None
    assert cosines(Call({"normalize": True, "axes": -1}, {}, [X, Y]), [np.array([[1.01]])], U) is not None
    assert cosines(Call({"normalize": False}, {}, [X, Y]), [np.array([[9.0]])], U) is None


def two(layer: str, *shapes: tuple[int, ...], **arguments: Any) -> Case:
    return Case(f"keras.layers.{layer}", arguments, [Tensor(shape, seed=seed) for seed, shape in enumerate(shapes)])


def satisfied(layer: str, name: str, case: Case, wrong: float) -> None:
    """The reference satisfies the identity, and an output that is off does not."""
    reference: Any = SPECS[layer].reference
    relation = identity(layer, name)

    def run(each: Case) -> np.ndarray:
        other: Any = SPECS[each.name].reference
        made = [make(tensor).astype(np.float64) for tensor in each.inputs]
        found = (reference if each.name == layer else other)(Call({"normalize": False, **each.arguments}, {}, made))
        return np.asarray(getattr(found, "outputs", found))

    other = relation.other(case)
    assert other is not None
    first = run(case)
    np.testing.assert_allclose(relation.expected(case, [first])[0], run(other))
    assert not np.allclose(relation.expected(case, [first + wrong])[0], run(other))


@pytest.mark.parametrize("layer", ["Add", "Multiply", "Average", "Maximum", "Minimum"])
def test_the_order_of_inputs(layer: str) -> None:
    satisfied(layer, "order_of_inputs", two(layer, (2, 3), (2, 3)), 0.5)


def test_identities_of_pairs() -> None:
    satisfied("Subtract", "antisymmetric", two("Subtract", (2, 3), (2, 3)), 0.5)
    satisfied("Average", "sum_over_count", two("Average", (2, 3), (2, 3), (2, 3)), 0.5)
    satisfied("Maximum", "minimum_of_the_negatives", two("Maximum", (2, 3), (2, 3)), 0.5)
    satisfied("Concatenate", "negative_axis_is_positive", two("Concatenate", (2, 3), (2, 1), axis=1), 0.5)


def test_of_one_input_twice() -> None:
    case = two("Maximum", (2, 3), (2, 3))
    relation = identity("Maximum", "of_one_input_twice")
    assert relation.other(case).inputs == [case.inputs[0], case.inputs[0]]
    assert np.array_equal(relation.expected(case, [])[0], make(case.inputs[0]))


@pytest.mark.parametrize(
    ("shapes", "axes"), [(((2, 3), (2, 3)), 1), (((2, 3, 4), (2, 5, 3)), (1, 2)), (((2, 3, 4), (2, 4)), [-1, 1])]
)
def test_dot_turned_round(shapes: Any, axes: Any) -> None:
    case = two("Dot", *shapes, axes=axes)
    satisfied("Dot", "order_of_inputs", case, 0.5)
    satisfied("Dot", "negative_axes_are_positive", case, 0.5)
