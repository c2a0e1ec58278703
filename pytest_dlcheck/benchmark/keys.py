"""What a series of measurements is of; figures of different series are never compared. Imports no framework and no numpy."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pytest_dlcheck.errors import DlcheckError

__all__ = ["SeriesKey", "require_alike"]


@dataclass(frozen=True)
class SeriesKey:
    """Everything that a time depends on by intent. `versions` holds the framework, Keras and NumPy."""

    suite: str
    workload: str
    phase: str
    metric: str
    batch: int
    dtype: str
    jit: str
    steps_per_execution: int
    options: str
    backend: str
    python: str
    versions: str
    device: str
    device_model: str
    driver: str
    cpu: str
    threads: str

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def load(cls, values: Mapping[str, Any]) -> SeriesKey:
        """What `dump` made, perhaps by way of JSON."""
        return cls(**values)

    def differences(self, other: SeriesKey) -> list[str]:
        """The names of what is not the same."""
        return [each.name for each in fields(self) if getattr(self, each.name) != getattr(other, each.name)]


def require_alike(one: SeriesKey, other: SeriesKey, along: Collection[str] = ()) -> None:
    """Refuses to compare unlike with unlike.

    Args:
        one, other: the two series.
        along: names of what may differ, because that is what is compared.

    Raises:
        DlcheckError: something else differs.
    """
    unlike = [name for name in one.differences(other) if name not in along]
    if unlike:
        told = "; ".join(f"{name}: {getattr(one, name)!r} and {getattr(other, name)!r}" for name in unlike)
        raise DlcheckError(f"these measurements cannot be compared, they are of different series: {told}")
