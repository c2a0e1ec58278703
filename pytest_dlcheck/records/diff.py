"""`dlcheck diff`: what changed between two reports, two records or two environments."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.records.changes import HURTS, Comparison
from pytest_dlcheck.records.grouping import Group, grouped
from pytest_dlcheck.records.record import Record
from pytest_dlcheck.records.sides import HERE, Product, Side, side_of

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["SCHEMA", "as_json", "compared", "diff", "headline", "scripts", "told_counts"]

SCHEMA = "dlcheck-diff/1"

MOST_SHOWN = 30

RIGHT = {
    "old": "an independent float64 computation agrees with the old one: newly wrong",
    "new": "an independent float64 computation agrees with the new one: a correction",
    "both": "an independent float64 computation allows both",
    "neither": "an independent float64 computation agrees with neither",
    "divided": "an independent float64 computation agrees now with the one, now with the other",
}
"""What is told of `Group.right`."""


def headline(comparison: Comparison, groups: Sequence[Group]) -> str:
    """One sentence."""
    if not groups:
        return f"Nothing changed: {comparison.compared:,} cases and checks compared"
    counts = [(hurt, sum(group.hurt is hurt for group in groups)) for hurt in HURTS]
    told = ", ".join(f"{count} {hurt.title.lower()}" for hurt, count in counts if count)
    return f"{len(groups)} {'change' if len(groups) == 1 else 'changes'}: {told}"


def told_counts(comparison: Comparison) -> str:
    """How much was compared, and what could not be."""
    same, rounding = f"{comparison.identical:,} are identical", f"{comparison.rounding:,} differ by rounding"
    told = f"{comparison.compared:,} cases and checks compared; of their values {same}, {rounding}"
    return ". ".join([told, *(f"Not compared: {count:,} {reason}" for reason, count in comparison.skipped.items())]) + "."


def compared(sides: Sequence[Side], asked: Any, console: Console) -> tuple[Comparison, str]:
    """What changed, and the backend on which it was seen.

    Args:
        sides: the old one and the new one.
        asked: `globs`, `backend`, `seed` and `profile`, for what has to be recorded.
        console: for progress.

    Raises:
        DlcheckError: the two cannot be compared.
    """
    old, new = sides
    if isinstance(old, dict) or isinstance(new, dict):
        if not (isinstance(old, dict) and isinstance(new, dict)):
            raise DlcheckError("a report compares with a report only: its cases are not those of a record")
        from pytest_dlcheck.records.reports import compare_reports

        return compare_reports(old, new), str(old["product"][0]["backend"]["name"])
    before, after = _records(old, new, asked, console)
    backend = before.product["backend"]
    if after.product["backend"] != backend:
        raise DlcheckError(
            f"one side is of {backend}, the other of {after.product['backend']}: compare versions of one backend"
        )
    from pytest_dlcheck.records.judging import Knowledge, compare_records
    from pytest_dlcheck.records.referee import is_random, right_side, scale_of

    found = compare_records(before, after, Knowledge(is_random, scale_of, partial(right_side, backend=backend)))
    if not found.compared:
        raise DlcheckError(
            "the two have no case in common: they were drawn from other seeds, or by other versions of this package"
        )
    if {**before.product} == {**after.product}:
        found.notes.append("both sides are the same versions")
    return found, backend


def _records(old: Record | Product, new: Record | Product, asked: Any, console: Console) -> tuple[Record, Record]:
    """Both sides as records; what a record holds is asked of a product again, else cases are drawn."""
    from pytest_dlcheck.records.host import Host, started
    from pytest_dlcheck.records.recording import chosen_backend, recorded, replayed

    known = next((side.product["backend"] for side in (old, new) if isinstance(side, Record)), None)
    named = next((side.backend for side in (old, new) if isinstance(side, Product) and side.backend), None)
    backend = known or asked.backend or named
    if backend is None and any(isinstance(side, Product) for side in (old, new)):
        backend = chosen_backend(None)

    def of(side: Record | Product, template: Record | None) -> Record:
        if isinstance(side, Record):
            return side
        with started(Host(side.python, str(backend), side.variables)) as host:
            if template is not None:
                return replayed(host, template, asked.subject, console)
            return recorded(host, asked.subject, asked.seed, asked.profile, console)

    if isinstance(new, Record):
        return of(old, new), new
    first = of(old, None)
    return first, of(new, first)


def diff(options: Any) -> int:
    """Compares the two sides, prints a summary, writes the folder if one was asked for; gives the exit status.

    Args:
        options: `old`, `new`, `output`, `subject`, `backend`, `seed`, `profile`, as `cli` parses them.

    Raises:
        DlcheckError: a side cannot be had, or the two cannot be compared.
    """
    from rich.console import Console

    root = Path.cwd()
    sides = [side_of(text, root) for text in (options.old, options.new or HERE)]
    comparison, backend = compared(sides, options, Console(stderr=True))
    groups = grouped(comparison.changes)
    # Before anything is printed, which may end early: whoever reads the terminal may have enough of it.
    path = _write(Path(options.output), comparison, groups, backend) if options.output is not None else None
    _show(Console(highlight=False), comparison, groups)
    if path is not None:
        Console(highlight=False, soft_wrap=True).print(str(path), markup=False)
    return 1 if groups else 0


def _show(console: Console, comparison: Comparison, groups: Sequence[Group]) -> None:
    from rich.markup import escape
    from rich.table import Table

    console.print(f"[bold]{escape(headline(comparison, groups))}")
    console.print(f"old: {comparison.old}\nnew: {comparison.new}", markup=False)
    console.print(told_counts(comparison), style="dim", markup=False)
    for note in comparison.notes:
        console.print(f"note: {note}", markup=False)
    for hurt in HURTS:
        mine = [group for group in groups if group.hurt is hurt]
        if not mine:
            continue
        table = Table(title=f"{hurt.title} ({len(mine)}): {hurt.who}", title_justify="left", title_style="bold", expand=True)
        table.add_column("what", ratio=2)
        table.add_column("seen", ratio=3)
        for group in mine[:MOST_SHOWN]:
            first = group.first.message.partition("\n")[0]
            table.add_row(escape(group.title), escape("\n".join(filter(None, [first, RIGHT.get(group.right, "")]))))
        if len(mine) > MOST_SHOWN:
            table.add_row(f"and {len(mine) - MOST_SHOWN} more", "with -o DIR all are written")
        console.print(table)


def scripts(groups: Sequence[Group], backend: str) -> dict[int, tuple[str, str]]:
    """By the number of the group: the name and the text of its script; none where there is nothing to run."""
    from pytest_dlcheck.records.script import change_script

    found = {}
    for number, group in enumerate(groups):
        text = change_script(group.first, (group.first.case or {}).get("backend", backend))
        if text is not None:
            subject = group.first.subject.removeprefix("keras.")
            name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{number + 1:03d}-{subject}-{group.first.kind}")
            found[number] = (f"{name}.py", text)
    return found


def as_json(comparison: Comparison, groups: Sequence[Group]) -> dict[str, Any]:
    """The whole comparison for other programs."""
    return {
        "schema": SCHEMA,
        "old": comparison.old,
        "new": comparison.new,
        "compared": comparison.compared,
        "identical": comparison.identical,
        "rounding": comparison.rounding,
        "skipped": comparison.skipped,
        "notes": comparison.notes,
        "groups": [
            {
                "rank": group.hurt.rank,
                "hurt": group.hurt.title,
                "kind": group.first.kind,
                "what": group.first.what,
                "subjects": group.subjects,
                "right": group.right or None,
                "changes": [
                    {"subject": each.subject, "what": each.what, "message": each.message, "case": each.case}
                    for each in group.changes
                ],
            }
            for group in groups
        ],
    }


def _write(folder: Path, comparison: Comparison, groups: Sequence[Group], backend: str) -> Path:
    from pytest_dlcheck.records.page import diff_page, diff_summary

    written = scripts(groups, backend)
    names = {number: name for number, (name, _) in written.items()}
    try:
        (folder / "scripts").mkdir(parents=True, exist_ok=True)
        (folder / "diff.json").write_text(json.dumps(as_json(comparison, groups), indent=1) + "\n", encoding="utf-8")
        for name, text in written.values():
            (folder / "scripts" / name).write_text(text, "utf-8", "backslashreplace")
        (folder / "summary.md").write_text(diff_summary(comparison, groups, names), "utf-8", "backslashreplace")
        path = folder / "index.html"
        path.write_text(diff_page(comparison, groups, written), "utf-8", "backslashreplace")
    except OSError as error:
        raise DlcheckError(f"{folder} cannot be written: {error.strerror}") from None
    return path
