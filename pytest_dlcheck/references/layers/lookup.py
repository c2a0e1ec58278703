"""Vocabularies, hashes and texts: index arithmetic from the documentation."""

from __future__ import annotations

import itertools
import math
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Build, Name
from pytest_dlcheck.references.layers.hashing import bucket
from pytest_dlcheck.references.layers.preprocessing import encoded
from pytest_dlcheck.subjects.spec import Call

__all__ = ["Vocabulary", "hashing", "integer_lookup", "learnt", "string_lookup", "text_vectorization", "tokens_of"]

Array = NDArray[Any]

DROPPED = -1
"""The index of what is not to be counted."""


class Vocabulary(NamedTuple):
    """What a lookup knows.

    Attributes:
        tokens: in order, without mask and out-of-vocabulary tokens.
        idf: the weight of each token, None if there are none.
        oov_idf: the weight of the out-of-vocabulary indices.
    """

    tokens: Sequence[Any]
    idf: Sequence[float] | None = None
    oov_idf: Sequence[float] = ()


def learnt(documents: Iterable[Iterable[Any]], special: Iterable[Any], most: int | None, oov: int) -> Vocabulary:
    """The most frequent tokens first, those of equal frequency from the last to the first in order; idf = log(1 + N / (1 + n))
    with N documents of which n have the token, and their mean for what is not in the vocabulary
    (https://keras.io/api/layers/preprocessing_layers/categorical/string_lookup/)."""
    rows = [list(document) for document in documents]
    counts = Counter(token for row in rows for token in row)
    within = Counter(token for row in rows for token in set(row))
    for token in special:
        counts.pop(token, None)
    tokens = sorted(sorted(counts, reverse=True), key=lambda token: -counts[token])[:most]
    idf = [math.log(1 + len(rows) / (1 + within[token])) for token in tokens]
    return Vocabulary(tokens, idf, [float(np.mean(idf))] * oov if idf else [0.0] * oov)


def given(call: Call, special: Sequence[Any], oov: int) -> Vocabulary:
    """A vocabulary that was passed, with its mask and out-of-vocabulary tokens in front, or without them."""
    words = call["vocabulary"]
    tokens = list(words.arguments["words"] if isinstance(words, Build) else words)
    weights = call.arguments.get("idf_weights")
    whole = bool(special) and tokens[: len(special)] == list(special)
    if whole:
        tokens = tokens[len(special) :]
    if weights is None:
        return Vocabulary(tokens)
    if whole:
        return Vocabulary(tokens, weights[len(special) :], weights[:oov])
    return Vocabulary(tokens, weights, [float(np.mean(weights))] * oov)


def hashing(call: Call) -> Array:
    """hash(x) mod bins, by FarmHash64 or, salted, SipHash64; with a mask value that is 0 and the others 1 + hash(x) mod
    (bins - 1) (https://keras.io/api/layers/preprocessing_layers/categorical/hashing/)."""
    count, masked = call["num_bins"], call["mask_value"]

    def index(token: Any) -> int:
        if masked is None:
            return bucket(token, count, call["salt"])
        return 0 if token == masked else 1 + bucket(token, count - 1, call["salt"])

    found = _each(index, call.inputs)
    return found if call["output_mode"] == "int" else encoded(found, count, call["output_mode"])


def _each(function: Any, tokens: Array) -> Array:
    return np.asarray([function(token) for token in tokens.reshape(-1).tolist()], dtype=np.int64).reshape(tokens.shape)


def integer_lookup(call: Call) -> Array:
    """See `_lookup`; what is not in the vocabulary goes to the index that is its remainder, or its hash
    (https://keras.io/api/layers/preprocessing_layers/categorical/integer_lookup/)."""

    def outside(token: int, count: int) -> int:
        if call.arguments.get("oov_method", "floormod") == "floormod":
            return token % count
        return bucket(token, count, call["salt"])

    return _lookup(call, outside)


def string_lookup(call: Call) -> Array:
    """See `_lookup`; what is not in the vocabulary goes to the index that is its hash
    (https://keras.io/api/layers/preprocessing_layers/categorical/string_lookup/)."""
    return _lookup(call, lambda token, count: bucket(token, count, call.arguments.get("salt")))


def _lookup(call: Call, outside: Any) -> Array:
    """Indices in the order mask (`int` only), out of vocabulary, vocabulary; encoded as the output mode says, where what is
    masked does not count; the other way round if inverted."""
    mode, oov, mask = call["output_mode"], call["num_oov_indices"], call["mask_token"]
    first = int(mask is not None and mode == "int")
    special = [mask] * first + [call["oov_token"]] * oov
    if call.adapt is None:
        vocabulary = given(call, special, oov)
    else:
        documents = [[each] for each in call.adapt.tolist()] if call.adapt.ndim == 1 else call.adapt.tolist()
        most = None if call["max_tokens"] is None else call["max_tokens"] - len(special)
        vocabulary = learnt(documents, [call["oov_token"], *([] if mask is None else [mask])], most, oov)
    if call["invert"]:
        names = {first + oov + place: token for place, token in enumerate(vocabulary.tokens)}
        names |= {0: mask} if first else {}
        found = [names.get(index, call["oov_token"]) for index in call.inputs.reshape(-1).tolist()]
        dtype = object if isinstance(call["oov_token"], str) else np.int64
        result: Array = np.asarray(found, dtype=dtype).reshape(call.inputs.shape)
        return result
    places = {token: place for place, token in enumerate(vocabulary.tokens)}

    def index(token: Any) -> int:
        if mask is not None and token == mask:
            return 0 if first else DROPPED
        if token in places:
            return int(first + oov + places[token])
        return int(first + (outside(token, oov) if oov > 1 else 0))

    return _encoded(call, _each(index, call.inputs), vocabulary, oov)


def _encoded(call: Call, indices: Array, vocabulary: Vocabulary, oov: int) -> Array:
    mode = call["output_mode"]
    if mode == "int":
        return indices
    size = oov + len(vocabulary.tokens)
    padded = call["max_tokens"] if call["pad_to_max_tokens"] else size
    if mode != "tf_idf":
        return encoded(indices, padded, mode)
    assert vocabulary.idf is not None
    weights = np.asarray([*vocabulary.oov_idf, *vocabulary.idf, *[0.0] * (padded - size)])
    return np.asarray(encoded(indices, padded, "count") * weights)


# Texts.


def tokens_of(call: Call, text: str) -> list[str]:
    """A text, standardized, split and joined to n-grams
    (https://keras.io/api/layers/preprocessing_layers/text/text_vectorization/)."""
    how = call["standardize"]
    if isinstance(how, Name):
        text = text.upper()  # foreign_objects.shouted
    elif how is not None:
        text = text.lower() if "lower" in how else text
        text = text.translate({ord(each): None for each in string.punctuation}) if "punctuation" in how else text
    if call["split"] is None:
        words = [text]
    elif isinstance(call["split"], Name):
        words = text.split(",")  # foreign_objects.at_commas
    else:
        words = text.split() if call["split"] == "whitespace" else list(text)
    widths = call["ngrams"]
    if widths is None:
        return words
    widths = range(1, widths + 1) if isinstance(widths, int) else widths
    return [" ".join(words[start : start + width]) for width in widths for start in range(len(words) - width + 1)]


def text_vectorization(call: Call) -> Array:
    """The tokens of each text (`tokens_of`) by their indices: in mode `int` 0 for padding, which is an empty token, 1 out of
    vocabulary, then the vocabulary, each row as long as the longest or as asked; else encoded, index 0 out of vocabulary,
    empty tokens left out as any lookup leaves out its mask token
    (https://keras.io/api/layers/preprocessing_layers/text/text_vectorization/)."""
    integers = call["output_mode"] == "int"
    special = ["", "[UNK]"] if integers else ["[UNK]"]
    if call.adapt is None:
        vocabulary = given(call, special, 1)
    else:
        most = None if call["max_tokens"] is None else call["max_tokens"] - len(special)
        documents = [list(itertools.chain(*(tokens_of(call, each) for each in row))) for row in _rows(call.adapt)]
        vocabulary = learnt(documents, ["", "[UNK]"], most, 1)
    places = {token: place + len(special) for place, token in enumerate(vocabulary.tokens)}
    rows = [[tokens_of(call, each) for each in row] for row in _rows(call.inputs)]
    places[""] = 0 if integers else DROPPED
    found = [[places.get(token, len(special) - 1) for words in row for token in words] for row in rows]
    if integers:
        # Without splitting, texts of one axis keep it.
        if call["split"] is None and call.inputs.ndim == 1 and call["output_sequence_length"] is None:
            return np.asarray(found, dtype=np.int64).reshape(-1)
        return _rectangle(found, call["output_sequence_length"], 0)
    return _encoded(call, _rectangle(found, None, DROPPED), vocabulary, 1)


def _rows(texts: Array) -> list[list[str]]:
    return [list(row) for row in texts.reshape(len(texts), -1).tolist()]


def _rectangle(rows: Sequence[Sequence[int]], length: int | None, padding: int) -> Array:
    """Rows padded to the longest, or padded and cut to the length."""
    length = max((len(row) for row in rows), default=0) if length is None else length
    return np.asarray([[*row[:length], *[padding] * (length - len(row))] for row in rows], dtype=np.int64).reshape(
        len(rows), length
    )
