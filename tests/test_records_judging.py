"""What changed between two records: each kind of change is found when planted, and nothing is found between twins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from records import OUTPUT, a_record, changed, moved, seen

from pytest_dlcheck.records.arrays import KEPT, Kept, change_of, pack, unpack
from pytest_dlcheck.records.changes import HURTS, KINDS, Change
from pytest_dlcheck.records.grouping import grouped
from pytest_dlcheck.records.judging import Knowledge, compare_records
from pytest_dlcheck.records.record import Record
from pytest_dlcheck.records.values import BEYOND, ROUNDING, SAME, apart

Plant = Callable[[dict[str, Any]], Any]


def array(name: str, value: Any, dtype: str = "float32") -> Plant:
    return lambda observed: observed["arrays"].update(
        {name: pack(dtype, value, moved(value) if value.dtype.kind == "f" else ())}
    )


def fact(name: str, value: Any) -> Plant:
    return lambda observed: observed["facts"].update({name: value})


def error(part: str, kind: str = "ValueError", message: str = "no") -> Plant:
    return lambda observed: observed["errors"].update({part: {"kind": kind, "message": message, "during": part}})


def fails(kind: str, message: str, status: str = "error") -> Plant:
    def change(observed: dict[str, Any]) -> None:
        observed.clear()
        observed.update(status=status, error={"kind": kind, "message": message, "during": "building"})

    return change


def without(value: Any, place: int, entry: float) -> Any:
    other = value.copy()
    other.reshape(-1)[place] = entry
    return other


KERNEL = np.arange(12, dtype=np.float32).reshape(4, 3)
GRADIENT = "gradient dense/kernel"
DRAWN = "initial dense/kernel"

WEIGHTS = seen()["facts"]["weights"]
PLANTED: dict[str, tuple[Plant, str, str]] = {
    "one value of six": (array("inference output 0", without(OUTPUT, 2, -0.2001)), "values", "inference output"),
    "a NaN": (array("inference output 0", without(OUTPUT, 0, np.nan)), "not finite", "inference output"),
    "an infinity": (array("inference output 0", without(OUTPUT, 0, np.inf)), "not finite", "inference output"),
    "training alone": (array("training output 0", OUTPUT * 2), "values", "training output"),
    "a gradient": (array(GRADIENT, KERNEL + 1, "float64"), "gradient", GRADIENT),
    "no gradient": (array(GRADIENT, KERNEL[:0], "none"), "gradient", GRADIENT),
    "a shape": (array("inference output 0", OUTPUT[:, :2]), "shape", "inference output"),
    "a dtype": (array("inference output 0", OUTPUT.astype(np.float16), "float16"), "dtype", "inference output"),
    "other draws": (array(DRAWN, KERNEL / 12), "random stream", DRAWN),
    "another start": (array("initial dense/bias", np.ones(3, np.float32)), "start", "initial dense/bias"),
    "a weight's name": (fact("weights", [["dense/w", *WEIGHTS[0][1:]], WEIGHTS[1]]), "weights", "names"),
    "a weight's dtype": (fact("weights", [["dense/kernel", "float16", [4, 3], True], WEIGHTS[1]]), "weights", "dtype"),
    "a frozen weight": (fact("weights", [["dense/kernel", "float32", [4, 3], False], WEIGHTS[1]]), "weights", "trainable"),
    "the order of weights": (fact("weights", WEIGHTS[::-1]), "weights", "names"),
    "structure": (fact("inference structure", "[*, *]"), "structure", "inference output"),
    "declared": (fact("declared", ["*", ["float32", [2, 3]]]), "declared", "declared"),
    "config gone": (fact("config", {"units": 3}), "config", "keys"),
    "config new": (fact("config", {**seen()["facts"]["config"], "rank": None}), "config", "keys"),
    "config value": (fact("config", {**seen()["facts"]["config"], "units": 4}), "config", "units"),
    "an error": (fails("ValueError", "no"), "error appears", "the call"),
    "a crash": (fails("crash", "the process ended with status -6", "crash"), "crash", "the call"),
    "an error in training": (error("training"), "error appears", "training"),
    "an error when declared": (error("declared"), "error appears", "declared"),
}


@pytest.mark.parametrize(("plant", "kind", "what"), PLANTED.values(), ids=PLANTED)
def test_a_planted_change_is_found(plant: Plant, kind: str, what: str) -> None:
    found = compare_records(a_record(), changed(plant))
    assert [(change.kind, change.what) for change in found.changes] == [(kind, what)]
    assert found.changes[0].message
    assert found.changes[0].case is not None


def test_twins_have_no_changes() -> None:
    found = compare_records(a_record(), a_record(seen()))
    assert not found.changes
    assert (found.compared, found.identical, found.rounding) == (1, 5, 0)


def test_rounding_is_counted_and_is_no_change() -> None:
    nearly = np.nextafter(OUTPUT, np.float32(2))
    found = compare_records(a_record(), changed(array("inference output 0", nearly)))
    assert not found.changes
    assert (found.identical, found.rounding) == (4, 1)


def test_errors_are_compared_by_class_and_by_text() -> None:
    def of(kind: str, message: str) -> Record:
        return changed(fails(kind, message))

    assert not compare_records(of("ValueError", "no"), of("ValueError", "no")).changes
    assert compare_records(of("ValueError", "no"), of("TypeError", "no")).changes[0].kind == "error class"
    assert compare_records(of("ValueError", "no"), of("ValueError", "not so")).changes[0].kind == "error text"
    assert compare_records(of("ValueError", "no"), a_record()).changes[0].kind == "error disappears"


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ({"use_bias": "False"}, "default"),
        ({"rank": "None"}, "argument appears"),
        ({}, None),
    ],
)
def test_defaults_and_arguments(parameters: dict[str, str], kind: str | None) -> None:
    found = compare_records(a_record(), a_record(**parameters))
    assert [change.kind for change in found.changes] == ([] if kind is None else [kind])


def test_an_argument_that_is_gone_and_one_that_has_moved() -> None:
    old, new = a_record(kwargs=None), a_record(kwargs=None)
    subject = new.subjects["keras.layers.Dense"]
    subject["parameters"].pop("activation")  # type: ignore[attr-defined]
    assert [change.kind for change in compare_records(old, new).changes] == ["argument disappears"]
    subject["parameters"]["activation"] = "None"
    assert [change.kind for change in compare_records(old, new).changes] == ["argument order"]


def test_a_subject_that_is_gone_and_one_that_is_new() -> None:
    gone = Record(a_record().product, {}, {"keras.layers.Dense": {"missing": "no keras.layers.Dense", "cases": []}})
    assert [change.kind for change in compare_records(a_record(), gone).changes] == ["subject disappears"]
    assert [change.kind for change in compare_records(gone, a_record()).changes] == ["subject appears"]


def test_what_follows_from_another_output_is_left_out() -> None:
    def plant(observed: dict[str, Any]) -> None:
        for name in ("inference output 0", "training output 0"):
            array(name, OUTPUT * 2)(observed)
        array("gradient dense/kernel", np.ones((4, 3), np.float32), "float64")(observed)
        array("initial dense/bias", np.ones(3, np.float32))(observed)

    found = compare_records(a_record(), changed(plant))
    assert [change.what for change in found.changes] == ["initial dense/bias", "inference output"]


def test_a_random_output_is_another_stream() -> None:
    record = changed(array("training output 0", OUTPUT[::-1].copy()))
    found = compare_records(a_record(), record, Knowledge(random=lambda case, training: training))
    assert [change.kind for change in found.changes] == ["random stream"]


def test_what_one_side_does_not_support_is_not_compared() -> None:
    unsupported = a_record({"status": "unsupported", "why": "Dense takes no units"})
    found = compare_records(a_record(), unsupported)
    assert not found.changes
    assert (found.compared, found.skipped) == (0, {"cases that one side does not support": 1})


# Values.


def test_arrays_come_back() -> None:
    rng = np.random.default_rng(0)
    for value in (
        rng.normal(size=(2, 3)).astype(np.float32),
        np.array([np.nan, np.inf, -0.0]),
        np.float32(3),
        np.zeros((0, 3), np.float16),
        rng.integers(0, 9, (3, 2)).astype(np.int32),
        np.array([True, False]),
        np.array([1 + 2j], np.complex64),
    ):
        back = unpack(pack(str(value.dtype), np.asarray(value)))
        np.testing.assert_array_equal(back.array, value)
        assert back.array.dtype == value.dtype
        assert back.whole
    texts = unpack(pack("string", np.array([["a", "ß"]], dtype=object)))
    assert texts.array.tolist() == [["a", "ß"]]


def test_of_a_large_array_some_values_are_kept_and_any_other_shows_in_the_digest() -> None:
    value = np.arange(10 * KEPT, dtype=np.float32)
    first, second = unpack(pack("float32", value)), unpack(pack("float32", without(value, 5, -1)))
    assert first.values.size == KEPT
    assert not first.whole
    np.testing.assert_array_equal(first.values, second.values)
    assert first.digest != second.digest
    assert apart(first, first, compute_dtype="float32").how == SAME
    # Of numbers that rounding may move, only those that are kept can tell rounding from more.
    assert apart(first, second, compute_dtype="float32").how == ROUNDING
    whole, other = (unpack(pack("int32", each.astype(np.int32))) for each in (value, without(value, 5, -1)))
    assert apart(whole, other, compute_dtype="float32").how == BEYOND


@pytest.mark.parametrize("stored", [{}, {"t": "float32"}, {"t": "float32", "s": [2], "n": "f4", "d": "AAAA"}, {"s": "x"}, 3])
def test_what_is_no_array_is_refused(stored: Any) -> None:
    with pytest.raises(ValueError, match=r"not a stored array|values for shape|invalid|buffer"):
        unpack(stored)


def test_changes_are_bounded_by_powers_of_two() -> None:
    value = np.ones(3)
    other = value + np.array([0, 1e-7, 0.5])
    assert change_of(value, []) is None
    change = unpack(pack("float64", value, [other])).change
    assert change is not None
    assert change[0] == 0
    assert 1e-7 <= change[1] <= 2e-7
    assert 0.5 <= change[2] <= 1


def products(rng: np.random.Generator, terms: int, order: Any) -> tuple[Any, Any]:
    """A matrix product in float32, summed in some order, and its moved starts."""
    x, w = rng.normal(size=(8, terms)), rng.normal(size=(terms, 4))

    def run(a: Any, b: Any) -> Any:
        total = np.zeros((8, 4), np.float32)
        for place in order(terms):
            total += np.outer(a[:, place], b[place]).astype(np.float32)
        return total

    def move(a: Any) -> Any:
        return a * (1 + 2.0**-23 * rng.choice((-1.0, 1.0), a.shape))

    return run(x, w), [run(move(x), move(w)) for _ in range(2)]


@pytest.mark.parametrize("terms", [4, 64, 512])
def test_the_order_of_a_sum_is_rounding_and_one_per_mille_is_not(terms: int) -> None:
    for seed in range(20):
        first, starts = products(np.random.default_rng(seed), terms, range)
        second, _ = products(np.random.default_rng(seed), terms, lambda count: reversed(range(count)))
        old, new = unpack(pack("float32", first, starts)), unpack(pack("float32", second))
        assert apart(old, new, compute_dtype="float32").how in (SAME, ROUNDING)
        wrong = unpack(pack("float32", first * np.float32(1.001)))
        assert apart(old, wrong, compute_dtype="float32").how == BEYOND


def test_whole_numbers_must_be_equal_unless_moving_the_start_moves_them() -> None:
    value = np.arange(5, dtype=np.int32)
    old, new = unpack(pack("int32", value)), unpack(pack("int32", value + 1))
    assert apart(old, new, compute_dtype="float32").how == BEYOND
    edge = unpack(pack("int32", value, [value + 1]))
    assert apart(edge, new, compute_dtype="float32").how == ROUNDING


def test_texts_must_be_equal() -> None:
    def texts(*words: str) -> Kept:
        return unpack(pack("string", np.array(words, dtype=object)))

    assert apart(texts("a", "b"), texts("a", "b"), compute_dtype="float32").how == SAME
    difference = apart(texts("a", "b"), texts("a", "c"), compute_dtype="float32")
    assert difference.how == BEYOND
    assert "'c' instead of 'b'" in difference.message


# Groups.


def test_groups_come_in_the_order_of_who_is_hurt() -> None:
    changes = [Change(f"keras.layers.{number}", kind, "x", "message") for number, kind in enumerate(reversed(KINDS))]
    ranks = [group.hurt.rank for group in grouped(changes)]
    assert ranks == sorted(ranks)
    assert {change.hurt for change in changes} == set(HURTS)


def test_newly_wrong_comes_before_unknown_and_corrected_last() -> None:
    changes = [
        Change(name, "values", "inference output", "", size=size, right=right)
        for name, size, right in (("a", 9, "new"), ("b", 1, ""), ("c", 5, ""), ("d", 1, "old"), ("e", 1, "neither"))
    ]
    assert [group.first.subject for group in grouped(changes)] == ["d", "e", "c", "b", "a"]


def test_one_cause_is_one_group() -> None:
    changes = [Change(name, "config", "keys", "message", cause="seed") for name in "ab"]
    changes += [Change("a", "values", "inference output", "", size=size) for size in (1, 3)]
    values, config = grouped(changes)
    assert config.subjects == ["a", "b"]
    assert (len(values.changes), values.first.size) == (2, 3)
