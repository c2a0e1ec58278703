"""Reports to test with: made by hand, and taken apart as a browser or a renderer would."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from html import unescape
from html.parser import HTMLParser
from typing import Any

from pytest_dlcheck.properties.verdict import HARMLESS, VERDICTS

BAD = tuple(verdict for verdict in VERDICTS if verdict not in HARMLESS)

HOSTILE = "<script>alert(1)</script></script><!-- \"'&amp;| \\n\n`|second line|` {{ 7 * 7 }}"

STARTED = dt.datetime(2025, 3, 4, 5, 6, 7, tzinfo=dt.timezone.utc)


def a_result(verdict: str = "pass", **changes: Any) -> dict[str, Any]:
    return {
        "subject": "layers.Dense",
        "property": "same_shape",
        "backend": "jax",
        "device": "cpu:0",
        "api": None,
        "verdict": verdict,
        "seconds": 0.25,
        "message": None,
        "details": None,
        "test": "test_layers.py::test_same_shape[jax-cpu]",
        "worker": None,
        "known_issue": None,
        "dtype": None,
        "mode": None,
        "examples": None,
        "case": None,
        **changes,
    }


def a_measurement(side: str = "fit", **changes: Any) -> dict[str, Any]:
    return {
        "subject": "models.mnist_mlp",
        "workload": "mnist_mlp",
        "backend": "jax",
        "device": "cpu:0",
        "side": side,
        "test": f"test_speed.py::test_step[jax-cpu-{side}]",
        "batch_size": 32,
        "import_s": 2.0,
        "start_s": 0.5,
        "build_s": 0.25,
        "first_step_s": 1.0,
        "step_s": [0.010, 0.020, 0.040],
        "call_s": [0.1, 0.3, 0.2],
        "peak_memory_bytes": 3 * 2**29,
        **changes,
    }


def a_report(
    *results: Mapping[str, Any], measurements: Sequence[Mapping[str, Any]] = (), exit_status: int = 0
) -> dict[str, Any]:
    return {
        "schema": "dlcheck-report/1",
        "product": [
            {
                "jax": "0.7.1",
                "keras": "3.15.1",
                "python": "3.11.7",
                "backend": {"name": "jax"},
                "device": {"names": ["cpu:0", "gpu:0"], "gpus": [{"name": "H200", "driver": "570.1"}]},
                "cpu": "Some CPU",
                "cores": 16,
                "memory_bytes": 128 * 2**30,
                "os": "Linux 6.1",
            }
        ],
        "run": {
            "seed": 11,
            "profile": "nightly",
            "started": "2025-03-04T05:06:07+00:00",
            "seconds": 125.0,
            "suite": "0.1.0",
            "exit_status": exit_status,
            "left_out": {"torch": "not installed"},
        },
        "results": list(results),
        "measurements": list(measurements),
    }


def of(*verdicts: str) -> dict[str, Any]:
    return a_report(*(a_result(verdict, property=f"p{i}") for i, verdict in enumerate(verdicts)))


class Page(HTMLParser):
    """A page as a browser would take it apart: elements, each with the text up to the next tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")
        self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts[-1] += data

    def all(self, tag: str, **attributes: str) -> list[tuple[dict[str, str | None], str]]:
        """Attributes and text of each element of that kind."""
        return [
            (found, text)
            for (name, found), text in zip(self.elements, self.texts, strict=True)
            if name == tag and attributes.items() <= found.items()
        ]

    @property
    def title(self) -> str:
        ((_, text),) = self.all("h1")
        return text

    @property
    def glyphs(self) -> dict[str, str]:
        """What each cell of the matrix shows, by its label."""
        return {str(attrs["aria-label"]): text for attrs, text in self.all("button") if "data-cell" in attrs}

    @property
    def details(self) -> str:
        ((_, text),) = self.all("script", id="results")
        return text


def table_under(heading: str, markdown: str) -> list[list[str]]:
    """The rows of a section's table without its head, cut at the bars that Markdown would cut at."""
    section = markdown.split(f"\n## {heading}\n\n", 1)[1].split("\n\n", 1)[0]
    head, rule, *rows = [re.split(r"(?<!\\)\|", line) for line in section.rstrip("\n").split("\n")]
    assert [row[0] + row[-1] for row in (head, rule, *rows)] == [""] * (len(rows) + 2)
    assert {len(row) for row in rows} <= {len(head)} == {len(rule)}
    return [[unescape(re.sub(r"\\([^\sA-Za-z0-9])", r"\1", cell.strip())) for cell in row[1:-1]] for row in rows]


def plotted(html: str) -> dict[str, dict[str, Any]]:
    """The traces of a chart by name; the lines between two points have none."""
    call = html.rindex("Plotly.newPlot(")
    traces, _ = json.JSONDecoder().raw_decode(html, html.index("[", call))
    return {trace.get("name", "line"): trace for trace in traces}
