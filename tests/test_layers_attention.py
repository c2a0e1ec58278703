"""The attention layers' references, against loops and hand-worked values, and their laws and identities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from pytest_dlcheck.cases.case import Case, Tensor, map_tensors
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import attention as references
from pytest_dlcheck.subjects.layers import attention_laws as laws
from pytest_dlcheck.subjects.layers.attention import SPECS
from pytest_dlcheck.subjects.spec import Call, Identity

Array = NDArray[Any]
U = 2.0**-24
RNG = np.random.default_rng(0)
BY_NAME = {spec.name: spec for spec in SPECS}
IDENTITIES = {(spec.name, each.name): each for spec in SPECS for each in spec.identities}
DOT = {"use_scale": False, "score_mode": "dot"}


class TestScored:
    query, value, key = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 5, 4)), RNG.normal(size=(2, 5, 4))

    def test_dot_by_loops(self) -> None:
        call = Call({**DOT, "use_scale": True}, {"scale": np.array(0.5)}, [self.query, self.value, self.key])
        found = references.attention(call).outputs
        for sample in range(2):
            for step in range(3):
                weights = softmax([0.5 * self.query[sample, step] @ key for key in self.key[sample]])
                np.testing.assert_allclose(found[sample, step], weights @ self.value[sample])

    def test_concat_and_additive(self) -> None:
        weights = {"concat_score_weight": np.array(2.0), "scale": np.array(1.5)}
        concat = references.attention(
            Call(
                {"use_scale": True, "score_mode": "concat"},
                weights,
                [self.query, self.value],
                {"return_attention_scores": True},
            )
        ).outputs[1]
        scale = np.array([1.0, 2.0, 3.0, 4.0])
        additive = references.additive_attention(
            Call({"use_scale": True}, {"scale": scale}, [self.query, self.value], {"return_attention_scores": True})
        ).outputs[1]
        for step in range(3):
            sums = [2 * np.tanh(1.5 * (self.query[0, step] + key)).sum() for key in self.value[0]]
            np.testing.assert_allclose(concat[0, step], softmax(sums))
            sums = [(scale * np.tanh(self.query[0, step] + key)).sum() for key in self.value[0]]
            np.testing.assert_allclose(additive[0, step], softmax(sums))

    def test_masks(self) -> None:
        masks = [np.array([[True, True, False]] * 2), np.array([[True, False, True, False, False]] * 2)]
        found = references.attention(Call(DOT, {}, [self.query, self.value], {"mask": masks}))
        kept = references.attention(Call(DOT, {}, [self.query, self.value[:, [0, 2]]])).outputs
        np.testing.assert_allclose(found.outputs[:, :2], kept[:, :2])
        assert (found.outputs[:, 2] == 0).all()
        np.testing.assert_array_equal(found.mask, masks[0])

    def test_causal(self) -> None:
        found = references.attention(Call(DOT, {}, [self.query, self.value], {"use_causal_mask": True})).outputs
        np.testing.assert_allclose(found[:, 0], self.value[:, 0])
        two = references.attention(Call(DOT, {}, [self.query, self.value[:, :2]])).outputs
        np.testing.assert_allclose(found[:, 1], two[:, 1])

    def test_weights_of_nothing_are_zero(self) -> None:
        allowed = np.array([[True, False], [False, False]])
        np.testing.assert_array_equal(references.weights_of(np.array([[1e3, 0.0], [5.0, 5.0]]), allowed), [[1, 0], [0, 0]])


def dense(rng: np.random.Generator, dim: int, heads: int, size: int) -> dict[str, Array]:
    return {"kernel": rng.normal(size=(dim, heads, size)), "bias": rng.normal(size=(heads, size))}


def headed(heads: int, size: int, dims: tuple[int, int, int], shared: int | None = None, out: int = 3) -> dict[str, Array]:
    """Weights of a multi-head layer, by the names that references know."""
    rng = np.random.default_rng(5)
    shared = shared or heads
    parts = {
        "query": dense(rng, dims[0], heads, size),
        "key": dense(rng, dims[2], shared, size),
        "value": dense(rng, dims[1], shared, size),
        "gate": dense(rng, dims[0], heads, size),
    }
    parts["attention_output"] = {"kernel": rng.normal(size=(heads, size, out)), "bias": rng.normal(size=out)}
    return {f"{part}/{name}": array for part, both in parts.items() for name, array in both.items()}


def by_loops(weights: Mapping[str, Array], q: Array, v: Array, k: Array, allowed: Array | None, repeats: int = 1) -> Array:
    """One sample, one head and one query at a time."""
    heads, size, out = weights["attention_output/kernel"].shape
    found = np.zeros((*q.shape[:2], out)) + weights["attention_output/bias"]
    for sample, step, head in np.ndindex(*q.shape[:2], heads):
        own = head // repeats
        one = q[sample, step] @ weights["query/kernel"][:, head] + weights["query/bias"][head]
        keys = k[sample] @ weights["key/kernel"][:, own] + weights["key/bias"][own]
        values = v[sample] @ weights["value/kernel"][:, own] + weights["value/bias"][own]
        scores = keys @ one / np.sqrt(size)
        if allowed is not None:
            scores = np.where(np.broadcast_to(allowed, (len(q), q.shape[1], v.shape[1]))[sample, step], scores, -np.inf)
        found[sample, step] += softmax(scores) @ values @ weights["attention_output/kernel"][head]
    return found


class TestHeaded:
    q, v, k = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 5, 6)), RNG.normal(size=(2, 5, 2))
    arguments: ClassVar[dict[str, Any]] = {"num_heads": 2, "key_dim": 3, "use_bias": True}

    def found(self, words: dict[str, Any], **changes: Any) -> Any:
        call = Call({**self.arguments, **changes}, headed(2, 3, (4, 6, 2)), self.q, {"value": self.v, "key": self.k, **words})
        return references.multi_head_attention(call)

    @pytest.mark.parametrize(
        ("words", "changes", "allowed"),
        [
            ({}, {}, None),
            ({"use_causal_mask": True}, {}, np.tri(3, 5, dtype=bool)),
            ({}, {"sliding_window": 1}, np.eye(3, 5, dtype=bool)),
            ({"use_causal_mask": True}, {"sliding_window": 2}, np.tri(3, 5, dtype=bool) & ~np.tri(3, 5, -2, dtype=bool)),
            ({"value_mask": np.array([[1, 0, 1, 1, 0]] * 2)}, {}, np.array([True, False, True, True, False])),
            ({"attention_mask": np.eye(3, 5, dtype=bool)[None]}, {}, np.eye(3, 5, dtype=bool)),
            ({"attention_mask": np.eye(3, 5, dtype=bool)[None, None]}, {}, np.eye(3, 5, dtype=bool)),
        ],
    )
    def test_by_loops(self, words: dict[str, Any], changes: dict[str, Any], allowed: Array | None) -> None:
        expected = by_loops(headed(2, 3, (4, 6, 2)), self.q, self.v, self.k, allowed)
        np.testing.assert_allclose(self.found(words, **changes).outputs, expected, rtol=1e-10)

    def test_a_gate_that_is_open_halfway(self) -> None:
        weights = headed(2, 3, (4, 6, 2))
        weights["gate/kernel"] *= 0
        weights["gate/bias"] *= 0
        weights["attention_output/bias"] *= 0
        words = {"value": self.v, "key": self.k}
        gated = references.multi_head_attention(Call({**self.arguments, "use_gate": True}, weights, self.q, words)).outputs
        plain = references.multi_head_attention(Call(self.arguments, weights, self.q, words)).outputs
        np.testing.assert_allclose(gated, plain / 2)

    def test_grouped_by_loops(self) -> None:
        arguments = {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2, "use_bias": True}
        weights = headed(4, 3, (4, 6, 2), shared=2)
        found = references.group_query_attention(Call(arguments, weights, self.q, {"value": self.v, "key": self.k})).outputs
        np.testing.assert_allclose(found, by_loops(weights, self.q, self.v, self.k, None, repeats=2), rtol=1e-10)

    @pytest.mark.parametrize("axes", [2, -2, (2,)])
    def test_one_of_two_axes(self, axes: Any) -> None:
        q, v = RNG.normal(size=(2, 5, 3, 4)), RNG.normal(size=(2, 5, 6, 4))
        weights = headed(2, 3, (4, 4, 4))
        words = {"value": v, "use_causal_mask": True, "return_attention_scores": True}
        call = Call({**self.arguments, "attention_axes": axes}, weights, q, words)
        output, scores = references.multi_head_attention(call).outputs
        flat, flat_v = q.reshape(10, 3, 4), v.reshape(10, 6, 4)
        expected = by_loops(weights, flat, flat_v, flat_v, np.tri(3, 6, dtype=bool))
        np.testing.assert_allclose(output, expected.reshape(2, 5, 3, 3), rtol=1e-10)
        assert scores.shape == (2, 5, 2, 3, 6)

    def test_both_axes_at_once(self) -> None:
        q, v = RNG.normal(size=(2, 5, 3, 4)), RNG.normal(size=(2, 2, 6, 4))
        weights = headed(2, 3, (4, 4, 4))
        output = references.multi_head_attention(Call(self.arguments, weights, q, {"value": v})).outputs
        flat_v = v.reshape(2, 12, 4)
        expected = by_loops(weights, q.reshape(2, 15, 4), flat_v, flat_v, None)
        np.testing.assert_allclose(output, expected.reshape(2, 5, 3, 3), rtol=1e-10)


class TestLaws:
    call = Call(DOT, {}, [np.zeros((1, 2, 3)), np.array([[[0.0, 1.0, 2.0], [1.0, 1.0, 4.0]]])])

    @pytest.mark.parametrize(
        ("weights", "wrong"),
        [
            ([[0.25, 0.75], [1.0, 0.0]], None),
            ([[0.25, 0.5], [1.0, 0.0]], "sum to 0.75"),
            ([[-0.25, 1.25], [1.0, 0.0]], "a weight of"),
            ([[0.0, 0.0], [1.0, 0.0]], "all zero"),
        ],
    )
    def test_scores(self, weights: list[list[float]], wrong: str | None) -> None:
        said = laws.scores_are_a_distribution(self.call, [np.zeros((1, 2, 3)), np.array([weights])], U)
        assert said is None if wrong is None else wrong in str(said)

    def test_between_the_values(self) -> None:
        right = np.array([[[0.5, 1.0, 3.0], [1.0, 1.0, 4.0]]])
        assert laws.between_the_values(self.call, [right], U) is None
        assert "no mean" in str(laws.between_the_values(self.call, [right + np.array([0, 0.01, 0])], U))
        masked = Call(DOT, {}, self.call.inputs, {"mask": [np.array([[True, False]]), None]})
        assert "no mean" in str(laws.between_the_values(masked, [right], U))
        right[:, 1] = 0
        assert laws.between_the_values(masked, [right], U) is None


def value_of(case: Case) -> list[Array]:
    """A case's outputs, by the reference."""

    def array(tensor: Tensor) -> Array:
        return make(tensor, "float64")

    spec = BY_NAME[case.name]
    dims = (4, 4, 4)
    weights = headed(2, 3, dims) | {"scale": np.array(0.7), "concat_score_weight": np.array(1.2)}
    defaults: dict[str, Any] = {"use_scale": False, "score_mode": "dot", "use_bias": True}
    masks = [None if mask is None else make(mask) for mask in case.masks or ()]
    call = Call(
        {**defaults, **case.arguments}, weights, map_tensors(array, case.inputs), map_tensors(array, dict(case.call)), masks
    )
    assert spec.reference is not None
    outputs = spec.reference(call).outputs
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


Q, V, K = Tensor((2, 3, 4)), Tensor((2, 3, 4), seed=1), Tensor((2, 3, 4), seed=2)
V_MASK = Tensor((2, 3), "bool", literal=[[True, False, True], [True, True, False]])
Q_MASK = Tensor((2, 3), "bool", literal=[[True, True, False], [True, True, True]])
T_MASK = Tensor((2, 3, 3), "bool", "bool", planted=tuple((3 * row, 1.0) for row in range(6)))
SCORED = Case("keras.layers.Attention", {}, [Q, V, K])
HEADED = Case("keras.layers.MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, Q, {"value": V})
GROUPED = Case(
    "keras.layers.GroupQueryAttention", {"head_dim": 3, "num_query_heads": 2, "num_key_value_heads": 2}, Q, {"value": V}
)
ASKS = {"return_attention_scores": True}

PAIRS = [
    (SCORED.replace(call=ASKS, masks=(None, V_MASK, None)), "keys_in_another_order"),
    (SCORED.replace(call={"mask": [Q_MASK, None]}), "queries_in_another_order"),
    (SCORED.replace(call={"mask": [None, V_MASK]}), "what_is_masked_does_not_matter"),
    (SCORED.replace(call={**ASKS, "use_causal_mask": True}), "the_future_does_not_matter"),
    (SCORED.replace(masks=(Q_MASK, V_MASK, None)), "mask_by_keyword_is_attached_mask"),
    (SCORED.replace(call={"mask": [Q_MASK, V_MASK]}), "mask_by_keyword_is_attached_mask"),
    (SCORED.replace(call=ASKS), "scores_cost_nothing"),
    (HEADED.replace(call={**ASKS, "value": V, "value_mask": V_MASK}), "keys_in_another_order"),
    (HEADED.replace(call={"attention_mask": T_MASK, "value": V}), "queries_in_another_order"),
    (HEADED.replace(call={"key": K, "value": V, "value_mask": V_MASK}), "what_is_masked_does_not_matter"),
    (HEADED, "value_is_the_key"),
    (HEADED.replace(call={**ASKS, "value": V}), "scores_cost_nothing"),
    (GROUPED, "a_key_for_each_query_is_multi_head"),
]


@pytest.mark.parametrize(("case", "name"), PAIRS, ids=[f"{case.name}-{name}" for case, name in PAIRS])
def test_identities_hold_of_the_references(case: Case, name: str) -> None:
    identity: Identity = IDENTITIES[case.name, name]
    other = identity.other(case)
    assert other is not None
    assert other.key() != case.key()
    first, second = value_of(case), value_of(other)
    expected = identity.expected(case, first)
    assert len(second) == len(expected)
    for one, target in zip(second, expected, strict=True):
        np.testing.assert_allclose(one, target, rtol=1e-5, atol=1e-7)
    # And a layer that is wrong is seen to be.
    wrong = identity.expected(case, [each + 0.01 * np.arange(each.size).reshape(each.shape) for each in first])
    assert not np.allclose(second[0], wrong[0])


def test_what_is_masked_is_other_indeed() -> None:
    case = SCORED.replace(call={"mask": [None, V_MASK]})
    other = IDENTITIES["Attention", "what_is_masked_does_not_matter"].other(case)
    assert other is not None
    before, after = make(case.inputs[1]), make(other.inputs[1])
    changed = (before != after).all(axis=-1)
    np.testing.assert_array_equal(changed, ~make(V_MASK))


@pytest.mark.parametrize(
    ("case", "name"),
    [
        (SCORED, "the_future_does_not_matter"),
        (SCORED, "scores_cost_nothing"),
        (SCORED, "mask_by_keyword_is_attached_mask"),
        (SCORED.replace(call={"use_causal_mask": True}), "keys_in_another_order"),
        (HEADED, "what_is_masked_does_not_matter"),
        (HEADED.with_arguments(sliding_window=2), "queries_in_another_order"),
        (HEADED.replace(call={"key": K, "value": V}), "value_is_the_key"),
        (GROUPED.with_arguments(num_query_heads=4), "a_key_for_each_query_is_multi_head"),
    ],
)
def test_identities_know_where_they_say_nothing(case: Case, name: str) -> None:
    assert IDENTITIES[case.name, name].other(case) is None
