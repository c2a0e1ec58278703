"""The tutorials' own mathematics: their models' gradients by hand, link by link, and gradient descent with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_dlcheck import Backend
from pytest_dlcheck.references import backpropagation as by_hand
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, perturbed

pytestmark = [pytest.mark.dl_trains, pytest.mark.dl_property("closed_form"), pytest.mark.usefixtures("wide")]

Array = NDArray[Any]
Weights = Mapping[str, Array]


class Lesson(NamedTuple):
    """A model of the tutorials with its loss, in Keras and by hand.

    Attributes:
        layers: makes the layers.
        loss: from targets and outputs to the loss, by Keras's functions.
        by_hand: its gradient by each weight.
        shapes: of the weights, in the order in which Keras holds them.
        x: the shape of the inputs.
        y: draws the targets.
    """

    layers: Callable[[Any], list[Any]]
    loss: Callable[[Any, Any, Any], Any]
    by_hand: Callable[[Weights, Array, Array], dict[str, Array]]
    shapes: Mapping[str, tuple[int, ...]]
    x: tuple[int, ...]
    y: Callable[[np.random.Generator], Array]


def _squared_error(keras: Any, y: Any, outputs: Any) -> Any:
    return keras.ops.mean(keras.losses.mean_squared_error(y, outputs))


def _binary_cross_entropy(keras: Any, y: Any, outputs: Any) -> Any:
    return keras.ops.mean(keras.losses.binary_crossentropy(y, outputs))


def _cross_entropy(keras: Any, y: Any, outputs: Any) -> Any:
    return keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, outputs))


LESSONS: Mapping[str, Lesson] = {
    "linear_regression": Lesson(
        lambda layers: [layers.Dense(1, dtype="float64")],
        _squared_error,
        by_hand.linear_regression,
        {"kernel": (3, 1), "bias": (1,)},
        (8, 3),
        lambda rng: rng.standard_normal((8, 1)),
    ),
    "logistic_regression": Lesson(
        lambda layers: [layers.Dense(1, activation="sigmoid", dtype="float64")],
        _binary_cross_entropy,
        by_hand.logistic_regression,
        {"kernel": (3, 1), "bias": (1,)},
        (8, 3),
        lambda rng: rng.integers(0, 2, (8, 1)).astype(np.float64),
    ),
    "chain_rule": Lesson(
        lambda layers: [layers.Dense(4, activation="tanh", dtype="float64"), layers.Dense(1, dtype="float64")],
        _squared_error,
        by_hand.tanh_network,
        {"w1": (3, 4), "b1": (4,), "w2": (4, 1), "b2": (1,)},
        (8, 3),
        lambda rng: rng.standard_normal((8, 1)),
    ),
    "mlp": Lesson(
        lambda layers: [
            layers.Dense(6, activation="relu", dtype="float64"),
            layers.Dense(4, activation="softmax", dtype="float64"),
        ],
        _cross_entropy,
        by_hand.mlp,
        {"w1": (5, 6), "b1": (6,), "w2": (6, 4), "b2": (4,)},
        (8, 5),
        lambda rng: rng.integers(0, 4, 8),
    ),
    "cnn": Lesson(
        lambda layers: [
            layers.Conv2D(4, 3, activation="relu", dtype="float64", data_format="channels_last"),
            layers.MaxPooling2D(2, dtype="float64", data_format="channels_last"),
            layers.Flatten(dtype="float64", data_format="channels_last"),
            layers.Dense(3, activation="softmax", dtype="float64"),
        ],
        _cross_entropy,
        by_hand.cnn,
        {"kernel": (3, 3, 2, 4), "bias": (4,), "w2": (16, 3), "b2": (3,)},
        (3, 6, 6, 2),
        lambda rng: rng.integers(0, 3, 3),
    ),
    "rnn": Lesson(
        lambda layers: [layers.SimpleRNN(4, dtype="float64"), layers.Dense(1, dtype="float64")],
        _squared_error,
        by_hand.rnn,
        {"W": (3, 4), "U": (4, 4), "b": (4,), "V": (4, 1), "c": (1,)},
        (5, 6, 3),
        lambda rng: rng.standard_normal((5, 1)),
    ),
}


class Study:
    """A lesson on a backend: the model with its loss as one layer, and its numbers."""

    def __init__(self, lesson: Lesson, backend: Backend, seed: int) -> None:
        rng = np.random.default_rng(seed)
        keras = backend.keras
        self.lesson = lesson
        self.x, self.y = rng.standard_normal(lesson.x), lesson.y(rng)
        # Small, so that no probability is one that Keras clips.
        self.weights = {name: rng.standard_normal(shape) / 4 for name, shape in lesson.shapes.items()}
        inner = keras.Sequential([keras.Input(lesson.x[1:], dtype="float64"), *lesson.layers(keras.layers)])
        inner.set_weights(list(self.weights.values()))
        targets, loss = self.y, lesson.loss

        class WithLoss(keras.layers.Layer):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__(dtype="float64")
                self.inner = inner
                self.built = True

            def call(self, x: Any) -> Any:
                return loss(keras, keras.ops.convert_to_tensor(targets), self.inner(x))

        self.model = WithLoss()

    def by_hand(self, move: Callable[[Array], Array]) -> dict[str, Array]:
        y = self.y if self.y.dtype.kind == "i" else move(self.y)
        return self.lesson.by_hand({name: move(value) for name, value in self.weights.items()}, move(self.x), y)


@pytest.fixture(params=LESSONS)
def study(request: pytest.FixtureRequest, backend: Backend, wide: None, dl_seed: int) -> Study:
    return Study(LESSONS[request.param], backend, dl_seed)


@pytest.mark.dl_subject("models.tutorials")
def test_back_propagation_by_hand(study: Study, pull_back: Callable[..., Any], agrees: Callable[..., None]) -> None:
    found = list(pull_back(study.model, study.x).values())[1:]  # after that by the inputs
    agrees(dict(zip(study.weights, found, strict=True)), study.by_hand)


@pytest.mark.dl_subject("models.tutorials")
def test_gradients_by_differences(study: Study, check_gradients: Callable[..., Any]) -> None:
    check_gradients(study.model, study.x, name="the loss")


@pytest.mark.dl_subject("keras.optimizers.SGD")
def test_gradient_descent(study: Study, backend: Backend, pull_back: Callable[..., Any]) -> None:
    """Five steps of theta <- theta - alpha dJ/dtheta: the framework's gradients and optimizer, and both by hand."""
    rate, steps = 0.1, 5
    optimizer = backend.keras.optimizers.SGD(learning_rate=rate)
    variables = study.model.trainable_variables
    optimizer.build(variables)
    for _ in range(steps):
        gradients = list(pull_back(study.model, study.x).values())[1:]
        optimizer.apply([backend.put(np.asarray(gradient)) for gradient in gradients], variables)
    # The variables of an optimizer's update are of the optimizer's own making: float32 in places.
    ends = [np.asarray(backend.to_numpy(variable), dtype=np.float64) for variable in variables]
    for name, end in zip(study.weights, ends, strict=True):
        bounded = perturbed(partial(_descended, study, rate, steps, name), unit_roundoff=UNIT_ROUNDOFF["float32"])
        gap = np.abs(end - bounded.value)
        assert np.all(gap <= bounded.tolerance), (
            f"{name} is off by {gap.max():.3g} after {steps} steps, allowed {bounded.tolerance.min():.3g} ({bounded.derived})"
        )
        assert np.any(np.abs(end - study.weights[name]) > bounded.tolerance), f"{name} has not moved"


def _descended(study: Study, rate: float, steps: int, name: str, move: Callable[[Array], Array]) -> Array:
    theta = {name: move(value) for name, value in study.weights.items()}
    x, y = move(study.x), study.y
    for _ in range(steps):
        gradients = study.lesson.by_hand(theta, x, y)
        theta = {name: value - rate * gradients[name] for name, value in theta.items()}
    return theta[name]
