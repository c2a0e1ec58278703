"""Are the gradients of every exported layer right, by its inputs and by its weights?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_dlcheck.finding import Finding
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import LayerSpec


@pytest.mark.dl_trains
@pytest.mark.dl_property("gradient")
@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(spec, id=spec.name, marks=pytest.mark.dl_subject(spec.subject))
        for spec in SPECS.values()
        if not spec.abstract
    ],
)
def test_gradients(
    spec: LayerSpec,
    check_layer_gradients: Callable[[LayerSpec], list[Finding]],
    dl_findings: Callable[[list[Finding]], None],
) -> None:
    dl_findings(check_layer_gradients(spec))
