"""Does every layer do here what it does on another product (`--dl-against NAME`): another backend, another version, Keras 2?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_dlcheck.finding import Finding
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import LayerSpec

PARAMETERS = [
    pytest.param(spec, id=spec.name, marks=pytest.mark.dl_subject(spec.subject)) for spec in SPECS.values() if not spec.abstract
]


@pytest.mark.dl_property("against")
@pytest.mark.parametrize("spec", PARAMETERS)
def test_layer(
    spec: LayerSpec, check_against: Callable[[LayerSpec], list[Finding]], dl_findings: Callable[[list[Finding]], None]
) -> None:
    dl_findings(check_against(spec))
