"""The documented models' data: real, on the disk already, and prepared as the tutorials say.

MNIST itself when Keras's cache holds it, else the 1,797 handwritten digits that scikit-learn brings with it,
scaled to 28 x 28; the breast-cancer table of scikit-learn for the classifiers of tables; the tutorial's own line.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.models.spec import ModelSpec

__all__ = ["SOURCES", "Dataset", "DatasetError", "load", "mnist_file"]

Array = NDArray[np.generic]

# How many samples to train on and to hold out: whole batches of every size that the models use, since a short last batch is
# one more shape to compile (properties of their own look at short batches, on few samples).
# Of the digits about one in two is held out: a level means more when many samples show it, and training is what takes the time.
# As much is taken of MNIST's 60,000 and 10,000. The table is small, and ten epochs of less than four fifths of it leave the
# documented classifier untrained.
IMAGES = 896, 896
TUMOURS = 448, 120


class DatasetError(Exception):
    """A data file is there and cannot be used."""


@dataclass(frozen=True)
class Dataset:
    """Inputs and targets, float32 (integer labels: int64), ready for `fit`; the held-out part was never seen."""

    description: str
    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array


@dataclass(frozen=True)
class _Raw:
    """As read: features and labels, not yet prepared."""

    description: str
    x_train: Array
    labels_train: Array
    x_test: Array
    labels_test: Array


def mnist_file() -> Path:
    """Where Keras keeps MNIST once somebody has downloaded it (`KERAS_HOME`, or `~/.keras`)."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "datasets" / "mnist.npz"


def _split(count: int, sizes: tuple[int, int], rng: np.random.Generator) -> tuple[Array, Array]:
    """The indices of as many training samples and held-out ones as `sizes` says; a few may be left over."""
    order = rng.permutation(count)
    train, held_out = sizes
    return order[:train], order[train : train + held_out]


def _read_mnist(path: Path, rng: np.random.Generator) -> _Raw:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DatasetError(
            f"{path} is not a readable MNIST archive ({type(error).__name__}: {error}); delete it, and scikit-learn's "
            "digits are used instead"
        ) from error
    train = rng.permutation(len(arrays["x_train"]))[: IMAGES[0]]
    test = rng.permutation(len(arrays["x_test"]))[: IMAGES[1]]
    return _Raw(
        f"MNIST from Keras's cache: {len(train):,} of {len(arrays['x_train']):,} images, "
        f"{len(test):,} of {len(arrays['x_test']):,} held out",
        arrays["x_train"][train],
        arrays["y_train"][train].astype(np.int64),
        arrays["x_test"][test],
        arrays["y_test"][test].astype(np.int64),
    )


def _digits_8x8(rng: np.random.Generator) -> _Raw:
    from sklearn.datasets import load_digits

    digits = load_digits()
    train, test = _split(len(digits.images), IMAGES, rng)
    labels = digits.target.astype(np.int64)
    return _Raw(
        f"scikit-learn's handwritten digits, 8 x 8: {len(train):,} scans, {len(test):,} held out",
        digits.images[train].astype(np.float32) / np.float32(16),
        labels[train],
        digits.images[test].astype(np.float32) / np.float32(16),
        labels[test],
    )


def _pixels_28x28(rng: np.random.Generator) -> _Raw:
    """28 x 28 pixels as integers from 0 to 255, the form in which MNIST comes."""
    cached = mnist_file()
    if cached.exists():
        return _read_mnist(cached, rng)
    from scipy.ndimage import zoom

    small = _digits_8x8(rng)

    def enlarge(images: Array) -> Array:
        larger: Array = np.rint(255 * zoom(images, (1, 3.5, 3.5), order=1)).astype(np.uint8)
        return larger

    return _Raw(
        small.description.replace("8 x 8", "scaled from 8 x 8 to 28 x 28 (MNIST is not in Keras's cache)"),
        enlarge(small.x_train),
        small.labels_train,
        enlarge(small.x_test),
        small.labels_test,
    )


def _images(rng: np.random.Generator) -> _Raw:
    raw = _pixels_28x28(rng)
    scale = np.float32(255)
    return _Raw(
        raw.description,
        raw.x_train[..., np.newaxis].astype(np.float32) / scale,
        raw.labels_train,
        raw.x_test[..., np.newaxis].astype(np.float32) / scale,
        raw.labels_test,
    )


def _flat_images(rng: np.random.Generator) -> _Raw:
    raw = _images(rng)
    return _Raw(
        raw.description,
        raw.x_train.reshape(len(raw.x_train), -1),
        raw.labels_train,
        raw.x_test.reshape(len(raw.x_test), -1),
        raw.labels_test,
    )


def _tumours(rng: np.random.Generator, features: int) -> _Raw:
    from sklearn.datasets import load_breast_cancer

    table = load_breast_cancer()
    train, test = _split(len(table.data), TUMOURS, rng)
    x = table.data[:, :features]
    # The held-out samples are scaled by what the training samples show: they must not leak into it.
    mean, deviation = x[train].mean(axis=0), x[train].std(axis=0)
    x = ((x - mean) / deviation).astype(np.float32)
    labels = table.target.astype(np.int64)
    return _Raw(
        f"scikit-learn's breast cancer table, {features} features, standardized: {len(train):,} tumours, "
        f"{len(test):,} held out",
        x[train],
        labels[train],
        x[test],
        labels[test],
    )


def _line(rng: np.random.Generator) -> _Raw:
    """The tutorial's own: 100 uniform x in [0, 1), y = 0.1 x + 0.3, float32, of shape (100,)."""

    def draw() -> tuple[Array, Array]:
        x = rng.random(100).astype(np.float32)
        return x, x * np.float32(0.1) + np.float32(0.3)

    (x_train, y_train), (x_test, y_test) = draw(), draw()
    return _Raw("the tutorial's line y = 0.1 x + 0.3: 100 points, 100 held out", x_train, y_train, x_test, y_test)


SOURCES: Mapping[str, Callable[[np.random.Generator], _Raw]] = MappingProxyType(
    {
        "images": _images,
        "flat_images": _flat_images,
        "rows": _digits_8x8,
        "tumours_8": lambda rng: _tumours(rng, 8),
        "tumours_30": lambda rng: _tumours(rng, 30),
        "line": _line,
    }
)


def _targets(form: str, x: Array, labels: Array, classes: int) -> Array:
    if form == "one_hot":
        rows: Array = np.eye(classes, dtype=np.float32)[labels]
        return rows
    if form == "integer":
        return labels
    if form == "binary":
        return labels.astype(np.float32)[:, np.newaxis]
    if form == "inputs":
        return x
    if form == "real":
        return labels
    raise ValueError(f"unknown form of targets {form!r}")


def load(spec: ModelSpec, seed: int) -> Dataset:
    """The data of one model, split by `seed`: the same on every backend.

    Raises:
        DatasetError: Keras's cache holds an MNIST file that cannot be read.
    """
    raw = SOURCES[spec.data](np.random.default_rng(seed))
    classes = spec.output_shape[-1]
    return Dataset(
        raw.description,
        raw.x_train,
        _targets(spec.targets, raw.x_train, raw.labels_train, classes),
        raw.x_test,
        _targets(spec.targets, raw.x_test, raw.labels_test, classes),
    )
