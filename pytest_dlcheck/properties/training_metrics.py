"""Metrics over batches are the metrics of all samples at once, computed in float64 NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.observe.training_learnt import Streamed
from pytest_dlcheck.properties.comparison import within
from pytest_dlcheck.properties.training import first_failure
from pytest_dlcheck.properties.verdict import Verdict, failed
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, Bounded

__all__ = ["of_the_whole", "references"]

Array = NDArray[Any]

THRESHOLDS = 200
"""Of the area under the curve, by default: evenly from 0 to 1, the first and the last a little outside."""
OUTSIDE = 1e-7


def _area(labels: Array, p: Array, weights: Array) -> float:
    """Under the receiver's operating curve, by trapezoids between thresholds, every class of every sample a case."""
    inner = np.arange(1, THRESHOLDS - 1) / (THRESHOLDS - 1)
    over = p.reshape(-1, 1) > np.array([-OUTSIDE, *inner, 1 + OUTSIDE])
    each = np.repeat(weights, p.shape[1])
    positive = labels.ravel() > 0
    hits = (over * (each * positive)[:, np.newaxis]).sum(axis=0) / (each * positive).sum()
    alarms = (over * (each * ~positive)[:, np.newaxis]).sum(axis=0) / (each * ~positive).sum()
    return float(np.sum((alarms[:-1] - alarms[1:]) * (hits[:-1] + hits[1:]) / 2))


def _f1(labels: Array, chosen: Array, weights: Array) -> float:
    """The mean over the classes of 2 tp / (2 tp + fp + fn), the most probable class being the chosen one."""
    w = weights[:, np.newaxis]
    both, either = (w * labels * chosen).sum(axis=0), (w * (labels + chosen)).sum(axis=0)
    return float(np.mean(np.divide(2 * both, either, out=np.zeros_like(both), where=either > 0)))


def references(probabilities: Array, labels: Array, weights: Array | None) -> Mapping[str, float]:
    """Every metric of all samples, by its documented formula."""
    p, y = probabilities.astype(np.float64), labels.astype(np.float64)
    w = np.ones(len(p)) if weights is None else np.asarray(weights, dtype=np.float64)

    def mean(values: Array) -> float:
        return float(np.sum(w * values) / np.sum(w))

    true = y.argmax(axis=1)
    rank = (p > p[np.arange(len(p)), true][:, np.newaxis]).sum(axis=1)
    over = p > 0.5
    hits = (w[:, np.newaxis] * over * y).sum()
    return {
        "categorical_accuracy": mean(rank == 0),
        "top_2": mean(rank < 2),
        "categorical_crossentropy": mean(-np.log(p[np.arange(len(p)), true] / p.sum(axis=1))),
        "mean_squared_error": mean(((p - y) ** 2).mean(axis=1)),
        "mean_absolute_error": mean(np.abs(p - y).mean(axis=1)),
        "root_mean_squared_error": float(np.sqrt(mean(((p - y) ** 2).mean(axis=1)))),
        "cosine_similarity": mean((p * y).sum(axis=1) / np.linalg.norm(p, axis=1)),
        "precision": float(hits / (w[:, np.newaxis] * over).sum()),
        "recall": float(hits / (w[:, np.newaxis] * y).sum()),
        "auc": _area(y, p, w),
        "f1_score": _f1(y, np.eye(p.shape[1])[p.argmax(axis=1)], w),
    }


def of_the_whole(seen: Streamed) -> Verdict:
    """Whatever the size of the batches, a short last one and a run before it included."""
    if not seen.ways:
        return failed("nothing was evaluated")
    expected = references(seen.probabilities, seen.labels, seen.weights)
    verdicts = []
    for way, found in seen.ways.items():
        if set(found) != set(expected):
            return failed(f"{way} gives {', '.join(sorted(found))} instead of {', '.join(sorted(expected))}")
        for name, value in found.items():
            # Two sums over all entries, for the area one more over the thresholds, and sixteen operations of the formula.
            terms = 2 * seen.probabilities.size + (THRESHOLDS if name == "auc" else 0) + 16
            tolerance = np.array([terms * UNIT_ROUNDOFF["float32"] * max(1.0, abs(expected[name]))])
            bounded = Bounded(np.array([expected[name]]), tolerance, f"{terms} roundings in float32")
            verdicts.append(within(f"{way}: {name}", np.array([value]), bounded))
    return first_failure(*verdicts)
