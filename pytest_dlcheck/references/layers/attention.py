"""Attention layers in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from pytest_dlcheck.subjects.spec import Call, Expected

__all__ = [
    "additive_attention",
    "attention",
    "attention_axes",
    "group_query_attention",
    "largest_score",
    "multi_head_attention",
    "weights_of",
]

Array = NDArray[Any]


def weights_of(scores: Array, allowed: Array | None, count: int = 1) -> Array:
    """softmax over the last `count` axes, of the allowed entries alone; what may attend to nothing has no weights.

    exp(s_j) / sum_k exp(s_k), j and k over the allowed keys (Vaswani et al., arXiv:1706.03762, section 3.2.1, where masking
    is "setting to -infinity").
    """
    axes = tuple(range(scores.ndim - count, scores.ndim))
    if allowed is None:
        return np.asarray(special.softmax(scores, axis=axes))
    allowed = np.broadcast_to(allowed, scores.shape)
    highest = np.max(np.where(allowed, scores, -np.inf), axis=axes, keepdims=True)
    raised = np.where(allowed, np.exp(np.where(allowed, scores - np.where(np.isfinite(highest), highest, 0), 0)), 0)
    total = raised.sum(axis=axes, keepdims=True)
    return np.asarray(raised / np.where(total == 0, 1, total))


def _causal(queries: int, keys: int) -> Array:
    """Position i attends to positions j <= i."""
    return np.asarray(np.arange(queries)[:, None] >= np.arange(keys))


def _both(one: Array | None, other: Array | None) -> Array | None:
    if one is None or other is None:
        return other if one is None else one
    return np.asarray(one & other)


def _masks(call: Call) -> tuple[Array | None, Array | None]:
    """The masks of query and value: given by keyword, else attached."""
    given = call.keywords.get("mask")
    if given is None:
        given = call.masks or (None, None)
    query, value = given[0], given[1]
    return (None if query is None else np.asarray(query, bool)), (None if value is None else np.asarray(value, bool))


def _attend(call: Call, scores: Array) -> Expected:
    """weights = softmax(scores), output = weights V, zero where the query is masked."""
    query_mask, value_mask = _masks(call)
    allowed = None if value_mask is None else value_mask[:, None, :]
    if call.keywords.get("use_causal_mask"):
        allowed = _both(allowed, _causal(*scores.shape[-2:])[None])
    weights = weights_of(scores, allowed)
    output = weights @ call.inputs[1]
    if query_mask is not None:
        output = np.where(query_mask[..., None], output, 0)
    outputs = (output, weights) if call.keywords.get("return_attention_scores") else output
    return Expected(outputs, mask=query_mask, checks_mask=True)


def _query_and_key(call: Call) -> tuple[Array, Array]:
    return call.inputs[0], call.inputs[2] if len(call.inputs) > 2 else call.inputs[1]


def attention(call: Call) -> Expected:
    """Luong attention (https://keras.io/api/layers/attention_layers/attention/, arXiv:1508.04025).

    Scores are scale q.k ("dot"), or w sum tanh(scale (q + k)) ("concat"), with scalars `scale` and `concat_score_weight`.
    """
    query, key = _query_and_key(call)
    scale = call.weights["scale"] if call["use_scale"] else 1.0
    if call["score_mode"] == "dot":
        return _attend(call, scale * np.einsum("btd,bsd->bts", query, key))
    sums = np.tanh(scale * (query[:, :, None] + key[:, None])).sum(-1)
    return _attend(call, call.weights["concat_score_weight"] * sums)


def additive_attention(call: Call) -> Expected:
    """Bahdanau attention: scores = sum scale tanh(q + k) (https://keras.io/api/layers/attention_layers/additive_attention/)."""
    query, key = _query_and_key(call)
    scale = call.weights["scale"] if call["use_scale"] else 1.0
    return _attend(call, (scale * np.tanh(query[:, :, None] + key[:, None])).sum(-1))


def attention_axes(given: Any, rank: int) -> tuple[int, ...]:
    """The axes attended over, counted from the front: None is all but batch and features."""
    if given is None:
        return tuple(range(1, rank - 1))
    axes = (given,) if isinstance(given, int) else tuple(given)
    return tuple(axis % rank for axis in axes)


def _project(call: Call, name: str, x: Array) -> Array:
    """x W + b over the features, to (heads, size)."""
    y = np.tensordot(x, call.weights[f"{name}/kernel"], 1)
    return np.asarray(y + call.weights[f"{name}/bias"] if call["use_bias"] else y)


def _allowed(call: Call, axes: Sequence[int], rank: int, queries: int, keys: int) -> Array | None:
    """Which key each query may attend to: everything that was said, joined by "and". Shaped as the scores are, broadcast."""
    words = call.keywords
    found: Array | None = None
    given = words.get("attention_mask")
    if given is not None:
        found = np.asarray(given, bool)
        missing = 1 + (rank - 2 - len(axes)) + 1 + 2 * len(axes) - found.ndim  # batch, other axes, heads, queries, keys
        found = found.reshape(found.shape[0], *[1] * missing, *found.shape[1:])

    def over(mask: Any, shape: tuple[int, ...]) -> Array:
        found = np.asarray(mask, bool)
        return np.asarray(found.reshape(found.shape[0], *[1] * (rank - 2 - len(axes) + 1), *shape))

    attached = call.masks[0] if call.masks else None
    if attached is not None:
        found = _both(found, over(attached, (queries, 1)))
    for name in ("value_mask", "key_mask"):
        if words.get(name) is not None:
            found = _both(found, over(words[name], (1, keys)))
    if words.get("use_causal_mask"):
        found = _both(found, _causal(queries, keys))
    window = call.arguments.get("sliding_window")
    if window is not None:
        found = _both(found, np.abs(np.arange(queries)[:, None] - np.arange(keys)) < window)
    return found


def _heads(call: Call, size: int, repeats: int = 1) -> Expected:
    """softmax(Q K^T / sqrt(size)) V for each head, over the attention axes; gated; then projected."""
    words, query = call.keywords, call.inputs
    value = words["value"]
    key = value if words.get("key") is None else words["key"]
    rank = query.ndim
    axes = attention_axes(call.arguments.get("attention_axes"), rank)
    others = [axis for axis in range(1, rank - 1) if axis not in axes]
    order = [0, *others, rank - 1, *axes, rank]  # of a projection: batch, what is not attended over, heads, axes, size

    q = _project(call, "query", query).transpose(order)
    k = np.repeat(_project(call, "key", key), repeats, axis=-2).transpose(order)
    v = np.repeat(_project(call, "value", value), repeats, axis=-2).transpose(order)
    lead = 2 + len(others)
    from_axes, to_axes = q.shape[lead:-1], k.shape[lead:-1]
    scores = np.einsum(
        "...td,...sd->...ts", q.reshape(*q.shape[:lead], -1, q.shape[-1]), k.reshape(*k.shape[:lead], -1, k.shape[-1])
    ) / np.sqrt(size)
    scores = scores.reshape(*scores.shape[:lead], *from_axes, *to_axes)
    allowed = _allowed(call, axes, rank, from_axes[0], to_axes[0])
    weights = weights_of(scores, allowed, len(axes))
    flat = weights.reshape(*weights.shape[:lead], int(np.prod(from_axes)), int(np.prod(to_axes)))
    mixed = flat @ v.reshape(*v.shape[:lead], -1, v.shape[-1])
    mixed = mixed.reshape(*q.shape[:-1], v.shape[-1]).transpose(np.argsort(order))
    if call.arguments.get("use_gate"):
        mixed = mixed * special.expit(_project(call, "gate", query))
    output = np.tensordot(mixed, call.weights["attention_output/kernel"], 2)
    if call["use_bias"]:
        output = output + call.weights["attention_output/bias"]
    outputs = (output, weights) if words.get("return_attention_scores") else output
    return Expected(outputs, mask=call.masks[0] if call.masks else None, checks_mask=True)


def multi_head_attention(call: Call) -> Expected:
    """Vaswani et al., arXiv:1706.03762, section 3.2.2: https://keras.io/api/layers/attention_layers/multi_head_attention/.

    head_i = softmax(Q_i K_i^T / sqrt(key_dim)) V_i, output = concat(head_i) W + b; with `use_gate` the concatenation is
    first multiplied by sigmoid(query W_g + b_g) (arXiv:2505.06708).
    """
    return _heads(call, call["key_dim"])


def largest_score(call: Call) -> float:
    """What no score of multi-head attention exceeds, by Cauchy and Schwarz: max |Q_i| max |K_i| / sqrt(key_dim)."""
    key = call.keywords["value"] if call.keywords.get("key") is None else call.keywords["key"]
    norms = [
        float(np.max(np.linalg.norm(_project(call, name, x), axis=-1), initial=0.0))
        for name, x in (("query", call.inputs), ("key", key))
    ]
    return norms[0] * norms[1] / float(np.sqrt(call["key_dim"]))


def group_query_attention(call: Call) -> Expected:
    """Ainslie et al., arXiv:2305.13245: https://keras.io/api/layers/attention_layers/group_query_attention/.

    As multi-head attention, where query heads share their keys and values in groups: head i has those of head i // repeats.
    """
    return _heads(call, call["head_dim"], call["num_query_heads"] // call["num_key_value_heads"])
