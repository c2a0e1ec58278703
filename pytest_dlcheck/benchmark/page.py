"""`index.html` of `dlcheck bench -o DIR`: one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_dlcheck import __version__
from pytest_dlcheck.benchmark.charts import distribution_chart, pairs_chart, phases_chart, throughput_chart
from pytest_dlcheck.benchmark.show import rows
from pytest_dlcheck.report.words import duration, memory

if TYPE_CHECKING:
    from pytest_dlcheck.benchmark.command import Result

__all__ = ["page"]


def page(results: Sequence[Result], started: str) -> str:
    """The whole page; needs no network and no other file.

    Args:
        results: of the workloads; those that could not be measured say why.
        started: when, as ISO 8601.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pytest_dlcheck.benchmark"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(duration=duration, memory=memory)
    measured = [result.comparison for result in results if result.comparison is not None and result.comparison.rounds]
    return environment.get_template("bench.html.j2").render(
        started=started,
        version=__version__,
        parts=[_part(result) for result in results],
        throughput=throughput_chart(measured) if measured else None,
        sentence=_sentence(results),
        well=all(result.status == 0 for result in results),
        machine=measured[0].machine if measured else None,
    )


def _sentence(results: Sequence[Result]) -> str:
    words = {0: "not slower", 1: "slower", 2: "not measured", 3: "without a verdict"}
    if all(result.comparison is not None and result.comparison.same for result in results):
        words[0] = "measured"
    counts = [(sum(result.status == status for result in results), word) for status, word in words.items()]
    said = ", ".join(f"{count} {word}" for count, word in counts if count)
    return f"{len(results)} workload{'s' if len(results) != 1 else ''}: {said}"


def _part(result: Result) -> dict[str, Any]:
    compared, verdicts = result.comparison, result.verdicts
    found: dict[str, Any] = {"workload": result.workload, "error": result.error, "outcome": "error", "rows": []}
    if compared is None or verdicts is None:
        return found
    found |= {"outcome": verdicts.outcome, "why": verdicts.why, "notes": compared.notes, "labels": compared.labels}
    if compared.rounds:
        found |= {
            "rows": rows(compared, verdicts),
            "series": compared.keys,
            "rounds": compared.rounds,
            "same": compared.same,
            "pairs": pairs_chart(compared, verdicts) if compared.gate in verdicts.step else None,
            "distribution": distribution_chart(compared),
            "phases": phases_chart(compared),
        }
    return found
