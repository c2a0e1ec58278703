"""What the tests of gradients share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_dlcheck import Backend, Device
from pytest_dlcheck.backends import versions
from pytest_dlcheck.backends.wide_floats import wide_floats
from pytest_dlcheck.finding import Finding
from pytest_dlcheck.gradients.autodiff import autodiff_of
from pytest_dlcheck.gradients.autodiff.base import FrameworkProgram
from pytest_dlcheck.gradients.functions import of_call, of_layer
from pytest_dlcheck.gradients.layers import EFFORTS, LayerGradients
from pytest_dlcheck.gradients.operations import EFFORTS as OPERATION_EFFORTS
from pytest_dlcheck.gradients.operations import OperationGradients
from pytest_dlcheck.known_issues import known_here
from pytest_dlcheck.seeds import derive
from pytest_dlcheck.subjects.installed import installed_layer
from pytest_dlcheck.subjects.operations import find
from pytest_dlcheck.subjects.operations.record import Operation
from pytest_dlcheck.subjects.spec import LayerSpec
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, perturbed

Array = NDArray[Any]
Pulled = Mapping[str, Array | None]
Move = Callable[[Array], Array]


@pytest.fixture(scope="session")
def check_layer_gradients(
    backend: Backend, device: Device, dl_keras_3: None, dl_compiled_once: None, dl_seed: int, dl_profile: str
) -> Callable[[LayerSpec], list[Finding]]:
    """Checks the gradients of a layer on this test's backend and device."""
    installed = versions(backend.name)

    def check(spec: LayerSpec) -> list[Finding]:
        found = installed_layer(spec, backend, installed["keras"], device.kind)
        if isinstance(found, str):
            pytest.skip(found)
        spec = found.spec
        return LayerGradients(
            spec,
            backend,
            found.world,
            seed=derive(dl_seed, spec.subject, "gradients"),
            effort=EFFORTS[dl_profile],
            known=lambda name: known_here(spec.subject, name, backend, device),
        ).run()

    return check


@pytest.fixture
def wide(backend: Backend) -> Iterator[None]:
    """Float64 throughout the test, in what it makes of Keras too."""
    with wide_floats(backend):
        yield


@pytest.fixture
def pull_back(backend: Backend, device: Device) -> Callable[..., Pulled]:
    """J^T v of a layer or a function in float64, by the names of the arguments; None where the framework finds no path.

    `pull_back(layer, inputs, vs)`, `pull_back(function, (x, y), vs)`: `vs` has one array per output, all ones by default.
    """

    def run(target: Any, inputs: Any, vs: Sequence[Array] | None = None, **options: Any) -> Pulled:
        autodiff = autodiff_of(backend)
        with wide_floats(backend):
            if isinstance(target, backend.keras.layers.Layer):
                if not target.built:
                    target(backend.put(np.asarray(inputs)))
                found = of_layer(target, inputs, autodiff, **options)
            else:
                found = of_call(target, inputs, autodiff)
            program = FrameworkProgram(autodiff, found.function, found.names, autodiff.modes[0])
            cotangents = vs or [np.ones_like(each) for each in program.value(found.point)]
            return dict(zip(found.names, program.reverse(found.point, cotangents), strict=True))

    return run


def _entry(closed_form: Callable[[Move], Mapping[str, Array]], name: str, move: Move) -> Array:
    return closed_form(move)[name]


@pytest.fixture
def agrees() -> Callable[..., None]:
    """Asserts that gradients are those of a closed form, entry by entry, as far as rounding in float64 allows."""

    def check(found: Pulled, closed_form: Callable[[Move], Mapping[str, Array]]) -> None:
        names = list(closed_form(np.asarray))
        assert set(found) == set(names), f"gradients by {sorted(found)}, and the closed form has {sorted(names)}"
        for name in names:
            bounded = perturbed(partial(_entry, closed_form, name), unit_roundoff=UNIT_ROUNDOFF["float64"])
            gradient = found[name]
            assert gradient is not None, f"{name}: the framework finds no path"
            assert gradient.shape == bounded.value.shape
            gap = np.abs(gradient - bounded.value)
            place = np.unravel_index(np.argmax(gap - bounded.tolerance), gap.shape)
            assert np.all(gap <= bounded.tolerance), (
                f"{name}{list(map(int, place))}: {gradient[place]!r}, closed form {bounded.value[place]!r}, "
                f"allowed {bounded.tolerance[place]:.3g} ({bounded.derived})"
            )

    return check


@pytest.fixture(scope="session")
def check_operation_gradients(
    backend: Backend, device: Device, dl_compiled_once: None, dl_seed: int, dl_profile: str
) -> Callable[[Operation], list[Finding]]:
    """Checks the gradients of an exported function on this test's backend and device."""
    installed = versions(backend.name)
    numbers = tuple(int(part) for part in installed["keras"].split(".")[:3] if part.isdigit())

    def check(operation: Operation) -> list[Finding]:
        if numbers[:1] == (2,):
            pytest.skip(f"the records of functions are written for Keras 3, and Keras {installed['keras']} is installed")
        function = find(backend.keras, operation.name)
        if function is None:
            pytest.skip(f"keras {installed['keras']} has no {operation.name}")
        return OperationGradients(
            operation,
            function,
            backend,
            keras=numbers,
            seed=derive(dl_seed, operation.subject, "gradients"),
            effort=OPERATION_EFFORTS[dl_profile],
            known=lambda name: known_here(operation.subject, name, backend, device),
        ).run()

    return check
