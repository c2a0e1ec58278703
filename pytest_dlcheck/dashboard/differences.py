"""What differs between products as they were last seen: plain data for the page that puts two beside each other. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pytest_dlcheck.dashboard.pages import Current, present
from pytest_dlcheck.history.examine import Whole
from pytest_dlcheck.history.keys import digest

__all__ = ["differences"]

# A figure is a level of so many nights, not one night's.
NIGHTS = 7
# What may differ between two products whose speed is put side by side: the product itself.
OF_THE_PRODUCT = ("backend", "channel", "suite", "python")


def differences(whole: Whole, products: Sequence[Current], links: Mapping[str, str]) -> dict[str, Any]:
    """Checks on which not all products agree, and figures that several have.

    Args:
        whole: the history.
        products: as they were last seen.
        links: by subject, its page's name.
    """
    names = [each.name for each in products]
    return {
        "products": [
            {"name": each.name, "started": each.started[:16].replace("T", " "), "facts": _facts(each)} for each in products
        ],
        "checks": _checks(whole, names, links),
        "figures": _figures(whole, products),
    }


def _facts(product: Current) -> dict[str, str]:
    machine = product.fingerprint
    shown = {"Python": "python", "processor": "cpu", "cores": "cores", "system": "os"}
    of_it = {name: machine.get(key) for name, key in shown.items()}
    return {**product.versions, **{name: str(value) for name, value in of_it.items() if value}}


def _checks(whole: Whole, names: Sequence[str], links: Mapping[str, str]) -> list[list[Any]]:
    """Subject, page, property, where, and by product its verdict or nothing; only where not all have the same."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for each in present(whole):
        check = each.check
        where = ", ".join(filter(None, (check.device, check.api, check.dtype, check.mode)))
        found.setdefault((check.subject, check.property, where), {})[check.product] = each.seen[-1].verdict
    return [
        [subject, links[subject], name.replace("_", " "), where, [verdicts.get(each) for each in names]]
        for (subject, name, where), verdicts in found.items()
        if len({verdicts.get(each) for each in names}) > 1
    ]


def _figures(whole: Whole, products: Sequence[Current]) -> list[list[Any]]:
    """What is measured, its unit, and by product its level and its page, of lines that differ in the product alone."""
    places = {each.name: place for place, each in enumerate(products)}
    found: dict[str, tuple[str, str, list[Any]]] = {}
    for report in whole.lines:
        key = report.line.key
        product = f"{key.backend} {key.channel}".strip()
        if product not in places:
            continue
        same = {name: value for name, value in asdict(key).items() if name not in OF_THE_PRODUCT}
        words = (key.subject.removeprefix("models."), key.side, key.phase, key.metric)
        what = ", ".join(each.replace("_", " ") for each in words)
        row = found.setdefault(digest(same), (what, key.unit, [None] * len(products)))
        level = statistics.median(each.value for each in report.line.points[-NIGHTS:])
        row[2][places[product]] = [float(f"{level:.5g}"), report.line.id]
    return [list(row) for row in found.values() if sum(cell is not None for cell in row[2]) > 1]
