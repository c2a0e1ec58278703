"""`dlcheck alerts`: lists what is open, by cause; acknowledges, mutes, notes, confirms."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_dlcheck.errors import DlcheckError

if TYPE_CHECKING:
    from pytest_dlcheck.history.alerts import Alert
    from pytest_dlcheck.history.examine import Whole

__all__ = ["add_arguments", "run"]

WEBHOOK = "DLCHECK_WEBHOOK"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(call=run)
    parser.add_argument("history", help="the SQLite file")
    parser.add_argument("--all", action="store_true", help="acknowledged, muted, refuted and past ones too")
    parser.add_argument("--json", action="store_true", help="as JSON, for other programs")
    parser.add_argument("--markdown", metavar="FILE", default=None, help="append them to a file, as for $GITHUB_STEP_SUMMARY")
    parser.add_argument("--annotations", action="store_true", help="print them as GitHub shows them beside a run")
    parser.add_argument(
        "--webhook",
        metavar="URL",
        default=os.environ.get(WEBHOOK) or None,
        help=f"tell a chat what it was not told yet (default: ${WEBHOOK}, which keeps the address off the command line)",
    )
    parser.add_argument("--link", metavar="URL", default=None, help="to the dashboard, for the webhook's message")
    parser.add_argument("--exit-zero", action="store_true", help="status 0 whatever is open")
    actions = parser.add_subparsers(dest="action", metavar="action")
    ack = actions.add_parser("ack", help="somebody has seen them")
    ack.add_argument("number", type=int, nargs="+")
    ack.add_argument("--note", default="", help="what is done about it")
    mute = actions.add_parser("mute", help="keep some quiet for a while")
    mute.add_argument("pattern", help="of titles, with * and ?")
    mute.add_argument("--reason", required=True)
    mute.add_argument("--until", required=True, metavar="DAY", help="as 2026-12-31")
    note = actions.add_parser("note", help="write something on the time axis")
    note.add_argument("day", help="as 2026-12-31")
    note.add_argument("text")
    confirm = actions.add_parser("confirm", help="measure again, in pairs, what is suspected or not confirmed")
    confirm.add_argument(
        "--with",
        dest="command",
        default=None,
        metavar="COMMAND",
        help="what compares (default: dlcheck bench against an environment with the versions from before); see docs/history.md",
    )
    confirm.add_argument("--timeout", type=float, default=900.0, metavar="SECONDS")


def run(options: argparse.Namespace) -> int:
    """Does what was asked; status 1 if there is something open that nobody has acknowledged or muted.

    Raises:
        DlcheckError: the history or what was asked cannot be used.
    """
    from pytest_dlcheck.history import alerts as kept
    from pytest_dlcheck.history.confirm import by_command, confirm
    from pytest_dlcheck.history.gate import by_bench
    from pytest_dlcheck.history.store import open_history
    from pytest_dlcheck.history.telling import post

    with open_history(options.history, write=True, make=False) as history:
        whole = kept.update(history)
        if options.action == "ack":
            kept.acknowledge(history, options.number, options.note, getpass.getuser())
        elif options.action == "mute":
            kept.mute(history, options.pattern, options.reason, options.until)
        elif options.action == "note":
            kept.note(history, options.day, options.text)
        elif options.action == "confirm":
            rerun = (
                by_command(options.command, options.timeout)
                if options.command
                else partial(by_bench, timeout_s=options.timeout)
            )
            confirm(history, whole, rerun, lambda line: print(line, file=sys.stderr))  # noqa: T201
            whole = kept.update(history)
        everything = kept.alerts(history)
        if options.webhook:
            post(history, whole, options.webhook, [each for each in everything if each.loud], options.link)
    told = everything if options.all else [each for each in everything if each.state in kept.OPEN and each.acknowledged is None]
    if not options.all:
        told = [each for each in told if each.muted is None]
    _tell(options, whole, told)
    return 1 if any(each.loud for each in everything) and not options.exit_zero else 0


def _tell(options: argparse.Namespace, whole: Whole, told: Sequence[Alert]) -> None:
    from pytest_dlcheck.history.telling import commands, markdown

    if options.json:
        print(json.dumps([asdict(each) for each in told], indent=1))  # noqa: T201
    else:
        _show(whole, told)
    if options.annotations:
        print(*commands(told), sep="\n", end="\n" if told else "")  # noqa: T201
    if options.markdown:
        try:
            with Path(options.markdown).open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(markdown(whole, told))
        except OSError as error:
            raise DlcheckError(f"{options.markdown} cannot be written: {error.strerror}") from None


def _show(whole: Whole, told: Sequence[Alert]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from pytest_dlcheck.history.alerts import groups
    from pytest_dlcheck.history.telling import effect_of

    console = Console()
    if not told:
        console.print(f"nothing to tell, of {len(whole.runs)} runs")
        return
    for place, cause, found in groups(whole, told):
        table = Table(
            "id", "state", "what", "", title=f"{whole.runs[place].started[:10]}: {escape(cause)}", title_justify="left"
        )
        for each in found:
            colour = "green" if each.better else "bold red" if each.state == "confirmed" else "yellow"
            table.add_row(str(each.id), each.state, escape(f"{each.kind}: {each.title}"), f"[{colour}]{effect_of(each)}")
        console.print(table)
