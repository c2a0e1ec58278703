"""The arithmetic of a paired comparison: pure functions of samples, which no framework and no clock is needed for.

The samples are natural logarithms of paired ratios, candidate over reference: above zero the candidate takes longer. A
*round* is what one set of fresh processes gave: ratios of the reference run a second time over the reference (A/A), and of
the candidate over the reference (A/B), measured in the same minutes. `docs/comparing.md` says why it is done like this, and
`docs/bench_simulation.py` measures how often it is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "FEWEST_PAIRS",
    "INCONCLUSIVE",
    "LEVEL",
    "LOOKS",
    "OK",
    "REGRESSED",
    "ROUNDS",
    "SMALLEST_EFFECT",
    "Effect",
    "Judged",
    "Look",
    "Round",
    "effect",
    "judge_round",
    "judge_rounds",
    "judge_starts",
    "log_ratios",
    "noise_sd",
    "round_is_done",
]

REGRESSED, OK, INCONCLUSIVE = "regressed", "ok", "inconclusive"

LEVEL = 0.99
"""Of every interval over a whole comparison."""
SMALLEST_EFFECT = math.log(1.03)
"""A slowdown of less is not what a gate is for (Otava's magnitude in the study of detectors has the same 3 %)."""
NOISE_FACTOR = 3.0
"""An effect must exceed so many standard deviations of what the same code shows against itself."""
MOST_NOISE = math.log(1.10)
"""Where that threshold comes to more, a slowdown that matters could pass unseen: the machine is too noisy to say anything."""
ROUNDS = 3
"""Sets of fresh processes: how code and memory happen to lie in a process is a part of its speed."""
CONFIRMING = 2
"""So many of the rounds must show a regression, each by itself."""
FEWEST_PAIRS = 40
"""Of a round, where the budget allows."""


@dataclass(frozen=True)
class Look:
    """After so many pairs a round may be decided, at that level."""

    pairs: int
    level: float


LOOKS = (Look(20, 0.998), Look(40, 0.997), Look(80, 0.995))
"""Declared before anything is measured; what the looks may err by adds up to the 1 % of `LEVEL`."""


def log_ratios(reference: ArrayLike, candidate: ArrayLike) -> NDArray[np.float64]:
    """log(candidate / reference), pair by pair.

    Raises:
        ValueError: they are not as many, or one is not a positive time.
    """
    one, other = np.asarray(reference, float), np.asarray(candidate, float)
    if one.shape != other.shape or one.ndim != 1:
        raise ValueError(f"pairs need two rows of one length, not {one.shape} and {other.shape}")
    if not (np.all(np.isfinite(one) & np.isfinite(other)) and np.all((one > 0) & (other > 0))):
        raise ValueError("a time must be finite and above zero")
    ratios: NDArray[np.float64] = np.log(other) - np.log(one)
    return ratios


@dataclass(frozen=True)
class Effect:
    """The median of paired log-ratios and where it may lie."""

    pairs: int
    median: float
    low: float
    high: float
    level: float

    @property
    def percent(self) -> tuple[float, float, float]:
        """Low, median and high as a change of the time in percent."""
        low, middle, high = (100 * math.expm1(min(value, 700.0)) for value in (self.low, self.median, self.high))
        return low, middle, high


def _run_length(values: NDArray[np.float64]) -> float:
    """By how much fewer independent values the median rests on than there are: the autocorrelation time of its signs.

    The variance of a median depends on the values' signs about it, so their autocorrelation is what counts. Only lags that
    stand out of what independent signs show (1.645 / sqrt(n)) are summed, up to the first that does not.
    """
    signs = np.sign(values - np.median(values))
    power = float(np.mean(signs**2))
    if not power:
        return 1.0
    total = 1.0
    for lag in range(1, len(signs) // 4 + 1):
        correlation = float(np.mean(signs[lag:] * signs[:-lag])) / power
        if correlation < 1.645 / math.sqrt(len(signs)):
            break
        total += 2 * correlation
    return total


def effect(ratios: ArrayLike, level: float = LEVEL) -> Effect:
    """The median with its interval: of order statistics (binomial, so for any distribution), widened for autocorrelation.

    Args:
        ratios: paired log-ratios, in the order in which they were measured.
        level: the interval's.

    Returns:
        The interval is infinite where there are too few pairs for the level.

    Raises:
        ValueError: there is none.
    """
    from scipy.stats import quantile_test

    values = np.asarray(ratios, float)
    if not len(values):
        raise ValueError("no pairs")
    middle = float(np.median(values))
    found = quantile_test(values, p=0.5).confidence_interval(level)
    wider = math.sqrt(_run_length(values))
    low = middle - wider * (middle - float(found.low)) if np.isfinite(found.low) else -math.inf
    high = middle + wider * (float(found.high) - middle) if np.isfinite(found.high) else math.inf
    return Effect(len(values), middle, low, high, level)


def noise_sd(runs: Sequence[ArrayLike]) -> float:
    """The standard deviation of what an A/A comparison gives, which would be 0 without noise.

    Args:
        runs: the A/A log-ratios of each round.

    Returns:
        The larger of two estimates: the spread of the rounds' medians about zero, and the standard error within a round,
        which does not know what differs between processes, and is there when one round is.
    """
    found = [effect(run) for run in runs]
    between = math.sqrt(sum(each.median**2 for each in found) / len(found))
    # A normal interval of level 0.99 is 2.576 standard errors wide on either side.
    within = math.sqrt(sum(((each.high - each.low) / (2 * 2.576)) ** 2 for each in found) / len(found))
    return max(between, within)


@dataclass(frozen=True)
class Round:
    """The paired log-ratios of one set of processes, in the order of measurement; `ab` is empty where both sides are one."""

    aa: Sequence[float]
    ab: Sequence[float]


@dataclass(frozen=True)
class Judged:
    """What is said of a comparison, and on what grounds.

    Attributes:
        outcome: `regressed`, `ok` or `inconclusive`.
        why: one sentence.
        improved: whether the candidate is faster, by the same rule as it would be slower; only with `ok`.
        effect: of the candidate; of A/A where there is no candidate.
        aa: the same code against itself.
        noise: the standard deviation of A/A.
        threshold: what an effect must exceed to be a regression (logarithm of a ratio).
    """

    outcome: str
    why: str
    effect: Effect
    aa: Effect
    noise: float
    threshold: float
    improved: bool = False


def _stands_out(found: Effect, threshold: float) -> int:
    """1: slower by rule; -1: faster by the same rule; 0: neither."""
    if found.low > 0 and found.median > threshold:
        return 1
    return -1 if found.high < 0 and found.median < -threshold else 0


def _percent(value: float) -> str:
    return f"{100 * math.expm1(value):+.1f} %"


def _unclean(rounds: Sequence[Round], noise: float, level: float) -> str | None:
    """Why A/A does not allow a verdict; None if it is clean."""
    for number, each in enumerate(rounds, 1):
        found = effect(each.aa, level)
        if _stands_out(found, SMALLEST_EFFECT):
            return f"A/A is not clean: in round {number} the same code differs from itself by {_percent(found.median)}"
    if NOISE_FACTOR * noise > MOST_NOISE:
        return (
            f"A/A is too noisy: the same code differs from itself by {_percent(noise)} (standard deviation), so that only "
            f"{_percent(NOISE_FACTOR * noise)} could be told from noise"
        )
    return None


def judge_round(each: Round, level: float) -> Judged:
    """One round by itself, as it is done at each look."""
    return _judge([each], level, confirming=1)


def round_is_done(each: Round, affordable: int) -> bool:
    """Whether a round needs no more pairs: at a declared look, once decided, or where the budget affords no further look.

    Args:
        each: what there is so far.
        affordable: how many pairs the budget allows the round in all; fewer than the first look's are no round.
    """
    pairs = len(each.aa)
    reached = [look for look in LOOKS if look.pairs == pairs]
    following = [look for look in LOOKS if pairs < look.pairs <= max(affordable, LOOKS[0].pairs)]
    if not following:
        return True
    if not reached or pairs < min(FEWEST_PAIRS, following[-1].pairs):
        return False
    return judge_round(each, reached[0].level).outcome != INCONCLUSIVE


def judge_rounds(rounds: Sequence[Round], level: float = LEVEL, *, round_level: float = LOOKS[-1].level) -> Judged:
    """The whole comparison.

    Regressed: the median over all rounds is, by its interval, above zero and exceeds the threshold, and `CONFIRMING` rounds
    show it, each by itself. Ok: the interval ends below the smallest effect that counts. Else, or where A/A is not clean:
    inconclusive.

    Args:
        rounds: one at least.
        level: of the interval over all rounds.
        round_level: of the interval of one round.
    """
    return _judge(rounds, level, CONFIRMING, round_level)


def _judge(rounds: Sequence[Round], level: float, confirming: int, round_level: float | None = None) -> Judged:
    aa = effect(np.concatenate([each.aa for each in rounds]), level)
    noise = noise_sd([each.aa for each in rounds])
    threshold = max(SMALLEST_EFFECT, NOISE_FACTOR * noise)
    alone = not any(len(each.ab) for each in rounds)
    found = aa if alone else effect(np.concatenate([each.ab for each in rounds]), level)

    def said(outcome: str, why: str, *, improved: bool = False) -> Judged:
        return Judged(outcome, why, found, aa, noise, threshold, improved)

    problem = _unclean(rounds, noise, round_level or level)
    if problem is not None:
        return said(INCONCLUSIVE, problem)
    low, middle, high = found.low, found.median, found.high
    shown = f"{_percent(middle)}, between {_percent(low)} and {_percent(high)}" if math.isfinite(low) else _percent(middle)
    if alone:
        return said(OK, f"the same code against itself: {shown}")
    own = [_stands_out(effect(each.ab, round_level or level), threshold) for each in rounds]
    if _stands_out(found, threshold) > 0:
        if own.count(1) >= confirming:
            return said(REGRESSED, f"slower: {shown} ({own.count(1)} of {len(rounds)} sets of processes show it)")
        return said(
            INCONCLUSIVE, f"slower: {shown}, but {own.count(1)} of {len(rounds)} sets of processes show it: not confirmed"
        )
    if high < SMALLEST_EFFECT:
        faster = _stands_out(found, threshold) < 0 and own.count(-1) >= confirming
        return said(OK, f"{'faster' if faster else 'not slower'}: {shown}", improved=faster)
    if low > 0 and middle > SMALLEST_EFFECT:
        return said(INCONCLUSIVE, f"slower: {shown}, which is within what noise does here ({_percent(threshold)})")
    return said(INCONCLUSIVE, f"{shown}: {_percent(SMALLEST_EFFECT)} cannot be excluded")


def judge_starts(
    references: Sequence[float], again: Sequence[float], candidates: Sequence[float], smallest: float
) -> tuple[str, float, float]:
    """What happens once per process (import, build, compile, peak memory): one value of each side in each round.

    Three values allow no interval, so the rule is one of ranks: regressed if every candidate exceeds every reference, which
    for three of six and three has probability 1/84 if nothing differs, and by more than the smallest effect and
    `NOISE_FACTOR` standard deviations of A/A besides.

    Args:
        references, again: of the reference, and of the reference run a second time.
        candidates: as many.
        smallest: the effect that counts, as the logarithm of a ratio.

    Returns:
        The outcome, the effect (the logarithm of the medians' ratio), and the threshold that it was held against.
    """
    one, other, new = (np.maximum(np.asarray(each, float), 1e-9) for each in (references, again, candidates))
    noise = math.sqrt(float(np.mean(log_ratios(one, other) ** 2)) / 2)
    threshold = max(smallest, NOISE_FACTOR * noise)
    both = np.concatenate([one, other])
    found = float(np.log(np.median(new)) - np.log(np.median(both)))
    if found < smallest and (len(new) >= ROUNDS or found < smallest / 2):
        return OK, found, threshold
    if len(new) >= ROUNDS and found > threshold and new.min() > both.max():
        return REGRESSED, found, threshold
    return INCONCLUSIVE, found, threshold
