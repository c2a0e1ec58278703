"""Does every exported layer behave: shapes, values, dtypes, masks, state, config, files, in every mode?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_dlcheck import Backend
from pytest_dlcheck.backends import versions
from pytest_dlcheck.backends.keras_2 import is_keras_2
from pytest_dlcheck.finding import Finding
from pytest_dlcheck.subjects.keras_2 import KERAS_2_ONLY
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import LayerSpec

Check = Callable[[LayerSpec, str], list[Finding]]
Report = Callable[[list[Finding]], None]

PARAMETERS = [
    pytest.param(spec, id=spec.name, marks=pytest.mark.dl_subject(spec.subject)) for spec in SPECS.values() if not spec.abstract
]


@pytest.mark.dl_property("eager")
@pytest.mark.parametrize("spec", PARAMETERS)
def test_eager(spec: LayerSpec, check_spec: Check, dl_findings: Report) -> None:
    dl_findings(check_spec(spec, "eager"))


@pytest.mark.dl_only("tensorflow")
@pytest.mark.dl_property("graph")
@pytest.mark.parametrize("spec", PARAMETERS)
def test_graph(spec: LayerSpec, check_spec: Check, dl_findings: Report) -> None:
    dl_findings(check_spec(spec, "graph"))


@pytest.mark.dl_only("tensorflow", "jax")
@pytest.mark.dl_property("compiled")
@pytest.mark.parametrize("spec", PARAMETERS)
def test_compiled(spec: LayerSpec, check_spec: Check, dl_findings: Report) -> None:
    dl_findings(check_spec(spec, "compiled"))


@pytest.mark.dl_subject("keras.layers")
@pytest.mark.dl_property("covered")
def test_every_layer_has_a_spec(backend: Backend) -> None:
    layers = backend.keras.layers
    known = {name for spec in SPECS.values() for name in (spec.name, *spec.aliases)}
    if is_keras_2(versions(backend.name)["keras"]):
        # The package's own module has inner classes, too; TensorFlow's holds what is documented.
        layers, known = backend.framework.keras.layers, known | KERAS_2_ONLY
    exported = {name for name, kind in vars(layers).items() if isinstance(kind, type)}
    uncovered = sorted(exported - known)
    assert not uncovered, f"uncovered: keras.layers exports {', '.join(uncovered)}, and there is no spec"


@pytest.mark.dl_subject("keras.layers")
@pytest.mark.dl_property("aliases")
def test_aliases_are_the_same_class(backend: Backend) -> None:
    layers = backend.keras.layers
    for spec in SPECS.values():
        kind = getattr(layers, spec.name, None)
        for alias in spec.aliases if kind is not None else ():
            assert getattr(layers, alias) is kind, f"{alias} is documented to be {spec.name}"
