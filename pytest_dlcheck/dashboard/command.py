"""`dlcheck dashboard`: a history as a site."""

from __future__ import annotations

import argparse
import datetime as dt
import time
from pathlib import Path

__all__ = ["add_arguments", "dashboard"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(call=dashboard)
    parser.add_argument("history", help="the SQLite file")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="where to; a site that is there is replaced")
    parser.add_argument("--title", default="Nightly", help="on every page")


def dashboard(options: argparse.Namespace) -> int:
    """Brings the alerts up to date and writes the site.

    Raises:
        DlcheckError: the history cannot be used, holds no run, or the folder cannot be written to.
    """
    from rich.console import Console
    from rich.progress import Progress

    from pytest_dlcheck.dashboard.site import Site, write
    from pytest_dlcheck.dashboard.stretches import held, stretches, upgrades
    from pytest_dlcheck.errors import DlcheckError
    from pytest_dlcheck.history.alerts import alerts, mutes, update
    from pytest_dlcheck.history.examine import verdicts_since
    from pytest_dlcheck.history.store import open_history
    from pytest_dlcheck.known_issues import load

    begun = time.perf_counter()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=None)
        with open_history(options.history, write=True, make=False) as history:
            if not history.runs():
                raise DlcheckError(f"the history {options.history} holds no run yet")
            whole = update(history)
            found = stretches(whole)
            site = Site(
                whole,
                alerts(history),
                messages=history.last_messages(verdicts_since(whole.runs)),
                annotations=history.annotations(),
                mutes=mutes(history),
                register=load(),
                stretches=found,
                upgrades=upgrades(history, found),
                held=held(history, found),
                cases=history.cases(),
                title=options.title,
                now=dt.datetime.now(dt.timezone.utc),
            )
        count = write(
            site,
            Path(options.output),
            lambda kind, done, total: progress.update(task, description=kind, completed=done, total=total),
        )
    seconds = time.perf_counter() - begun
    print(f"{Path(options.output) / 'index.html'}: {count} pages in {seconds:.1f} s")  # noqa: T201 - the command's answer
    return 0
