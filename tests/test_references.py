"""The float64 references, against other people's code and hand-worked numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import correlate
from sklearn.metrics import accuracy_score, log_loss

from pytest_dlcheck.models.documented import by_name
from pytest_dlcheck.models.spec import Conv2D, Dense, Flatten, Level, MaxPooling2D, ModelSpec, SimpleRNN
from pytest_dlcheck.references.network import ACTIVATIONS, forward
from pytest_dlcheck.references.scores import LOSSES, accuracy_range
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, Rounding, from_moved_starts, propagated


def spec_of(input_shape: tuple[int, ...], *layers: object) -> ModelSpec:
    return ModelSpec(
        "a", "a", "", input_shape, layers, "sgd", "mean_squared_error", (), 1, 1, "line", "real", Level("accuracy", 0, ""), ""
    )


class TestForward:
    def test_convolution_is_cross_correlation(self) -> None:
        rng = np.random.default_rng(0)
        x, kernel, bias = rng.normal(size=(2, 7, 5, 3)), rng.normal(size=(3, 3, 3, 4)), rng.normal(size=4)
        y = forward(spec_of((7, 5, 3), Conv2D(4, 3, "relu")), [kernel, bias], x)
        for sample in range(2):
            for filter_ in range(4):
                expected = correlate(x[sample], kernel[..., filter_], mode="valid")[..., 0] + bias[filter_]
                np.testing.assert_allclose(y[sample, ..., filter_], np.maximum(expected, 0), rtol=1e-13, atol=1e-13)

    def test_pooling_drops_what_fills_no_window(self) -> None:
        x = np.arange(25, dtype=float).reshape(1, 5, 5, 1)
        y = forward(spec_of((5, 5, 1), MaxPooling2D(2)), [], x)
        np.testing.assert_array_equal(y[0, ..., 0], [[6, 8], [16, 18]])

    def test_flatten_keeps_channels_innermost(self) -> None:
        x = np.arange(12).reshape(1, 2, 2, 3)
        np.testing.assert_array_equal(forward(spec_of((2, 2, 3), Flatten()), [], x), np.arange(12)[None])

    def test_the_recurrence_by_hand(self) -> None:
        spec = spec_of((2, 1), SimpleRNN(1))
        w, u, b = np.array([[0.5]]), np.array([[-0.25]]), np.array([0.1])
        h1 = np.tanh(2 * 0.5 + 0.1)
        h2 = np.tanh(3 * 0.5 - 0.25 * h1 + 0.1)
        np.testing.assert_allclose(forward(spec, [w, u, b], np.array([[[2.0], [3.0]]])), [[h2]], rtol=1e-15)

    def test_dense_and_its_activations(self) -> None:
        x = np.array([[1.0, -2.0]])
        kernel, bias = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0.5, -0.5])
        z = np.array([[-4.5, -6.5]])
        np.testing.assert_allclose(forward(spec_of((2,), Dense(2)), [kernel, bias], x), z)
        e = np.exp(z)
        np.testing.assert_allclose(forward(spec_of((2,), Dense(2, "softmax")), [kernel, bias], x), e / e.sum(), rtol=1e-13)
        np.testing.assert_allclose(forward(spec_of((2,), Dense(2, "sigmoid")), [kernel, bias], x), 1 / (1 + 1 / e), rtol=1e-13)

    def test_activations_do_not_overflow(self) -> None:
        extreme = np.array([[-1e4, 0.0, 1e4]])
        with np.errstate(all="raise", under="ignore"):
            np.testing.assert_array_equal(ACTIVATIONS["sigmoid"](extreme), [[0, 0.5, 1]])
            np.testing.assert_array_equal(ACTIVATIONS["softmax"](extreme), [[0, 0, 1]])

    def test_the_tutorials_line_comes_without_its_axis(self) -> None:
        y = forward(by_name("linear_regression"), [np.array([[0.1]]), np.array([0.3])], np.array([0.0, 0.5, 1.0]))
        np.testing.assert_allclose(y, [[0.3], [0.35], [0.4]])

    def test_weights_too_many_are_an_error(self) -> None:
        with pytest.raises(ValueError, match="1 weight arrays too many"):
            forward(by_name("linear_regression"), [np.ones((1, 1)), np.ones(1), np.ones(1)], np.ones(2))


class TestScores:
    RNG = np.random.default_rng(1)
    P = RNG.dirichlet(np.ones(4), size=50)
    LABELS = RNG.integers(0, 4, 50)

    def test_cross_entropies_agree_with_scikit_learn(self) -> None:
        expected = log_loss(self.LABELS, self.P, labels=range(4))
        assert LOSSES["sparse_categorical_crossentropy"](self.LABELS, self.P, clip=True) == pytest.approx(expected, rel=1e-12)
        assert LOSSES["categorical_crossentropy"](np.eye(4)[self.LABELS], self.P, clip=False) == pytest.approx(
            expected, rel=1e-12
        )
        binary, q = (self.LABELS % 2)[:, None], self.P[:, :1]
        expected = log_loss(binary[:, 0], np.hstack([1 - q, q]))
        assert LOSSES["binary_crossentropy"](binary, q, clip=True) == pytest.approx(expected, rel=1e-12)

    def test_clipping_bounds_the_cost_of_a_certain_mistake(self) -> None:
        sure = np.array([[1.0, 0.0]])
        assert LOSSES["sparse_categorical_crossentropy"]([1], sure, clip=True) == pytest.approx(-np.log(1e-7))
        assert LOSSES["sparse_categorical_crossentropy"]([1], sure, clip=False) == pytest.approx(-np.log(5e-324))

    def test_squared_error_takes_targets_without_their_axis(self) -> None:
        assert LOSSES["mean_squared_error"](np.array([1.0, 2.0]), np.array([[1.5], [2.0]]), clip=False) == 0.125

    def test_accuracy_agrees_with_scikit_learn(self) -> None:
        nothing = np.zeros_like(self.P)
        expected = accuracy_score(self.LABELS, self.P.argmax(1))
        assert accuracy_range("sparse_categorical_crossentropy", self.LABELS, self.P, nothing) == (expected, expected)
        assert accuracy_range("categorical_crossentropy", np.eye(4)[self.LABELS], self.P, nothing) == (expected, expected)

    def test_what_rounding_may_decide_counts_both_ways(self) -> None:
        p = np.array([[0.5 + 1e-9, 0.5 - 1e-9], [0.9, 0.1]])
        assert accuracy_range("sparse_categorical_crossentropy", np.array([0, 0]), p, np.full((2, 2), 1e-8)) == (0.5, 1.0)
        q = np.array([[0.5 + 1e-9], [0.9]])
        assert accuracy_range("binary_crossentropy", np.array([[1.0], [1.0]]), q, np.full((2, 1), 1e-8)) == (0.5, 1.0)


class TestTolerance:
    def test_a_sum_is_moved_by_its_bound_and_no_further(self) -> None:
        rounding = Rounding(2.0**-24, np.random.default_rng(0))
        total, magnitude = np.zeros(1000), np.full(1000, 3.0)
        moved = rounding(total, magnitude, 100)
        assert set(np.abs(moved)) == {10 * 2.0**-24 * 3}
        assert 400 < (moved > 0).sum() < 600

    @pytest.mark.parametrize("length", [1, 10, 1_000, 30_000])
    def test_real_sums_in_float32_stay_within(self, length: int) -> None:
        """In the order that is worst for rounding: one after the other."""
        rng = np.random.default_rng(length)
        for terms in (rng.random((200, length)), rng.normal(size=(200, length)), rng.normal(size=(200, length)) ** 3):
            terms = terms.astype(np.float32)
            computed = np.cumsum(terms, axis=1, dtype=np.float32)[:, -1]
            exact = terms.astype(np.float64)

            def total(rounding: Rounding | None, exact: np.ndarray = exact) -> np.ndarray:
                y = exact.sum(axis=1)
                return y if rounding is None else rounding(y, np.abs(exact).sum(axis=1), exact.shape[1])

            bounded = propagated(total, unit_roundoff=UNIT_ROUNDOFF["float32"])
            assert (np.abs(computed - bounded.value) <= bounded.tolerance).all()

    def test_a_lower_precision_is_noticed(self) -> None:
        rng = np.random.default_rng(0)
        x, w = rng.normal(size=(50, 300)), rng.normal(size=(300, 20))

        def product(rounding: Rounding | None) -> np.ndarray:
            y = x @ w
            return y if rounding is None else rounding(y, np.abs(x) @ np.abs(w), 300)

        bounded = propagated(product, unit_roundoff=UNIT_ROUNDOFF["float32"])
        single = (x.astype(np.float32) @ w.astype(np.float32)).astype(np.float64)
        half = (x.astype(np.float16).astype(np.float32) @ w.astype(np.float16).astype(np.float32)).astype(np.float64)
        assert (np.abs(single - bounded.value) <= bounded.tolerance).all()
        # TF32 keeps as many digits of its factors as float16 does.
        assert (np.abs(half - bounded.value) > bounded.tolerance).mean() > 0.5

    def test_the_tolerance_does_not_depend_on_what_was_drawn_before(self) -> None:
        def run(rounding: Rounding | None) -> np.ndarray:
            y = np.ones(5)
            return y if rounding is None else rounding(y, y, 9)

        first, second = (propagated(run, unit_roundoff=2.0**-24).tolerance for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_moved_starts(self) -> None:
        value = np.array([1.0, 2.0])
        bounded = from_moved_starts(value, np.array([[1.0, 2.5], [1.25, 2.0]]), unit_roundoff=2.0**-24, scale=0)
        change = np.array([0.25, 0.5])
        rms = np.sqrt(np.mean(change**2))
        np.testing.assert_allclose(bounded.tolerance, 16 * change + 16 * rms, rtol=1e-5)
