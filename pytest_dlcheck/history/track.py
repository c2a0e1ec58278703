"""`dlcheck track`: adds reports to a history."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sqlite3
from typing import Any

from pytest_dlcheck.errors import DlcheckError

__all__ = ["add_arguments", "track"]

# A night's job may begin in one time zone and be filed in another; more than this is a clock that is wrong.
AHEAD = dt.timedelta(hours=26)

REPORTS = (
    "folders that --dl-report wrote, their report.json, folders of such folders, JSON of pytest-benchmark, or asv's results"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(call=track)
    parser.add_argument("reports", nargs="+", metavar="REPORT", help=REPORTS)
    parser.add_argument("--history", required=True, metavar="FILE", help="the SQLite file; made if there is none")
    parser.add_argument("--label", default="", help="which of several environments this is, where one history holds several")
    parser.add_argument("--commit", default=os.environ.get("GITHUB_SHA"), help="what was checked out (default: $GITHUB_SHA)")
    parser.add_argument("--reference", default=None, metavar="WORKLOAD", help="divide the others by this one; once per history")


def track(options: argparse.Namespace) -> int:
    """Adds what is new; a run that is there already is left alone.

    Raises:
        DlcheckError: a report or the history cannot be used; the reports before it have been kept.
    """
    from rich.console import Console
    from rich.progress import Progress

    from pytest_dlcheck.history.foreign import read_any
    from pytest_dlcheck.history.store import open_history
    from pytest_dlcheck.report.merge import reports_in

    # All of them first: a report that cannot be read is told before anything is written.
    paths = [each for path in options.reports for each in reports_in(path)]
    reports = [(path, read_any(path)) for path in paths]
    console = Console(stderr=True)
    added = 0
    with open_history(options.history, write=True) as history, Progress(console=console, transient=True) as progress:
        if options.reference is not None:
            history.pin_reference(options.reference)
        for path, report in progress.track(reports, description="runs"):
            _refuse_clock(path, report)
            before = _versions_before(history.connection, options.label)
            newest = _newest(history.connection, options.label)
            run = history.add(report, path, channel=options.label, commit=options.commit)
            if run is None:
                console.print(f"{path}: is in {options.history} already", markup=False, highlight=False)
                continue
            added += 1
            _warn_of_mixture(path, report, before, console)
            _warn_of_order(path, report, newest, console)
            console.print(
                f"{path}: run {run}, {len(report['results']):,} results, {len(report['measurements']):,} timed sides"
                + (f", {len(report['series']):,} other figures" if report.get("series") else ""),
                markup=False,
                highlight=False,
            )
    print(f"{options.history}: {added} of {len(reports)} runs are new")  # noqa: T201 - the command's answer
    return 0


def _refuse_clock(path: str, report: dict[str, Any]) -> None:
    from pytest_dlcheck.history.reading import started_of

    started = dt.datetime.fromisoformat(started_of(report, path))
    if started > dt.datetime.now(dt.timezone.utc) + AHEAD:
        raise DlcheckError(
            f"{path} says that it ran at {started:%Y-%m-%d %H:%M} UTC, which is still to come: set the clock right"
        )


def _newest(connection: sqlite3.Connection, channel: str) -> str | None:
    """When the newest run began."""
    found = connection.execute("SELECT max(started) FROM runs WHERE channel = ?", (channel,)).fetchone()[0]
    return None if found is None else str(found)


def _warn_of_order(path: str, report: dict[str, Any], newest: str | None, console: Any) -> None:
    """A run from before the newest is no night since: that is right of old reports, and wrong of a clock that was set back."""
    from pytest_dlcheck.history.reading import started_of

    started = started_of(report, path)
    if newest is not None and started < newest:
        console.print(
            f"{path}: ran at {started[:16]}, before the newest run ({newest[:16]}), and is placed there;"
            " if this is last night's, the clock of its machine is wrong",
            style="yellow",
        )


def _versions_before(connection: sqlite3.Connection, channel: str) -> dict[str, list[str]]:
    """The versions of each product's last two runs, the newest first."""
    found: dict[str, list[str]] = {}
    rows = connection.execute(
        "SELECT name, versions FROM products JOIN runs ON runs.id = run WHERE channel = ?"
        " ORDER BY started DESC, run DESC LIMIT 64",
        (channel,),
    )
    for name, versions in rows:
        found.setdefault(name, []).append(versions)
    return {name: versions[:2] for name, versions in found.items()}


def _warn_of_mixture(path: str, report: dict[str, Any], before: dict[str, list[str]], console: Any) -> None:
    """Versions that come back after one run are two environments in one line: their differences would look like changes."""
    from pytest_dlcheck.history.reading import versions_of

    for product in report["product"]:
        name = str(product.get("name") or product["backend"]["name"])
        last = before.get(name, [])
        now = json.dumps(versions_of(product), sort_keys=True)
        if len(last) == 2 and last[0] != now and last[1] == now:
            console.print(
                f"{path}: {name} has other versions than in the run before and the same as in the one before that;"
                " if these are two environments, give each a --label",
                style="yellow",
            )
