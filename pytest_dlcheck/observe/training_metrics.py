"""Metrics that run over batches: a model that passes its input on is evaluated in batches of several sizes."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.observe.training_learnt import Streamed

__all__ = ["MetricObserver", "draw_scores"]

Array = NDArray[Any]

COUNT, CLASSES, PARTS = 20, 3, 255


def draw_scores(seed: int) -> tuple[Array, Array, Array]:
    """Probabilities, (20, 3), one-hot labels, and weights of the samples.

    A probability is a whole number of 255ths, so that none is a threshold of a metric, and no two of a sample are the same.
    """
    rng = np.random.default_rng(seed)
    parts = rng.integers(1, PARTS // CLASSES, (COUNT, CLASSES))
    parts[:, 0] = np.where(parts[:, 1] == parts[:, 2], parts[:, 2] + 1, parts[:, 1])
    parts[:, 1] = np.where(parts[:, 0] == parts[:, 2], parts[:, 2] + 2, parts[:, 0])
    parts[:, 0] = PARTS - parts[:, 1] - parts[:, 2]
    parts = rng.permuted(parts, axis=1)
    labels = np.where(rng.random(COUNT) < 0.5, parts.argmax(axis=1), rng.integers(0, CLASSES, COUNT))
    weights = rng.choice(np.array([0, 0.5, 1, 2], dtype=np.float32), COUNT)
    return (parts / PARTS).astype(np.float32), np.eye(CLASSES, dtype=np.float32)[labels], weights


class MetricObserver:
    """A model without weights, compiled with many metrics.

    Args:
        backend: one that trains, and so evaluates in compiled steps.
        seed: of the probabilities, the labels and the weights.
    """

    def __init__(self, backend: Backend, seed: int) -> None:
        self.backend = backend
        self.probabilities, self.labels, self.weights = draw_scores(seed)

    def _metrics(self) -> list[Any]:
        metrics = self.backend.keras.metrics
        return [
            metrics.CategoricalAccuracy(name="categorical_accuracy"),
            metrics.TopKCategoricalAccuracy(k=2, name="top_2"),
            metrics.CategoricalCrossentropy(name="categorical_crossentropy"),
            metrics.MeanSquaredError(name="mean_squared_error"),
            metrics.MeanAbsoluteError(name="mean_absolute_error"),
            metrics.RootMeanSquaredError(name="root_mean_squared_error"),
            metrics.CosineSimilarity(name="cosine_similarity"),
            metrics.Precision(name="precision"),
            metrics.Recall(name="recall"),
            metrics.AUC(name="auc"),
            metrics.F1Score(average="macro", name="f1_score"),
        ]

    @cached_property
    def _models(self) -> dict[bool, Any]:
        keras = self.backend.keras
        made = {}
        for weighted in (False, True):
            model = keras.Sequential([keras.Input((CLASSES,)), keras.layers.Activation("linear")])
            model.compile(loss="mean_squared_error", **{"weighted_metrics" if weighted else "metrics": self._metrics()})
            made[weighted] = model
        return made

    def streamed(self, sizes: tuple[int, ...], *, weighted: bool = False) -> Streamed:
        """The metrics in batches of several sizes, one after the other, so that each has to begin anew."""
        weights = self.weights if weighted else None
        ways = {}
        with self.backend.alone():
            for size in sizes:
                found = self._models[weighted].evaluate(
                    self.probabilities, self.labels, sample_weight=weights, batch_size=size, verbose=0, return_dict=True
                )
                ways[f"evaluate(batch_size={size})"] = {name: float(value) for name, value in found.items() if name != "loss"}
        return Streamed(self.probabilities, self.labels, weights, ways)
