"""What changed, as a page that needs no network and no other file, and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_dlcheck.cases.case import Case, describe, revive
from pytest_dlcheck.records.changes import HURTS, Change, Comparison
from pytest_dlcheck.records.diff import RIGHT, headline, told_counts
from pytest_dlcheck.records.grouping import Group
from pytest_dlcheck.report.html import rendered
from pytest_dlcheck.report.markdown import table_lines

__all__ = ["diff_page", "diff_summary", "told_case"]

MOST_CHANGES = 8
MOST_LISTED = 40


def told_case(change: Change) -> str:
    """The case in words; empty where there is none."""
    if change.case is None:
        return ""
    if "operation" in change.case:
        return f"keras.{change.case['operation']} with {change.case['told']}, arguments of seed {change.case['seed']}"
    case = revive(change.case["case"])
    return describe(case) if isinstance(case, Case) else ""


def diff_page(comparison: Comparison, groups: Sequence[Group], scripts: Mapping[int, tuple[str, str]]) -> str:
    """The whole page.

    Args:
        comparison: of the two sides.
        groups: its changes.
        scripts: by the number of the group, name and text.
    """
    sections = [(hurt, [(number, group) for number, group in enumerate(groups) if group.hurt is hurt]) for hurt in HURTS]
    return rendered(
        "diff.html.j2",
        comparison=comparison,
        sentence=headline(comparison, groups),
        sections=[(hurt, mine) for hurt, mine in sections if mine],
        scripts=scripts,
        right=RIGHT,
        counts=told_counts(comparison),
        told_case=told_case,
        most=MOST_CHANGES,
    )


def diff_summary(comparison: Comparison, groups: Sequence[Group], names: Mapping[int, str]) -> str:
    """As Markdown, for a comment or a job summary.

    Args:
        comparison: of the two sides.
        groups: its changes.
        names: of the scripts, by the number of the group.
    """
    lines = [f"# {headline(comparison, groups)}", "", f"old: {comparison.old}  ", f"new: {comparison.new}", ""]
    lines += [" ".join([told_counts(comparison), *comparison.notes]), ""]
    for hurt in HURTS:
        mine = [(number, group) for number, group in enumerate(groups) if group.hurt is hurt]
        if not mine:
            continue
        rows: list[list[object]] = [
            [
                group.title,
                "\n".join(filter(None, [group.first.message.partition("\n")[0][:300], RIGHT.get(group.right, "")])),
                len(group.changes),
                f"scripts/{names[number]}" if number in names else "",
            ]
            for number, group in mine[:MOST_LISTED]
        ]
        more = [f"and {len(mine) - MOST_LISTED} more, in `diff.json`", ""] if len(mine) > MOST_LISTED else []
        lines += [f"## {hurt.title}", "", f"Hurts {hurt.who}.", ""]
        lines += [*table_lines(["what", "seen", "times", "script"], rows), *more]
    return "\n".join(lines).rstrip() + "\n"
