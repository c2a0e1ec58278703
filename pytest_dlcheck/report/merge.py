"""`dlcheck merge`: reports of several products become one, whose page shows subjects by products."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.report.across import Across, across
from pytest_dlcheck.report.html import GLYPHS, inlined, rendered
from pytest_dlcheck.report.markdown import table_lines
from pytest_dlcheck.report.merging import check_of, merged
from pytest_dlcheck.report.reading import product_of, read_report

__all__ = ["headline_across", "merge", "merged_page", "merged_summary", "reports_in"]

MOST_LISTED = 50
LONGEST_LINE = 300


def headline_across(table: Across) -> str:
    """One sentence that says how the products differ."""
    alone, disagree = len(table.alone), sum(check.disagree for check in table.checks)
    if disagree:
        differ = "differs" if disagree == 1 else "differ"
        return f"{alone:,} {_checks(alone)} in exactly one product; {disagree:,} {differ} between products"
    failing = sum(bool(check.failing) for check in table.checks)
    return f"No check holds in one product and fails in another; {failing:,} {_checks(failing)}"


def _checks(count: int) -> str:
    return "check fails" if count == 1 else "checks fail"


def _told(report: Mapping[str, Any]) -> Mapping[tuple[tuple[str, ...], str], str]:
    """The first line of what was seen, by check and product, of what does not simply hold."""
    found: dict[tuple[tuple[str, ...], str], str] = {}
    for result in report["results"]:
        if result["backend"] is not None and result["verdict"] != "pass":
            line = str(result.get("message") or "").strip().partition("\n")[0]
            found.setdefault((check_of(result), product_of(result)), line[:LONGEST_LINE])
    return found


def merged_page(report: Mapping[str, Any]) -> str:
    """The whole page; needs no network and no other file."""
    table, told = across(report), _told(report)
    properties: dict[str, dict[str, None]] = {}
    for check in table.checks:
        properties.setdefault(check.subject, {})[check.name] = None
    shown = ("property", "verdict", "message", "api", "dtype", "mode", "known_issue")
    bad = {
        subject: {
            place: [{key: result.get(key) for key in shown} for result in cell.bad]
            for place, cell in enumerate(cells)
            if cell is not None and cell.bad
        }
        for subject, cells in table.cells.items()
    }
    return rendered(
        "merged.html.j2",
        report=report,
        runs=report.get("runs") or [],
        table=table,
        sentence=headline_across(table),
        glyphs=GLYPHS,
        properties={subject: " ".join(names) for subject, names in properties.items()},
        told=told,
        details=inlined({"products": list(table.products), "bad": bad}),
    )


def merged_summary(report: Mapping[str, Any]) -> str:
    """What fails in exactly one product, and how much holds where, as Markdown."""
    table, told = across(report), _told(report)
    lines = [f"# {headline_across(table)}", ""]
    rows: list[list[object]] = [
        [check.alone, check.subject, check.name, ", ".join(check.how), told.get((check.key, str(check.alone)), "")]
        for check in table.alone
    ]
    if rows:
        header = ["product", "subject", "property", "how", "what was seen there"]
        lines += ["## Fails in exactly one product", "", *table_lines(header, rows[:MOST_LISTED])]
        lines += [f"and {len(rows) - MOST_LISTED} more, in `report.json`", ""] if len(rows) > MOST_LISTED else []
    held: list[list[object]] = []
    for place, product in enumerate(table.products):
        cells = [cells[place] for cells in table.cells.values()]
        there = [cell for cell in cells if cell is not None]
        alone = sum(cell.alone for cell in there)
        held.append([product, len(there), sum(cell.held for cell in there), sum(cell.judged for cell in there), alone])
    header = ["product", "subjects", "checks that hold", "checks judged", "fail here alone"]
    return "\n".join([*lines, "## Products", "", *table_lines(header, held)]).rstrip() + "\n"


def reports_in(path: str, *, but: Path | None = None) -> list[str]:
    """The reports that a path stands for: itself, or, of a folder that holds none, those of its subfolders.

    Args:
        path: as it was given.
        but: a folder to leave out: what is to be written is not what is to be read.
    """
    place = Path(path)
    if not place.is_dir() or (place / "report.json").exists():
        return [path]
    kept_out = None if but is None else but.resolve()
    inside = sorted(each.parent for each in place.glob("*/report.json") if each.parent.resolve() != kept_out)
    return [str(each) for each in inside] or [path]


def merge(paths: Sequence[str], folder: str) -> int:
    """Reads the reports and writes `report.json`, `index.html` and `summary.md` of all of them; gives the exit status.

    Args:
        paths: folders of reports, their `report.json`, or folders whose subfolders are such.
        folder: where to write; made if it is not there.

    Raises:
        DlcheckError: a report cannot be read, two judge the same thing of the same product, or the folder cannot be written.
    """
    from rich.console import Console

    target = Path(folder)
    report = merged([(each, read_report(each)) for path in paths for each in reports_in(path, but=target)])
    try:
        target.mkdir(parents=True, exist_ok=True)
        (target / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        (target / "summary.md").write_text(merged_summary(report), encoding="utf-8", errors="backslashreplace")
        (target / "index.html").write_text(merged_page(report), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise DlcheckError(f"{folder} cannot be written: {error.strerror}") from None
    table = across(report)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{len(table.products)} products, {len(table.cells)} subjects: {headline_across(table)}", markup=False)
    console.print(str(target / "index.html"), markup=False)
    return 0
