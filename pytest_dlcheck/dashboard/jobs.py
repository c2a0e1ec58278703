"""Which pages a site has, and what each is given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pytest_dlcheck.dashboard import pages
from pytest_dlcheck.dashboard.differences import NIGHTS, differences
from pytest_dlcheck.dashboard.drawing import bands, series_data
from pytest_dlcheck.dashboard.subjects import Reproducer, facts, script_of
from pytest_dlcheck.history.alerts import OPEN, Alert, groups
from pytest_dlcheck.history.examine import CheckReport, LineReport
from pytest_dlcheck.properties.verdict import HARMLESS
from pytest_dlcheck.report.table import SEVERITY

if TYPE_CHECKING:
    from pytest_dlcheck.dashboard.site import Site

__all__ = ["pages_of"]

SHOWN_RUNS = 60

Job = tuple[str, str, dict[str, Any]]
"""Template, path, values."""


def pages_of(site: Site) -> list[Job]:
    """Every page; the ones that people open first come first."""
    whole = site.whole
    products = [each.name for each in site.currents]
    rows = pages.matrix_rows(whole, products)
    return [
        ("index", "index.html", {"page": "overview", "rows": rows, **_overview(site)}),
        ("matrix", "matrix.html", {"page": "matrix", "products": products, "rows": rows}),
        ("performance", "performance.html", {"page": "performance", "rows": _lines(site)}),
        (
            "diff",
            "diff.html",
            {"page": "diff", "data": differences(whole, site.currents, site.names), "nights": NIGHTS},
        ),
        (
            "versions",
            "versions.html",
            {"page": "versions", "rows": site.upgrades, "stretches": site.stretches},
        ),
        ("register", "register.html", {"page": "register", "seen": _seen_issues(site)}),
        *_series(site),
        *_subjects(site),
    ]


def _overview(site: Site) -> dict[str, Any]:
    """What was found by the runs of the last day apart from what has been open for longer."""
    whole = site.whole
    last = whole.runs[-1].started[:10]

    def of_last_night(alert: Alert) -> bool:
        return site.days.get(alert.opened, "") == last

    loud = [each for each in site.alerts if each.loud]
    told = [each for each in site.alerts if each.state in OPEN]
    return {
        "new": groups(whole, [each for each in loud if of_last_night(each)]),
        "older": groups(whole, [each for each in loud if not of_last_night(each)]),
        "counts": (sum(map(of_last_night, loud)), len(loud)),
        "better": groups(whole, [each for each in told if each.better and each.acknowledged is None and each.muted is None]),
        "suspects": [each for each in site.alerts if each.state == "suspect"],
        "quiet": [each for each in told if each.muted is not None or each.acknowledged is not None],
        "last": last,
        "broken": pages.broken(whole),
    }


def _from_usual(report: LineReport) -> float | None:
    """How far the last night lies from the level before the last change, or from its own."""
    found = bands(report)
    level = found[-2] if len(found) > 1 else found[-1]
    return report.values[-1] / level["middle"] - 1 if level["middle"] > 0 else None


def _lines(site: Site) -> list[tuple[LineReport, float | None, bool]]:
    """Each with how far it is off and whether an alert is open; those first, then what is off most."""
    known = {each.what for each in site.alerts if each.loud}
    rows = [(report, _from_usual(report), f"line:{report.line.id}" in known) for report in site.whole.lines]
    return sorted(rows, key=lambda row: (not row[2], -abs(row[1] or 0.0)))


def _series(site: Site) -> Iterator[Job]:
    alerts: dict[str, list[Alert]] = {}
    for each in site.alerts:
        alerts.setdefault(each.what, []).append(each)
    for report in site.whole.lines:
        told = alerts.get(f"line:{report.line.id}", [])
        data = {**series_data(report, site.whole), "notes": [list(each) for each in site.annotations]}
        yield "series", f"series/{report.line.id}.html", {"page": "performance", "report": report, "told": told, "data": data}


def _subjects(site: Site) -> Iterator[Job]:
    checks: dict[str, list[CheckReport]] = {}
    for check in site.whole.checks:
        checks.setdefault(check.check.subject, []).append(check)
    for subject in site.subjects:
        # The worst first; among equals as they are named.
        found = sorted(checks[subject], key=lambda each: SEVERITY.index(each.seen[-1].verdict))
        values = {
            "page": "matrix",
            "subject": subject,
            "checks": found,
            "shown": SHOWN_RUNS,
            "facts": facts(subject),
            "held": site.held.get(subject, ()),
            "issues": [issue for issue in site.register if issue.names_subject(subject)],
            "reproducers": _reproducers(site, found),
        }
        yield "subject", f"subject/{site.names[subject]}.html", values


def _reproducers(site: Site, checks: Sequence[CheckReport]) -> dict[int, Reproducer]:
    """Of each check that does not hold now and whose case is kept."""
    made = {}
    for each in checks:
        verdict = each.seen[-1].verdict
        if each.id not in site.cases or verdict == "pass" or (verdict in HARMLESS and verdict != "known"):
            continue
        run, backend, case = site.cases[each.id]
        check = each.check
        stored = {"subject": check.subject, "property": check.property, "backend": backend, "device": check.device}
        stored |= {"dtype": check.dtype, "mode": check.mode, "verdict": verdict, "case": json.loads(case)}
        versions = next((one.versions for one in site.whole.products.get(run, ()) if one.name == check.product), {})
        said = f"{check.property}: {verdict}\n{site.messages.get(each.id, (None,))[0] or ''}"
        made[each.id] = Reproducer(
            f"{each.id}", json.dumps(stored, indent=1), script_of(case, backend, said, versions.get("keras", "3"))
        )
    return made


def _seen_issues(site: Site) -> dict[str, int]:
    """How many checks fail, as they were last seen, with each link."""
    found: dict[str, int] = {}
    for check in site.whole.checks:
        link = site.messages.get(check.id, (None, None, None))[1]
        if link is not None:
            found[link] = found.get(link, 0) + 1
    return found
