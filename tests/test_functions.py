"""What functions give: each property on planted defects and on right twins, references against each other, and a real run."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from conftest import Runs, need
from pytest_dlcheck.functions.looks import EFFORTS, Effort, Look, arguments_of, looks_at, turned
from pytest_dlcheck.functions.observing import Declaration, Outputs
from pytest_dlcheck.observe.layer_observation import Raised, Value
from pytest_dlcheck.properties import functions as properties
from pytest_dlcheck.references.functions import MIRRORS, REFERENCES, reference_of
from pytest_dlcheck.subjects.operations import OPERATIONS
from pytest_dlcheck.subjects.operations.record import Operation, at, below, given, positive, real, whole
from pytest_dlcheck.tolerance import Bounded

X = np.arange(6.0, dtype=np.float32).reshape(2, 3)


def outputs(*arrays: Any, structure: str = "*", dtype: str = "float32") -> Outputs:
    return Outputs(structure, tuple(Value(dtype, np.asarray(each)) for each in arrays))


def bounded(value: Any, tolerance: float = 1e-5) -> Bounded:
    value = np.asarray(value)
    return Bounded(value, np.full(value.shape, tolerance), "a test")


def declared(*tensors: tuple[tuple[int | None, ...], str], structure: str = "*") -> Declaration:
    return Declaration(structure, tensors)


FAILED = Raised("RuntimeError", "something broke", "the call")


class TestRuns:
    def test_a_call_that_gives_something(self) -> None:
        assert properties.runs(outputs(X), "float32").outcome == "pass"

    def test_a_call_that_fails(self) -> None:
        assert properties.runs(FAILED, "float32").outcome == "fail"
        assert properties.runs(FAILED, "float16").outcome == "fail"

    @pytest.mark.parametrize(
        ("message", "in_float32", "in_float16"),
        [
            ("Resizing with Lanczos is not supported by the PyTorch backend", "unsupported", "unsupported"),
            ("`x` must be a float or complex tensor", "fail", "unsupported"),
        ],
    )
    def test_a_refusal_that_says_so(self, message: str, in_float32: str, in_float16: str) -> None:
        raised = Raised("ValueError", message, "the call")
        assert properties.runs(raised, "float32").outcome == in_float32
        assert properties.runs(raised, "float16").outcome == in_float16


class TestDeclares:
    def test_what_is_given(self) -> None:
        assert properties.declares(declared(((2, 3), "float32")), outputs(X)).outcome == "pass"

    def test_a_size_that_follows_from_values(self) -> None:
        assert properties.declares(declared(((None, 3), "float32")), outputs(X)).outcome == "pass"

    @pytest.mark.parametrize(
        "found",
        [
            declared(((3, 2), "float32")),
            declared(((2, 3, 1), "float32")),
            declared(((2, 3), "int32")),
            declared(((2, 3), "float32"), ((), "int32"), structure="[*, *]"),
            FAILED,
        ],
    )
    def test_anything_else(self, found: Declaration | Raised) -> None:
        assert properties.declares(found, outputs(X)).outcome == "fail"

    def test_the_other_end(self) -> None:
        one = declared(((2,), "float32"))
        assert properties.declares_alike(one, one).outcome == "pass"
        assert properties.declares_alike(declared(((3,), "float32")), one).outcome == "fail"
        assert properties.declares_alike(FAILED, one).outcome == "fail"

    def test_open_sizes(self) -> None:
        assert properties.fits_open(declared(((None, 3), "float32")), outputs(X)).outcome == "pass"
        assert properties.fits_open(declared(((None, 2), "float32")), outputs(X)).outcome == "fail"
        assert properties.fits_open(declared(((None,), "float32")), outputs(X)).outcome == "fail"
        assert properties.fits_open(FAILED, outputs(X)).outcome == "unsupported"
        assert properties.fits_open(declared(structure="[]"), outputs(X)).outcome == "unsupported"


class TestAgrees:
    def test_the_same(self) -> None:
        assert properties.agrees(outputs(X + 1e-7), outputs(X), [np.full(X.shape, 1e-6)]).outcome == "pass"

    @pytest.mark.parametrize(
        "found", [outputs(X + 0.1), outputs(X.T), outputs(X, dtype="float64"), outputs(X, X, structure="[*, *]")]
    )
    def test_something_else(self, found: Outputs) -> None:
        assert properties.agrees(found, outputs(X), [np.full(X.shape, 1e-6)]).outcome == "fail"

    def test_where_the_order_is_not_documented(self) -> None:
        assert properties.agrees(outputs(X[::-1]), outputs(X), [None]).outcome == "pass"
        assert properties.agrees(outputs(X.T), outputs(X), [None]).outcome == "fail"

    def test_a_compiled_program_may_need_values_and_a_graph_may_not(self) -> None:
        raised = Raised("ConcretizationTypeError", "Abstract tracer value encountered", "the call in mode compiled")
        assert properties.agrees(raised, outputs(X), [None]).outcome == "unsupported"
        assert properties.agrees(raised, outputs(X), [None], exact=True).outcome == "fail"
        assert properties.agrees(FAILED, outputs(X), [None]).outcome == "fail"


class TestGives:
    def test_values(self) -> None:
        assert properties.gives(outputs(X + 1e-7), [bounded(X)]).outcome == "pass"
        assert properties.gives(outputs(X + 1e-3), [bounded(X)]).outcome == "fail"
        assert properties.gives(outputs(X.T), [bounded(X)]).outcome == "fail"
        assert properties.gives(outputs(X, X), [bounded(X)]).outcome == "fail"

    def test_infinities_have_their_places(self) -> None:
        wanted = np.array([1.0, np.inf, np.nan])
        assert properties.gives(outputs(wanted), [bounded(wanted)]).outcome == "pass"
        for wrong in ([1.0, -np.inf, np.nan], [1.0, np.inf, 0.0], [np.nan, np.inf, np.nan], [1.0, 3.0, np.nan]):
            assert properties.gives(outputs(wrong), [bounded(wanted)]).outcome == "fail"

    def test_either_part_of_a_complex_number(self) -> None:
        wanted = np.array([1 + 2j, 3 - 1j])
        assert properties.gives(outputs(wanted, dtype="complex64"), [bounded(wanted)]).outcome == "pass"
        assert properties.gives(outputs(wanted.conj(), dtype="complex64"), [bounded(wanted)]).outcome == "fail"
        assert properties.gives(outputs(wanted.real), [bounded(wanted)]).outcome == "fail"

    def test_whole_numbers_wrap_around(self) -> None:
        wanted = bounded(np.array([2.0**40, 5.0]))
        assert properties.gives(outputs(np.array([0, 5]), dtype="int32"), [wanted]).outcome == "pass"
        assert properties.gives(outputs(np.array([0, 6]), dtype="int32"), [wanted]).outcome == "fail"
        assert properties.gives(outputs(np.array([0.0, 5.0])), [wanted]).outcome == "fail"


class TestLooks:
    def test_the_dtypes_of_each_kind(self) -> None:
        def dtypes(operation: Operation) -> set[str]:
            return {look.dtype for look in looks_at(operation, EFFORTS["nightly"])}

        assert dtypes(below("sum", at(real(2)))) == {"float32", "float16", "bfloat16", "int32"}
        assert dtypes(below("relu", at(real(2)))) == {"float32", "float16", "bfloat16"}
        assert dtypes(below("image.resize", at(real(2)))) == {"float32", "float16", "bfloat16", "uint8"}
        assert dtypes(below("bitwise_and", at(whole(4, 2), whole(4, 2)))) == {"float32"}
        assert dtypes(below("view", at(real(2), dtype="int64"))) == {"float32"}

    def test_as_many_variants_as_asked(self) -> None:
        operation = below("sum", at(real(2)), at(real(3)), more=(at(real(4)),))
        assert len(list(looks_at(operation, Effort(None, ("float32",), ())))) == 3
        assert len(list(looks_at(operation, Effort(2, ("float32",), ())))) == 2

    @pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int32", "uint8"])
    def test_arguments_are_of_the_dtype(self, dtype: str) -> None:
        variant = at(given([[-1.25, 2.7, np.nan], [np.inf, -np.inf, 0.1]]), given(0.3), fixed=(1,))
        first, second = arguments_of(Look(variant, 0, dtype), np.random.default_rng(0))
        assert first.dtype == ("float32" if dtype == "bfloat16" else dtype)
        if dtype in ("int32", "uint8"):
            assert first[0].tolist() == [4 if dtype == "uint8" else -4, 8, 0]
            assert second.dtype == np.float32
        if dtype == "bfloat16":
            # Seven bits: 2.7 lies between 2.6875 and 2.703125.
            assert first[0, 1] == np.float32(2.703125)
            assert np.isnan(first[0, 2])
            assert first[1, 0] == np.inf

    def test_axes_from_the_other_end(self) -> None:
        def other(operation: str, variant: Any, *ranks: int) -> Any:
            found = turned(below(operation), variant, ranks)
            return None if found is None else dict(found.options)

        assert other("sum", at(real(2, 3, 4), axis=1), 3) == {"axis": -2}
        assert other("sum", at(real(2, 3, 4), axis=-1, keepdims=True), 3) == {"axis": 2, "keepdims": True}
        assert other("moments", at(real(2, 3, 4), axes=(0, -1)), 3) == {"axes": (-3, 2)}
        assert other("sum", at(real(2, 3)), 2) is None
        assert other("sum", at(real(), axis=None), 0) is None
        assert other("stack", at(real(2, 3), axis=1), 2) is None
        assert other("tensordot", at(real(2, 3), axes=1), 2) is None


class TestReferences:
    def test_each_names_a_function_that_is_looked_at(self) -> None:
        unknown = sorted(name for name in REFERENCES if name not in OPERATIONS)
        assert not unknown

    def test_activations_share_those_of_ops(self) -> None:
        assert reference_of("activations.relu") is REFERENCES["ops.relu"]
        assert reference_of("activations.gelu") is not REFERENCES["ops.gelu"]
        assert reference_of("ops.shape_of_nothing") is None

    def test_numpy_has_what_is_said_to_mirror_it(self) -> None:
        assert len(MIRRORS) > 150
        assert all(callable(REFERENCES[f"ops.{name}"]) for name in MIRRORS)

    @pytest.mark.parametrize(
        ("name", "arguments", "options", "expected"),
        [
            ("ops.segment_max", (np.array([1.0, 5.0, 2.0]), np.array([0, 0, 2])), {"num_segments": 3}, [5.0, -np.inf, 2.0]),
            ("ops.segment_sum", (np.array([1.0, 5.0, 2.0]), np.array([2, 0, 2])), {}, [5.0, 0.0, 3.0]),
            ("ops.divide_no_nan", (np.array([1.0, 2.0]), np.array([0.0, 4.0])), {}, [0.0, 0.5]),
            ("ops.in_top_k", (np.array([0, 2]), np.array([[1.0, 3.0, 2.0], [1.0, 3.0, 2.0]])), {"k": 2}, [False, True]),
            ("ops.glu", (np.array([2.0, 0.0]),), {}, [1.0]),
            ("ops.one_hot", (np.array([1, 0]),), {"num_classes": 2}, [[0.0, 1.0], [1.0, 0.0]]),
            ("ops.moments", (np.array([[1.0, 3.0]]),), {"axes": (1,)}, [[2.0], [1.0]]),
            ("losses.huber", (np.zeros((1, 2)), np.array([[0.5, 3.0]])), {"delta": 1.0}, [(0.125 + 2.5) / 2]),
            ("losses.tversky", (np.array([1.0, 0.0]), np.array([0.0, 1.0])), {"alpha": 0.2, "beta": 0.8}, 1.0),
            ("losses.hinge", (np.array([[1.0, -1.0]]), np.array([[0.5, 0.5]])), {}, [1.0]),
        ],
    )
    def test_by_hand(self, name: str, arguments: tuple[Any, ...], options: dict[str, Any], expected: Any) -> None:
        found = REFERENCES[name](*arguments, **options)
        assert np.allclose(np.asarray(found, dtype=float), expected)

    def test_alpha_weighs_what_is_there_and_should_not_be(self) -> None:
        wrong, right = np.array([1.0, 1.0, 1.0]), np.array([1.0, 0.0, 0.0])
        strict, mild = (float(REFERENCES["losses.tversky"](right, wrong, alpha=alpha, beta=0.5)) for alpha in (0.9, 0.1))
        assert strict > mild

    def test_the_order_of_the_greatest(self) -> None:
        with pytest.raises(NotImplementedError):
            REFERENCES["ops.top_k"](X, 2, sorted=False)

    @pytest.mark.parametrize("reduction", ["sum", "none", None, "sum_over_batch_size", "mean_with_sample_weight"])
    def test_reductions(self, reduction: str | None) -> None:
        t, p, w = np.zeros((3, 1)), np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 0.0, 2.0])
        found = REFERENCES["losses.MeanSquaredError"](reduction=reduction)(t, p, sample_weight=w)
        wanted = {"sum": 19.0, "sum_over_batch_size": 19 / 3, "mean_with_sample_weight": 19 / 3}
        assert np.allclose(found, wanted.get(str(reduction), [1.0, 0.0, 18.0]))

    def test_an_ignored_class_is_left_out_of_the_mean(self) -> None:
        build = REFERENCES["losses.SparseCategoricalCrossentropy"]
        p = np.array([[0.5, 0.5], [0.25, 0.75]])
        assert np.isclose(build(ignore_class=0)(np.array([0, 1]), p), -np.log(0.75))


PLANTED = """
from typing import Any

import numpy as np
import pytest

from pytest_dlcheck.functions.check import FunctionCheck
from pytest_dlcheck.functions.looks import EFFORTS
from pytest_dlcheck.known_issues import KnownIssue
from pytest_dlcheck.subjects.operations.record import Operation, at, below, real


def verdicts(backend, function, *variants, known=(), name="sum"):
    record = below(name, *variants)
    check = FunctionCheck(record, function, backend, effort=EFFORTS["default"], known=lambda each: known)
    found = {}
    for finding in check.run():
        if found.get(finding.property) in (None, "pass", "unsupported"):
            found[finding.property] = finding.verdict
    return found


PLAIN = (at(real(2, 3), axis=1), at(real(2, 3), axis=0))


def test_the_right_twin(backend):
    found = verdicts(backend, backend.keras.ops.sum, *PLAIN)
    assert set(found.values()) <= {"pass", "unsupported"}, found
    assert found["values"] == found["declares"] == found["axes"] == "pass"


def test_a_wrong_value(backend):
    ops = backend.keras.ops
    found = verdicts(backend, lambda x, axis: 1.01 * ops.sum(x, axis=axis), *PLAIN)
    assert found["values"] == "fail" and found["axes"] == "pass"


def test_a_wrong_shape(backend):
    ops = backend.keras.ops
    found = verdicts(backend, lambda x, axis: ops.sum(x, axis=axis, keepdims=True), *PLAIN)
    assert found["values"] == "fail" and found["declares"] == "pass"


def test_a_wrong_declaration(backend):
    keras = backend.keras

    def summed(x, axis):
        if isinstance(x, keras.KerasTensor):
            return keras.KerasTensor(x.shape[:axis], dtype=x.dtype)
        return keras.ops.sum(x, axis=axis)

    found = verdicts(backend, summed, *PLAIN)
    assert found["declares"] == "fail" and found["values"] == "pass"


def test_a_negative_axis_alone(backend):
    ops = backend.keras.ops
    found = verdicts(backend, lambda x, axis: ops.sum(x, axis=max(axis, 0)), *PLAIN)
    assert found["axes"] == "fail" and found["values"] == "pass"
    assert found["declared_axes"] == "fail"


def test_a_refusal(backend):
    def refuses(x, axis):
        raise RuntimeError("no reason")

    assert verdicts(backend, refuses, *PLAIN)["runs"] == "fail"


def test_an_error_of_ours_is_broken(backend, monkeypatch):
    def wrong(*arguments, **options):
        raise KeyError("a reference that is wrong")

    monkeypatch.setattr("pytest_dlcheck.functions.check.reference_of", lambda name: wrong)
    assert verdicts(backend, backend.keras.ops.sum, *PLAIN)["runs"] == "broken"


def test_the_register(backend):
    ops = backend.keras.ops

    def entry(**more):
        fields = dict(id="x", subject="keras.ops.sum", property="values", versions={}, reason="r", link="https://x", date="d")
        return KnownIssue(**{**fields, **more})

    def wrong(x, axis):
        return ops.sum(x, axis=axis) + (axis == 0)

    assert verdicts(backend, wrong, *PLAIN, known=[entry(where="axis == 0")])["values"] == "known"
    assert verdicts(backend, wrong, *PLAIN, known=[entry(where="axis == 1")])["values"] == "fail"
    assert verdicts(backend, ops.sum, *PLAIN, known=[entry()])["values"] == "fixed"


def test_random_numbers_may_be_others(backend):
    keras = backend.keras
    found = verdicts(backend, lambda x: x + keras.random.normal((2, 3)), at(real(2, 3)), name="image.elastic_transform")
    assert "fail" not in found.values()


def test_the_same_seed_gives_the_same(backend):
    once, again = (verdicts(backend, backend.keras.ops.sum, *PLAIN) for _ in range(2))
    assert once == again
"""

GRAPHS = """
import numpy as np
from pytest_dlcheck.functions.check import FunctionCheck
from pytest_dlcheck.functions.looks import EFFORTS
from pytest_dlcheck.subjects.operations.record import at, below, real


def verdicts(backend, function):
    check = FunctionCheck(below("square", at(real(2, 3))), function, backend, effort=EFFORTS["default"])
    found = {}
    for finding in check.run():
        if found.get(finding.property) in (None, "pass", "unsupported"):
            found[finding.property] = finding.verdict
    return found


def test_a_graph_that_differs(backend):
    tf = backend.framework

    def square(x):
        return x * x if tf.executing_eagerly() else x * x + 1

    found = verdicts(backend, square)
    assert (found["values"], found["graph"], found["compiled"]) == ("pass", "fail", "fail")


def test_a_graph_that_fails(backend):
    found = verdicts(backend, lambda x: x * x if np.asarray(x).size else x)
    assert (found["values"], found["graph"]) == ("pass", "fail")


def test_the_right_twin(backend):
    found = verdicts(backend, backend.keras.ops.square)
    assert {found["values"], found["graph"], found["compiled"]} == {"pass"}
"""


def test_planted_defects_are_found(runs: Runs, pytester: pytest.Pytester) -> None:
    need("keras", "torch")
    pytester.makepyfile(PLANTED)
    runs("--dl-backend", "torch", "-n0", "-p", "no:cacheprovider").assert_outcomes(passed=10)


def test_a_graph_is_held_against_the_plain_call(runs: Runs, pytester: pytest.Pytester) -> None:
    need("keras", "tensorflow")
    pytester.makepyfile(GRAPHS)
    runs("--dl-backend", "tensorflow", "-n0", "-p", "no:cacheprovider").assert_outcomes(passed=3)


def test_more_variants_are_valid_too() -> None:
    more = [(each, variant) for each in OPERATIONS.values() for variant in each.more]
    assert len(more) > 10
    for operation, variant in more:
        rng = np.random.default_rng(0)
        drawn = variant.arguments(rng)
        assert drawn, operation.name
        assert isinstance(variant.options, MappingProxyType)


def test_positive_arguments_stay_positive_whole_numbers() -> None:
    look = Look(at(positive(50)), 0, "int32")
    assert arguments_of(look, np.random.default_rng(0))[0].min() >= 1
