"""The checks of gradients, on functions written in NumPy, and what is around them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from pytest_dlcheck.gradients.check import GradientCheck
from pytest_dlcheck.gradients.kinks import find_kinks
from pytest_dlcheck.gradients.lines import Line, extrapolated, jump, refined, taylor_order
from pytest_dlcheck.gradients.outcome import (
    KINK,
    NOISE,
    NONDETERMINISTIC,
    OK,
    UNSUPPORTED,
    WEAK,
    WRONG,
    GradientReport,
    GradientsWrong,
    Row,
    worst,
)
from pytest_dlcheck.gradients.precision import of_steps, unit_roundoff_of
from pytest_dlcheck.gradients.program import Array, NoDerivative
from pytest_dlcheck.references import backpropagation as by_hand
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, of_differences

U = UNIT_ROUNDOFF["float64"]


class Scalar:
    """A function of one array, entry by entry, with a claimed derivative."""

    names = ("x",)

    def __init__(
        self,
        function: Callable[[Array], Array],
        slope: Callable[[Array], Array] | None,
        *,
        forward: Callable[[Array], Array] | None = None,
        second: Callable[[Array], Array] | None = None,
    ) -> None:
        self.function, self.slope, self.pushed, self.second = function, slope, forward or slope, second

    def value(self, xs: Sequence[Array]) -> list[Array]:
        with np.errstate(all="ignore"):
            return [np.asarray(self.function(xs[0]))]

    def reverse(self, xs: Sequence[Array], vs: Sequence[Array]) -> list[Array | None]:
        with np.errstate(all="ignore"):
            return [None if self.slope is None else np.asarray(self.slope(xs[0]) * vs[0])]

    def forward(self, xs: Sequence[Array], us: Sequence[Array]) -> list[Array]:
        if self.pushed is None:
            raise NoDerivative("there is no forward mode")
        with np.errstate(all="ignore"):
            return [np.asarray(self.pushed(xs[0]) * us[0])]

    def derivative(self, vs: Sequence[Array]) -> Scalar:
        assert self.slope is not None
        slope, second = self.slope, self.second
        return Scalar(lambda x: slope(x) * vs[0], None if second is None else lambda x: second(x) * vs[0])


def line_of(function: Callable[[float], float], unit_roundoff: float = U) -> Line:
    """The line through 0 of a function of one number."""
    return Line(
        lambda xs: [np.asarray(function(float(xs[0])))],
        [np.asarray(0.0)],
        index=0,
        direction=np.asarray(1.0),
        vs=[np.asarray(1.0)],
        unit_roundoff=unit_roundoff,
    )


def verdict_of(program: Any, point: Array, check: str = "numeric", seed: int = 0) -> Row:
    rows = {row.check: row for row in GradientCheck(program, [np.asarray(point, dtype=float)], seed=seed).rows()}
    return rows[check]


class TestLines:
    @pytest.mark.parametrize(
        ("function", "slope"),
        [(math.exp, 1.0), (math.sin, 1.0), (lambda t: 1 / (t + 0.5), -4.0), (lambda t: math.exp(20 * t), 20.0)],
    )
    def test_extrapolation_is_as_near_as_it_says(self, function: Callable[[float], float], slope: float) -> None:
        for estimate in (extrapolated(line_of(function)), refined(line_of(function))):
            assert abs(estimate.value - slope) <= 4 * estimate.error
            assert estimate.error < 1e-6 * abs(slope)

    @pytest.mark.parametrize("least", [1e-4, 3e-5, 2e-6])
    def test_where_the_function_has_no_value_nothing_is_made_of_it(self, least: float) -> None:
        """As between two silent frames of a spectrogram, whose derivative is 0 / 0."""
        line = line_of(lambda t: math.exp(t) if abs(t) < least or abs(t) > 0.05 else math.nan)
        estimate = min([refined(line), extrapolated(line)], key=lambda each: each.error)
        assert abs(estimate.value - 1) <= 4 * estimate.error < 1e-3

    def test_extrapolation_of_a_rounded_function_knows_that_it_is_coarse(self) -> None:
        line = line_of(lambda t: float(np.float32(math.exp(1 + t))), UNIT_ROUNDOFF["float32"])
        estimate = extrapolated(line)
        assert abs(estimate.value - math.e) <= 4 * estimate.error
        assert estimate.error > 1e-7

    @pytest.mark.parametrize(("slope", "order"), [(1.0, 2), (1.01, 1), (-1.0, 1), (0.0, 1)])
    def test_taylor_tells_a_right_slope_from_a_wrong_one(self, slope: float, order: int) -> None:
        assert taylor_order(line_of(math.exp), slope) == pytest.approx(order, abs=0.1)

    def test_taylor_of_what_is_exact_leaves_noise_alone(self) -> None:
        assert taylor_order(line_of(lambda t: 3 * t + 1), 3.0) == math.inf

    @pytest.mark.parametrize(
        "function", [math.exp, lambda t: t * t, lambda t: 1000 * math.sin(50 * t), lambda t: 1.0, lambda t: 3 * t]
    )
    def test_smooth_functions_have_no_corner(self, function: Callable[[float], float]) -> None:
        assert jump(line_of(function)) is None

    def test_a_corner_beside_the_point_is_none_at_it(self) -> None:
        assert jump(line_of(lambda t: abs(t - 1e-3))) is None

    @pytest.mark.parametrize(
        ("function", "left", "right", "unbounded"),
        [
            (abs, -1, 1, False),
            (lambda t: max(t, 0.0), 0, 1, False),
            (lambda t: 2 * t if t < 0 else 5 * t, 2, 5, False),
            (lambda t: math.sqrt(t) if t >= 0 else math.nan, math.nan, math.inf, True),
            (lambda t: math.copysign(math.sqrt(abs(t)), t), math.inf, math.inf, True),
            (lambda t: float(t > 0), 0, math.inf, True),
            (lambda t: 1.0 * (t > 0) - 1.0 * (t < 0), math.inf, math.inf, True),
        ],
    )
    def test_corners_and_steps(self, function: Callable[[float], float], left: float, right: float, unbounded: bool) -> None:
        found = jump(line_of(function))
        assert found is not None
        assert found.unbounded == unbounded
        if not unbounded:
            assert (found.left, found.right) == (pytest.approx(left, abs=1e-6), pytest.approx(right, abs=1e-6))

    def test_a_corner_admits_what_lies_between_its_sides(self) -> None:
        corner = jump(line_of(lambda t: max(t, 0.0)))
        assert corner is not None
        assert all(corner.admits(slope, 1e-6) for slope in (0.0, 0.5, 1.0))
        assert not any(corner.admits(slope, 1e-6) for slope in (-0.1, 1.1, math.nan, math.inf))


class TestCorners:
    def test_are_found_by_halving_and_one_by_one(self) -> None:
        x = np.ones(64)
        x[[3, 40, 41]] = 0

        def line(direction: Array) -> Line:
            return Line(lambda xs: [np.abs(xs[0])], [x], index=0, direction=direction, vs=[np.ones(64)], unit_roundoff=U)

        found = find_kinks(line, np.ones(64, dtype=bool), 1.0, np.random.default_rng(0))
        assert sorted(found.entries) == [(3,), (40,), (41,)]
        assert found.complete

    def test_that_cancel_each_other_are_found(self) -> None:
        x, vs = np.zeros(2), np.array([1.0, -1.0])

        def line(direction: Array) -> Line:
            return Line(lambda xs: [np.abs(xs[0])], [x], index=0, direction=direction, vs=[vs], unit_roundoff=U)

        assert len(find_kinks(line, np.ones(2, dtype=bool), 1.0, np.random.default_rng(0)).entries) == 2

    def test_a_search_that_gives_up_says_so(self) -> None:
        x = np.zeros(1000)

        def line(direction: Array) -> Line:
            return Line(lambda xs: [np.abs(xs[0])], [x], index=0, direction=direction, vs=[np.ones(1000)], unit_roundoff=U)

        found = find_kinks(line, np.ones(1000, dtype=bool), 1.0, np.random.default_rng(0))
        assert not found.complete
        assert "maybe others" in found.told()


class TestVerdicts:
    X = np.array([-1.0, 0.5, 2.0, 3.0])

    def test_ok(self) -> None:
        assert verdict_of(Scalar(np.exp, np.exp), self.X).verdict == OK

    @pytest.mark.parametrize("factor", [1.01, 0.99, -1.0, 0.5])
    def test_wrong_names_entries_and_what_they_have_in_common(self, factor: float) -> None:
        row = verdict_of(Scalar(np.exp, lambda x: factor * np.exp(x)), self.X)
        assert row.verdict == WRONG
        assert row.entries is not None
        assert "4 of 16 entries are wrong" in row.entries.told()
        assert ("sign is turned" if factor == -1 else f"{factor:g} times the differences") in row.entries.told()

    def test_wrong_where_the_gradient_stops(self) -> None:
        row = verdict_of(Scalar(np.exp, np.zeros_like), self.X)
        assert row.verdict == WRONG
        assert row.entries is not None
        assert "does the gradient stop somewhere?" in row.entries.told()

    @pytest.mark.parametrize(("leak", "expected"), [(0.0, WEAK), (1e-13, WRONG)])
    @pytest.mark.parametrize("seed", range(4))
    def test_what_rounding_leaves_of_terms_that_cancel_is_no_leak(self, seed: int, leak: float, expected: str) -> None:
        """As of a normalization of single numbers, which gives the same whatever they are."""

        class Cancelling(Scalar):
            def reverse(self, xs: Sequence[Array], vs: Sequence[Array]) -> list[Array | None]:
                (v,) = vs
                return [31.6 * ((0.1 * v + 0.2 * v) - 0.3 * v) + leak * v]

        assert verdict_of(Cancelling(np.zeros_like, np.zeros_like), self.X, seed=seed).verdict == expected

    def test_no_path_where_there_ought_to_be_one(self) -> None:
        assert verdict_of(Scalar(np.exp, None, forward=np.exp), self.X).verdict == WRONG

    def test_kink_is_told_and_the_rest_is_checked(self) -> None:
        x = np.array([-1.0, 0.0, 2.0])
        relu = verdict_of(Scalar(lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0), x)
        assert (relu.verdict, "[1]" in relu.message, "2 entries" in relu.message) == (KINK, True, True)
        assert verdict_of(Scalar(lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.1), x).verdict == WRONG

    def test_corners_at_every_entry_leave_a_weak_check(self) -> None:
        row = verdict_of(Scalar(lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0), np.zeros(3))
        assert (row.verdict, "no entry" in row.message) == (WEAK, True)

    @pytest.mark.parametrize(("factor", "expected"), [(1.0, KINK), (1.2, WRONG), (0.0, WRONG)])
    @pytest.mark.parametrize("seed", range(4))
    def test_corners_within_the_steps_of_float32_are_left_out(self, seed: int, factor: float, expected: str) -> None:
        def clipped(x: Array) -> Array:
            return np.clip(x.astype(np.float32) * np.float32(1.7), 0, 1).astype(float)

        x = np.random.default_rng(seed).uniform(0.05, 0.5, 40)
        x[:4] = (1 + np.array([-4e-3, 2e-3, 5e-3, 1e-3])) / 1.7
        row = verdict_of(Scalar(clipped, lambda x: factor * np.where(1.7 * x < 1, 1.7, 0)), x, seed=seed)
        assert row.verdict == expected
        if expected == KINK:
            assert "near [" in row.message

    def test_a_function_that_is_rough_everywhere_is_no_kink(self) -> None:
        steep = Scalar(lambda x: np.sin(3e5 * x), lambda x: 2e5 * np.cos(3e5 * x))
        assert verdict_of(steep, self.X).verdict in (NOISE, WRONG)

    def test_a_function_may_refuse_what_is_far_from_the_point(self) -> None:
        def root(x: Array) -> Array:
            if np.any(np.abs(x) > 1.05):
                raise ValueError("between -1 and 1")
            return np.sqrt(1.3 - x**2)

        assert verdict_of(Scalar(root, lambda x: -x / np.sqrt(1.3 - x**2)), np.array([-0.9, 0.95, 0.99])).verdict == OK

    def test_a_gradient_outside_both_sides_of_a_corner_is_wrong(self) -> None:
        row = verdict_of(Scalar(np.abs, lambda x: np.where(x == 0, 3.0, np.sign(x))), np.array([-1.0, 0.0, 2.0]))
        assert row.verdict == WRONG
        assert "at entry [1]" in row.message

    def test_infinite_is_right_only_where_the_function_is_steep(self) -> None:
        x = np.array([0.0, 1.0, 4.0])
        assert verdict_of(Scalar(np.sqrt, lambda x: 0.5 / np.sqrt(x)), x).verdict == KINK
        assert verdict_of(Scalar(lambda x: x**2, lambda x: np.where(x == 0, np.inf, 2 * x)), x).verdict == WRONG

    def test_nan_is_wrong_and_says_where(self) -> None:
        row = verdict_of(Scalar(lambda x: x**2, lambda x: np.where(x == 2, np.nan, 2 * x)), self.X)
        assert row.verdict == WRONG
        assert "NaN in 1 of 4 entries, first [2]" in row.message

    def test_noise(self) -> None:
        rough = Scalar(lambda x: np.sin(x) + 1e-4 * np.sin(1e9 * x), np.cos)
        assert verdict_of(rough, np.array([0.3, 1.0])).verdict in (NOISE, WRONG)
        coarse = Scalar(lambda x: 1e8 + np.sin(x), np.cos)
        assert verdict_of(coarse, np.array([0.3, 1.0])).verdict == WEAK, "rounding of 1e8 hides much of a slope of 1"
        assert verdict_of(Scalar(lambda x: 1e8 + np.sin(x), lambda x: 3 * np.cos(x)), np.array([0.3, 1.0])).verdict == WRONG

    def test_a_function_computed_in_float32_is_known_by_its_outputs(self) -> None:
        program = Scalar(lambda x: np.exp(x).astype(np.float32).astype(float), np.exp)
        assert verdict_of(program, self.X).verdict == OK
        assert unit_roundoff_of(program.value([self.X])) == UNIT_ROUNDOFF["float32"]
        wrong = Scalar(lambda x: np.exp(x).astype(np.float32).astype(float), lambda x: 1.05 * np.exp(x))
        assert verdict_of(wrong, self.X).verdict == WRONG
        assert unit_roundoff_of([np.array([1.0, 2.0])]) == U, "whole numbers say nothing"

    @pytest.mark.parametrize(("rounded_to", "unit"), [("float64", U), ("float32", 2.0**-24)])
    def test_rounding_inside_is_known_by_steps(self, rounded_to: str, unit: float) -> None:
        def value(xs: Sequence[Array]) -> list[Array]:
            return [1.37 * np.sin(xs[0]).astype(rounded_to).astype(float) + 0.01 * xs[0] ** 3]

        assert of_steps(value, [self.X + 0.01], [np.ones(4)]) == unit

    def test_nondeterministic(self) -> None:
        rng = np.random.default_rng(0)
        row = verdict_of(Scalar(lambda x: x + rng.random(x.shape), np.ones_like), self.X)
        assert row.verdict == NONDETERMINISTIC

    def test_weak(self) -> None:
        assert verdict_of(Scalar(np.ones_like, np.zeros_like), self.X).verdict == WEAK
        assert verdict_of(Scalar(np.ones_like, None, forward=np.zeros_like), self.X).verdict == WEAK

    def test_forward_mode_is_judged_by_the_adjoint_identity(self) -> None:
        row = verdict_of(Scalar(np.exp, np.exp, forward=lambda x: 1.001 * np.exp(x)), self.X, "forward")
        assert row.verdict == WRONG
        assert "(by x)" in row.message
        assert verdict_of(Scalar(np.exp, np.exp), self.X, "forward").verdict == OK

    def test_no_forward_mode_is_said(self) -> None:
        program = Scalar(np.exp, np.exp)
        program.pushed = None
        assert verdict_of(program, self.X, "forward").verdict == UNSUPPORTED

    def test_second_order(self) -> None:
        for factor, expected in ((1.0, OK), (1.1, WRONG)):
            program = Scalar(np.sin, np.cos, second=lambda x, factor=factor: -factor * np.sin(x))
            check = GradientCheck(program, [self.X], seed=0)
            assert {row.check: row.verdict for row in check.rows()}["numeric"] == OK
            rows = {row.check: row.verdict for row in check.of_gradient(seed=0).rows(forward=False)}
            assert rows == {"second order": expected}

    def test_a_value_that_is_not_finite_is_no_place_to_look(self) -> None:
        row = verdict_of(Scalar(np.log, lambda x: 1 / x), np.array([-1.0, 1.0]))
        assert row.verdict == NOISE
        assert "not finite" in row.message

    def test_of_a_function_without_outputs(self) -> None:
        program = Scalar(np.exp, np.exp)
        program.value = lambda xs: []  # type: ignore[method-assign]
        assert verdict_of(program, self.X).verdict == WRONG

    def test_the_same_seed_gives_the_same_rows(self) -> None:
        program = Scalar(np.tanh, lambda x: 1 - np.tanh(x) ** 2)
        first, again = (list(GradientCheck(program, [self.X], seed=3).rows()) for _ in range(2))
        assert first == again

    @pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
    def test_the_scale_of_an_argument_does_not_matter(self, size: float) -> None:
        right = Scalar(lambda x: np.sin(x / size), lambda x: np.cos(x / size) / size)
        wrong = Scalar(lambda x: np.sin(x / size), lambda x: 1.01 * np.cos(x / size) / size)
        assert verdict_of(right, size * self.X).verdict == OK
        assert verdict_of(wrong, size * self.X).verdict == WRONG


def test_tolerance_of_differences_grows_with_the_quadrature_of_the_terms() -> None:
    assert of_differences(np.array([3.0, 4.0]), unit_roundoff=U) == pytest.approx(2e-5 * 5)
    assert of_differences(np.array([3.0, 4.0]), unit_roundoff=UNIT_ROUNDOFF["float32"]) > of_differences(
        np.array([3.0, 4.0]), unit_roundoff=U
    )


class TestReport:
    def rows(self, *verdicts: str) -> GradientReport:
        return GradientReport("mine", "torch", [Row("x", "numeric", "eager", verdict, "seen") for verdict in verdicts], 7)

    def test_the_gravest_verdict_counts(self) -> None:
        assert worst([OK, WEAK, WRONG, KINK]) == WRONG
        assert worst([]) == OK
        assert self.rows(OK, KINK, WEAK, UNSUPPORTED).good
        assert self.rows(OK, KINK, WEAK, UNSUPPORTED).verdict == KINK

    @pytest.mark.parametrize("verdict", [WRONG, NOISE, NONDETERMINISTIC])
    def test_what_fails_raises_with_the_table(self, verdict: str) -> None:
        report = self.rows(OK, verdict)
        with pytest.raises(GradientsWrong, match=verdict) as caught:
            report.check()
        assert caught.value.report is report
        assert report.bad() == [report.rows[1]]

    def test_the_table_has_everything(self) -> None:
        text = self.rows(OK, WRONG).table()
        assert "gradients of mine on torch, seed 7" in text
        assert text.count("numeric") == 2


@pytest.mark.parametrize("name", ["linear_regression", "logistic_regression", "tanh_network", "mlp", "cnn", "rnn"])
def test_gradients_by_hand_are_those_of_their_own_losses(name: str) -> None:
    rng = np.random.default_rng(5)
    loss, shapes, x, y = _LESSONS[name](rng)
    weights = {key: rng.standard_normal(shape) / 4 for key, shape in shapes.items()}
    found = getattr(by_hand, name)(weights, x, y)
    assert list(found) == list(weights)
    for key, weight in weights.items():
        for _ in range(3):
            direction = rng.choice((-1.0, 1.0), size=weight.shape)
            line = Line(
                lambda xs, key=key: [np.asarray(loss({**weights, key: xs[0]}, x, y))],
                [weight], index=0, direction=direction, vs=[np.asarray(1.0)], unit_roundoff=U,
            )  # fmt: skip
            estimate = extrapolated(line)
            assert np.sum(found[key] * direction) == pytest.approx(estimate.value, rel=1e-6, abs=1e-8)


def _cross_entropy(logits: Array, labels: Array) -> float:
    return float(-np.mean(np.log(by_hand.softmax(logits)[np.arange(len(labels)), labels])))


def _conv_net(w: Any, x: Array, labels: Array) -> float:
    z = np.zeros((len(x), 4, 4, 2)) + w["bias"]
    for i in range(3):
        for j in range(3):
            z += x[:, i : i + 4, j : j + 4] @ w["kernel"][i, j]
    pooled = np.maximum(z, 0).reshape(len(x), 2, 2, 2, 2, 2).max(axis=(2, 4))
    return _cross_entropy(pooled.reshape(len(x), -1) @ w["w2"] + w["b2"], labels)


def _recurrent(w: Any, x: Array, y: Array) -> float:
    h = np.zeros((len(x), 4))
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ w["W"] + h @ w["U"] + w["b"])
    return float(np.mean((h @ w["V"] + w["c"] - y) ** 2))


def _entropy_of_sigmoid(w: Any, x: Array, y: Array) -> float:
    p = by_hand.sigmoid(x @ w["kernel"] + w["bias"])
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))


_LESSONS: dict[str, Callable[[np.random.Generator], Any]] = {
    "linear_regression": lambda rng: (
        lambda w, x, y: np.mean((x @ w["kernel"] + w["bias"] - y) ** 2),
        {"kernel": (3, 1), "bias": (1,)}, rng.standard_normal((6, 3)), rng.standard_normal((6, 1)),
    ),
    "logistic_regression": lambda rng: (
        _entropy_of_sigmoid,
        {"kernel": (3, 1), "bias": (1,)}, rng.standard_normal((6, 3)), rng.integers(0, 2, (6, 1)).astype(float),
    ),
    "tanh_network": lambda rng: (
        lambda w, x, y: np.mean((np.tanh(x @ w["w1"] + w["b1"]) @ w["w2"] + w["b2"] - y) ** 2),
        {"w1": (3, 4), "b1": (4,), "w2": (4, 1), "b2": (1,)}, rng.standard_normal((6, 3)), rng.standard_normal((6, 1)),
    ),
    "mlp": lambda rng: (
        lambda w, x, y: _cross_entropy(np.maximum(x @ w["w1"] + w["b1"], 0) @ w["w2"] + w["b2"], y),
        {"w1": (3, 5), "b1": (5,), "w2": (5, 4), "b2": (4,)}, rng.standard_normal((6, 3)), rng.integers(0, 4, 6),
    ),
    "cnn": lambda rng: (
        _conv_net,
        {"kernel": (3, 3, 2, 2), "bias": (2,), "w2": (8, 3), "b2": (3,)},
        rng.standard_normal((3, 6, 6, 2)), rng.integers(0, 3, 3),
    ),
    "rnn": lambda rng: (
        _recurrent,
        {"W": (3, 4), "U": (4, 4), "b": (4,), "V": (4, 1), "c": (1,)},
        rng.standard_normal((5, 6, 3)), rng.standard_normal((5, 1)),
    ),
}  # fmt: skip
