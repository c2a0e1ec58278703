"""Specs of the attention layers.

Query, value and key are three arguments of multi-head attention's call; its query is the case's input, the others are
keywords. Masks are drawn so that every query may attend to one key at least, but for those that a query mask rules out.
"""

from __future__ import annotations

from typing import Any

from pytest_dlcheck.cases.case import Case, Tensor
from pytest_dlcheck.references.layers import attention as references
from pytest_dlcheck.strategies.draw import REGULARIZERS, Draw
from pytest_dlcheck.subjects.identities import axis_sign
from pytest_dlcheck.subjects.layers import attention_laws as laws
from pytest_dlcheck.subjects.spec import Identity, Law, LayerSpec, World

__all__ = ["SPECS"]

SOURCE = "https://keras.io/api/layers/attention_layers/"


def _flags(d: Draw, *, causal: bool = True) -> None:
    if d.flag(3):
        d.call["return_attention_scores"] = True
    if causal and d.flag(3):
        d.call["use_causal_mask"] = True


def _dropout(d: Draw) -> None:
    if d.option("dropout", [0.5, 0.1, 0.0], default=0, one_in=4):
        d.seed()  # which without dropout means nothing


def _some_keys(d: Draw, batch: int, keys: int) -> Tensor:
    """Which keys count: the first always does, which a causal mask leaves to every query."""
    first = tuple((row * keys, 1.0) for row in range(batch))
    return Tensor((batch, keys), "bool", d.choice(["padding", "bool"]), d.integer(0, 3), planted=first)


def _scored(d: Draw, *, weights: bool) -> None:
    """Inputs and masks of Attention and AdditiveAttention; whether there are weights that `trainable` may freeze."""
    batch, queries, keys, dim = d.size(), d.size(), d.size(), d.size()
    d.inputs = [d.floats((batch, queries, dim)), d.floats((batch, keys, dim))]
    if d.flag(3):
        d.inputs[1] = d.floats((batch, keys, d.size() if d.flag(4) else dim))
        d.inputs.append(d.floats((batch, keys, dim)))
    _flags(d)
    _dropout(d)
    if weights:
        d.common_options()
    else:
        d.option("name", ["subject"], one_in=10)
    if not d.flag(3):
        return
    masks = [d.padding(batch, queries) if d.flag() else None, _some_keys(d, batch, keys) if d.flag() else None]
    if masks == [None, None]:
        masks[1] = _some_keys(d, batch, keys)
    if d.flag():
        d.call["mask"] = masks
    else:
        d.masks = (*masks, *[None] * (len(d.inputs) - 2))
    d.call = dict(sorted(d.call.items()))


def _attention(d: Draw) -> None:
    scale = d.option("use_scale", [True], default=False)
    mode = d.option("score_mode", ["concat", "dot"])
    _scored(d, weights=scale or mode == "concat")


def _additive(d: Draw) -> None:
    _scored(d, weights=d.option("use_scale", [False], default=True))


def _may_attend(queries: int, keys: int) -> list[list[int]]:
    """For each query, keys that no attention mask may take away: what a causal mask and a window leave of them."""
    return [sorted({0, min(row, keys - 1)}) for row in range(queries)]


def _attention_mask(d: Draw, batch: int, heads: int, queries: int, keys: int) -> Tensor:
    """(batch, queries, keys), or one for all samples, or with an axis of heads."""
    lead = d.choice([(batch,), (1,), (batch, 1), (batch, heads)])
    count = 1
    for size in lead:
        count *= size
    planted = tuple(
        ((copy * queries + row) * keys + key, 1.0)
        for copy in range(count)
        for row, left in enumerate(_may_attend(queries, keys))
        for key in left
    )
    return Tensor((*lead, queries, keys), "bool", "bool", d.integer(0, 3), planted=planted)


def _projections(d: Draw) -> None:
    d.option("use_bias", [False])
    d.option("use_gate", [True], one_in=4)
    d.weight_options("kernel", "bias")
    d.option("activity_regularizer", REGULARIZERS, one_in=8)
    d.common_options()


def _flash(d: Draw) -> None:
    """Asked for, it is an error where there is none; on a GPU that depends on more than a spec knows."""
    d.option("flash_attention", [False, True] if d.world.device == "cpu" else [False], one_in=10)
    if not d.arguments.get("flash_attention"):
        _dropout(d)


def _heads_inputs(d: Draw, heads: int, dims: tuple[int, int, int]) -> None:
    """Query, value and key of rank 3, their masks, and a window."""
    batch, queries, keys = d.size(), d.size(), d.size()
    d.inputs = d.floats((batch, queries, dims[0]))
    d.call["value"] = d.floats((batch, keys, dims[1]))
    if d.flag(3):
        d.call["key"] = d.floats((batch, keys, dims[2]))
    _flags(d)
    # A window leaves each query the key of its own position, if there is one, and may leave no other.
    window = d.option("sliding_window", [max(0, queries - keys) + size for size in (1, 2)], one_in=5)
    if d.flag(4):
        d.call["attention_mask"] = _attention_mask(d, batch, heads, queries, keys)
    elif window is None and d.flag(4):
        d.call["value_mask"] = _some_keys(d, batch, keys)
        if "key" in d.call and d.flag():
            d.call["key_mask"] = _some_keys(d, batch, keys)
    # A mask with an axis of heads has no documented place among masks that have none.
    if d.flag(6) and len(getattr(d.call.get("attention_mask"), "shape", ())) < 4:
        d.masks = (d.padding(batch, queries),)
    d.call = dict(sorted(d.call.items()))


def _over_axes(d: Draw) -> None:
    """Query, value and key of rank 4, attended over one axis or both."""
    axes = d.option("attention_axes", [1, 2, -2, -3, (1,), (2,), (1, 2), (2, 1), (-2, -3), (-2,)], one_in=1)
    attended = references.attention_axes(axes, 4)
    batch, first, second, dim = d.size(), d.size(), d.size(), d.size()
    d.inputs = d.floats((batch, first, second, dim))
    other = [d.size() if axis in attended else size for axis, size in ((1, first), (2, second))]
    d.call["value"] = d.floats((batch, *other, d.size()))
    if d.flag(3):
        d.call["key"] = d.floats((batch, *other, d.size()))
    _flags(d, causal=len(attended) == 1)
    if len(attended) == 1 and d.flag(4):
        # Without heads: with them a mask has no documented place for the axis that is not attended over.
        queries, keys = (first, second)[attended[0] - 1], other[attended[0] - 1]
        mask = _attention_mask(d, batch, 1, queries, keys)
        shape = (mask.shape[0], *mask.shape[-2:])
        d.call["attention_mask"] = Tensor(shape, mask.dtype, mask.values, mask.seed, planted=mask.planted)
    d.call = dict(sorted(d.call.items()))


def _multi_head(d: Draw) -> None:
    heads = d.set("num_heads", d.choice([2, 1, 3]))
    d.set("key_dim", d.size())
    d.option("value_dim", d.size, one_in=4)
    d.option("output_shape", [3, (2,), (2, 3), 1], one_in=5)
    if d.flag(4):
        _over_axes(d)
        d.option("flash_attention", [False], one_in=10)
        _dropout(d)
    else:
        _heads_inputs(d, heads, (d.size(), d.size(), d.size()))
        _flash(d)
    _projections(d)


def _group_query(d: Draw) -> None:
    d.set("head_dim", d.size())
    shared = d.set("num_key_value_heads", d.choice([1, 2]))
    heads = d.set("num_query_heads", shared * d.choice([2, 1, 3]))
    dim = d.size()
    _heads_inputs(d, heads, (dim, dim, d.size()))  # its query and value have as many features, by documentation
    _flash(d)
    _projections(d)


def _no_flash(case: Case, world: World) -> str | None:
    if case.arguments.get("flash_attention") and world.device == "cpu":
        return "flash attention is documented to be for accelerators; a CPU has none"
    return None


def _drops(case: Case, training: bool) -> bool:
    return training and bool(case.arguments.get("dropout"))


EXEMPT = {"activity_regularizer": "documented to be of the activities of the dense layers inside, which no one sees"}

SCORES = Law("scores_are_a_distribution", laws.scores_are_a_distribution)

SCORED: dict[str, Any] = {
    "laws": (SCORES, Law("between_the_values", laws.between_the_values)),
    "identities": (
        Identity("keys_in_another_order", laws.keys_reversed, laws.scores_reversed),
        Identity("queries_in_another_order", laws.queries_reversed, laws.outputs_reversed),
        Identity("what_is_masked_does_not_matter", laws.other_masked_values),
        Identity("the_future_does_not_matter", laws.without_the_last, laws.all_but_the_last),
        Identity("mask_by_keyword_is_attached_mask", laws.mask_moved, exact=True),
        Identity("scores_cost_nothing", laws.without_scores, laws.first_alone),
    ),
    "random": _drops,
    "scale": 1.0,
}

HEADED: dict[str, Any] = {
    "laws": (SCORES,),
    "identities": (
        Identity("negative_axis_is_positive", axis_sign("attention_axes")),
        Identity("keys_in_another_order", laws.keys_reversed, laws.scores_reversed),
        Identity("queries_in_another_order", laws.queries_reversed, laws.outputs_reversed),
        Identity("what_is_masked_does_not_matter", laws.other_masked_values),
        Identity("value_is_the_key", laws.value_as_key),
        Identity("scores_cost_nothing", laws.without_scores, laws.first_alone),
    ),
    "unsupported": _no_flash,
    "random": _drops,
    "scale": 1.0,
}

SPECS = (
    LayerSpec("Attention", _attention, references.attention, f"{SOURCE}attention/", **SCORED),
    LayerSpec("AdditiveAttention", _additive, references.additive_attention, f"{SOURCE}additive_attention/", **SCORED),
    LayerSpec(
        "MultiHeadAttention",
        _multi_head,
        references.multi_head_attention,
        f"{SOURCE}multi_head_attention/",
        exempt={"config:attention_axes": "the config counts the axes from the front, and spells out all of them", **EXEMPT},
        **HEADED,
    ),
    LayerSpec(
        "GroupQueryAttention",
        _group_query,
        references.group_query_attention,
        f"{SOURCE}group_query_attention/",
        exempt=EXEMPT,
        **{
            **HEADED,
            "identities": (*HEADED["identities"], Identity("a_key_for_each_query_is_multi_head", laws.as_multi_head)),
        },
    ),
)
