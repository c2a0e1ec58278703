"""The specs say what the tutorials say, and their data is what it claims to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_dlcheck.models import data
from pytest_dlcheck.models.documented import DOCUMENTED, by_name
from pytest_dlcheck.models.spec import Level, ModelSpec

# name: parameters, batch, epochs, optimizer, loss, output shape - from the tutorials' texts.
STATED = {
    "mnist_cnn3": (93_322, 64, 5, "adam", "categorical_crossentropy", (10,)),
    "mnist_cnn1": (54_410, 128, 10, "adam", "sparse_categorical_crossentropy", (10,)),
    "mnist_mlp": (101_770, 32, 10, "adam", "categorical_crossentropy", (10,)),
    "linear_regression": (2, 1, 100, "sgd", "mean_squared_error", (1,)),
    "binary_classifier": (211, 32, 10, "adam", "binary_crossentropy", (1,)),
}


@pytest.mark.parametrize("name", STATED)
def test_a_spec_says_what_the_tutorial_says(name: str) -> None:
    spec = by_name(name)
    assert STATED[name] == (spec.parameters, spec.batch_size, spec.epochs, spec.optimizer, spec.loss, spec.output_shape)
    assert spec.parameters_stated == spec.parameters


def test_the_others_are_named_without_code() -> None:
    others = {spec.name for spec in DOCUMENTED} - set(STATED)
    assert others == {"logistic_regression", "simple_rnn", "autoencoder"}
    assert all(by_name(name).parameters_stated is None for name in others)


def test_shapes_through_the_three_convolutions() -> None:
    shapes = [shape for _, shape in by_name("mnist_cnn3").shapes()]
    assert shapes == [(28, 28, 1), (26, 26, 32), (13, 13, 32), (11, 11, 64), (5, 5, 64), (3, 3, 64), (576,), (64,)]


def test_an_unknown_model_lists_the_known() -> None:
    with pytest.raises(LookupError, match="no documented model 'mnist'; there are mnist_cnn3, mnist_cnn1"):
        by_name("mnist")


@pytest.mark.parametrize("spec", DOCUMENTED, ids=lambda spec: spec.name)
class TestData:
    def test_has_the_shapes_of_the_model(self, spec: ModelSpec, no_mnist: None) -> None:
        found = data.load(spec, 3)
        for x, y in ((found.x_train, found.y_train), (found.x_test, found.y_test)):
            assert x.dtype == np.float32
            assert x.size == len(x) * np.prod(spec.input_shape)
            assert len(x) == len(y) >= 25
            assert np.isfinite(x).all()
            assert y.dtype == (np.int64 if spec.targets == "integer" else np.float32)

    def test_holds_out_what_it_does_not_train_on(self, spec: ModelSpec, no_mnist: None) -> None:
        found = data.load(spec, 3)
        train = {row.tobytes() for row in found.x_train}
        assert not [row for row in found.x_test if row.tobytes() in train]

    def test_is_split_by_the_seed(self, spec: ModelSpec, no_mnist: None) -> None:
        first, again, other = (data.load(spec, seed) for seed in (3, 3, 4))
        np.testing.assert_array_equal(first.x_train, again.x_train)
        np.testing.assert_array_equal(first.y_test, again.y_test)
        assert not np.array_equal(first.x_train, other.x_train)


@pytest.fixture
def no_mnist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))


def test_digits_keep_their_shape_and_range(no_mnist: None) -> None:
    spec = by_name("mnist_cnn3")
    found = data.load(spec, 0)
    assert found.x_train.shape[1:] == (28, 28, 1)
    assert found.x_train.min() == 0
    assert found.x_train.max() == 1
    # Divided by 255, as the tutorials do, they come from integers.
    np.testing.assert_allclose(found.x_train * 255, np.rint(found.x_train * 255), atol=1e-4)
    assert (len(found.x_train), len(found.x_test)) == (896, 896)
    assert "MNIST is not in Keras's cache" in found.description
    np.testing.assert_array_equal(found.y_train.sum(axis=1), 1)


@pytest.mark.parametrize("spec", DOCUMENTED, ids=lambda spec: spec.name)
def test_an_epoch_is_of_whole_batches_of_samples_that_are_not_held_out(spec: ModelSpec, no_mnist: None) -> None:
    found = data.load(spec, 0)
    assert len(found.x_train) % spec.batch_size == 0
    if spec.data != "line":  # whose points are drawn, not shared out
        seen = {row.tobytes() for row in found.x_train}
        assert not any(row.tobytes() in seen for row in found.x_test[:50])


def test_the_table_is_scaled_by_what_is_trained_on(no_mnist: None) -> None:
    found = data.load(by_name("binary_classifier"), 0)
    np.testing.assert_allclose(found.x_train.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found.x_train.std(axis=0), 1, atol=1e-5)
    assert np.abs(found.x_test.mean(axis=0)).max() > 1e-3


def test_the_line(no_mnist: None) -> None:
    found = data.load(by_name("linear_regression"), 0)
    assert found.x_train.shape == found.y_train.shape == (100,)
    np.testing.assert_allclose(found.y_train, 0.1 * found.x_train + 0.3, rtol=1e-6)


@pytest.fixture
def mnist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file in the place and of the form of Keras's MNIST; its contents are drawn."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = tmp_path / "datasets" / "mnist.npz"
    path.parent.mkdir()
    rng = np.random.default_rng(0)
    np.savez(
        path,
        x_train=rng.integers(0, 256, (2000, 28, 28), dtype=np.uint8),
        y_train=rng.integers(0, 10, 2000, dtype=np.uint8),
        x_test=rng.integers(0, 256, (1000, 28, 28), dtype=np.uint8),
        y_test=rng.integers(0, 10, 1000, dtype=np.uint8),
    )
    return path


def test_mnist_itself_is_taken_where_keras_has_it(mnist: Path) -> None:
    found = data.load(by_name("mnist_cnn1"), 0)
    assert found.description == "MNIST from Keras's cache: 896 of 2,000 images, 896 of 1,000 held out"
    assert found.x_train.shape == (896, 28, 28, 1)
    assert found.y_test.dtype == np.int64
    assert data.load(by_name("mnist_mlp"), 0).x_train.shape == (896, 784)


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 cut off"])
def test_a_broken_mnist_file_is_named(mnist: Path, content: bytes) -> None:
    mnist.write_bytes(content)
    with pytest.raises(data.DatasetError, match=r"mnist\.npz is not a readable MNIST archive .*delete it"):
        data.load(by_name("mnist_cnn1"), 0)


@pytest.mark.parametrize(
    ("level", "value", "reached"),
    [
        (Level("accuracy", 0.9, ""), 0.9, True),
        (Level("accuracy", 0.9, ""), 0.89, False),
        (Level("accuracy", 0.9, ""), float("nan"), False),
        (Level("mean_squared_error", 0.1, ""), 0.1, True),
        (Level("mean_squared_error", 0.1, ""), 0.11, False),
        (Level("mean_squared_error", 0.1, ""), float("nan"), False),
    ],
)
def test_a_level_is_reached_from_its_better_side(level: Level, value: float, reached: bool) -> None:
    assert level.reached(value) is reached


def test_every_level_is_out_of_reach_of_guessing(no_mnist: None) -> None:
    """What a model would show that has learned nothing: the commonest class, or the mean."""
    for spec in DOCUMENTED:
        found = data.load(spec, 0)
        if spec.level.of_start:
            # Untrained, or with the bias trained as well as can be and the slope not at all.
            untrained = (found.x_test * 1.2 - found.y_test) ** 2
            bias_only = np.var(found.x_test * 1.2 - found.y_test)
            assert not spec.level.reached(1.0), spec.name
            assert not spec.level.reached(float(bias_only / untrained.mean())), spec.name
        elif spec.level.metric == "mean_squared_error":
            guess = found.y_train.mean(axis=0)
            assert not spec.level.reached(float(np.mean((found.y_test - guess) ** 2))), spec.name
        else:
            labels = found.y_test.argmax(axis=1) if spec.targets == "one_hot" else found.y_test.astype(int).ravel()
            assert not spec.level.reached(np.bincount(labels).max() / len(labels) + 0.05), spec.name


def test_training_is_shortened_outside_the_nightly_profile() -> None:
    spec = by_name("linear_regression")
    assert (spec.epochs_in("default"), spec.epochs_in("nightly")) == (15, 100)
    assert by_name("binary_classifier").epochs_in("default") == 10
