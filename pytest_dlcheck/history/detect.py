"""What changed along a line of the history: steps, trends, spread, and nights to look at again. Pure functions on samples."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.history.divisive import Split, change_points
from pytest_dlcheck.history.robust import autocorrelation, hampel_clip, robust_sd
from pytest_dlcheck.history.votes import ENOUGH, SIDE, votes

__all__ = ["RULES", "Change", "Rules", "Suspicion", "changes", "noise_floor", "suspicion"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rules:
    """What counts as a change; docs/history.md holds what was measured with them.

    Attributes:
        clip_window: the Hampel clip's window, in nights.
        clip_limit: how many robust standard deviations it leaves.
        largest_p: of the t-test, and of the tests for trend and spread.
        smallest: the smallest relative change that is told, where the noise floor is not larger.
        floors: how many standard deviations of A/A it must be at least.
        shortest: nights that a new level must have: one wild night is none.
        likeliest: with what probability so many nights of a new level may be like single ones that came and went before.
        recent: how many nights are looked at.
        suspicious_sd: if the newest nights are slower by more standard deviations of their mean, they are measured again.
        suspicious_nights: how many of the newest nights are looked at for that, one, two, ... up to these.
        suspicious_share: of the smallest change, from which on.
        surely: a slowdown that one night must show, and half of it all of `suspicious_nights` together.
        miss_sd: with what chance of missing it, as a quantile of the normal distribution: 1.645 for one in twenty.
        least: nights that a level must have before anything is said of it.
        trend_nights: nights that a trend needs.
        spread_nights: recent nights whose spread is compared with those before.
        spread_ratio: how many times wider they must be.
    """

    clip_window: int = 7
    clip_limit: float = 4.0
    largest_p: float = 1e-4
    smallest: float = 0.03
    floors: float = 3.0
    shortest: int = 3
    likeliest: float = 1e-3
    recent: int = 100
    suspicious_sd: float = 2.0
    suspicious_nights: int = 4
    suspicious_share: float = 0.8
    surely: float = 0.10
    miss_sd: float = 1.645
    least: int = 8
    trend_nights: int = 30
    spread_nights: int = 14
    spread_ratio: float = 2.0


RULES = Rules()


@dataclass(frozen=True)
class Change:
    """One change of a line.

    Attributes:
        kind: `step`, `trend` or `spread`.
        index: of the first night after it (of a trend, its first night).
        earliest: it began no earlier than this night, as far as the figures tell.
        latest: nor later than this one.
        effect: the relative change: 0.05 for five per cent more; of the spread, for `spread`.
        before: the level before, in the line's unit.
        after: the level after.
        p: of the test.
        votes: which tests of other kinds agree.
    """

    kind: str
    index: int
    earliest: int
    latest: int
    effect: float
    before: float
    after: float
    p: float
    votes: tuple[str, ...] = ()

    @property
    def agreed(self) -> bool:
        return len(self.votes) >= ENOUGH


@dataclass(frozen=True)
class Suspicion:
    """The newest nights alone: a reason to measure again, not to tell anybody.

    Attributes:
        nights: how many, from the newest back.
        effect: by how much they are slower.
        allowed: what could be noise.
    """

    nights: int
    effect: float
    allowed: float


def noise_floor(aa: Sequence[float]) -> float | None:
    """The standard deviation of a comparison of the same code with itself, learnt from at least three; None from fewer.

    Args:
        aa: medians of log-ratios, one per A/A run.
    """
    if len(aa) < 3:
        return None
    found = np.asarray(aa, float)
    return max(robust_sd(found), float(np.sqrt(np.mean(found**2))) / 2)


def _smallest(floor: float | None, rules: Rules) -> float:
    return math.log1p(max(rules.smallest, rules.floors * (floor or 0.0)))


def changes(values: Sequence[float], floor: float | None = None, rules: Rules = RULES) -> list[Change]:
    """What changed, oldest first.

    Args:
        values: one per night, oldest first, above 0: ratios to the reference workload, else seconds or bytes.
        floor: the noise floor.
        rules: what counts.
    """
    if len(values) < rules.least:
        return []
    logs = np.log(np.asarray(values, float))
    clipped = hampel_clip(logs, rules.clip_window, rules.clip_limit)
    start = max(0, len(logs) - rules.recent)
    smallest = _smallest(floor, rules)
    splits = [
        Split(each.index + start, each.p, each.before, each.after)
        for each in change_points(clipped[start:], largest_p=rules.largest_p, smallest=smallest, shortest=rules.shortest)
        # With fewer nights before, there is no level yet that could have changed.
        if each.index >= rules.least
    ]
    splits = _seldom_before(_beyond_the_usual(splits, clipped, start), logs, clipped, start, smallest=smallest, rules=rules)
    found = _without_drift([_step(each, splits, clipped, start) for each in splits], clipped, start, smallest, rules)
    if any(each.kind == "trend" for each in found):
        return found
    since = max((each.index for each in found), default=start)
    for extra in (_trend(clipped, since, smallest, rules), _spread(logs, clipped, since, floor, rules)):
        if extra is not None:
            found.append(extra)
            break
    return sorted(found, key=lambda each: each.index)


def _beyond_the_usual(splits: list[Split], clipped: Array, start: int) -> list[Split]:
    """Without steps that are no larger than what the same comparison showed on the level before."""
    edges = [start, *(each.index for each in splits), len(clipped)]
    return [
        each
        for place, each in enumerate(splits)
        if each.size > _usual(clipped[edges[place] : each.index], edges[place + 2] - each.index)
    ]


def _seldom_before(
    splits: list[Split], logs: Array, clipped: Array, start: int, *, smallest: float, rules: Rules
) -> list[Split]:
    """Without steps to where single nights of the level before were already, too often for these to be something else.

    A program may run at one of two speeds, by how its memory happens to lie; three slow nights in a row are then chance. The
    clip hides such nights, so it is asked of what was measured: with k of n nights of the level before past the middle
    between both levels, each night lies there with probability (k + 1) / (n + 2) (Laplace), and as many as do of the new
    level with that of the binomial distribution.
    """
    kept = list(splits)
    while kept:
        chances = [_chance(kept, place, logs, start) for place in range(len(kept))]
        place = int(np.argmax(chances))
        if chances[place] <= rules.likeliest:
            break
        # What it parted is one level again, and the steps beside it are judged anew.
        del kept[place]
        edges = [start, *(each.index for each in kept), len(clipped)]
        levels = [float(clipped[first:end].mean()) for first, end in itertools.pairwise(edges)]
        kept = [Split(each.index, each.p, *levels[number : number + 2]) for number, each in enumerate(kept)]
    return [each for each in kept if each.size > smallest]


def _chance(splits: Sequence[Split], place: int, logs: Array, start: int) -> float:
    """With what probability so many nights of the level after a step lie past the middle, were they drawn from before it."""
    from scipy import stats

    edges, split = [start, *(each.index for each in splits), len(logs)], splits[place]
    past = (logs - (split.before + split.after) / 2) * math.copysign(1, split.after - split.before) > 0
    before, after = past[edges[place] : split.index], past[split.index : edges[place + 2]]
    return float(stats.binom.sf(after.sum() - 1, len(after), (before.sum() + 1) / (len(before) + 2)))


def _usual(level: Array, nights: int) -> float:
    """The largest difference between the mean of so many nights and of the dozen before them, all along one level."""
    before = min(SIDE, len(level) // 2)
    nights = min(nights, SIDE, len(level) - before)
    sums = np.concatenate([[0.0], level.cumsum()])
    middle = np.arange(before, len(level) - nights + 1)
    after = (sums[middle + nights] - sums[middle]) / nights
    return float(np.abs(after - (sums[middle] - sums[middle - before]) / before).max())


def _step(split: Split, splits: Sequence[Split], clipped: Array, start: int) -> Change:
    edges = [start, *(each.index for each in splits), len(clipped)]
    place = edges.index(split.index)
    low, high = _where(clipped[edges[place - 1] : edges[place + 1]])
    return Change(
        "step",
        split.index,
        edges[place - 1] + low,
        edges[place - 1] + high,
        math.expm1(split.after - split.before),
        math.exp(split.before),
        math.exp(split.after),
        split.p,
        votes(clipped, split.index),
    )


def _where(part: Array) -> tuple[int, int]:
    """The places of a single step that are as likely as the best, to within a factor of e^1.92 (95 %)."""
    count = len(part)
    places = np.arange(1, count)
    sums, squares = part.cumsum(), (part**2).cumsum()
    left = squares[:-1] - sums[:-1] ** 2 / places
    right = (squares[-1] - squares[:-1]) - (sums[-1] - sums[:-1]) ** 2 / (count - places)
    rest = np.maximum(left + right, 1e-18)
    likely = places[count / 2 * np.log(rest / rest.min()) <= 1.92]
    return int(likely.min()), int(likely.max())


def _line_fits_better(part: Array) -> bool:
    """Whether a straight line leaves less than the best single step."""
    count = len(part)
    if count < 4:
        return False
    time = np.arange(count)
    slope, level = np.polyfit(time, part, 1)
    line = float(((part - level - slope * time) ** 2).sum())
    middles = [((part[:k] - part[:k].mean()) ** 2).sum() + ((part[k:] - part[k:].mean()) ** 2).sum() for k in range(1, count)]
    return line < float(min(middles))


def _without_drift(found: list[Change], clipped: Array, start: int, smallest: float, rules: Rules) -> list[Change]:
    """Steps one upon the other, that a line describes better, are one trend."""
    if not found:
        return []
    part = clipped[start:]
    same = len({each.effect > 0 for each in found}) == 1
    if not same or len(part) < rules.trend_nights or not _line_fits_better(part):
        return found
    trend = _trend(clipped, start, smallest, rules)
    return found if trend is None else [trend]


def _trend(clipped: Array, since: int, smallest: float, rules: Rules) -> Change | None:
    """A slow drift: Theil and Sen's slope, Mann and Kendall's test with fewer effective nights where they are correlated."""
    from scipy import stats

    part = clipped[since:]
    if len(part) < rules.trend_nights:
        return None
    time = np.arange(len(part))
    # The slope of least squares takes no time; a drift that it does not see at half the size is none.
    if abs(float(np.polyfit(time, part, 1)[0])) * (len(part) - 1) <= smallest / 2:
        return None
    slope, _, _, _ = stats.theilslopes(part, time)
    total = float(slope) * (len(part) - 1)
    if abs(total) <= smallest or not _line_fits_better(part):
        return None
    tau = stats.kendalltau(time, part).statistic
    alike = autocorrelation(part)
    count = len(part)
    # The variance of Kendall's tau without ties, inflated as that of a mean is.
    spread = math.sqrt(2 * (2 * count + 5) / (9 * count * (count - 1)) * (1 + alike) / (1 - alike))
    p = float(2 * stats.norm.sf(abs(tau) / spread))
    if not p < rules.largest_p:
        return None
    before = float(np.median(part - slope * time))
    return Change("trend", since, since, since, math.expm1(total), math.exp(before), math.exp(before + total), p)


def _spread(logs: Array, clipped: Array, since: int, floor: float | None, rules: Rules) -> Change | None:
    """Nights that scatter more, or less, than those before: Brown and Forsythe's test."""
    from scipy import stats

    part = clipped[since:]
    recent, earlier = part[-rules.spread_nights :], part[: -rules.spread_nights]
    if len(earlier) < 2 * rules.spread_nights:
        return None
    before, after = robust_sd(earlier), robust_sd(recent)
    if max(before, after) <= (floor or 0.0):  # no more than a comparison of the same code with itself scatters
        return None
    if before <= 0 or after <= 0 or max(before / after, after / before) < rules.spread_ratio:
        return None
    # Of what was measured, too: the clip hides nights that were wild alone, and not those that were wild together.
    tests = [
        stats.levene(each[: -rules.spread_nights], each[-rules.spread_nights :], center="median")
        for each in (part, logs[since:])
    ]
    p = max(float(test.pvalue) for test in tests)
    if not p < rules.largest_p:
        return None
    index = since + len(earlier)
    return Change("spread", index, since, index, after / before - 1, before, after, p)


def suspicion(
    values: Sequence[float],
    found: Sequence[Change],
    floor: float | None = None,
    cleared: int = 0,
    rules: Rules = RULES,
) -> Suspicion | None:
    """Whether the newest nights are so slow that they should be measured again at once, in pairs.

    Args:
        values: one per night, oldest first, above 0.
        found: what `changes` found in them.
        floor: the noise floor.
        cleared: nights before this one have been measured again, and nothing was found.
        rules: what counts.
    """
    since = max((each.index for each in found if each.kind == "step"), default=0)
    since = max(since, len(values) - rules.recent)
    logs = np.log(np.asarray(values, float))
    clipped = hampel_clip(logs, rules.clip_window, rules.clip_limit)
    for nights in range(1, rules.suspicious_nights + 1):
        first = len(values) - nights
        # A new level is too young to judge a night by; and the night that began it has been told.
        if first - since < rules.least or first < cleared:
            break
        level = clipped[since:first]
        sd = robust_sd(level) / math.sqrt(nights)
        allowed = max(rules.suspicious_share * _smallest(floor, rules), rules.suspicious_sd * sd)
        # Where nights scatter so much that such a slowdown could hide, what is an ordinary night there is measured again too.
        if nights in (1, rules.suspicious_nights):
            hidden = math.log1p(rules.surely if nights == 1 else rules.surely / 2) - rules.miss_sd * sd
            allowed = min(allowed, max(hidden, rules.floors * (floor or 0.0)))
        effect = float(logs[first:].mean() - np.median(level))
        if effect > allowed:
            return Suspicion(nights, math.expm1(effect), math.expm1(allowed))
    return None
