"""What a measured figure is a figure of: two are compared only if this is the same. Pure, imports nothing heavy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pytest_dlcheck.errors import DlcheckError

__all__ = ["LineKey", "SeriesKey", "comparable", "digest"]


def digest(value: Any) -> str:
    """Names plain data, whatever the order of its keys: 32 hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]


@dataclass(frozen=True)
class LineKey:
    """What stays the same along a line of the history: everything of a series but its versions.

    Attributes:
        channel: which of several environments that are tracked side by side; empty where there is one.
        suite: the file of the test that measured; its version is one of the series' versions.
        subject: the model.
        workload: the name of what was run.
        side: `fit` or `loop`.
        phase: `import`, `build`, `first_step`, `step`, `call`, `process`, or what else was measured.
        metric: `time`, `peak_memory`, ...
        unit: `s`, `bytes`, ...
        backend: the array framework.
        batch: samples per step; None where that means nothing.
        dtype: the dtype policy; None where the report does not say.
        jit: how it was compiled; None where the report does not say.
        device: `cpu:0`.
        device_model: the processor or accelerator that computes.
        driver: its driver; None for a CPU.
        cpu: the host's processor.
        cores: how many the host has.
        threads: how many the process may use.
        python: major and minor version.
    """

    channel: str
    suite: str
    subject: str
    workload: str
    side: str
    phase: str
    metric: str
    unit: str
    backend: str
    batch: int | None
    dtype: str | None
    jit: str | None
    device: str
    device_model: str
    driver: str | None
    cpu: str
    cores: int | None
    threads: int | None
    python: str

    @property
    def digest(self) -> str:
        return digest(asdict(self))

    def differences(self, other: LineKey) -> list[str]:
        """Each field in which another differs, in words."""
        pairs = ((each.name, getattr(self, each.name), getattr(other, each.name)) for each in fields(self))
        return [f"{name} {ours!r} and {theirs!r}" for name, ours, theirs in pairs if ours != theirs]

    def title(self) -> str:
        """What a person calls it."""
        name = self.subject.removeprefix("models.")
        rest = [self.side, self.phase.replace("_", " "), *([] if self.metric == "time" else [self.metric.replace("_", " ")])]
        where = self.backend if self.device == "cpu:0" else f"{self.backend} on {self.device}"
        return f"{name}, {', '.join(rest)}, {where}{f' ({self.channel})' if self.channel else ''}"


@dataclass(frozen=True)
class SeriesKey:
    """A line in one set of versions: figures of the same series differ by noise alone.

    Attributes:
        line: everything else.
        versions: by distribution, our own among them.
    """

    line: LineKey
    versions: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, line: LineKey, versions: Mapping[str, str]) -> SeriesKey:
        return cls(line, tuple(sorted(versions.items())))

    @property
    def digest(self) -> str:
        return digest([asdict(self.line), self.versions])


def comparable(first: SeriesKey, second: SeriesKey, *, across_versions: bool = False) -> None:
    """Says nothing if two series may be compared.

    Args:
        first: one.
        second: the other.
        across_versions: whether what changed between versions is the question; nothing else may differ then either.

    Raises:
        DlcheckError: they are not of the same thing, measured in the same way; the message names each difference.
    """
    differences = first.line.differences(second.line)
    if not across_versions and first.versions != second.versions:
        ours, theirs = dict(first.versions), dict(second.versions)
        names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        differences += [f"{name} {ours.get(name, 'none')} and {theirs.get(name, 'none')}" for name in names]
    if differences:
        raise DlcheckError(f"these two are not compared, because they differ in {'; '.join(differences)}")
