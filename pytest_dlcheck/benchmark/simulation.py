"""Comparisons on a machine that is made up, so that the truth is known: how often are the statistics wrong?

The noise has what was seen on shared machines: a load that rises and falls and hits all sides of a turn alike, what hits one
block alone, blocks that take far longer, a drift over minutes, and processes that are faster or slower from the start.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from pytest_dlcheck.benchmark.statistics import LOOKS, ROUNDS, Judged, Round, judge_rounds, log_ratios, round_is_done

__all__ = ["NOISES", "Noise", "Rates", "compare", "rates"]


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the logarithm of a block's time, unless it says otherwise.

    Attributes:
        shared: of the load that all sides of a turn meet; it follows itself from turn to turn with `memory`.
        own: of what hits one block.
        own_memory: how far that follows itself from block to block of one side.
        process: of the processes among each other.
        outliers: which share of the blocks takes far longer.
        outlier: how much longer, at most (a factor, drawn evenly from 1 on).
        drift: by how much the machine gets slower over a round (a logarithm).
    """

    shared: float = 0.10
    memory: float = 0.8
    own: float = 0.03
    own_memory: float = 0.0
    process: float = 0.004
    outliers: float = 0.02
    outlier: float = 2.0
    drift: float = 0.0


NOISES: Mapping[str, Noise] = MappingProxyType(
    {
        "quiet": Noise(shared=0.01, own=0.01, process=0.002, outliers=0.0),
        "shared machine": Noise(),
        "outliers": Noise(outliers=0.15, outlier=4.0),
        "drift": Noise(drift=0.3),
        "autocorrelated": Noise(own_memory=0.6),
        "processes differ": Noise(process=0.015),
        "heavy load": Noise(shared=0.3, own=0.12, outliers=0.1, outlier=3.0),
    }
)


def _follow(rng: np.random.Generator, turns: int, sd: float, memory: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A stationary first-order autoregression."""
    values = np.empty(turns)
    values[0] = rng.normal(0, sd)
    for turn in range(1, turns):
        values[turn] = memory * values[turn - 1] + math.sqrt(1 - memory**2) * rng.normal(0, sd)
    return values


def _round(rng: np.random.Generator, noise: Noise, change: float) -> Round:
    """The most pairs that a round may have, of sides whose order is drawn anew each turn."""
    turns = LOOKS[-1].pairs
    load = np.repeat(_follow(rng, turns, noise.shared, noise.memory), 3) + np.linspace(0, noise.drift, 3 * turns)
    order = np.array([rng.permutation(3) for _ in range(turns)])
    times = np.empty((turns, 3))
    for side in range(3):
        position = 3 * np.arange(turns) + np.argmax(order == side, axis=1)
        logs = load[position] + _follow(rng, turns, noise.own, noise.own_memory) + rng.normal(0, noise.process)
        late = rng.random(turns) < noise.outliers
        logs += np.where(late, np.log(rng.uniform(1, noise.outlier, turns)), 0)
        times[:, side] = np.exp(logs + (change if side == 2 else 0.0))
    return Round(log_ratios(times[:, 0], times[:, 1]).tolist(), log_ratios(times[:, 0], times[:, 2]).tolist())


def compare(rng: np.random.Generator, noise: Noise, change: float, affordable: int = LOOKS[-1].pairs) -> Judged:
    """One comparison, by the same looks and rules as a real one.

    Args:
        rng: draws the noise.
        noise: of the machine.
        change: the truth: log(candidate / reference).
        affordable: how many pairs the budget allows in a round.
    """
    rounds = []
    for _ in range(ROUNDS):
        whole = _round(rng, noise, change)
        each = Round(whole.aa[: LOOKS[0].pairs], whole.ab[: LOOKS[0].pairs])
        for look in LOOKS:
            each = Round(whole.aa[: look.pairs], whole.ab[: look.pairs])
            if round_is_done(each, affordable):
                break
        rounds.append(each)
    return judge_rounds(rounds)


@dataclass(frozen=True)
class Rates:
    """Which share of many comparisons came out how."""

    comparisons: int
    regressed: float
    ok: float
    inconclusive: float
    pairs: float
    """In the mean, over all rounds."""


def rates(noise: Noise, change: float, comparisons: int, seed: int, affordable: int = LOOKS[-1].pairs) -> Rates:
    """Makes many comparisons of which the truth is known.

    Args:
        noise, change, affordable: as of `compare`.
        comparisons: how many.
        seed: of what is drawn.
    """
    rng = np.random.default_rng(seed)
    found = [compare(rng, noise, change, affordable) for _ in range(comparisons)]
    share = {
        outcome: sum(each.outcome == outcome for each in found) / comparisons for outcome in ("regressed", "ok", "inconclusive")
    }
    pairs = sum(each.effect.pairs for each in found) / comparisons
    return Rates(comparisons, share["regressed"], share["ok"], share["inconclusive"], pairs)
