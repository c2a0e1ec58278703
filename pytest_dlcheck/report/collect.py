"""Keeps every result of a run. Lives in the one process that sees them all: the controller, or the only one."""

from __future__ import annotations

import datetime as dt
import json
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from pytest_dlcheck.items import Facts
from pytest_dlcheck.properties.verdict import HARMLESS, PASS

if TYPE_CHECKING:
    from pytest_dlcheck.run import Run

__all__ = ["Collector", "Result"]

LONGEST_TEXT = 8_000


@dataclass
class Result:
    """One test, as far as it has been reported."""

    facts: Facts
    verdict: str = "broken"
    message: str | None = None
    details: str | None = None
    seconds: float = 0.0
    worker: str | None = None
    measurements: list[dict[str, Any]] = field(default_factory=list)
    known_issue: str | None = None
    dtype: str | None = None
    mode: str | None = None
    examples: int | None = None
    case: str | None = None

    @property
    def subject(self) -> str:
        """What the test checks; for a test that does not say, its module."""
        return self.facts.subject or self.facts.nodeid.split("::")[0].removesuffix(".py")

    @property
    def property(self) -> str:
        return self.facts.property or self.facts.nodeid.split("::", 1)[-1].split("[")[0]


def _reason(report: pytest.TestReport) -> str:
    """Why a test was skipped."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(getattr(report, "wasxfail", "")) or "no reason given"


def _headline(report: pytest.TestReport) -> str:
    """The message of a failure without its traceback."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message) if crash is not None else str(report.longrepr)
    return text.removeprefix("pytest_dlcheck.properties.verdict.PropertyFailed: ").removeprefix("Failed: ")


class Collector:
    """A pytest plugin of its own, registered when there is somebody to keep results for."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._results: dict[str, Result] = {}
        self._findings: dict[str, list[Result]] = {}
        self._others_ran = False
        self._started = dt.datetime.now(dt.timezone.utc)
        self._clock = time.perf_counter()
        self._last: list[tuple[str, dict[str, bool]]] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        said: dict[str, Any] | None = getattr(report, "dlcheck", None)
        if said is None:
            facts = self._facts_of_a_crash(report)
            if facts is None:
                self._others_ran = self._others_ran or not report.skipped
                return
            self._results[report.nodeid] = Result(facts, "crash", _headline(report), worker=self._worker(report))
            return
        result = self._results.setdefault(report.nodeid, Result(Facts.load(said["facts"])))
        result.seconds += report.duration
        result.worker = self._worker(report)
        result.measurements += said["measurements"]
        result.known_issue = said["known_issue"]
        self._judge(result, report, said)
        if said["findings"]:
            self._findings[report.nodeid] = [
                Result(
                    result.facts._replace(property=each["property"]),
                    each["verdict"],
                    each["message"],
                    seconds=each["seconds"],
                    worker=result.worker,
                    known_issue=each["known_issue"],
                    dtype=each["dtype"],
                    mode=each["mode"],
                    examples=each["examples"],
                    case=each["case"],
                )
                for each in said["findings"]
            ]

    def _facts_of_a_crash(self, report: pytest.TestReport) -> Facts | None:
        """xdist reports in the name of a worker that died, which could no longer say what the test was."""
        if report.when in ("setup", "call", "teardown"):
            return None
        known = (facts for worker in self._run.facts.values() for facts in worker if facts.nodeid == report.nodeid)
        facts = next(known, None)
        return facts if facts is not None and facts.backend is not None else None

    def _worker(self, report: pytest.TestReport) -> str | None:
        node = getattr(report, "node", None)
        return None if node is None else str(node.gateway.id)

    def _judge(self, result: Result, report: pytest.TestReport, said: dict[str, Any]) -> None:
        if report.failed and report.when == "call":
            # A strict xfail that passes is reported by this string alone, a failure by an object or a traceback.
            fixed = isinstance(report.longrepr, str) and report.longrepr.startswith("[XPASS(strict)]")
            result.verdict = "fixed" if fixed else said["outcome"] or "fail"
            result.message = "\n".join(said["messages"]) if said["outcome"] else _headline(report)
            result.details = report.longreprtext[-LONGEST_TEXT:]
        elif report.failed:
            first = result.verdict in HARMLESS or result.message is None
            result.verdict = "broken" if first else result.verdict
            # What the test itself found stays: an error while cleaning up often follows from it.
            result.message = _headline(report) if first else f"{result.message}\nand in {report.when}: {_headline(report)}"
            result.details = "\n\n".join(filter(None, [result.details, report.longreprtext]))[-LONGEST_TEXT:]
        elif report.skipped:
            result.verdict = "known" if hasattr(report, "wasxfail") else "skip"
            result.message = _reason(report)
        elif report.when == "call":
            result.verdict = said["outcome"] or PASS
            result.message = "\n".join(said["messages"]) or None

    # After the last test.

    @property
    def results(self) -> list[Result]:
        """Of a test that judged several properties, one for each of them; the test's own where it has none to show."""
        found = []
        for nodeid, result in self._results.items():
            findings = self._findings.get(nodeid, [])
            # An error outside of the properties, while cleaning up, must not vanish behind them.
            if not findings or result.verdict == "broken":
                found.append(result)
            found += findings
        return found

    def finish(self, session: pytest.Session) -> None:
        """Fails a run that checked nothing; writes the report and adds to the history if that was asked for."""
        results = self.results
        ran = [result for result in results if result.verdict != "skip"]
        if results and not ran and not self._others_ran and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
            self._complain(f"nothing ran: all {len(results)} tests were skipped, the first because {results[0].message}")
        if not results and self._run.plan.chosen and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            self._complain("no test was selected: look at the paths, at -k and at -m")
        plan = self._run.plan
        if plan.report is None and plan.history is None:
            return
        from pytest_dlcheck.report.write import as_json

        seconds = time.perf_counter() - self._clock
        try:
            report = as_json(
                self._run, self.results, started=self._started, seconds=seconds, exit_status=int(session.exitstatus)
            )
        except Exception as error:  # noqa: BLE001 - the results on the terminal must not be lost over it
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
            self._complain(f"the report could not be made: {type(error).__name__}: {error}")
            return
        if plan.report is not None:
            self._write(session, plan.report, report)
        if plan.history is not None:
            self._track(session, plan.history, report)

    def _complain(self, line: str) -> None:
        self._last.append((f"ERROR: dlcheck: {line}", {"red": True, "bold": True}))

    def _track(self, session: pytest.Session, path: str, report: dict[str, Any]) -> None:
        from pytest_dlcheck.errors import DlcheckError
        from pytest_dlcheck.history.store import open_history

        try:
            with open_history(path, write=True) as history:
                # By way of JSON: the report's file, if somebody tracks it later, is the same run.
                plain = json.loads(json.dumps(report))
                number = history.add(plain, "this run", channel=self._run.plan.label, commit=os.environ.get("GITHUB_SHA"))
        except DlcheckError as error:
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
            self._complain(f"not kept in the history: {error}")
        else:
            self._last.append((f"dlcheck: history: {path}, run {number}", {"bold": True}))

    def _write(self, session: pytest.Session, folder: str, report: dict[str, Any]) -> None:
        from pytest_dlcheck.report.write import write

        try:
            written = write(folder, report)
        except Exception as error:  # noqa: BLE001 - the results on the terminal must not be lost over it
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
            self._complain(f"the report could not be written to {folder}: {type(error).__name__}: {error}")
        else:
            self._last.append((f"dlcheck: report: {written}", {"bold": True}))

    def last_lines(self) -> list[tuple[str, dict[str, bool]]]:
        """What the terminal shows at the very end, with pytest's markup."""
        return self._last
