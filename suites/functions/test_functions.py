"""Do exported functions give what they should: `keras.ops`, activations and losses, in every mode and on symbolic tensors?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_dlcheck import Backend, Device
from pytest_dlcheck.backends import versions
from pytest_dlcheck.finding import Finding
from pytest_dlcheck.functions.check import FunctionCheck
from pytest_dlcheck.functions.looks import EFFORTS
from pytest_dlcheck.known_issues import known_here
from pytest_dlcheck.seeds import derive
from pytest_dlcheck.subjects.operations import OPERATIONS, find
from pytest_dlcheck.subjects.operations.record import Operation


@pytest.mark.dl_property("values")
@pytest.mark.parametrize(
    "operation",
    [pytest.param(each, id=each.name, marks=pytest.mark.dl_subject(each.subject)) for each in OPERATIONS.values()],
)
def test_functions(
    operation: Operation,
    backend: Backend,
    device: Device,
    dl_keras_3: None,
    dl_compiled_once: None,
    dl_seed: int,
    dl_profile: str,
    dl_findings: Callable[[list[Finding]], None],
) -> None:
    installed = versions(backend.name)
    function = find(backend.keras, operation.name)
    if function is None:
        pytest.skip(f"keras {installed['keras']} has no {operation.name}")
    numbers = tuple(int(part) for part in installed["keras"].split(".")[:3] if part.isdigit())
    check = FunctionCheck(
        operation,
        function,
        backend,
        keras=numbers,
        seed=derive(dl_seed, operation.subject, "functions"),
        effort=EFFORTS[dl_profile],
        known=lambda name: known_here(operation.subject, name, backend, device),
    )
    dl_findings(check.run())
