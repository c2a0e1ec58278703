"""Says during a long run, now and then, what is running, how far it is and how long it still takes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytest_dlcheck.collecting import FACTS
from pytest_dlcheck.items import Facts

if TYPE_CHECKING:
    from pytest_dlcheck.run import Run

__all__ = ["Progress", "remaining_seconds"]

EVERY_S = 20.0
CACHED = "dlcheck/seconds"
# Before anything is known: what a timed test takes (every second one finds its workload measured), and any other.
FIRST_GUESS_S = {True: 3.0, False: 0.5}
PRIOR = 2


def kind_of(facts: Facts) -> str:
    """Tests that take about as long: one function on one backend, whatever its other parameters."""
    return f"{facts.nodeid.split('[')[0]} {facts.backend}"


def remaining_seconds(left: Iterable[Facts], known: Mapping[str, float], workers: Mapping[str | None, int]) -> float:
    """How long the tests that are left will take: each backend's workers side by side, and timed tests after them.

    Args:
        left: the tests that have not finished.
        known: mean seconds per kind of test (see `kind_of`), from earlier runs and this one.
        workers: how many workers each backend has; a backend that is not there has one.
    """
    checked: defaultdict[str | None, float] = defaultdict(float)
    timed = 0.0
    for facts in left:
        seconds = known.get(kind_of(facts), FIRST_GUESS_S[facts.timed])
        if facts.timed:
            timed += seconds
        else:
            checked[facts.backend] += seconds
    if not workers:  # one process does everything in turn
        return timed + sum(checked.values())
    return timed + max((seconds / max(1, workers.get(backend, 0)) for backend, seconds in checked.items()), default=0.0)


class Progress:
    """A pytest plugin of its own, registered where results arrive and somebody looks."""

    def __init__(self, run: Run, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = run
        self._clock = clock
        self._said = clock()
        self._left: dict[str, Facts] | None = None
        self._total = 0
        cache = getattr(run.config, "cache", None)
        cached = cache.get(CACHED, {}) if cache is not None else {}
        self._cached: dict[str, float] = dict(cached) if isinstance(cached, dict) else {}
        self._known = dict(self._cached)
        self._seen: defaultdict[str, list[float]] = defaultdict(list)
        self._running: dict[str, float] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if self._left is None and not self._run.is_controller:
            self._expect(item.stash[FACTS] for item in session.items if FACTS in item.stash)

    def _expect(self, tests: Iterable[Facts]) -> None:
        self._left = {facts.nodeid: facts for facts in tests}
        self._total = len(self._left)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._left is None:
            # In a controller: the workers have said by now what there is.
            self._expect(facts for worker in self._run.facts.values() for facts in worker)
        assert self._left is not None
        self._running[report.nodeid] = self._running.get(report.nodeid, 0.0) + report.duration
        if report.when != "teardown":
            return
        facts = self._left.pop(report.nodeid, None)
        seconds = self._running.pop(report.nodeid)
        if facts is None:
            return
        kind = kind_of(facts)
        self._seen[kind].append(seconds)
        # What was expected counts as some tests that were seen: the first subject may be the largest of all.
        expected = self._cached.get(kind, FIRST_GUESS_S[facts.timed])
        self._known[kind] = (PRIOR * expected + sum(self._seen[kind])) / (PRIOR + len(self._seen[kind]))
        now = self._clock()
        if now - self._said >= EVERY_S and self._left and facts.backend is not None:
            self._said = now
            self._run.say(self.line(facts))

    def line(self, last: Facts) -> str:
        """What a person wants to know while waiting."""
        from pytest_dlcheck.report.words import duration

        assert self._left is not None
        workers: dict[str | None, int] = {name: self._run.workers.count(name) for name in self._run.workers}
        seconds = remaining_seconds(self._left.values(), self._known, workers)
        subject = f"{last.subject}, " if last.subject else ""
        about = duration(max(5.0, round(seconds / 5) * 5.0))
        return f"{self._total - len(self._left)} of {self._total} tests ({subject}{last.backend}), about {about} to go"

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        cache: Any = getattr(session.config, "cache", None)
        if cache is not None and self._seen:
            means = self._cached | {kind: sum(seen) / len(seen) for kind, seen in self._seen.items()}
            cache.set(CACHED, {kind: round(mean, 3) for kind, mean in means.items()})
