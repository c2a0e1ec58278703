"""The normalization layers' references, against hand-worked values and SciPy, and their identities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from pytest_dlcheck.cases.case import Case, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import normalization as references
from pytest_dlcheck.subjects.layers.normalization import SPECS
from pytest_dlcheck.subjects.spec import Call, Identity

Array = NDArray[Any]
RNG = np.random.default_rng(0)
PLAIN = {"axis": -1, "epsilon": 0.0, "center": False, "scale": False}
IDENTITIES = {(spec.name, each.name): each for spec in SPECS for each in spec.identities}


def batch(x: Array, weights: dict[str, Array] | None = None, training: bool = True, **changes: Any) -> Any:
    channels = x.shape[changes.get("axis", -1)]
    held = {name: np.zeros(channels) for name in ("moving_mean", "renorm_mean")}
    held |= {name: np.ones(channels) for name in ("moving_variance", "renorm_stddev")}
    keywords = {"mask": changes.pop("mask")} if "mask" in changes else {}
    arguments = {**PLAIN, "momentum": 0.75, "renorm_momentum": 0.5, "renorm_clipping": None, **changes}
    return references.batch_normalization(Call(arguments, held | (weights or {}), x, keywords, training=training))


class TestBatchNormalization:
    x = RNG.normal(size=(4, 3, 5)) * 2 + 1

    def test_training_standardizes_each_channel(self) -> None:
        np.testing.assert_allclose(batch(self.x).outputs, stats.zscore(self.x, axis=(0, 1)), rtol=1e-12)
        np.testing.assert_allclose(batch(self.x, axis=1).outputs, stats.zscore(self.x, axis=(0, 2)), rtol=1e-12)

    def test_moving_moments(self) -> None:
        state = batch(np.array([[1.0], [3.0]])).state
        np.testing.assert_allclose(state["moving_mean"], [0.25 * 2])
        np.testing.assert_allclose(state["moving_variance"], [0.75 + 0.25 * 1])  # biased: (1 + 1) / 2

    def test_inference_and_frozen_layers_take_the_moving_ones(self) -> None:
        weights = {"moving_mean": np.array([1.0]), "moving_variance": np.array([4.0]), "beta": np.array([10.0])}
        for changes in ({"training": False}, {"trainable": False}):
            found = batch(np.array([[5.0]]), weights, center=True, **changes)
            np.testing.assert_allclose(found.outputs, [[12.0]])
            assert not found.state

    def test_masked_positions_do_not_count(self) -> None:
        mask = np.array([[True, True, False]] * 4)
        cut = batch(self.x[:, :2])
        found = batch(self.x, mask=mask)
        np.testing.assert_allclose(found.outputs[:, :2], cut.outputs)
        np.testing.assert_allclose(found.state["moving_variance"], cut.state["moving_variance"])
        assert found.mask is mask

    def test_renorm_by_hand(self) -> None:
        weights = {"renorm_mean": np.array([1.0]), "renorm_stddev": np.array([2.0])}
        x = np.array([[0.0], [4.0]])  # mean 2, deviation 2: r = 1, d = 0.5, and y = (x - 1) / 2
        found = batch(x, weights, renorm=True)
        np.testing.assert_allclose(found.outputs, [[-0.5], [1.5]])
        np.testing.assert_allclose(found.state["renorm_mean"], [1.5])
        clipped = batch(x, weights, renorm=True, renorm_clipping={"rmax": 0.5, "dmax": 0.25})
        np.testing.assert_allclose(clipped.outputs, [[-0.25], [0.75]])


class TestOthers:
    x = RNG.normal(size=(2, 3, 4))

    def test_layer_normalization_spans_its_axes(self) -> None:
        gamma, beta = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))
        arguments = {"axis": [2, 1], "epsilon": 0.0, "center": True, "scale": True}
        found = references.layer_normalization(Call(arguments, {"gamma": gamma, "beta": beta}, self.x))
        np.testing.assert_allclose(found.outputs, stats.zscore(self.x, axis=(1, 2)) * gamma + beta, rtol=1e-12)

    def test_epsilon(self) -> None:
        found = references.layer_normalization(Call({**PLAIN, "epsilon": 3.0}, {}, np.array([[1.0, 3.0]])))
        np.testing.assert_allclose(found.outputs, [[-0.5, 0.5]])

    @pytest.mark.parametrize("axis", [-1, 1])
    def test_group_normalization_by_loops(self, axis: int) -> None:
        x = RNG.normal(size=(2, 4, 4))
        found = references.group_normalization(Call({**PLAIN, "axis": axis, "groups": 2}, {}, x)).outputs
        for sample in range(2):
            for part in (slice(0, 2), slice(2, 4)):
                where = (sample, slice(None), part) if axis == -1 else (sample, part, slice(None))
                np.testing.assert_allclose(found[where], stats.zscore(x[where], axis=None), rtol=1e-12)

    def test_minus_one_group_is_one_per_channel(self) -> None:
        found = references.group_normalization(Call({**PLAIN, "groups": -1}, {}, self.x)).outputs
        np.testing.assert_allclose(found, stats.zscore(self.x, axis=1), rtol=1e-12)

    def test_rms(self) -> None:
        call = Call({"axis": -1, "epsilon": 11.0}, {"scale": np.array([1.0, 2.0])}, np.array([[3.0, 7.0]]))
        np.testing.assert_allclose(references.rms_normalization(call).outputs, [[3 / 40**0.5, 14 / 40**0.5]])

    def test_unit(self) -> None:
        found = references.unit_normalization(Call({"axis": (1, -1)}, {}, np.array([[[3.0], [4.0]], [[0.0], [0.0]]])))
        np.testing.assert_allclose(found.outputs, [[[0.6], [0.8]], [[0.0], [0.0]]])

    def test_positions(self) -> None:
        assert references.positions((-1, 1), 3) == (1, 2)
        assert references.positions(-2, 4) == (2,)


# Each identity: the second case by the reference, against what the identity expects of the first one's output.

REFERENCES = {spec.name: spec.reference for spec in SPECS}
WEIGHTS = ("gamma", "beta", "moving_mean", "moving_variance")


def value_of(case: Case, weights: list[Array], gamma_along: tuple[int, ...]) -> Array:
    defaults = {**PLAIN, "epsilon": 1e-3, "center": True, "scale": True, "groups": 32, "momentum": 0.9}
    held = {"scale": weights[0], **dict(zip(WEIGHTS, (each.reshape(gamma_along) for each in weights), strict=True))}
    call = Call({**defaults, **case.arguments}, held, make(case.inputs, "float64").astype(float))
    reference = REFERENCES[case.name]
    assert reference is not None
    return np.asarray(reference(call).outputs)


PAIRS = [
    ("BatchNormalization", "negative_axis_is_positive", {"axis": 1}, (2, 3, 4), 3),
    ("BatchNormalization", "rank_n_is_rank_2", {}, (2, 3, 4), 4),
    ("LayerNormalization", "unsorted_axes_are_sorted", {"axis": (2, 1)}, (2, 3, 4), 12),
    ("LayerNormalization", "one_axis_in_a_list", {"axis": 1}, (2, 3, 4), 3),
    ("LayerNormalization", "rank_n_is_rank_2", {}, (2, 3, 4), 4),
    ("GroupNormalization", "minus_one_group_is_one_per_channel", {"groups": -1}, (2, 3, 4), 4),
    ("RMSNormalization", "negative_axis_is_positive", {"axis": -1}, (2, 3, 4), 4),
    ("UnitNormalization", "twice_is_the_same", {}, (2, 3), 3),
    ("UnitNormalization", "unsorted_axes_are_sorted", {"axis": [-1, 1]}, (2, 3, 4), 12),
]


@pytest.mark.parametrize(("layer", "name", "arguments", "shape", "size"), PAIRS, ids=[f"{a[0]}-{a[1]}" for a in PAIRS])
def test_identities_hold_of_the_references(
    layer: str, name: str, arguments: dict[str, Any], shape: tuple[int, ...], size: int
) -> None:
    identity: Identity = IDENTITIES[layer, name]
    case = Case(f"keras.layers.{layer}", arguments, Tensor(shape))
    other = identity.other(case)
    assert other is not None
    assert other.key() != case.key()
    weights = [np.abs(np.random.default_rng(index).normal(size=size)) + 0.1 for index in range(4)]
    first, second = value_of(case, weights, (size,)), value_of(other, weights, (size,))
    (expected,) = identity.expected(case, [first])
    np.testing.assert_allclose(second, expected, rtol=1e-5, atol=1e-6)
    # And a layer that is wrong is seen to be.
    assert not np.allclose(second, identity.expected(case, [first + 0.01 * np.arange(first.size).reshape(shape)])[0])


def test_one_group_is_layer_normalization() -> None:
    identity = IDENTITIES["GroupNormalization", "one_group_is_layer_normalization"]
    case = Case("keras.layers.GroupNormalization", {"groups": 1, "axis": 1}, Tensor((2, 3, 4)))
    other = identity.other(case)
    assert other is not None
    assert other.name == "LayerNormalization"
    assert identity.weights is not None
    weights = [RNG.normal(size=3), RNG.normal(size=3)]
    spread = dict(zip(WEIGHTS, identity.weights(case, weights), strict=False))
    x = make(case.inputs, "float64").astype(float)
    full = {**PLAIN, "epsilon": 1e-3, "center": True, "scale": True}
    first = references.group_normalization(Call({**full, **case.arguments}, dict(zip(WEIGHTS, weights, strict=False)), x))
    second = references.layer_normalization(Call({**full, **other.arguments}, spread, x))
    np.testing.assert_allclose(first.outputs, second.outputs, rtol=1e-12)


@pytest.mark.parametrize(
    ("layer", "name", "arguments"),
    [
        ("LayerNormalization", "unsorted_axes_are_sorted", {"axis": (1, 2)}),
        ("GroupNormalization", "one_group_is_layer_normalization", {"groups": 2}),
        ("GroupNormalization", "minus_one_group_is_one_per_channel", {"groups": 3}),
        ("BatchNormalization", "negative_axis_is_positive", {}),
    ],
)
def test_identities_know_where_they_say_nothing(layer: str, name: str, arguments: dict[str, Any]) -> None:
    case = Case(f"keras.layers.{layer}", arguments, Tensor((2, 3, 4)))
    assert IDENTITIES[layer, name].other(case) is None
