"""Specs of the layers that know a vocabulary or hash: integers and texts to indices, and back.

They use TensorFlow inside on every backend, as documented: `requires` has it imported, and `Backend.alone` then lets it be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Build, Case, Name, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import lookup as references
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.identities import of_array
from pytest_dlcheck.subjects.spec import Call, Identity, Law, LayerSpec

__all__ = ["SPECS"]

Array = NDArray[Any]

PAGES = "https://keras.io/api/layers/preprocessing_layers"
FILE = "pytest_dlcheck.subjects.foreign_objects.vocabulary_file"
VECTORS = ("multi_hot", "count", "tf_idf")
IDF = (0.25, 0.75, 0.6, 0.4, 1.5, 0.9, 2.0, 0.1)
NOT_COMPILED = {"compiled": "documented not to be part of a compiled graph: TensorFlow's tables and texts are not for XLA"}

WORDS = ("a", "b", "cat", "dog", "été", "Cat", "two words")
OTHER_WORDS = ("z", "zebra", "aa", "a ", "hippopotamus", "ÿ")
NUMBERS = (12, 36, 1138, 42, 7, -5, 100000)
OTHER_NUMBERS = (3, 8, 1000, -2, -7, 36000001)


def _some(d: Draw, pool: Sequence[Any], least: int = 1, most: int = 5) -> list[Any]:
    """Different ones of them, in an order that is not theirs as often as not."""
    found = list(pool[: d.integer(least, min(most, len(pool)))])
    return found[::-1] if d.flag() else found


def _tensor(d: Draw, shape: Sequence[int], pool: Sequence[Any]) -> Tensor:
    """A tensor of these texts or numbers."""
    if isinstance(pool[0], str):
        return d.strings(shape, pool)
    count = int(np.prod(shape))
    dtype = d.choice(["int64", "int32"])
    return Tensor(tuple(shape), dtype, literal=tuple(d.choice(pool) for _ in range(count)))


# Hashing.


def _salt(d: Draw) -> Any:
    return d.option("salt", [133, (133, 137), [7, 2**40]])


def _sparse(d: Draw) -> None:
    d.option("sparse", [True] if d.world.backend == "tensorflow" else [False], one_in=4)


def _hashing(d: Draw) -> None:
    texts = d.flag()
    pool: tuple[Any, ...] = (*WORDS, *OTHER_WORDS, "") if texts else (*NUMBERS, *OTHER_NUMBERS, 0)
    masked = d.option("mask_value", ["", "a"] if texts else [0, 12])
    d.set("num_bins", d.choice([3, 2, 8, 1000] if masked is not None else [3, 1, 2, 8, 1000]))
    _salt(d)
    mode = d.option("output_mode", ("one_hot", *VECTORS[:2]), default="int", one_in=2)
    if mode != "int":
        _sparse(d)
    d.option("name", ["subject"], one_in=10)
    ranks = {"int": [2, 1, 3], "one_hot": [2, 1]}.get(mode, [2])
    d.inputs = _tensor(d, d.shape(d.choice(ranks)), pool)


# HashedCrossing.


def _hashed_crossing(d: Draw) -> None:
    d.set("num_bins", d.choice([3, 1, 2, 8, 1000]))
    mode = d.option("output_mode", ["one_hot"], default="int", one_in=2)
    if mode != "int":
        _sparse(d)
    d.option("dtype", ["int64", "int32"] if mode == "int" else ["float32"], one_in=6)
    d.option("name", ["subject"], one_in=10)
    batch = d.size()
    shape = d.choice([(batch,), (batch, 1)])
    pools: list[Sequence[Any]] = [d.choice([WORDS, NUMBERS]) for _ in range(2)]
    d.inputs = [_tensor(d, shape, pool[:3]) for pool in pools]


def _buckets(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    """Indices are of a bucket, the same for the same features; encoded, each row has a single one."""
    del unit_roundoff
    found = outputs[0]
    if call["output_mode"] == "one_hot":
        if (
            found.shape[-1] != call["num_bins"]
            or not ((found == 0) | (found == 1)).all()
            or not (found.sum(axis=-1) == 1).all()
        ):
            return f"not one of {call['num_bins']} buckets: {found.tolist()}"
        found = found.argmax(axis=-1)
    if not ((found >= 0) & (found < call["num_bins"])).all():
        return f"not within {call['num_bins']} buckets: {found.tolist()}"
    seen: dict[Any, int] = {}
    for key, bucket in zip(
        zip(*(each.reshape(-1).tolist() for each in call.inputs), strict=True), found.reshape(-1), strict=True
    ):
        if seen.setdefault(key, int(bucket)) != bucket:
            return f"{key} goes to bucket {int(bucket)} and to {seen[key]}"
    return None


def _as_one_hot(case: Case) -> Case | None:
    """The same buckets, encoded."""
    return None if "output_mode" in case.arguments else case.with_arguments(output_mode="one_hot")


def _one_hot(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    found = outputs[0].reshape(-1).astype(np.int64)
    return [np.eye(case.arguments["num_bins"])[found]]


def _reversed_batch(case: Case) -> Case:
    """The same samples in the opposite order."""
    return case.replace(inputs=[of_array(make(tensor)[::-1], tensor.dtype) for tensor in case.inputs])


# IntegerLookup and StringLookup.


def _lookup(d: Draw, pool: Sequence[Any], others: Sequence[Any], masks: Sequence[Any], oov_tokens: Sequence[Any]) -> None:
    oov = d.option("num_oov_indices", [2, 0, 3], default=1)
    mask = d.option("mask_token", masks)
    inverted = bool(d.option("invert", [True], default=False, one_in=5))
    oov_token = d.option("oov_token", oov_tokens[1:], default=oov_tokens[0], one_in=5)
    mode = "int" if inverted else d.option("output_mode", ("one_hot", *VECTORS), default="int", one_in=2)
    d.weights_seed = None
    special = [mask] * (mask is not None and mode == "int") + [oov_token] * oov
    tokens = _some(d, pool)
    # The documents may have any number of rows; each is one.
    adapted = d.flag(3)
    if adapted:
        documents = _tensor(d, (d.choice([2, 3, 1]), d.choice([3, 1, 4])), tokens)
        d.adapt = documents
        tokens = sorted(set(documents.literal))
        size = len(special) + len(tokens)
        capped = mode == "int" and oov and d.flag(3)
        top = d.set("max_tokens", len(special) + 1) if capped else None
    else:
        size, top = _vocabulary(d, tokens, special, mode), None
    if mode in VECTORS:
        if top is None and d.option("pad_to_max_tokens", [True], one_in=4):
            d.set("max_tokens", size + d.integer(0, 2))
        _sparse(d)
    d.option("name", ["subject"], one_in=10)
    if inverted:
        # Without an index for it, what has no token is an error.
        low, high = (0, size - 1) if not oov else (-1, size + 1)
        # On torch, texts of one axis come as so many outputs: a list, see docs/discrepancies.md#stringlookup-invert.
        ranks = [2, 3] if d.world.backend == "torch" and isinstance(oov_token, str) else [2, 1, 3]
        d.inputs = d.integers(d.shape(d.choice(ranks)), low, high, ("int64", "int32"))
        return
    ranks = {"int": [2, 1, 3], "one_hot": [2, 1]}.get(mode, [2])
    known = [*tokens, *([] if mask is None else [mask])]
    d.inputs = _tensor(d, d.shape(d.choice(ranks)), [*known, *others] if oov else known)


def _vocabulary(d: Draw, tokens: Sequence[Any], special: Sequence[Any], mode: str) -> int:
    """Gives the vocabulary, by itself or with the special tokens in front, and its weights; how many there are in all."""
    whole = [*special, *tokens] if special and d.flag(4) else list(tokens)
    how = d.choice([list, tuple, list])
    as_file = mode != "tf_idf" and len(whole) == len(tokens) and d.flag(6)
    d.set("vocabulary", Build(FILE, {"words": whole}) if as_file else how(whole))
    if mode == "tf_idf":
        d.set("idf_weights", list(IDF[: len(whole)]))
    return len(special) + len(tokens)


def _integer_lookup(d: Draw) -> None:
    d.option("vocabulary_dtype", ["int64"], one_in=10)
    if d.option("oov_method", ["farmhash"], default="floormod", one_in=3) == "farmhash":
        _salt(d)
    _lookup(d, NUMBERS, OTHER_NUMBERS, [0, 99], [-1, -9])


def _string_lookup(d: Draw) -> None:
    d.option("encoding", ["utf-8"], one_in=10)
    if d.world.takes("salt"):
        _salt(d)
    _lookup(d, WORDS, OTHER_WORDS, ["", "[MASK]"], ["[UNK]", "<oov>"])


def _twice_adapted(case: Case) -> Case | None:
    """Adapted to the same documents in the opposite order."""
    if not isinstance(case.adapt, Tensor):
        return None
    return case.replace(adapt=of_array(make(case.adapt)[::-1], case.adapt.dtype))


def _there_and_back(case: Case) -> Case | None:
    """The inverse layer of the same vocabulary, on the vocabulary's own indices."""
    arguments = case.arguments
    vocabulary = arguments.get("vocabulary")
    if "output_mode" in arguments or "invert" in arguments or not isinstance(vocabulary, (list, tuple)):
        return None
    indices = references_of(case)
    return case.with_arguments(invert=True).replace(inputs=of_array(indices, "int64"))


def references_of(case: Case) -> Array:
    """The indices that the case's tokens have by the documentation."""
    text = case.name == "StringLookup"
    defaults = {"num_oov_indices": 1, "mask_token": None, "oov_token": "[UNK]" if text else -1, "invert": False, "salt": None}
    call = Call({**defaults, "output_mode": "int", "max_tokens": None, **case.arguments}, {}, make(case.inputs))
    return (references.string_lookup if text else references.integer_lookup)(call)


def _known_or_not(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    """The tokens themselves, those that are not in the vocabulary as the token that says so."""
    text = case.name == "StringLookup"
    absent = case.arguments.get("oov_token", "[UNK]" if text else -1)
    known = {*case.arguments["vocabulary"], case.arguments.get("mask_token")} - {absent}
    found = [token if token in known else absent for token in make(case.inputs).reshape(-1).tolist()]
    del outputs
    return [np.asarray(found, dtype=object).reshape(case.inputs.shape)]


# TextVectorization.

TEXTS = ("a b c", "the cat sat", "The CAT!", "b, a; b", "", "cat", "  a\tb\nb ", "été, été", "a-b c", "the the the cat")
TEXT_WORDS = ("a", "b", "cat", "the", "c", "été", "sat", "a b", "the cat")
SHOUTED, AT_COMMAS = (Name(f"pytest_dlcheck.subjects.foreign_objects.{name}") for name in ("shouted", "at_commas"))


def _text_vectorization(d: Draw) -> None:
    d.option("standardize", [None, "lower", "strip_punctuation", "lower_and_strip_punctuation", SHOUTED])
    split = d.option("split", ["character", None, AT_COMMAS, "whitespace"], default="whitespace")
    d.option("ngrams", [2, 3, (2,), (1, 3), (2, 1)], one_in=4) if split is not None else None
    d.option("encoding", ["utf-8"], one_in=10)
    mode = d.option("output_mode", VECTORS, default="int", one_in=2)
    special = ["", "[UNK]"] if mode == "int" else ["[UNK]"]
    texts = TEXTS if split is not None else tuple(text for text in TEXTS if text)
    d.weights_seed = None
    if d.flag(3):
        # The first has tokens however it is split and joined: of none, no vocabulary can be learnt.
        documents = ["the cat sat, a, b c", *(d.choice(texts) for _ in range(d.choice([1, 2, 0])))]
        d.adapt = Tensor((len(documents),), "string", literal=tuple(documents))
        if d.flag(3):
            d.set("max_tokens", len(special) + d.integer(1, 3))
            if mode in VECTORS and d.flag():
                d.set("pad_to_max_tokens", False)
    else:
        size = _vocabulary(d, _some(d, TEXT_WORDS, most=8), special, mode)
        if mode in VECTORS and d.option("pad_to_max_tokens", [True], one_in=4):
            d.set("max_tokens", size + d.integer(0, 2))
    if mode == "int":
        d.option("output_sequence_length", [3, 1, 6])
    else:
        _sparse(d)
    d.option("name", ["subject"], one_in=10)
    batch = d.size()
    shape = d.choice([(batch,), (batch, 1)] if split is not None or mode == "int" else [(batch, 1), (batch, 2)])
    if len(shape) == 1 and "split" not in d.arguments:
        d.set("split", "whitespace")  # so that None is told from the default
    d.inputs = d.strings(shape, texts)


def _first_alone(case: Case) -> Case | None:
    """The first text without the others."""
    if case.arguments.get("output_mode") in (None, "int") and "output_sequence_length" not in case.arguments:
        return None  # each row is as long as the longest
    return case.replace(inputs=of_array(make(case.inputs)[:1], "string"))


def _first(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    del case
    return [output[:1] for output in outputs]


_LOOKUP_IDENTITIES = (
    Identity("order_of_documents_is_irrelevant", _twice_adapted),
    Identity("inverse_gives_the_tokens_back", _there_and_back, _known_or_not),
)

SPECS = (
    LayerSpec(
        "Hashing",
        _hashing,
        references.hashing,
        f"{PAGES}/categorical/hashing/",
        policies=("none",),
        requires=("tensorflow",),
        exempt=NOT_COMPILED,
    ),
    LayerSpec(
        "HashedCrossing",
        _hashed_crossing,
        None,  # how the hashes of the features are combined is not documented
        f"{PAGES}/categorical/hashed_crossing/",
        policies=("none",),
        laws=(Law("same_features_same_bucket", _buckets),),
        identities=(
            Identity("one_hot_is_the_bucket_encoded", _as_one_hot, _one_hot, exact=True),
            Identity(
                "position_is_irrelevant", _reversed_batch, lambda case, outputs: [each[::-1] for each in outputs], exact=True
            ),
        ),
        requires=("tensorflow",),
        exempt=NOT_COMPILED,
    ),
    LayerSpec(
        "IntegerLookup",
        _integer_lookup,
        references.integer_lookup,
        f"{PAGES}/categorical/integer_lookup/",
        policies=("none",),
        identities=_LOOKUP_IDENTITIES,
        requires=("tensorflow",),
        exempt=NOT_COMPILED,
    ),
    LayerSpec(
        "StringLookup",
        _string_lookup,
        references.string_lookup,
        f"{PAGES}/categorical/string_lookup/",
        policies=("none",),
        identities=_LOOKUP_IDENTITIES,
        requires=("tensorflow",),
        exempt=NOT_COMPILED,
    ),
    LayerSpec(
        "TextVectorization",
        _text_vectorization,
        references.text_vectorization,
        f"{PAGES}/text/text_vectorization/",
        policies=("none",),
        identities=(
            Identity("order_of_documents_is_irrelevant", _twice_adapted),
            Identity("alone_as_in_the_batch", _first_alone, _first),
        ),
        # A row of indices is padded to the longest of its batch; where it is not, the identity looks.
        rows=False,
        not_drawn={"ragged": "a ragged tensor is no array: sizes differ from row to row"},
        requires=("tensorflow",),
        exempt=NOT_COMPILED,
    ),
)
