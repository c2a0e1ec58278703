"""What holds of attention layers: laws of their outputs, and identities between their cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Case, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers.attention import attention_axes, largest_score
from pytest_dlcheck.subjects.identities import compute_dtype, of_array
from pytest_dlcheck.subjects.spec import Call
from pytest_dlcheck.tolerance_of_laws import of_means, of_shares

__all__ = [
    "all_but_the_last",
    "as_multi_head",
    "between_the_values",
    "first_alone",
    "keys_reversed",
    "mask_moved",
    "other_masked_values",
    "outputs_reversed",
    "queries_reversed",
    "scores_are_a_distribution",
    "scores_reversed",
    "value_as_key",
    "without_scores",
    "without_the_last",
]

Array = NDArray[Any]


# Laws.


def scores_are_a_distribution(call: Call, outputs: Sequence[Array], u: float) -> str | None:
    """Weights are not negative, and sum to one over the keys; to zero where a query may attend to nothing."""
    if len(outputs) < 2:
        return None
    weights = outputs[1]
    count = 1
    if not isinstance(call.inputs, list):
        count = len(attention_axes(call.arguments.get("attention_axes"), call.inputs.ndim))
    if (weights < 0).any():
        return f"a weight of {weights.min():g}"
    axes = tuple(range(weights.ndim - count, weights.ndim))
    totals = weights.sum(axis=axes)
    # Over several axes at once Keras takes exp(score - log(sum(exp(score)))), whose logarithm is as large as the scores.
    offset = largest_score(call) if count > 1 else None
    keys = int(np.prod([weights.shape[axis] for axis in axes]))
    wrong = ~(np.abs(totals - 1) <= of_shares(keys, unit_roundoff=u, offset=offset)) & (totals != 0)
    if wrong.any():
        return f"weights of a query sum to {totals[wrong][0]:g}"
    if call.masks and any(mask is not None for mask in call.masks):
        return None
    return "weights of a query are all zero" if (totals == 0).any() else None


def between_the_values(call: Call, outputs: Sequence[Array], u: float) -> str | None:
    """A mean of values lies between the least and the largest of them; a masked query gives zero."""
    value = call.inputs[1]
    low, high = value.min(axis=1, keepdims=True), value.max(axis=1, keepdims=True)
    bound = of_means(value.shape[1], np.maximum(np.abs(low), np.abs(high)), unit_roundoff=u)
    out = outputs[0]
    inside = (out >= low - bound) & (out <= high + bound)
    given = call.keywords.get("mask") or call.masks or (None,)
    if given[0] is not None:
        kept = np.asarray(given[0], bool)[..., None]
        inside = np.where(kept, inside, out == 0)
    if inside.all():
        return None
    index = tuple(int(i) for i in np.argwhere(~inside)[0])
    return f"{out[index]:g} at {list(index)} is no mean of values that masks leave"


# Identities. Each makes a second case; None where it says nothing.


def _reversed(tensor: Tensor, case: Case, axis: int) -> Tensor:
    return of_array(np.flip(make(tensor, compute_dtype(case)), axis), tensor.dtype)


def _is_plain(case: Case) -> bool:
    """Of rank 3, and no position differs from another."""
    first = case.inputs[0] if isinstance(case.inputs, list) else case.inputs
    return len(first.shape) == 3 and not case.call.get("use_causal_mask") and "sliding_window" not in case.arguments


def _changed(
    case: Case, change: Callable[[Tensor, int], Tensor], inputs: dict[int, int], words: dict[str, int], masks: dict[int, int]
) -> Case:
    """A case whose tensors are changed along an axis each: by their place in a list of inputs, by keyword, by their mask."""
    if isinstance(case.inputs, list):
        found: Any = [change(each, inputs[place]) if place in inputs else each for place, each in enumerate(case.inputs)]
    else:
        found = change(case.inputs, inputs[0]) if 0 in inputs else case.inputs
    call: dict[str, Any] = {name: change(each, words[name]) if name in words else each for name, each in case.call.items()}
    if isinstance(call.get("mask"), list):
        call["mask"] = [
            change(each, masks[place]) if each is not None and place in masks else each
            for place, each in enumerate(call["mask"])
        ]
    attached = case.masks and tuple(
        change(each, masks[place]) if each is not None and place in masks else each for place, each in enumerate(case.masks)
    )
    return case.replace(inputs=found, call=call, masks=attached)


def keys_reversed(case: Case) -> Case | None:
    """Keys, their values and their masks in reverse."""
    if not _is_plain(case):
        return None
    words = {"value": 1, "key": 1, "value_mask": 1, "key_mask": 1, "attention_mask": -1}
    masks = {1: 1} if isinstance(case.inputs, list) else {}
    inputs = {1: 1, 2: 1} if isinstance(case.inputs, list) else {}
    return _changed(case, lambda tensor, axis: _reversed(tensor, case, axis), inputs, words, masks)


def scores_reversed(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    del case
    return [outputs[0], *(np.flip(each, -1) for each in outputs[1:])]


def queries_reversed(case: Case) -> Case | None:
    """Queries and their masks in reverse."""
    if not _is_plain(case):
        return None
    return _changed(case, lambda tensor, axis: _reversed(tensor, case, axis), {0: 1}, {"attention_mask": -2}, {0: 1})


def outputs_reversed(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    del case
    return [np.flip(outputs[0], 1), *(np.flip(each, -2) for each in outputs[1:])]


def other_masked_values(case: Case) -> Case | None:
    """Other numbers where no query may look."""

    def moved(tensor: Tensor, mask: Tensor) -> Tensor:
        values, kept = make(tensor, compute_dtype(case)), make(mask).astype(bool)
        return of_array(np.where(kept[..., None], values, np.asarray(3, values.dtype) - values), tensor.dtype)

    if isinstance(case.inputs, list):
        mask = (case.call.get("mask") or case.masks or (None, None))[1]
        if mask is None:
            return None
        return case.replace(inputs=[case.inputs[0], *(moved(each, mask) for each in case.inputs[1:])])
    mask = case.call.get("value_mask")
    if mask is None:
        return None
    words = {name: moved(each, mask) if name in {"value", "key"} else each for name, each in case.call.items()}
    return case.replace(call=words)


def without_the_last(case: Case) -> Case | None:
    """As many queries as keys, one less of each: those before cannot know."""
    if not isinstance(case.inputs, list) or not case.call.get("use_causal_mask"):
        return None
    steps = case.inputs[0].shape[1]
    if steps < 2 or case.inputs[1].shape[1] != steps:
        return None

    def cut(tensor: Tensor, axis: int) -> Tensor:
        return of_array(np.take(make(tensor, compute_dtype(case)), range(steps - 1), axis), tensor.dtype)

    return _changed(case, cut, {0: 1, 1: 1, 2: 1}, {}, {0: 1, 1: 1})


def all_but_the_last(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    del case
    return [outputs[0][:, :-1], *(each[..., :-1, :-1] for each in outputs[1:])]


def mask_moved(case: Case) -> Case | None:
    """The masks of the keyword attached to the inputs, or the other way round."""
    words = dict(case.call)
    if "mask" in words:
        masks = words.pop("mask")
        return case.replace(call=words, masks=(*masks, *[None] * (len(case.inputs) - len(masks))))
    if case.masks is None:
        return None
    return case.replace(call=dict(sorted({**words, "mask": list(case.masks[:2])}.items())), masks=None)


def without_scores(case: Case) -> Case | None:
    """The same call that does not ask for the scores."""
    if not case.call.get("return_attention_scores"):
        return None
    return case.replace(call={name: each for name, each in case.call.items() if name != "return_attention_scores"})


def first_alone(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    del case
    return [outputs[0]]


def value_as_key(case: Case) -> Case | None:
    """The value given as key too."""
    if "key" in case.call or "value" not in case.call:
        return None
    return case.replace(call=dict(sorted({**case.call, "key": case.call["value"]}.items())))


def as_multi_head(case: Case) -> Case | None:
    """As many key heads as query heads: multi-head attention, weights and all."""
    given = case.arguments
    if given.get("num_query_heads") != given.get("num_key_value_heads") or given.get("flash_attention"):
        return None
    shared = {name: each for name, each in given.items() if name not in {"head_dim", "num_query_heads", "num_key_value_heads"}}
    arguments = {**shared, "num_heads": given["num_query_heads"], "key_dim": given["head_dim"]}
    return case.replace(subject="keras.layers.MultiHeadAttention", arguments=arguments)
