"""How fast do the documented models train: in `fit`, and in the framework's own loop beside it?

The table, `--benchmark-json` and `--benchmark-compare` are pytest-benchmark's.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_dlcheck.benchmark.measurement import FIT, LOOP, Measurement
from pytest_dlcheck.models.documented import DOCUMENTED


@pytest.mark.dl_property("throughput")
@pytest.mark.parametrize("side", [FIT, LOOP])
@pytest.mark.parametrize("name", [pytest.param(spec.name, marks=pytest.mark.dl_subject(spec.subject)) for spec in DOCUMENTED])
def test_training_step(throughput: Callable[..., Measurement], name: str, side: str) -> None:
    found = throughput(name, side=side)
    # How long is not a matter of pass and fail here; that something was measured is.
    assert len(found.sides[side].samples_s) >= 2
    # A sample is a difference of two times, and on a machine that halts one of them may come out negative.
    assert found.sides[side].median_s > 0
