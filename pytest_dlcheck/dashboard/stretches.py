"""When each product ran in which versions, and what held then: pure functions, but for the one question to the history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_dlcheck.history.causes import moved
from pytest_dlcheck.history.examine import Whole
from pytest_dlcheck.history.store import History
from pytest_dlcheck.properties.verdict import HARMLESS
from pytest_dlcheck.report.table import worst

__all__ = ["Held", "Stretch", "Upgrade", "held", "stretches", "upgrades"]

# Of each product so many sets of versions are told of on a subject's page.
MOST = 12
MOST_UPGRADES = 100


@dataclass
class Stretch:
    """One product's nights with the same versions.

    Attributes:
        product: its name.
        versions: by distribution.
        first: when its first run began.
        last: when its last run began.
        runs: how many there are.
        moved: what is otherwise than in the stretch before.
        commit: what was checked out in its first run.
        opening: the runs of its first day.
        final: the runs of its last day.
    """

    product: str
    versions: Mapping[str, str]
    first: str
    last: str
    runs: int = 0
    moved: Sequence[str] = ()
    commit: str | None = None
    opening: list[int] = field(default_factory=list)
    final: list[int] = field(default_factory=list)


def stretches(whole: Whole) -> list[Stretch]:
    """Each product's, the newest first."""
    found: list[Stretch] = []
    current: dict[str, Stretch] = {}
    for run in whole.runs:
        for each in whole.products.get(run.id, ()):
            known = current.get(each.name)
            if known is None or known.versions != each.versions:
                changed = moved(known.versions, each.versions) if known else ()
                known = Stretch(each.name, each.versions, run.started, run.started, moved=changed, commit=run.commit)
                current[each.name] = known
                found.append(known)
            known.runs += 1
            if run.started[:10] == known.first[:10]:
                known.opening.append(run.id)
            known.final = [*(known.final if run.started[:10] == known.last[:10] else ()), run.id]
            known.last = run.started
    return found[::-1]


@dataclass(frozen=True)
class Held:
    """What a subject's checks said on the last day of a stretch: the worst, how many fail, how many there are."""

    stretch: Stretch
    verdict: str
    failing: int
    checks: int


def held(history: History, found: Sequence[Stretch]) -> dict[str, list[Held]]:
    """By subject, what held in which versions; the newest first, a dozen of each product at most."""
    counts: dict[str, int] = {}
    told: dict[str, list[Held]] = {}
    for stretch in found:
        counts[stretch.product] = counts.get(stretch.product, 0) + 1
        if counts[stretch.product] > MOST:
            continue
        by_subject: dict[str, list[str]] = {}
        for subject, verdict in _verdicts(history, stretch.final, stretch.product).values():
            by_subject.setdefault(subject, []).append(verdict)
        for subject, verdicts in by_subject.items():
            failing = sum(verdict not in HARMLESS for verdict in verdicts)
            told.setdefault(subject, []).append(Held(stretch, worst(verdicts), failing, len(verdicts)))
    return told


@dataclass(frozen=True)
class Upgrade:
    """A stretch that began with other versions, and what that did to the checks that ran on both sides of it.

    Attributes:
        stretch: the new one.
        checks: how many ran on the last day before and on the first since.
        failed: how many of them failed before.
        fails: how many of them have failed since.
        newly: how many fail that did not.
    """

    stretch: Stretch
    checks: int
    failed: int
    fails: int
    newly: int


def upgrades(history: History, found: Sequence[Stretch]) -> list[Upgrade]:
    """The newest first, a hundred at most."""
    made: list[Upgrade] = []
    for place, stretch in enumerate(found):
        if not stretch.moved or len(made) == MOST_UPGRADES:
            continue
        before = next(each for each in found[place + 1 :] if each.product == stretch.product)
        earlier = _verdicts(history, before.final, stretch.product)
        later = _verdicts(history, stretch.opening, stretch.product)
        pairs = [(earlier[each][1] not in HARMLESS, later[each][1] not in HARMLESS) for each in earlier.keys() & later.keys()]
        made.append(
            Upgrade(
                stretch,
                len(pairs),
                sum(old for old, _ in pairs),
                sum(new for _, new in pairs),
                sum(new and not old for old, new in pairs),
            )
        )
    return made


def _verdicts(history: History, runs: Sequence[int], product: str) -> dict[int, tuple[str, str]]:
    """By check, its subject and what the last of some runs said."""
    places = ", ".join("?" * len(runs))
    rows = history.connection.execute(
        "SELECT checks.id, subject, text FROM results JOIN checks ON checks.id = check_id JOIN words ON words.id = verdict"  # noqa: S608
        f" JOIN runs ON runs.id = run WHERE run IN ({places}) AND product = ? ORDER BY started, run",
        (*runs, product),
    )
    return {check: (subject, verdict) for check, subject, verdict in rows}
