"""`dlcheck bisect`: the first version or commit that behaves otherwise, with the evidence."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_dlcheck.errors import DlcheckError

if TYPE_CHECKING:
    from pytest_dlcheck.bisect.candidates import Candidate
    from pytest_dlcheck.bisect.deciders import Decider
    from pytest_dlcheck.bisect.search import Answer, Found, Verdict

__all__ = ["add_arguments", "bisect"]

CACHE = ".dlcheck-bisect.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(call=bisect)
    among = parser.add_argument_group("among what, in order")
    among.add_argument("--python", action="append", default=[], metavar="NAME=PATH", help="an interpreter; several times")
    among.add_argument(
        "--environments", default=None, metavar="NAMES", help="made where they are not there yet: keras3.8,keras3.9"
    )
    among.add_argument("--repository", type=Path, default=None, metavar="DIR", help="commits of it, from --good to --bad")
    among.add_argument("--good", default=None, metavar="COMMIT")
    among.add_argument("--bad", default="HEAD", metavar="COMMIT", help="default: HEAD")
    decided = parser.add_argument_group("decided by").add_mutually_exclusive_group(required=True)
    decided.add_argument(
        "--command", dest="shell", metavar="COMMAND", help="its exit status: 0 good, 125 cannot be tested, else bad"
    )
    decided.add_argument("--case", type=Path, metavar="FILE", help="a stored case: whether its properties hold")
    decided.add_argument(
        "--gate", metavar="COMMAND", help="a paired comparison with the first one that prints a verdict as JSON"
    )
    parser.add_argument("--property", default=None, help="of the case (default: the one that it was stored for)")
    parser.add_argument("--timeout", type=float, default=1800.0, metavar="SECONDS", help="for each; longer cannot be tested")
    parser.add_argument(
        "--cache", type=Path, default=Path(CACHE), metavar="FILE", help=f"answers are kept in it (default: {CACHE})"
    )
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="write everything that was seen")


class Cache:
    """Answers of earlier runs, in a JSON file that is written anew after each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, tuple[Verdict, str]] = {}
        if path.exists():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
                kept = found["answers"]
                self.answers = {key: (verdict, str(evidence)) for key, (verdict, evidence) in kept.items()}
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                raise DlcheckError(f"{path} is no cache of dlcheck bisect; remove it or give another --cache") from None

    def keep(self, key: str, answer: tuple[Verdict, str]) -> None:
        self.answers[key] = answer
        new = self.path.with_name(self.path.name + ".new")
        try:
            new.write_text(json.dumps({"answers": self.answers}, indent=1) + "\n", encoding="utf-8")
            new.replace(self.path)
        except OSError as error:
            raise DlcheckError(f"the cache {self.path} cannot be written: {error.strerror}") from None


def bisect(options: argparse.Namespace) -> int:
    """Searches; status 0 if one candidate is to blame, 1 if it cannot be said which.

    Raises:
        DlcheckError: what was asked for cannot be done.
    """
    from pytest_dlcheck.bisect import candidates as of
    from pytest_dlcheck.bisect.search import search

    found = _candidates(options)
    decider = _decider(options, found)
    cache = Cache(options.cache)
    with contextlib.ExitStack() as stack:
        folder = Path.cwd()
        if options.repository is not None:
            made = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dlcheck-bisect-")))
            folder = stack.enter_context(of.worktree(options.repository, made / "checkout"))
        outcome = search(len(found), lambda place, left: _ask(found[place], decider, cache, folder, left))
    names = [each.name for each in found]
    if options.json is not None:
        _write(options.json, names, outcome)
    return _tell(names, outcome)


def _decider(options: argparse.Namespace, found: Sequence[Candidate]) -> Decider:
    from pytest_dlcheck.bisect import candidates as of
    from pytest_dlcheck.bisect.deciders import Decider, replaying

    if options.case is not None:
        if not options.case.is_file():
            raise DlcheckError(f"there is no case {options.case}: a report's folder `cases` has some")
        return replaying(options.case, options.timeout, options.property)
    if options.gate:
        return Decider(options.gate, options.timeout, gate=True, reference=of.made(found[0], Path.cwd()).python)
    return Decider(options.shell, options.timeout)


def _ask(candidate: Candidate, decider: Decider, cache: Cache, folder: Path, left: int) -> Answer:
    """What a candidate is: from the cache, else by making and trying it."""
    from pytest_dlcheck.bisect import candidates as of
    from pytest_dlcheck.bisect.search import Answer
    from pytest_dlcheck.history.keys import digest

    key = digest([candidate.identity, decider.identity()])
    if key in cache.answers:
        answer = Answer(*cache.answers[key])
        _say(f"{candidate.name}: {answer.verdict} (known from before)")
        return answer
    _say(f"{candidate.name}: testing, then at most {left - 1} more" if left > 1 else f"{candidate.name}: testing")
    begun = time.monotonic()
    try:
        ready = of.made(candidate, Path.cwd())
    except DlcheckError as error:
        answer = Answer("skip", str(error))
    else:
        if candidate.commit is not None:
            of.check_out(folder, candidate.commit)
        answer = decider.decide(ready, folder)
    _say(f"{candidate.name}: {answer.verdict}, {time.monotonic() - begun:.1f} s")
    # What could not be tested may be once the cause is gone.
    if answer.verdict != "skip":
        cache.keep(key, (answer.verdict, answer.evidence))
    return answer


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - progress


def _candidates(options: argparse.Namespace) -> list[Candidate]:
    from pytest_dlcheck.bisect import candidates as of

    kinds = [bool(options.python), options.environments is not None, options.repository is not None]
    if sum(kinds) != 1:
        raise DlcheckError("give one of --python (several times), --environments and --repository")
    if options.python:
        found = of.interpreters(options.python)
    elif options.environments is not None:
        found = of.environments([name.strip() for name in options.environments.split(",") if name.strip()])
    else:
        if options.good is None:
            raise DlcheckError("--repository needs --good: a commit at which it was right")
        found = of.commits(options.repository, options.good, options.bad)
    if len(found) < 2:
        raise DlcheckError("there is nothing between: give two or more, in order")
    return found


def _tell(names: Sequence[str], found: Found) -> int:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table("", "", "what was seen", title="asked, in order", title_justify="left")
    colours = {"good": "green", "bad": "bold red", "skip": "yellow"}
    for place, answer in sorted(found.answers.items()):
        # The edges of a table say nothing.
        seen = [line.strip("│┃ ") for line in answer.evidence.splitlines() if line.strip("└┴┘─┌┬┐├┼┤ ")]
        shown = " | ".join(seen[-2:])
        table.add_row(escape(names[place]), f"[{colours[answer.verdict]}]{answer.verdict}", escape(shown))
    console.print(table)
    if found.before is None or found.after is None:
        verdicts = {answer.verdict for answer in found.answers.values()} - {"skip"}
        if len(verdicts) != 1 or len([each for each in found.answers.values() if each.verdict != "skip"]) < 2:
            raise DlcheckError("fewer than two of them could be tested; the table says why")
        untold = ", ".join(names[place] for place, answer in sorted(found.answers.items()) if answer.verdict == "skip")
        rest = f" ({untold} could not be)" if untold else ""
        raise DlcheckError(
            f"the first and the last that could be tested{rest} are both {verdicts.pop()}: nothing to search for"
        )
    after, before = names[found.after], names[found.before]
    verdict, base = found.answers[found.after].verdict, found.answers[found.before].verdict
    skipped = names[found.before + 1 : found.after]
    if skipped:
        told = f"the first {verdict} one is among {', '.join([*skipped, after])}: {len(skipped)} of them could not be tested"
        console.print(escape(f"{told}\nlast {base}: {before}"), style="yellow")
    else:
        console.print(escape(f"first {verdict}: {after}\nlast {base}: {before}"), style="bold")
    if found.contradictions:
        told = ", ".join(f"{names[place]} is {found.answers[place].verdict}" for place in found.contradictions)
        console.print(escape(f"not monotone: {told}: there is more than one change, and this is one of them"), style="yellow")
    console.print(escape(found.answers[found.after].evidence), highlight=False)
    return 0 if found.exact else 1


def _write(path: Path, names: Sequence[str], found: Found) -> None:
    said = {
        "after": None if found.after is None else names[found.after],
        "before": None if found.before is None else names[found.before],
        "exact": found.exact,
        "contradictions": [names[place] for place in found.contradictions],
        "answers": [
            {"name": names[place], "verdict": answer.verdict, "evidence": answer.evidence}
            for place, answer in sorted(found.answers.items())
        ],
    }
    try:
        path.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise DlcheckError(f"{path} cannot be written: {error.strerror}") from None
