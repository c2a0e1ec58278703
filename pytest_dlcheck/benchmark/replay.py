"""A clock that gives pytest-benchmark samples measured elsewhere. Imports nothing: it is made while tests are collected."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["ReplayClock"]


class ReplayClock:
    """A timer whose readings come in pairs, a sample's length apart.

    pytest-benchmark calibrates on the calls that it makes, and would calibrate on one that compiles; it also stops at a
    number of rounds of its own. Given this as the `timer`, and as many rounds as there are samples, it shows the samples.
    """

    def __init__(self) -> None:
        self._readings: list[float] = []

    def load(self, samples: Sequence[float]) -> None:
        """What to replay: lengths in seconds."""
        now = 0.0
        self._readings = []
        for sample in samples:
            self._readings += [now, now + sample]
            now += sample
        self._readings.reverse()

    def __call__(self) -> float:
        """The next reading in seconds.

        Raises:
            RuntimeError: there is none left: something other than the samples is being timed.
        """
        if not self._readings:
            raise RuntimeError("nothing left to replay: more rounds were timed than there are samples")
        return self._readings.pop()
