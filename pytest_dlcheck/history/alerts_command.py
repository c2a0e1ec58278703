"""`dlcheck alerts`: lists what is open, by cause; acknowledges, mutes, notes, confirms."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_dlcheck.history.alerts import Alert
    from pytest_dlcheck.history.examine import Whole

__all__ = ["add_arguments", "effect_of", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(call=run)
    parser.add_argument("history", help="the SQLite file")
    parser.add_argument("--all", action="store_true", help="acknowledged, muted, refuted and past ones too")
    parser.add_argument("--json", action="store_true", help="as JSON, for other programs")
    parser.add_argument("--markdown", metavar="FILE", default=None, help="append them to a file, as for $GITHUB_STEP_SUMMARY")
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
    confirm.add_argument("--with", dest="command", required=True, metavar="COMMAND", help="see docs/history.md")
    confirm.add_argument("--timeout", type=float, default=900.0, metavar="SECONDS")


def run(options: argparse.Namespace) -> int:
    """Does what was asked; status 1 if there is something open that nobody has acknowledged or muted.

    Raises:
        DlcheckError: the history or what was asked cannot be used.
    """
    from pytest_dlcheck.history import alerts as kept
    from pytest_dlcheck.history.confirm import by_command, confirm
    from pytest_dlcheck.history.store import open_history

    with open_history(options.history) as found:
        found.runs()  # refuses what is no history, before anything is made or written
    with open_history(options.history, write=True) as history:
        whole = kept.update(history)
        if options.action == "ack":
            kept.acknowledge(history, options.number, options.note, getpass.getuser())
        elif options.action == "mute":
            kept.mute(history, options.pattern, options.reason, options.until)
        elif options.action == "note":
            kept.note(history, options.day, options.text)
        elif options.action == "confirm":
            confirm(history, whole, by_command(options.command, options.timeout), lambda line: print(line, file=sys.stderr))  # noqa: T201
            whole = kept.update(history)
        everything = kept.alerts(history)
    told = everything if options.all else [each for each in everything if each.state in kept.OPEN and each.acknowledged is None]
    if not options.all:
        told = [each for each in told if each.muted is None]
    if options.json:
        print(json.dumps([asdict(each) for each in told], indent=1))  # noqa: T201
    else:
        _show(whole, told)
    if options.markdown:
        with Path(options.markdown).open("a", encoding="utf-8") as file:
            file.write(markdown(whole, told))
    return 1 if any(each.loud for each in everything) else 0


def effect_of(alert: Alert) -> str:
    """What is known of it, in a few words."""
    evidence = alert.evidence
    if alert.what.startswith("check:"):
        before, after = evidence["errors"]
        if alert.kind == "error size":
            return f"{before:.2g} to {after:.2g} of its tolerance"
        return f"{evidence['before']} to {evidence['after']}"
    if alert.kind == "spread":
        return f"scatters {1 + evidence['effect']:.1f} times as much"
    text = f"{evidence['effect']:+.1%}"
    if evidence.get("kind") == "trend":
        text += ", slowly"
    if evidence.get("kind") == "step":
        text += f", {len(evidence['votes'])} of 5 other tests agree"
    return text


def _show(whole: Whole, told: Sequence[Alert]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from pytest_dlcheck.history.alerts import groups

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


def markdown(whole: Whole, told: Sequence[Alert]) -> str:
    """The same for a comment or a job summary."""
    from pytest_dlcheck.history.alerts import groups

    lines = [f"## {len(told)} {'change' if len(told) == 1 else 'changes'} to look at", ""]
    for place, cause, found in groups(whole, told):
        lines += [f"**{whole.runs[place].started[:10]}: {_cell(cause)}**", "", "| id | state | what | |", "|---|---|---|---|"]
        lines += [f"| {each.id} | {each.state} | {each.kind}: {_cell(each.title)} | {effect_of(each)} |" for each in found]
        lines.append("")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
