"""`index.html`: one self-contained page made from the JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pytest_dlcheck.report.chart import throughput_chart
from pytest_dlcheck.report.table import Speed, counts, headline, matrix, speeds
from pytest_dlcheck.report.words import duration, memory, rate

__all__ = ["GLYPHS", "inlined", "page", "rendered"]

# Shape and letter, not colour alone, tell verdicts apart.
GLYPHS = {
    "pass": "✓",
    "fail": "✗",
    "imprecise": "≈",
    "kink": "∧",
    "weak": "·",
    "unsupported": "∅",
    "reject_mismatch": "≠",
    "crash": "☠",
    "timeout": "⧖",
    "flaky": "~",
    "known": "○",
    "fixed": "!",
    "broken": "⚠",
    "skip": "–",  # noqa: RUF001 - a dash is meant
}


def rendered(template: str, **values: Any) -> str:
    """A page made from one of the templates beside this file."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pytest_dlcheck.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(duration=duration, memory=memory, rate=rate)
    return environment.get_template(template).render(**values)


def inlined(value: Any) -> str:
    """The value as JSON inside of a page."""
    # A "<" could end the script element that holds it.
    return json.dumps(value).replace("<", "\\u003c")


def page(report: Mapping[str, Any]) -> str:
    """The whole page; needs no network and no other file."""
    table = matrix(report)
    timed = speeds(report)
    sentence, well = headline(report)
    details = {cell.number: [dict(result) for result in cell.results] for cell in table.cells}
    return rendered(
        "report.html.j2",
        report=report,
        sentence=sentence,
        well=well,
        counts=counts(report),
        matrix=table,
        glyphs=GLYPHS,
        speeds=timed,
        spread=Speed.spread,
        chart=throughput_chart(timed) if timed else None,
        details=inlined(details),
    )
