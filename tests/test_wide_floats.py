"""Whether Keras's table of dtypes has been left changed, without a framework."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from pytest_dlcheck.backends import wide_floats
from pytest_dlcheck.running import distrust_wide_floats


@pytest.fixture(params=["float32", "float64"])
def table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Keras's table as one version or another makes it: which it is must not matter."""
    found = {"float64": str(request.param)}
    monkeypatch.setitem(sys.modules, wide_floats.TABLE, SimpleNamespace(BIT64_TO_BIT32_DTYPE=found))
    wide_floats._made.cache_clear()
    yield found
    wide_floats._made.cache_clear()


def test_a_table_as_keras_made_it_is_trusted(table: dict[str, str]) -> None:
    assert wide_floats.narrow()
    distrust_wide_floats()


def test_a_table_that_was_left_changed_is_not(table: dict[str, str]) -> None:
    assert wide_floats.narrow()
    table["float64"] = "something else"
    assert not wide_floats.narrow()
    with pytest.raises(pytest.fail.Exception, match="an earlier test left Keras's table of dtypes changed"):
        distrust_wide_floats()


def test_without_a_table_there_is_nothing_to_distrust(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, wide_floats.TABLE, SimpleNamespace())
    assert wide_floats.narrow()
