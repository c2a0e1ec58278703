"""Small pictures as SVG, and the data of the large ones that plotly draws in the browser."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pytest_dlcheck.history.examine import LineReport, Whole
from pytest_dlcheck.history.keys import digest
from pytest_dlcheck.history.robust import robust_sd

__all__ = ["bands", "series_data", "sparkline"]

WIDTH, HEIGHT = 220, 30
# The band: half as wide as what a single night may be off by without being suspected is of no use to the eye.
BAND_SD = 2.0


def sparkline(report: LineReport) -> str:
    """The line of nights, a mark where a change was found."""
    values = report.values[-200:]
    skipped = len(report.values) - len(values)
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    step = WIDTH / max(1, len(values) - 1)

    def point(place: int, value: float) -> str:
        return f"{place * step:.1f},{HEIGHT - 3 - (value - low) / spread * (HEIGHT - 6):.1f}"

    path = " ".join(point(place, value) for place, value in enumerate(values))
    marks = "".join(
        f'<line x1="{(each.index - skipped) * step:.1f}" x2="{(each.index - skipped) * step:.1f}" y1="0" y2="{HEIGHT}"/>'
        for each in report.changes
        if each.index >= skipped
    )
    return (
        f'<svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" aria-hidden="true">'
        f'{marks}<polyline points="{path}"/></svg>'
    )


def bands(report: LineReport) -> list[dict[str, float]]:
    """Each level with its noise: from which night to which, the middle at either end, and how far nights scatter."""
    steps = [each.index for each in report.changes if each.kind == "step"]
    trend = next((each for each in report.changes if each.kind == "trend"), None)
    edges = sorted({0, *steps, *([trend.index] if trend else []), len(report.values)})
    made = []
    for first, last in pairwise(edges):
        part = report.values[first:last]
        middle = end = statistics.median(part)
        if trend is not None and first == trend.index:
            middle, end = trend.before, trend.after
        slope = (end - middle) / max(1, len(part) - 1)
        rest = [value - middle - slope * place for place, value in enumerate(part)]
        made.append({"first": first, "last": last - 1, "middle": middle, "end": end, "wide": BAND_SD * robust_sd(rest)})
    return made


def series_data(report: LineReport, whole: Whole) -> dict[str, Any]:
    """What a page of a line needs, as plain data with short figures."""

    def short(value: float) -> float:
        return float(f"{value:.5g}")

    sets: dict[str, int] = {}
    named: list[dict[str, str]] = []
    nights = []
    for each in report.line.points:
        versions = dict(each.series.versions)
        name = digest(versions)
        if name not in sets:
            sets[name] = len(named)
            named.append(versions)
        nights.append(
            {
                "at": each.started[:16].replace("T", " "),
                "run": each.run,
                "commit": (each.commit or "")[:10],
                "value": short(each.value),
                "ratio": None if each.ratio is None else short(each.ratio),
                "samples": [short(sample) for sample in each.samples],
                "versions": sets[name],
            }
        )
    return {
        "unit": report.line.key.unit,
        "ratios": report.ratios,
        "reference": whole.reference,
        "nights": nights,
        "versions": named,
        "bands": [{key: short(value) for key, value in band.items()} for band in bands(report)],
        "changes": [
            {
                "kind": each.kind,
                "index": each.index,
                "earliest": each.earliest,
                "latest": each.latest,
                "effect": short(each.effect),
                "votes": list(each.votes),
            }
            for each in report.changes
        ],
    }


def strip(verdicts: Sequence[str], glyphs: dict[str, str]) -> list[tuple[str, int, str]]:
    """Verdicts one after the other, runs of the same one together: verdict, how many, glyph."""
    found: list[tuple[str, int, str]] = []
    for verdict in verdicts:
        if found and found[-1][0] == verdict:
            found[-1] = (verdict, found[-1][1] + 1, glyphs[verdict])
        else:
            found.append((verdict, 1, glyphs[verdict]))
    return found
