"""Are the gradients of every exported function right: `keras.ops`, activations and losses?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_dlcheck import Backend
from pytest_dlcheck.finding import Finding
from pytest_dlcheck.subjects.operations import OPERATIONS, uncovered
from pytest_dlcheck.subjects.operations.record import Operation


@pytest.mark.dl_trains
@pytest.mark.dl_property("gradient")
@pytest.mark.parametrize(
    "operation",
    [pytest.param(each, id=each.name, marks=pytest.mark.dl_subject(each.subject)) for each in OPERATIONS.values()],
)
def test_gradients(
    operation: Operation,
    check_operation_gradients: Callable[[Operation], list[Finding]],
    dl_findings: Callable[[list[Finding]], None],
) -> None:
    dl_findings(check_operation_gradients(operation))


@pytest.mark.dl_subject("keras.ops")
@pytest.mark.dl_property("covered")
def test_every_function_has_a_record(backend: Backend) -> None:
    missing = uncovered(backend.keras)
    assert not missing, f"uncovered: keras exports {', '.join(missing)}, and there is no record"
