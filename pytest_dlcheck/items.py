"""What the markers and parameters of a test say of it: its facts, as plain values that any process can read."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from pytest_dlcheck.backends import BACKENDS
from pytest_dlcheck.devices import DeviceName
from pytest_dlcheck.errors import DlcheckError

__all__ = ["MARKERS", "Facts", "applies", "facts_of", "matches"]

MARKERS = (
    "dl_subject(name, api=None): what the test checks, as in 'keras.layers.Conv2D', and through which API "
    "('keras', 'tf.keras').",
    "dl_property(name): what must hold of the subject.",
    "dl_trains: the test trains; on a backend that only runs forward (numpy) it is skipped.",
    "dl_only(*backends): the test, or the parameter that carries the mark, exists on these backends only.",
    "dl_devices(count): the test needs that many devices of the kind that it runs on.",
)


class Facts(NamedTuple):
    """One test: what it checks, and where it runs. `backend` is None for a test that uses none of our fixtures."""

    nodeid: str
    backend: str | None
    device: str | None
    subject: str | None
    property: str | None
    api: str | None
    timed: bool
    path: str = ""
    """Of the file that it stands in; what a test's id says of that depends on how pytest was called."""

    @classmethod
    def plain(cls, nodeid: str) -> Facts:
        """A test of which nothing is known but its name."""
        return cls(nodeid, None, None, None, None, None, timed=False)

    def dump(self) -> tuple[Any, ...]:
        return tuple(self)

    @classmethod
    def load(cls, values: Sequence[Any]) -> Facts:
        return cls(*values)


def _marker_text(item: pytest.Item, name: str) -> str | None:
    """The one string that a marker takes.

    Raises:
        DlcheckError: it was given something else.
    """
    marker = item.get_closest_marker(name)
    if marker is None:
        return None
    allowed = {"api"} if name == "dl_subject" else set()
    if len(marker.args) != 1 or not isinstance(marker.args[0], str) or set(marker.kwargs) - allowed:
        raise DlcheckError(f"{item.nodeid}: the marker {name} takes one string, got {_call(marker)}")
    return marker.args[0]


def _call(marker: pytest.Mark) -> str:
    given = [repr(arg) for arg in marker.args] + [f"{key}={value!r}" for key, value in marker.kwargs.items()]
    return f"{marker.name}({', '.join(given)})"


def facts_of(item: pytest.Item) -> Facts:
    """Reads one item.

    Raises:
        DlcheckError: one of its markers is written wrongly.
    """
    params: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    device = params.get("_dl_device")
    fixtures: Sequence[str] = getattr(item, "fixturenames", ())
    subject = item.get_closest_marker("dl_subject")
    count = item.get_closest_marker("dl_devices")
    if count is not None and (len(count.args) != 1 or not isinstance(count.args[0], int) or count.args[0] < 1):
        raise DlcheckError(f"{item.nodeid}: the marker dl_devices takes one positive integer, got {_call(count)}")
    trains = item.get_closest_marker("dl_trains")
    if trains is not None and (trains.args or trains.kwargs):
        raise DlcheckError(f"{item.nodeid}: the marker dl_trains takes nothing, got {_call(trains)}")
    return Facts(
        nodeid=item.nodeid,
        backend=params.get("_dl_backend"),
        device=str(device) if isinstance(device, DeviceName) else None,
        subject=_marker_text(item, "dl_subject"),
        property=_marker_text(item, "dl_property"),
        api=subject.kwargs.get("api") if subject is not None else None,
        timed="throughput" in fixtures,
        path=str(item.path),
    )


def applies(item: pytest.Item, backend: str | None) -> bool:
    """Whether the test exists on the backend, by its `dl_only` marks.

    Raises:
        DlcheckError: a mark names no backend, or one that does not exist.
    """
    for marker in item.iter_markers("dl_only"):
        unknown = [name for name in marker.args if name not in BACKENDS]
        if not marker.args or unknown or marker.kwargs:
            raise DlcheckError(f"{item.nodeid}: dl_only takes names of backends ({', '.join(BACKENDS)}), got {_call(marker)}")
        if backend is not None and backend not in marker.args:
            return False
    return True


def matches(subject: str | None, patterns: Sequence[str]) -> bool:
    """Whether a test of that subject was asked for."""
    return not patterns or (subject is not None and any(fnmatch.fnmatchcase(subject, pattern) for pattern in patterns))
