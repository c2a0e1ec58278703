"""What happens while tests run, and after the last."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_dlcheck.collecting import FACTS, KNOWN_ISSUE
from pytest_dlcheck.run import RUN, VERDICTS, Run, Verdicts
from pytest_dlcheck.seeds import derive

if TYPE_CHECKING:
    from pytest_dlcheck.items import Facts
    from pytest_dlcheck.routing import BackendScheduling

__all__ = ["annotate", "distrust_wide_floats", "finish", "make_scheduler", "run_timed", "seed", "summarize"]


def make_scheduler(config: pytest.Config) -> BackendScheduling | None:
    """Our scheduler for xdist's `load`; another mode that the user chose for one backend stays."""
    run = config.stash[RUN]
    if config.getoption("dist") != "load":
        return None
    from xdist.workermanage import parse_tx_spec_config

    from pytest_dlcheck.routing import BackendScheduling

    default = None if run.workers else run.current_backend
    run.scheduler = BackendScheduling(len(parse_tx_spec_config(config)), run.facts, default)
    return run.scheduler


def run_timed(session: pytest.Session) -> None:
    """Runs in the controller, one at a time, the tests that the workers leave to it; the workers have ended by then."""
    run = session.config.stash[RUN]
    if run.scheduler is None:
        return
    timed, collected = run.scheduler.timed, run.scheduler.collected
    if timed:
        places = {(facts.path, _within_file(nodeid)): nodeid for nodeid, facts in timed.items()}
        with _quietly(session.config):
            found = session.perform_collect(list(dict.fromkeys(facts.path for facts in timed.values())))
        items = []
        for item in found:
            nodeid = places.get((str(item.path), _within_file(item.nodeid)))
            if nodeid is not None:
                # Collected by path it may have another id than by package (--pyargs), and the workers' is the known one.
                item._nodeid = nodeid  # type: ignore[attr-defined]  # noqa: SLF001
                items.append(item)
        session.testscollected = collected
        run.say(f"{len(items)} timed tests now, one at a time, each in a process of its own")
        for index, item in enumerate(items):
            following = items[index + 1] if index + 1 < len(items) else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
    # xdist knows only what the last worker said; without this, a run of timed tests alone would count as empty.
    session.testscollected = collected


def _within_file(nodeid: str) -> str:
    return nodeid.partition("::")[2]


@contextlib.contextmanager
def _quietly(config: pytest.Config) -> Iterator[None]:
    """Inside, pytest does not say how many tests it collects: they have been counted already."""
    before, config.option.verbose = config.option.verbose, -1
    try:
        yield
    finally:
        config.option.verbose = before


def distrust_wide_floats() -> None:
    """Refuses a test that would run with the table of dtypes that gradient checks change for themselves."""
    wide = sys.modules.get("pytest_dlcheck.backends.wide_floats")
    if wide is not None and not wide.narrow():
        pytest.fail("an earlier test left Keras's table of dtypes changed, so no dtype can be believed any more", pytrace=False)


def make_room(item: pytest.Item) -> None:
    """Before a test on a backend: nothing that earlier ones compiled may leave it too little."""
    facts = item.stash.get(FACTS, None)
    if facts is not None and facts.backend is not None:
        backend = item.config.stash[RUN].backend(facts.backend)
        if backend.loaded:
            backend.make_room()


def seed(item: pytest.Item) -> None:
    """Seeds Python, NumPy and the framework for a test that runs on a backend: the same on each, the same every time."""
    facts = item.stash.get(FACTS, None)
    run = item.config.stash[RUN]
    if facts is None or facts.backend is None or facts.timed:
        return
    backend = run.backend(facts.backend)
    if backend.loaded:
        backend.seed(test_seed(run, item))


def test_seed(run: Run, item: pytest.Item) -> int:
    """The seed of one test: of its name without its parameters, so that all backends draw the same."""
    return derive(run.plan.seed, item.nodeid.split("[")[0])


def annotate(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Puts a test's facts, and what its properties said, on its report, which travels to the controller."""
    facts = item.stash.get(FACTS, None)
    if facts is None or facts.backend is None:
        return
    said = item.stash.get(VERDICTS, Verdicts())
    report.dlcheck = {  # type: ignore[attr-defined]
        "facts": facts.dump(),
        "outcome": said.outcome,
        "messages": said.messages,
        "measurements": said.measurements if report.when == "call" else [],
        "findings": said.findings if report.when == "call" else [],
        "known_issue": item.stash.get(KNOWN_ISSUE, None),
    }
    if report.when == "call":
        item.user_properties += _properties(facts, said)
    if report.failed and call.when == "call":
        run = item.config.stash[RUN]
        report.sections.append(
            (
                "dlcheck",
                f"backend {facts.backend}, device {facts.device or 'not asked for'}, run seed {run.plan.seed}, "
                f"test seed {test_seed(run, item)}\n"
                f"again: pytest '{item.nodeid}' --dl-backend {facts.backend} --dl-seed {run.plan.seed}"
                + (f" --dl-device {facts.device}" if facts.device else ""),
            )
        )


def _properties(facts: Facts, said: Verdicts) -> list[tuple[str, object]]:
    """What JUnit's XML says of a test beside pass and fail."""
    named = {"subject": facts.subject, "backend": facts.backend, "device": facts.device, "verdict": said.outcome}
    found: list[tuple[str, object]] = [(f"dlcheck.{name}", value) for name, value in named.items() if value is not None]
    for each in said.findings:
        name = ".".join(filter(None, ["dlcheck.property", each["property"], each["dtype"], each["mode"]]))
        found.append((name, each["verdict"]))
    return found


def finish(session: pytest.Session) -> None:
    """Fails a run that checked nothing, and writes the report."""
    run = session.config.stash.get(RUN, None)
    if run is None or run.collector is None:
        return
    run.collector.finish(session)


def summarize(run: Run, reporter: Any) -> None:
    """The last lines: what is wrong with the run as a whole, and where the report lies."""
    if run.collector is None:
        return
    for line, markup in run.collector.last_lines():
        reporter.write_line(line, **markup)
