"""`summary.md`: what fits into a comment or a job summary."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_dlcheck.properties.verdict import HARMLESS
from pytest_dlcheck.report.table import column_of, counts, headline, speeds
from pytest_dlcheck.report.words import duration, rate

__all__ = ["summary", "table_lines"]

MOST_LISTED = 50


def _cell(text: object) -> str:
    """One line that does not end a table's cell, and in which nothing is taken for a tag or for emphasis."""
    escaped = re.sub(r"([\\`*_|\[\]])", r"\\\1", html.escape(str(text), quote=False))
    return "<br>".join(escaped.splitlines())


def table_lines(header: list[str], rows: list[list[object]]) -> list[str]:
    """A table in Markdown, and an empty line after it."""
    lines: list[Sequence[object]] = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(_cell(value) for value in line) + " |" for line in lines] + [""]


def summary(report: Mapping[str, Any]) -> str:
    """Headline, products, what does not hold, how many checks hold where, and training speed."""
    sentence, _ = headline(report)
    run = report["run"]
    found = ", ".join(f"{count} {verdict}" for verdict, count in counts(report).items())
    lines = [
        f"# {sentence}",
        "",
        f"{found}. Seed {run['seed']}, profile {run['profile']}, {duration(run['seconds'])}, started {run['started']}.",
        "",
    ]
    lines += ["## Products", "", *_products(report), *_failures(report), *_matrix(report), *_speeds(report)]
    return "\n".join(lines).rstrip() + "\n"


def _products(report: Mapping[str, Any]) -> list[str]:
    fixed = ("python", "backend", "device", "cpu", "cores", "memory_bytes", "os")
    return table_lines(
        ["backend", "versions", "devices", "machine"],
        [
            [
                product["backend"]["name"],
                ", ".join(f"{name} {version}" for name, version in product.items() if name not in fixed),
                ", ".join(product["device"]["names"]),
                f"Python {product['python']}, {product['cpu']}, {product['cores']} cores, {product['os']}",
            ]
            for product in report["product"]
        ],
    )


def _failures(report: Mapping[str, Any]) -> list[str]:
    bad = [result for result in report["results"] if result["verdict"] not in HARMLESS]
    if not bad:
        return []
    rows: list[list[object]] = [
        [each["subject"], each["property"], column_of(each), each["verdict"], each["message"] or ""]
        for each in bad[:MOST_LISTED]
    ]
    more = [f"and {len(bad) - MOST_LISTED} more, in `report.json`", ""] if len(bad) > MOST_LISTED else []
    return [
        "## What does not hold",
        "",
        *table_lines(["subject", "property", "product", "verdict", "what was seen"], rows),
        *more,
    ]


def _matrix(report: Mapping[str, Any]) -> list[str]:
    columns = list(dict.fromkeys(column_of(result) for result in report["results"]))
    if not columns:
        return []
    grouped: dict[str, dict[str, list[str]]] = {}
    for result in report["results"]:
        grouped.setdefault(result["subject"], {}).setdefault(column_of(result), []).append(result["verdict"])
    rows: list[list[object]] = []
    for subject, found in grouped.items():
        row: list[object] = [subject]
        for column in columns:
            verdicts = found.get(column, [])
            ran = [verdict for verdict in verdicts if verdict != "skip"]
            row.append(f"{ran.count('pass')} of {len(ran)}" if ran else "skipped" if verdicts else "")
        rows.append(row)
    return ["## Checks that hold", "", *table_lines(["subject", *columns], rows)]


def _speeds(report: Mapping[str, Any]) -> list[str]:
    rows: list[list[object]] = [
        [
            each.subject,
            each.column,
            each.batch_size,
            rate(each.samples_per_second),
            duration(each.fit_median_s),
            duration(each.loop_median_s) if each.loop_median_s is not None else "",
            f"{each.ratio:.2f}" if each.ratio is not None else "",
            duration(each.first_step_s),
        ]
        for each in speeds(report)
    ]
    if not rows:
        return []
    header = ["model", "product", "batch", "samples/s in fit", "step in fit", "step in own loop", "fit / loop", "first step"]
    return ["## Training speed", "", *table_lines(header, rows)]
