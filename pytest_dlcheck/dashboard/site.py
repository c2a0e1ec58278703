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
from pytest_dlcheck.dashboard.drawing import sparkline, strip
from pytest_dlcheck.dashboard.jobs import pages_of
from pytest_dlcheck.dashboard.stretches import Held, Stretch, Upgrade
from pytest_dlcheck.dashboard.subjects import Reproducer, meaning
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.history.alerts import Alert
from pytest_dlcheck.history.examine import LineReport, Whole
from pytest_dlcheck.history.telling import effect_of
from pytest_dlcheck.known_issues import KnownIssue
from pytest_dlcheck.properties.verdict import HARMLESS
from pytest_dlcheck.report.html import GLYPHS
from pytest_dlcheck.report.words import duration, memory

__all__ = ["MARK", "Site", "write"]

MARK = ".dlcheck-dashboard"
"""In the folder of a site: what may be written over."""

# A nightly product that has not run for so long has missed a night.
STALE_HOURS = 36


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
        stretches: Sequence[Stretch],
        upgrades: Sequence[Upgrade],
        held: Mapping[str, Sequence[Held]],
        cases: Mapping[int, tuple[int, str, str]],
        title: str,
        now: dt.datetime,
    ) -> None:
        self.whole = whole
        self.alerts = alerts
        self.messages = messages
        self.annotations = annotations
        self.mutes = mutes
        self.register = register
        self.stretches = stretches
        self.upgrades = upgrades
        self.held = held
        self.cases = cases
        self.title = title
        self.now = now
        self.currents = pages.currents(whole)
        self.subjects = sorted({each.check.subject for each in whole.checks})
        self.names = {subject: _name(subject) for subject in self.subjects}
        self.days = {each.id: each.started[:10] for each in whole.runs}
        self._subject_of = {each.id: each.check.subject for each in whole.checks}

    def link(self, alert: Alert) -> str:
        """The page of what an alert is about."""
        kind, _, number = alert.what.partition(":")
        if kind == "line":
            return f"series/{number}.html"
        subject = self._subject_of.get(int(number))
        return "index.html" if subject is None else f"subject/{self.names[subject]}.html#check-{number}"


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


def _find(site: Site) -> list[list[str]]:
    """What the search of every page finds: title and address."""
    found = [[f"subject/{name}.html", subject] for subject, name in site.names.items()]
    return [*found, *([f"series/{each.line.id}.html", each.line.key.title()] for each in site.whole.lines)]


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
        meaning=meaning,
        harmless=sorted(HARMLESS),
        version=__version__,
        stale_hours=STALE_HOURS,
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

    for name in ("assets", "series", "subject", "cases"):
        (target / name).mkdir(parents=True)
    (target / MARK).write_text(f"pytest-dlcheck {__version__}\n", encoding="utf-8")
    for each in resources.files("pytest_dlcheck.dashboard").joinpath("assets").iterdir():
        (target / "assets" / each.name).write_bytes(each.read_bytes())
    (target / "assets" / "plotly.min.js").write_text(plotly.offline.get_plotlyjs(), encoding="utf-8")
    (target / "assets" / "find.js").write_text(f"window.dlcheckPages = {json.dumps(_find(site))};\n", encoding="utf-8")
    environment = _environment(site)
    jobs = pages_of(site)
    templates: dict[str, Any] = {}
    for place, (template, path, values) in enumerate(jobs):
        found = templates.setdefault(template, environment.get_template(f"{template}.html.j2"))
        root = "../" * path.count("/")
        (target / path).write_text(found.render(root=root, **values), encoding="utf-8", errors="backslashreplace")
        for each in values.get("reproducers", {}).values():
            _write_case(target / "cases", each)
        tick(template, place + 1, len(jobs))
    return len(jobs)


def _write_case(folder: Path, found: Reproducer) -> None:
    """The case for `dlcheck replay`, and the script beside it."""
    (folder / f"{found.name}.json").write_text(found.case, encoding="utf-8", errors="backslashreplace")
    if found.script is not None:
        (folder / f"{found.name}.py").write_text(found.script, encoding="utf-8", errors="backslashreplace")
