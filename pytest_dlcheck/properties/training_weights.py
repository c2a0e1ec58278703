"""What must hold of padded steps in training: they count nothing, and nothing is learnt from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.observe.training_observations import Irrelevance, Masked, Steps
from pytest_dlcheck.properties.comparison import identical, within
from pytest_dlcheck.properties.training import first_failure
from pytest_dlcheck.properties.verdict import Verdict, failed, passed
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, from_moved_starts, perturbed

__all__ = ["makes_no_difference", "masked_loss", "padding_is_not_learnt"]

Array = NDArray[Any]


def makes_no_difference(seen: Irrelevance) -> Verdict:
    """The others are the base: bit for bit, or, where sums have other terms, as far as moved starts differ from it."""
    verdicts = []
    for name, other in seen.others.items():
        for what, found, base, moved in _pairs(other, seen.base, seen.moved):
            if seen.moved:
                bounded = from_moved_starts(base.astype(np.float64), moved, unit_roundoff=UNIT_ROUNDOFF["float32"], scale=1.0)
                verdicts.append(within(f"{name}: {what}", found, bounded))
            else:
                verdicts.append(identical(f"{name}: {what}", found, base))
    return first_failure(*verdicts)


def _pairs(other: Steps, base: Steps, moved: tuple[Steps, ...]) -> list[tuple[str, Array, Array, Array]]:
    """What was compared, the one and the other side, and the moved ones, one row each."""
    losses = ("losses", np.array(other[0]), np.array(base[0]), np.array([steps[0] for steps in moved]))
    return [
        losses,
        *(
            (f"weight {index}", found, value, np.array([steps[1][index] for steps in moved]))
            for index, (found, value) in enumerate(zip(other[1], base[1], strict=True))
        ),
    ]


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _probabilities(seen: Masked, move: Callable[[Array], Array]) -> Array:
    """Of each class for each word, with states that padding leaves as they are."""
    embedding, kernel, recurrent, bias, out, out_bias = (move(each.astype(np.float64)) for each in seen.before)
    state = np.zeros((len(seen.words), len(recurrent)))
    cell, found = state, []
    for column in seen.words.T:
        parts = np.split(embedding[column] @ kernel + state @ recurrent + bias, 4, axis=1)
        taken, kept, given = (_sigmoid(parts[index]) for index in (0, 1, 3))
        now = kept * cell + taken * np.tanh(parts[2])
        there = (column != 0)[:, np.newaxis]
        cell, state = np.where(there, now, cell), np.where(there, given * np.tanh(now), state)
        found.append(state)
    logits = np.stack(found, axis=1) @ out + out_bias
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def masked_loss(seen: Masked) -> Verdict:
    """The loss is the mean over the words that are there, computed in float64 NumPy."""
    there = seen.words != 0
    if there.all():
        return failed("nothing is padded")

    def loss(move: Callable[[Array], Array]) -> Array:
        each = -np.log(np.take_along_axis(_probabilities(seen, move), seen.labels[..., np.newaxis], axis=-1)[..., 0])
        return np.array([each[there].mean()])

    expected = perturbed(loss, unit_roundoff=UNIT_ROUNDOFF["float32"], scale=1.0)
    return within("the loss of a padded batch", np.array([seen.loss]), expected)


def padding_is_not_learnt(seen: Masked) -> Verdict:
    """The embedding of padding stays where it is, bit for bit, and that of every word that occurs moves."""
    before, after = seen.before[0], seen.after[0]
    verdict = identical("the embedding of padding", after[0], before[0])
    still = [int(word) for word in np.unique(seen.words) if word and np.array_equal(before[word], after[word])]
    if still:
        return failed(f"the embeddings of words {still} do not move")
    return first_failure(verdict, passed(f"those of {len(np.unique(seen.words)) - 1} words move"))
