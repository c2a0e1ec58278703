"""Metrics over batches: the property passes what scikit-learn says too, and catches planted defects. No framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics

from pytest_dlcheck.observe.training_learnt import Streamed
from pytest_dlcheck.observe.training_metrics import draw_scores
from pytest_dlcheck.properties.training_metrics import of_the_whole, references

P, Y, W = draw_scores(0)
NAMES = tuple(references(P, Y, None))


def streamed(found: Mapping[str, float], *, weighted: bool = False) -> Streamed:
    return Streamed(P, Y, W if weighted else None, {"evaluate": {name: float(np.float32(v)) for name, v in found.items()}})


def over_batches(weighted: bool, size: int = 8) -> Mapping[str, float]:
    """The mean of the batches' metrics, as if each counted alike."""
    cuts = [slice(first, first + size) for first in range(0, len(P), size)]
    each = [references(P[cut], Y[cut], W[cut] if weighted else None) for cut in cuts]
    return {name: float(np.mean([batch[name] for batch in each])) for name in NAMES}


@pytest.mark.parametrize("seed", range(20))
def test_the_references_are_those_of_scikit_learn(seed: int) -> None:
    p, y, w = draw_scores(seed)
    found = references(p, y, w)
    true, chosen = y.argmax(axis=1), p.argmax(axis=1)
    cases = {"sample_weight": np.repeat(w, 3)}
    assert found["categorical_accuracy"] == pytest.approx(metrics.accuracy_score(true, chosen, sample_weight=w))
    assert found["top_2"] == pytest.approx(metrics.top_k_accuracy_score(true, p, k=2, sample_weight=w, labels=[0, 1, 2]))
    assert found["categorical_crossentropy"] == pytest.approx(metrics.log_loss(y, p, sample_weight=w), rel=1e-5)
    assert found["mean_squared_error"] == pytest.approx(metrics.mean_squared_error(y, p, sample_weight=w))
    assert found["mean_absolute_error"] == pytest.approx(metrics.mean_absolute_error(y, p, sample_weight=w))
    assert found["precision"] == pytest.approx(metrics.precision_score(y.ravel(), p.ravel() > 0.5, **cases))
    assert found["recall"] == pytest.approx(metrics.recall_score(y.ravel(), p.ravel() > 0.5, **cases))
    # Two hundred thresholds lie more closely than 255ths nearly everywhere: a pair that they do not part counts a half.
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(y.ravel(), p.ravel(), **cases), abs=0.02)
    assert found["f1_score"] == pytest.approx(
        metrics.f1_score(true, chosen, average="macro", sample_weight=w, labels=[0, 1, 2], zero_division=0)
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_of_the_whole(weighted: bool) -> None:
    right = references(P, Y, W if weighted else None)
    assert of_the_whole(streamed(right, weighted=weighted)).outcome == "pass"
    assert of_the_whole(streamed(references(P, Y, None if weighted else W), weighted=weighted)).outcome == "fail"
    assert of_the_whole(streamed(references(P[:16], Y[:16], W[:16] if weighted else None), weighted=weighted)).outcome == "fail"
    batched = over_batches(weighted)
    for name in NAMES:
        # Each metric by itself.
        assert of_the_whole(streamed({**right, name: batched[name]}, weighted=weighted)).outcome == "fail", name
        assert of_the_whole(streamed({**right, name: right[name] + 1e-4}, weighted=weighted)).outcome == "fail", name
    assert of_the_whole(replace(streamed(right), ways={})).outcome == "fail"
    assert of_the_whole(streamed({name: right[name] for name in NAMES[1:]}, weighted=weighted)).outcome == "fail"


def test_no_probability_is_a_threshold_or_occurs_twice_in_a_sample() -> None:
    for seed in range(100):
        p, y, w = draw_scores(seed)
        assert all(len(set(row)) == 3 for row in p)
        assert np.abs(p.sum(axis=1) - 1).max() < 1e-6
        assert (p > 0).all()
        assert not np.isclose(p[..., None], np.arange(200) / 199, atol=1e-6).any()
        assert w.sum() > 0
        assert (y.sum(axis=1) == 1).all()
