"""Writes the site: one template per kind of page, plotly's script once."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pytest_dlcheck import __version__
from pytest_dlcheck.dashboard import pages
from pytest_dlcheck.dashboard.drawing import bands, series_data, sparkline, strip
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.history.alerts import Alert, groups
from pytest_dlcheck.history.examine import LineReport, Whole
from pytest_dlcheck.history.telling import effect_of
from pytest_dlcheck.known_issues import KnownIssue
from pytest_dlcheck.report.html import GLYPHS
from pytest_dlcheck.report.table import SEVERITY
from pytest_dlcheck.report.words import duration, memory

__all__ = ["MARK", "Site", "write"]

MARK = ".dlcheck-dashboard"
"""In the folder of a site: what may be written over."""

SHOWN_RUNS = 60


class Site:
    """Everything that pages are made from."""

    def __init__(
        self,
        whole: Whole,
        alerts: Sequence[Alert],
        *,
        messages: Mapping[int, tuple[str | None, str | None, str | None]],
        annotations: Sequence[tuple[str, str]],
        mutes: Sequence[Mapping[str, Any]],
        register: Sequence[KnownIssue],
        title: str,
        now: dt.datetime,
    ) -> None:
        self.whole = whole
        self.alerts = alerts
        self.messages = messages
        self.annotations = annotations
        self.mutes = mutes
        self.register = register
        self.title = title
        self.now = now
        self.currents = pages.currents(whole)
        self.subjects = sorted({each.check.subject for each in whole.checks})
        self.names = {subject: _name(subject) for subject in self.subjects}

    def link(self, alert: Alert) -> str:
        """The page of what an alert is about."""
        kind, _, number = alert.what.partition(":")
        if kind == "line":
            return f"series/{number}.html"
        subject = next((each.check.subject for each in self.whole.checks if each.id == int(number)), None)
        return "index.html" if subject is None else f"subject/{self.names[subject]}.html"


def _name(subject: str) -> str:
    """A file's name for a subject, whatever it holds."""
    kept = re.sub(r"[^A-Za-z0-9._-]", "_", subject)[:80]
    return kept if kept == subject else f"{kept}-{hashlib.sha256(subject.encode('utf-8', 'replace')).hexdigest()[:8]}"


def _figure(report: LineReport, value: float) -> str:
    if report.ratios:
        return f"{value:.3g} ×"  # noqa: RUF001 - times
    if report.line.key.unit == "s":
        return duration(value)
    return memory(int(value)) if report.line.key.unit == "bytes" else f"{value:.4g} {report.line.key.unit}"


def _from_usual(report: LineReport) -> float | None:
    """How far the last night lies from the level before the last change, or from its own."""
    found = bands(report)
    level = found[-2] if len(found) > 1 else found[-1]
    return report.values[-1] / level["middle"] - 1 if level["middle"] > 0 else None


def _environment(site: Site) -> Any:
    import jinja2

    environment: Any = jinja2.Environment(
        loader=jinja2.PackageLoader("pytest_dlcheck.dashboard"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        age=lambda started: pages.age(started, site.now),
        day=lambda started: started[:10],
        breakable=lambda text: text.replace(".", ".\u200b").replace("_", "_\u200b"),
        data=lambda value: json.dumps(value).replace("<", "\\u003c"),
        linked=lambda text: text if re.match(r"https?://", text or "") else None,
    )
    environment.globals.update(
        site=site,
        glyphs=GLYPHS,
        effect_of=effect_of,
        figure=_figure,
        sparkline=sparkline,
        strip=strip,
        version=__version__,
        stale_hours=36,
    )
    return environment


def write(site: Site, folder: Path, tick: Callable[[str, int, int], None]) -> int:
    """Writes all pages, into a new folder that then takes the old one's place; gives how many.

    Args:
        site: what to show.
        folder: where to; made if there is none, written over if a site is there.
        tick: told which kind of page is written, how many are done and how many there are.

    Raises:
        DlcheckError: the folder holds something else, or cannot be written to.
    """
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / MARK).exists())):
        raise DlcheckError(f"{folder} holds something that is no dashboard; name a new or an empty folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as made:
            target = Path(made) / "site"
            count = _write_pages(site, target, tick)
            if folder.exists():
                shutil.rmtree(folder)
            target.rename(folder)
    except OSError as error:
        raise DlcheckError(f"the dashboard cannot be written to {folder}: {error.strerror}") from None
    return count


def _write_pages(site: Site, target: Path, tick: Callable[[str, int, int], None]) -> int:
    import plotly.offline

    for name in ("assets", "series", "subject"):
        (target / name).mkdir(parents=True)
    (target / MARK).write_text(f"pytest-dlcheck {__version__}\n", encoding="utf-8")
    for each in resources.files("pytest_dlcheck.dashboard").joinpath("assets").iterdir():
        (target / "assets" / each.name).write_bytes(each.read_bytes())
    (target / "assets" / "plotly.min.js").write_text(plotly.offline.get_plotlyjs(), encoding="utf-8")
    environment = _environment(site)
    jobs = _jobs(site)
    templates: dict[str, Any] = {}
    for place, (template, path, values) in enumerate(jobs):
        found = templates.setdefault(template, environment.get_template(f"{template}.html.j2"))
        root = "../" * path.count("/")
        (target / path).write_text(found.render(root=root, **values), encoding="utf-8", errors="backslashreplace")
        tick(template, place + 1, len(jobs))
    return len(jobs)


def _jobs(site: Site) -> list[tuple[str, str, dict[str, Any]]]:
    """Which pages there are: template, path, what it is given."""
    whole = site.whole
    products = [each.name for each in site.currents]
    known = {each.what for each in site.alerts if each.loud}
    rows = [(report, _from_usual(report), f"line:{report.line.id}" in known) for report in whole.lines]
    rows.sort(key=lambda row: (not row[2], -abs(row[1] or 0.0)))
    loud = [each for each in site.alerts if each.loud]
    last = whole.runs[-1].started[:10]
    jobs: list[tuple[str, str, dict[str, Any]]] = [
        (
            "index",
            "index.html",
            {
                "page": "overview",
                "loud": groups(whole, loud),
                "count": len(loud),
                "better": groups(
                    whole, [each for each in site.alerts if each.better and each.state in ("confirmed", "unconfirmed")]
                ),
                "suspects": [each for each in site.alerts if each.state == "suspect"],
                "quiet": [
                    each
                    for each in site.alerts
                    if each.state in ("confirmed", "unconfirmed") and (each.muted or each.acknowledged)
                ],
                "last": last,
                "broken": pages.broken(whole),
                "rows": pages.matrix_rows(whole, products),
            },
        ),
        ("matrix", "matrix.html", {"page": "matrix", "products": products, "rows": pages.matrix_rows(whole, products)}),
        ("performance", "performance.html", {"page": "performance", "rows": rows}),
        (
            "versions",
            "versions.html",
            {"page": "versions", "rows": pages.version_rows(whole), "stretches": pages.product_rows(whole)},
        ),
        ("register", "register.html", {"page": "register", "seen": _seen_issues(site)}),
    ]
    for report in whole.lines:
        told = [each for each in site.alerts if each.what == f"line:{report.line.id}"]
        data = {**series_data(report, whole), "notes": [list(each) for each in site.annotations]}
        jobs.append(
            ("series", f"series/{report.line.id}.html", {"page": "performance", "report": report, "told": told, "data": data})
        )
    checks: dict[str, list[Any]] = {}
    for check in whole.checks:
        checks.setdefault(check.check.subject, []).append(check)
    for subject in site.subjects:
        # The worst first; among equals as they are named.
        found = sorted(checks[subject], key=lambda each: SEVERITY.index(each.seen[-1].verdict))
        values = {"page": "matrix", "subject": subject, "checks": found, "shown": SHOWN_RUNS}
        jobs.append(("subject", f"subject/{site.names[subject]}.html", values))
    return jobs


def _seen_issues(site: Site) -> dict[str, int]:
    """How many checks fail, as they were last seen, with each link."""
    found: dict[str, int] = {}
    for check in site.whole.checks:
        link = site.messages.get(check.id, (None, None, None))[1]
        if link is not None:
            found[link] = found.get(link, 0) + 1
    return found
