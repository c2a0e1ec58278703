"""The preprocessing layers' references, laws and identities against values worked out by hand or printed in documentation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_dlcheck.cases.case import Build, Case, Name, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import hashing, lookup, preprocessing
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import Call

ROUNDOFF = 2.0**-24
LOOKUP = {
    "max_tokens": None,
    "num_oov_indices": 1,
    "mask_token": None,
    "oov_token": -1,
    "invert": False,
    "output_mode": "int",
    "pad_to_max_tokens": False,
    "salt": None,
}
TEXT = {
    "max_tokens": None,
    "standardize": "lower_and_strip_punctuation",
    "split": "whitespace",
    "ngrams": None,
    "output_mode": "int",
    "output_sequence_length": None,
    "pad_to_max_tokens": False,
}


def call(arguments: dict[str, Any], inputs: Any, **others: Any) -> Call:
    return Call(arguments, {}, inputs, **others)


def law(name: str, place: int = 0) -> Any:
    return SPECS[name].laws[place].check


def identity(name: str, which: str) -> Any:
    return next(each for each in SPECS[name].identities if each.name == which)


def text(*values: Any) -> Any:
    return np.asarray(values, dtype=object)


# Normalization.


def test_normalization_gives_what_the_documentation_prints() -> None:
    data = np.array([[0.0, 7, 4], [2, 9, 6], [0, 7, 4], [2, 9, 6]])
    forward = call({"axis": -1, "invert": False}, np.array([[0.0, 7, 4]]), adapt=data)
    assert preprocessing.normalization(forward) == pytest.approx(np.full((1, 3), -1.0))
    back = call({"axis": -1, "invert": True}, np.array([[1.0, 2, 3]]), adapt=data)
    assert preprocessing.normalization(back) == pytest.approx(np.array([[2.0, 10, 8]]))
    one = call({"axis": None, "invert": False}, np.array([1.0, 2, 3]), adapt=np.array([1.0, 2, 3, 4, 5]))
    assert preprocessing.normalization(one) == pytest.approx(np.array([-np.sqrt(2), -np.sqrt(0.5), 0]))


def test_normalization_takes_batches_and_given_moments_of_any_axes() -> None:
    x = np.arange(12.0).reshape(2, 3, 2)
    whole = preprocessing.normalization(call({"axis": 1, "invert": False}, x, adapt=x))
    assert whole == pytest.approx(preprocessing.normalization(call({"axis": 1, "invert": False}, x, adapt=[x[:1], x[1:]])))
    given = {"axis": (-1, 1), "invert": False, "mean": [[1.0, 2], [3, 4], [5, 6]], "variance": [[4.0, 4]] * 3}
    assert preprocessing.normalization(call(given, x))[0, 2, 1] == pytest.approx((5 - 6) / 2)


def test_batches_of_adapt_are_put_together() -> None:
    other = identity("Normalization", "adapt_in_batches_is_adapt_at_once").other
    case = Case("keras.layers.Normalization", {}, Tensor((1, 2)), adapt=[Tensor((1, 2)), Tensor((3, 2), seed=1)])
    assert make(other(case).adapt).shape == (4, 2)
    assert other(case.replace(adapt=Tensor((4, 2)))) is None


# Discretization and CategoryEncoding.


def test_bins_are_those_of_digitize() -> None:
    x = np.array([[-1.5, 1.0, 3.4, 0.5], [0.0, 3.0, 1.3, 0.0]])
    found = preprocessing.discretization(call({"bin_boundaries": [0.0, 1, 2], "output_mode": "int"}, x))
    assert found is not None
    assert found.tolist() == [[0, 2, 3, 1], [1, 3, 2, 1]] == np.digitize(x, [0.0, 1, 2]).tolist()


def test_learnt_bins_must_hold_equally_many() -> None:
    x = np.arange(8.0)[:, None]
    learnt = call({"num_bins": 4, "epsilon": 0.01, "output_mode": "int"}, x, adapt=x)
    check = law("Discretization")
    assert check(learnt, [np.repeat(np.arange(4.0), 2)[:, None]], ROUNDOFF) is None
    assert "lie below" in check(learnt, [np.array([[0.0, 0, 0, 0, 0, 1, 2, 3]]).T], ROUNDOFF)
    assert "lower bin" in check(learnt, [np.array([[0.0, 0, 1, 0, 2, 2, 3, 3]]).T], ROUNDOFF)
    assert "of 4" in check(learnt, [np.array([[0.0, 0, 1, 1, 2, 2, 3, 4]]).T], ROUNDOFF)


def test_learnt_bins_must_be_encoded() -> None:
    x = np.arange(4.0).reshape(2, 2)
    learnt = call({"num_bins": 2, "epsilon": 0.01, "output_mode": "count"}, x, adapt=x)
    check = law("Discretization", 1)
    assert check(learnt, [np.array([[2.0, 0], [0, 2]])], ROUNDOFF) is None
    assert check(learnt, [np.array([[1.0, 0], [0, 2]])], ROUNDOFF) is not None
    assert check(learnt, [np.ones((2, 3))], ROUNDOFF) is not None


def test_categories_are_encoded_as_the_documentation_prints() -> None:
    def encoded(mode: str, indices: Any, **keywords: Any) -> Any:
        given = call({"num_tokens": 4, "output_mode": mode}, np.asarray(indices), keywords=keywords)
        return preprocessing.category_encoding(given)

    assert encoded("one_hot", [3, 2, 0, 1]).tolist() == np.eye(4)[[3, 2, 0, 1]].tolist()
    assert encoded("one_hot", [[3], [0]]).shape == (2, 4)
    assert encoded("one_hot", [[3, 1], [0, 2]]).shape == (2, 2, 4)
    pairs = [[0, 1], [0, 0], [1, 2], [3, 1]]
    assert encoded("multi_hot", pairs).tolist() == [[1, 1, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 1]]
    weights = np.array([[0.1, 0.2], [0.1, 0.1], [0.2, 0.3], [0.4, 0.2]])
    wanted = np.array([[0.1, 0.2, 0, 0], [0.2, 0, 0, 0], [0, 0.2, 0.3, 0], [0, 0.2, 0, 0.4]])
    assert encoded("count", pairs, count_weights=weights) == pytest.approx(wanted)


# Pipeline.


def test_a_pipeline_is_one_layer_after_the_other() -> None:
    layers = [Build("keras.layers.Rescaling", {"scale": 2.0, "offset": 1.0}), Build("keras.layers.Flatten")]
    x = np.array([[[1.0], [2.0]]])
    assert preprocessing.pipeline(call({"layers": layers}, x)).tolist() == [[3.0, 5.0]]
    case = Case("keras.layers.Pipeline", {"layers": layers}, Tensor((1, 2, 1)))
    assert identity("Pipeline", "nested_is_flat").other(case).arguments["layers"][0].path == "keras.layers.Pipeline"


# Hashes.


@pytest.mark.parametrize(("salt", "buckets"), [(None, [1, 0, 1, 1, 2]), ([133, 137], [1, 2, 1, 0, 2]), (133, [0, 0, 2, 1, 0])])
def test_hashes_are_those_that_the_documentation_prints(salt: Any, buckets: list[int]) -> None:
    given = call(
        {"num_bins": 3, "mask_value": None, "salt": salt, "output_mode": "int"}, text(["A"], ["B"], ["C"], ["D"], ["E"])
    )
    assert lookup.hashing(given)[:, 0].tolist() == buckets


def test_masked_texts_have_the_first_bucket() -> None:
    given = call({"num_bins": 3, "mask_value": "", "salt": None, "output_mode": "int"}, text("A", "B", "", "C", "D"))
    assert lookup.hashing(given).tolist() == [1, 1, 0, 2, 2]


def test_siphash_gives_the_test_vector_of_the_paper() -> None:
    assert hashing.siphash64(bytes(range(15)), (0x0706050403020100, 0x0F0E0D0C0B0A0908)) == 0xA129CA6149BE45E5
    with pytest.raises(ValueError, match="32"):
        hashing.farmhash64(bytes(33))


def test_crossed_features_must_keep_their_bucket() -> None:
    check = law("HashedCrossing")
    features = [text("a", "a", "b"), np.array([1, 1, 1])]
    given = call({"num_bins": 3, "output_mode": "int"}, features)
    assert check(given, [np.array([2.0, 2, 0])], ROUNDOFF) is None
    assert "goes to bucket" in check(given, [np.array([2.0, 1, 0])], ROUNDOFF)
    assert "not within" in check(given, [np.array([2.0, 2, 3])], ROUNDOFF)
    encoded = call({"num_bins": 3, "output_mode": "one_hot"}, features)
    assert check(encoded, [np.eye(3)[[2, 2, 0]]], ROUNDOFF) is None
    assert "not one" in check(encoded, [np.ones((3, 3))], ROUNDOFF)
    case = Case("keras.layers.HashedCrossing", {"num_bins": 3}, [])
    expected = identity("HashedCrossing", "one_hot_is_the_bucket_encoded").expected
    assert expected(case, [np.array([2.0, 0])])[0].tolist() == [[0, 0, 1], [1, 0, 0]]


# Lookups.


def test_integers_are_looked_up_as_the_documentation_prints() -> None:
    def found(inputs: Any, **arguments: Any) -> Any:
        return lookup.integer_lookup(call({**LOOKUP, "vocabulary": [12, 36, 1138, 42], **arguments}, np.asarray(inputs)))

    assert found([[12, 1138, 42], [42, 1000, 36]]).tolist() == [[1, 3, 4], [4, 0, 2]]
    assert found([[12, 1138, 42], [37, 1000, 36]], num_oov_indices=2).tolist() == [[2, 4, 5], [1, 0, 3]]
    data = [[12, 1138, 42, 42], [42, 7, 36, 7]]
    assert found(data, output_mode="multi_hot").tolist() == [[0, 1, 0, 1, 1], [1, 0, 1, 0, 1]]
    assert found(data, output_mode="count").tolist() == [[0, 1, 0, 1, 2], [2, 0, 1, 0, 1]]
    idf = [0.25, 0.75, 0.6, 0.4]
    wanted = np.array([[0, 0.25, 0, 0.6, 0.8], [1.0, 0, 0.75, 0, 0.4]])
    assert found(data, output_mode="tf_idf", idf_weights=idf) == pytest.approx(wanted)
    wanted[1, 0] = 1.8
    whole = {"vocabulary": [-1, 12, 36, 1138, 42], "idf_weights": [0.9, *idf]}
    assert found(data, output_mode="tf_idf", **whole) == pytest.approx(wanted)
    assert found([[1, 3, 4], [4, 0, 2]], invert=True).tolist() == [[12, 1138, 42], [42, -1, 36]]
    assert found([[0, 7]], mask_token=0, output_mode="count").tolist() == [[1, 0, 0, 0, 0]]
    assert found([[0, 7, 12]], mask_token=0).tolist() == [[0, 1, 2]]
    farm = found([100, 300, 700, 1100, 1700, 2000], vocabulary=[10, 20, 30], num_oov_indices=4, oov_method="farmhash")
    assert farm.tolist() == [3, 3, 2, 2, 0, 1]


def test_a_vocabulary_is_learnt_as_the_documentation_prints() -> None:
    data = np.array([[12, 1138, 42], [42, 1000, 36]])
    assert lookup.integer_lookup(call(LOOKUP, data, adapt=data)).tolist() == [[5, 2, 1], [1, 3, 4]]
    capped = lookup.integer_lookup(call({**LOOKUP, "max_tokens": 2}, data, adapt=data))
    assert capped.tolist() == [[0, 0, 1], [1, 0, 0]]
    vocabulary = lookup.learnt(data.tolist(), [], None, 1)
    assert vocabulary.idf is not None
    assert vocabulary.idf[:2] == pytest.approx([np.log(1 + 2 / 3), np.log(2)])


def test_the_inverse_gives_tokens_back() -> None:
    back = identity("StringLookup", "inverse_gives_the_tokens_back")
    case = Case("keras.layers.StringLookup", {"vocabulary": ["a", "b"]}, Tensor((2,), "string", literal=("b", "z")))
    other = back.other(case)
    assert (other.arguments["invert"], make(other.inputs).tolist()) == (True, [2, 0])
    assert back.expected(case, [])[0].tolist() == ["b", "[UNK]"]
    assert back.other(case.with_arguments(output_mode="count")) is None


# Texts.


def test_texts_become_tokens() -> None:
    def tokens(given: str, **arguments: Any) -> list[str]:
        return lookup.tokens_of(call({**TEXT, **arguments}, None), given)

    assert tokens("The CAT, sat!") == ["the", "cat", "sat"]
    assert tokens("The CAT!", standardize="lower") == ["the", "cat!"]
    assert tokens("A, b", standardize="strip_punctuation", split="character") == ["A", " ", "b"]
    assert tokens("a b c", ngrams=(2, 1)) == ["a b", "b c", "a", "b", "c"]
    assert tokens("a b", ngrams=3) == ["a", "b", "a b"]
    assert tokens("a,B", standardize=Name("x.shouted"), split=Name("x.at_commas")) == ["A", "B"]


def test_texts_become_the_indices_that_the_documentation_prints() -> None:
    learnt = call(
        {**TEXT, "output_sequence_length": 4}, text("foo qux bar", "qux baz"), adapt=text("foo bar", "bar baz", "baz bada boom")
    )
    found = lookup.text_vectorization(learnt)
    # "bar" and "baz" come twice, and the last in order is first.
    assert found.tolist() == [[4, 1, 3, 0], [1, 2, 0, 0]]
    given = {**TEXT, "vocabulary": ["a", "b"], "output_mode": "count", "pad_to_max_tokens": True, "max_tokens": 4}
    assert lookup.text_vectorization(call(given, text("a a z", ""))).tolist() == [[1, 2, 0, 0], [0, 0, 0, 0]]
    unsplit = {**TEXT, "vocabulary": ["a b"], "split": None}
    assert lookup.text_vectorization(call(unsplit, text("a b", "c"))).tolist() == [2, 1]


def test_an_empty_token_is_padding() -> None:
    given = {**TEXT, "vocabulary": ["a"], "standardize": None, "split": Name("x.at_commas")}
    assert lookup.text_vectorization(call(given, text("a,z", ""))).tolist() == [[2, 1], [0, 0]]
    assert lookup.text_vectorization(call({**given, "output_mode": "multi_hot"}, text("z", ""))).tolist() == [[1, 0], [0, 0]]


def test_texts_without_words_give_rows_without_indices() -> None:
    given = {**TEXT, "vocabulary": ["a"], "split": "whitespace"}
    assert lookup.text_vectorization(call(given, text("", ""))).shape == (2, 0)


def test_one_text_alone_is_as_in_the_batch() -> None:
    alone = identity("TextVectorization", "alone_as_in_the_batch")
    case = Case("keras.layers.TextVectorization", {"output_mode": "count"}, Tensor((2,), "string", literal=("a", "b")))
    assert make(alone.other(case).inputs).tolist() == ["a"]
    assert alone.expected(case, [np.eye(2)])[0].tolist() == [[1.0, 0.0]]
    assert alone.other(case.without("output_mode")) is None


@pytest.mark.parametrize(
    ("arguments", "expected"), [({}, (-1,)), ({"axis": 1}, (1,)), ({"axis": (2, -1)}, (2, -1)), ({"axis": None}, ())]
)
def test_normalization_keeps_the_sizes_that_have_a_mean(arguments: dict[str, Any], expected: tuple[int, ...]) -> None:
    case = Case("keras.layers.Normalization", {"mean": 1.0, "variance": 4.0, **arguments}, Tensor((2, 3, 4)))
    assert tuple(SPECS["Normalization"].keeps(case)) == expected
