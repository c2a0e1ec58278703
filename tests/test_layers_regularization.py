"""The regularization layers' references and laws, against hand-worked values and planted defects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_dlcheck.references.layers import regularization as references
from pytest_dlcheck.subjects.layers.regularization import SPECS
from pytest_dlcheck.subjects.spec import Call, LayerSpec

Array = NDArray[Any]
U = 2.0**-24
BY_NAME = {spec.name: spec for spec in SPECS}
RNG = np.random.default_rng(0)


def call_of(x: Array, **arguments: Any) -> Call:
    return Call({"rate": 0.5, **arguments}, {}, x, training=True)


def said(spec: LayerSpec, call: Call, y: Array) -> Mapping[str, str | None]:
    """What each law says."""
    return {law.name: law.check(call, [y], U) for law in spec.laws}


def all_pass(spec: LayerSpec, call: Call, y: Array) -> bool:
    return all(verdict is None for verdict in said(spec, call, y).values())


class TestReferences:
    def test_activity_regularization_is_per_sample(self) -> None:
        x = np.array([[1.0, -2.0], [0.0, 3.0]])
        found = references.activity_regularization(Call({"l1": 0.5, "l2": 0.1}, {}, x))
        np.testing.assert_array_equal(found.outputs, x)
        assert found.losses == pytest.approx((0.5 * 6 + 0.1 * 14) / 2)

    def test_the_mask_is_handed_on(self) -> None:
        mask = np.array([[True, False]])
        assert references.handed_on(Call({}, {}, np.ones((1, 2, 1)), masks=[mask])).mask is mask

    @pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
    def test_alpha_dropout_keeps_mean_and_variance(self, rate: float) -> None:
        # Of x with mean 0 and variance 1: exact moments of the mixture.
        ends, low = references.alpha_dropout_values(np.array([-1.0, 1.0]), rate)
        values, chances = np.array([*ends, low]), np.array([(1 - rate) / 2, (1 - rate) / 2, rate])
        mean = float(values @ chances)
        assert mean == pytest.approx(0, abs=1e-12)
        assert float((values - mean) ** 2 @ chances) == pytest.approx(1)

    def test_noise_shapes(self) -> None:
        call = call_of(np.zeros((2, 3, 4)), noise_shape=(None, 1, 4))
        assert references.noise_shape(call, (2, 3, 4), "Dropout") == (2, 1, 4)
        assert references.noise_shape(call_of(np.zeros(1)), (2, 3, 4), "SpatialDropout1D") == (2, 1, 4)
        first = call_of(np.zeros(1), data_format="channels_first")
        assert references.noise_shape(first, (2, 3, 4, 5), "SpatialDropout2D") == (2, 3, 1, 1)
        last = Call({"data_format": None}, {}, None, settings={"image_data_format": "channels_last"})
        assert references.noise_shape(last, (2, 3, 4, 5, 6), "SpatialDropout3D") == (2, 1, 1, 1, 6)


class TestDropout:
    x = RNG.normal(size=(8, 50))

    def kept(self, rate: float, shape: tuple[int, ...] = (8, 50)) -> Array:
        return np.random.default_rng(1).random(shape) >= rate

    def test_right(self) -> None:
        y = np.where(self.kept(0.25), self.x / 0.75, 0)
        assert all_pass(BY_NAME["Dropout"], call_of(self.x, rate=0.25), y)

    def test_not_scaled(self) -> None:
        y = np.where(self.kept(0.25), self.x, 0)
        assert "neither 0 nor" in str(said(BY_NAME["Dropout"], call_of(self.x, rate=0.25), y)["zero_or_scaled"])

    @pytest.mark.parametrize("dropped_at", [0.9, 0.0])
    def test_another_rate(self, dropped_at: float) -> None:
        y = np.where(self.kept(dropped_at), self.x / 0.9, 0)
        assert "at rate 0.1" in str(said(BY_NAME["Dropout"], call_of(self.x, rate=0.1), y)["dropped_as_often_as_said"])

    def test_noise_shape_is_followed(self) -> None:
        call = call_of(self.x, noise_shape=(1, None))
        right, wrong = self.kept(0.5, (1, 50)), self.kept(0.5, (8, 1))
        assert all_pass(BY_NAME["Dropout"], call, np.where(right, self.x * 2, 0))
        assert "in part" in str(said(BY_NAME["Dropout"], call, np.where(wrong, self.x * 2, 0))["dropped_together"])

    def test_a_rate_of_one_drops_all(self) -> None:
        call = call_of(self.x, rate=1.0)
        assert all_pass(BY_NAME["Dropout"], call, np.zeros_like(self.x))
        assert not all_pass(BY_NAME["Dropout"], call, self.x)

    def test_whole_channels(self) -> None:
        x = RNG.normal(size=(4, 3, 3, 8))
        kept = self.kept(0.5, (4, 1, 1, 8))
        assert all_pass(BY_NAME["SpatialDropout2D"], call_of(x, data_format="channels_last"), np.where(kept, 2 * x, 0))
        first = call_of(x, data_format="channels_first")
        assert "in part" in str(said(BY_NAME["SpatialDropout2D"], first, np.where(kept, 2 * x, 0))["dropped_together"])


class TestAlphaDropout:
    def test_right_and_wrong(self) -> None:
        x = RNG.normal(size=(8, 50))
        kept, low = references.alpha_dropout_values(x, 0.25)
        keeps = np.random.default_rng(1).random(x.shape) >= 0.25
        call = call_of(x, rate=0.25)
        assert all_pass(BY_NAME["AlphaDropout"], call, np.where(keeps, kept, low))
        zeroed = said(BY_NAME["AlphaDropout"], call, np.where(keeps, kept, 0))
        assert "neither" in str(zeroed["kept_or_dropped_value"])
        assert "at rate" in str(said(BY_NAME["AlphaDropout"], call, kept)["dropped_as_often_as_said"])


class TestNoise:
    x = RNG.normal(size=(8, 50)) + 3
    z = np.random.default_rng(2).normal(size=(8, 50))

    def test_added(self) -> None:
        spec = BY_NAME["GaussianNoise"]
        call = Call({"stddev": 0.5}, {}, self.x, training=True)
        assert all_pass(spec, call, self.x + 0.5 * self.z)
        for wrong, what in [(0.5 * self.z + 1, "mean"), (2 * self.z, "spread"), (0 * self.z, "spread")]:
            assert f"the {what} of" in str(said(spec, call, self.x + wrong)["added_noise"])
        assert said(spec, call, np.full_like(self.x, np.nan))["added_noise"] == "not finite"

    def test_one_draw_for_all_is_no_noise(self) -> None:
        call = Call({"stddev": 0.5}, {}, np.zeros((4, 50)), training=True)
        assert said(BY_NAME["GaussianNoise"], call, np.full((4, 50), 0.5))["added_noise"] is not None

    def test_multiplied(self) -> None:
        spec, call = BY_NAME["GaussianDropout"], call_of(self.x, rate=0.2)
        assert all_pass(spec, call, self.x * (1 + 0.5 * self.z))  # sqrt(0.2 / 0.8)
        for wrong in (1 + 0.2 * self.z, 0.5 * self.z, 1 + 1.5 * self.z):
            assert not all_pass(spec, call, self.x * wrong)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_without_a_rate_laws_say_nothing(spec: LayerSpec) -> None:
    call = Call({"rate": 0.0}, {}, np.ones((2, 3, 3)), training=True)
    assert all_pass(spec, call, np.ones((2, 3, 3)))
