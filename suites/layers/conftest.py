"""What the tests of layers share: the specs, and what a layer's check needs of the run."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from pytest_dlcheck import Backend, Device
from pytest_dlcheck.backends import versions
from pytest_dlcheck.checking import LayerCheck
from pytest_dlcheck.effort import EXAMPLES
from pytest_dlcheck.finding import Finding
from pytest_dlcheck.known_issues import known_here
from pytest_dlcheck.properties.layers.catalogue import of_group
from pytest_dlcheck.seeds import derive
from pytest_dlcheck.subjects.installed import installed_layer
from pytest_dlcheck.subjects.spec import LayerSpec


@pytest.fixture(scope="session")
def check_spec(
    backend: Backend, device: Device, dl_compiled_once: None, dl_seed: int, dl_profile: str, dl_share_s: float | None
) -> Callable[[LayerSpec, str], list[Finding]]:
    """Checks a layer in a group of modes on this test's backend and device."""
    # What the framework has made by now stays: looking through all of it again and again costs a tenth of the time.
    gc.collect()
    gc.freeze()
    installed = versions(backend.name)

    def check(spec: LayerSpec, group: str) -> list[Finding]:
        found = installed_layer(spec, backend, installed["keras"], device.kind)
        if isinstance(found, str):
            pytest.skip(found)
        spec = found.spec
        exempt = [spec.exempt.get(each.name) for each in of_group(group)]
        if all(exempt):
            pytest.skip(f"{spec.name} has nothing to check {group}: {exempt[0]}")
        return LayerCheck(
            spec,
            backend,
            found.world,
            group,
            seed=derive(dl_seed, spec.subject, group),
            effort=EXAMPLES[dl_profile],
            known=lambda name: known_here(spec.subject, name, backend, device),
            budget_s=dl_share_s,
        ).run()

    return check
