"""Records of functions are consistent, and what is wrong with a function or with its record is found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import Runs, need
from pytest_dlcheck.subjects.operations import MODULES, OPERATIONS
from pytest_dlcheck.subjects.operations.record import away, definite, distinct, regular, symmetric

VARIANTS = [(name, variant) for name, each in OPERATIONS.items() for variant in each.variants]


def parts(argument: Any) -> list[NDArray[Any]]:
    """The arrays of one argument."""
    return [np.asarray(each) for each in (argument if isinstance(argument, list) else [argument])]


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_record_makes_valid_arguments(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation.variants
    assert name.rpartition(".")[0] in MODULES
    for variant in operation.variants:
        arguments = variant.arguments(np.random.default_rng(0))
        for array in (part for each in arguments for part in parts(each)):
            assert array.dtype.kind in "fib", variant.told()
            assert array.dtype in {np.dtype(each) for each in ("float64", "int32", "int64", "bool")}, variant.told()
            assert array.size > 0, variant.told()
        assert all(np.asarray(arguments[place]).dtype.kind == "f" for place in variant.fixed), variant.told()
        # What is differentiated is there, or the record says why there is nothing.
        moving = [each for place, each in enumerate(arguments) if place not in variant.fixed]
        flat = [part for each in moving for part in parts(each)]
        assert operation.not_differentiable or any(each.dtype.kind == "f" for each in flat), variant.told()


@pytest.mark.parametrize("seed", range(3))
def test_a_record_draws_the_same_from_the_same_seed(seed: int) -> None:
    for _, variant in VARIANTS:
        once, again = (variant.arguments(np.random.default_rng(seed)) for _ in range(2))
        for one, other in zip(once, again, strict=True):
            for a, b in zip(
                one if isinstance(one, list) else [one], other if isinstance(other, list) else [other], strict=True
            ):
                assert np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f")


@pytest.mark.parametrize("seed", range(20))
def test_points_are_away_from_corners(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert np.min(np.abs(away(4, 5)(rng))) >= 0.3
    assert np.min(np.diff(np.sort(distinct(3, 4)(rng), axis=None))) > 0.1
    for maker in (definite(3), symmetric(3), regular(3, 3)):
        values = np.linalg.svd(maker(rng), compute_uv=False)
        assert values[-1] > 0.5
        assert np.min(-np.diff(values)) > 0.5
    assert np.all(np.linalg.eigvalsh(definite(3)(rng)) > 0)


PLANTED = """
from typing import Any

import numpy as np
import pytest

from pytest_dlcheck.gradients.operations import EFFORTS, OperationGradients
from pytest_dlcheck.known_issues import KnownIssue
from pytest_dlcheck.subjects.operations import OPERATIONS, uncovered
from pytest_dlcheck.subjects.operations.record import Operation, at, away, real


def verdicts(backend, operation, function, effort="default", known=()):
    found = OperationGradients(operation, function, backend, effort=EFFORTS[effort], known=lambda name: known).run()
    return {finding.property: finding for finding in found}


def record(*variants, why=""):
    return Operation("ops.planted", variants, why)


def off_by(backend, factor):
    ops = backend.keras.ops
    # The value of a sine, and a factor times its derivative.
    return lambda x: factor * ops.sin(x) + (1 - factor) * ops.stop_gradient(ops.sin(x))


@pytest.mark.parametrize("effort", ["smoke", "default"])
@pytest.mark.parametrize("factor", [-1.0, 0.0, 0.99, 2.0])
def test_a_wrong_gradient(backend, factor, effort):
    found = verdicts(backend, record(at(real(2, 3))), off_by(backend, factor), effort)
    assert found["gradient"].verdict == "fail"
    assert "reverse mode" in found["gradient"].message


def test_the_right_twin(backend):
    found = verdicts(backend, record(at(real(2, 3))), off_by(backend, 1.0))
    assert {each.verdict for each in found.values()} <= {"pass", "weak"}
    assert found["gradient"].verdict == "pass"


def test_a_wrong_option_alone(backend):
    ops = backend.keras.ops

    def scaled(x, how="right"):
        return ops.sin(x) if how == "right" else ops.stop_gradient(ops.sin(x))

    operation = record(at(real(2, 3)), at(real(2, 3), how="wrong"))
    assert verdicts(backend, operation, scaled, "smoke")["gradient"].verdict == "pass"
    found = verdicts(backend, operation, scaled)["gradient"]
    assert found.verdict == "fail"
    assert "how='wrong'" in found.message


def test_a_wrong_claim_of_no_derivative(backend):
    operation = record(at(away(2, 3)), why="constant between its steps")
    assert verdicts(backend, operation, backend.keras.ops.sign)["gradient"].verdict == "unsupported"
    found = verdicts(backend, operation, backend.keras.ops.sin)["gradient"]
    assert found.verdict == "fail"
    assert "is said to have no derivative" in found.message


def test_a_wrong_claim_of_a_derivative(backend):
    found = verdicts(backend, record(at(away(2, 3))), backend.keras.ops.sign)["gradient"]
    assert found.verdict == "fail"
    assert "it is constant" in found.message


def test_a_valid_call_that_fails(backend):
    def fails(x):
        raise ValueError("no such thing")

    for why in ("", "constant"):
        found = verdicts(backend, record(at(real(2)), why=why), fails)
        assert found["accepts"].verdict == "fail"
        assert "no such thing" in found["accepts"].message

    def refuses(x):
        raise NotImplementedError("not here")

    assert verdicts(backend, record(at(real(2))), refuses)["accepts"].verdict == "unsupported"


def test_the_register_is_strict(backend):
    issue = KnownIssue("planted", "*", "gradient", {}, "it is off", "docs", "2026-11-22", where="how == 'wrong'")

    def scaled(x, how="right"):
        return off_by(backend, 1.0 if how == "right" else 2.0)(x)

    operation = record(at(real(2, 3)), at(real(2, 3), how="wrong"))
    found = OperationGradients(operation, scaled, backend, known=lambda name: (issue,) if name == "gradient" else ()).run()
    assert [each.verdict for each in found if each.property == "gradient"] == ["known"]
    right = off_by(backend, 1.0)
    found = OperationGradients(
        operation, lambda x, how="": right(x), backend, known=lambda name: (issue,) if name == "gradient" else ()
    ).run()
    assert sorted(each.verdict for each in found if each.property == "gradient") == ["fixed", "pass"]


def test_what_has_no_record_is_told(backend):
    assert uncovered(backend.keras) == []
    names = set(OPERATIONS) - {"ops.sin", "ops.image.resize", "losses.Huber", "activations.tanh"}
    assert uncovered(backend.keras, names) == ["ops.sin", "ops.image.resize", "activations.tanh", "losses.Huber"]
"""


IN_A_GRAPH = """
from dataclasses import replace

import numpy as np

from pytest_dlcheck.gradients.autodiff import autodiff_of
from pytest_dlcheck.gradients.functions import of_call
from pytest_dlcheck.gradients.operations import EFFORTS, OperationGradients
from pytest_dlcheck.gradients.public import gradient_rows
from pytest_dlcheck.subjects.operations.record import Operation, at, real


def test_another_mode_with_other_outputs_is_not_differentiated(backend):
    def more_in_a_graph(x):
        return [2 * x] if backend.framework.executing_eagerly() else [2 * x, 3 * x, 4 * x]

    record = Operation("ops.planted", (at(real(2, 3)),))
    check = OperationGradients(record, more_in_a_graph, backend, effort=EFFORTS["default"])
    found = {finding.property: finding for finding in check.run()}
    assert found["gradient"].verdict == "pass"
    assert found["gradient_modes"].verdict == "unsupported"
    assert "3 floating outputs, and eager 1" in found["gradient_modes"].message


def test_random_draws_that_cannot_be_traced_are_no_defect_of_ours(backend):
    def eager_alone(x):
        if not backend.framework.executing_eagerly():
            raise NotImplementedError("cannot convert a symbolic tensor")
        return 2 * x

    autodiff = autodiff_of(backend)
    target = replace(of_call(eager_alone, np.ones((2, 3)), autodiff), random=True)
    rows = gradient_rows(target, autodiff, modes=("eager", "graph"), seed=0)
    assert [row.verdict for row in rows if row.mode == "graph"] == ["unsupported"]
"""


def test_what_a_graph_does_otherwise(runs: Runs, pytester: pytest.Pytester) -> None:
    need("keras", "tensorflow")
    pytester.makepyfile(IN_A_GRAPH)
    result = runs("--dl-backend", "tensorflow", "-n0", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2)


def test_planted_defects_are_found(runs: Runs, pytester: pytest.Pytester) -> None:
    need("keras", "torch")
    pytester.makepyfile(PLANTED)
    result = runs("--dl-backend", "torch", "-n0", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=15)
