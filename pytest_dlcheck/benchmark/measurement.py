"""What a measurement holds: seconds, as plain values. Imports no framework and no numpy."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["FIT", "LOOP", "Measurement", "Side"]

FIT = "fit"
LOOP = "loop"


@dataclass(frozen=True)
class Side:
    """One way to train: Keras's `fit`, or the loop written out."""

    first_step_s: float
    """The first call, of one step, in which the framework traces and compiles."""
    samples_s: Sequence[float]
    """The time of one steady step, each sample the mean over a block of `steps_per_block` steps."""
    calls_s: Sequence[float]
    """What a call of `fit` takes beside its steps, sample by sample; next to nothing for the loop."""
    steps_per_block: int

    @property
    def median_s(self) -> float:
        return statistics.median(self.samples_s)

    @property
    def quartiles_s(self) -> tuple[float, float]:
        """Between them lies half of the samples."""
        low, _, high = statistics.quantiles(self.samples_s, n=4, method="inclusive")
        return low, high

    @property
    def call_s(self) -> float:
        """The median of what a call takes beside its steps."""
        return statistics.median(self.calls_s)

    @property
    def compile_s(self) -> float:
        """What the first call of one step took beyond a later one: tracing and compiling."""
        return max(0.0, self.first_step_s - self.median_s - self.call_s)


@dataclass(frozen=True)
class Measurement:
    """One workload on one backend and device, measured in a process of its own."""

    workload: str
    backend: str
    device: str
    batch_size: int
    data: str
    import_s: float
    """Framework and Keras, measured once per backend."""
    start_s: float
    """The framework's runtime and the device, up to the first value computed."""
    build_s: float
    """Building and compiling the Keras model."""
    peak_memory_bytes: int
    """The largest resident set of the process, framework included."""
    threads: int
    """The processors that the process may use."""
    sides: Mapping[str, Side]

    def samples_per_second(self, side: str = FIT) -> float:
        return self.batch_size / self.sides[side].median_s

    @property
    def fit_cost(self) -> float | None:
        """How many times longer a step takes in `fit` than in the loop: the median of the paired ratios."""
        if LOOP not in self.sides:
            return None
        pairs = zip(self.sides[FIT].samples_s, self.sides[LOOP].samples_s, strict=True)
        return statistics.median(fit / loop for fit, loop in pairs)

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def load(cls, values: Mapping[str, Any]) -> Measurement:
        """What `dump` made, perhaps by way of JSON."""
        return cls(**{**values, "sides": {name: Side(**side) for name, side in values["sides"].items()}})
