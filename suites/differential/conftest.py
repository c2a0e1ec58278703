"""What the comparison of layers with another product needs of the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from pytest_dlcheck import Backend, Device
from pytest_dlcheck.backends import versions
from pytest_dlcheck.differential.check import EFFORTS, DifferentialCheck
from pytest_dlcheck.differential.product import Product
from pytest_dlcheck.differential.register import expected
from pytest_dlcheck.finding import Finding
from pytest_dlcheck.peers.errors import PeerError
from pytest_dlcheck.seeds import derive
from pytest_dlcheck.subjects.spec import LayerSpec, World, class_of


@pytest.fixture(scope="session")
def check_against(
    dl_against: Product, backend: Backend, device: Device, dl_compiled_once: None, dl_seed: int, dl_profile: str
) -> Callable[[LayerSpec], list[Finding]]:
    """Checks a layer on this test's backend and device against the product of `--dl-against`."""
    installed = versions(backend.name)

    def check(spec: LayerSpec) -> list[Finding]:
        kind = class_of(spec, backend, installed["keras"])
        if isinstance(kind, str):
            pytest.skip(kind)
        comparison = DifferentialCheck(
            spec,
            backend,
            dataclasses.replace(World.of(backend.name, installed["keras"], kind, device.kind), onednn=backend.onednn),
            dl_against,
            seed=derive(dl_seed, spec.subject, "against"),
            effort=EFFORTS[dl_profile],
            expected=expected(backend.name, installed, dl_against),
        )
        try:
            return comparison.run()
        except PeerError as error:
            pytest.fail(str(error), pytrace=False)

    return check
