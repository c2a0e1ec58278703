"""What the matrix of products shows, worked out from a merged report: pure functions on the JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pytest_dlcheck.report.merging import check_of
from pytest_dlcheck.report.reading import product_of
from pytest_dlcheck.report.table import worst

__all__ = ["FAILS", "HOLDS", "Across", "Check", "ProductCell", "across"]

FAILS = frozenset({"fail", "imprecise", "reject_mismatch", "crash", "timeout", "flaky", "known"})
"""Does not hold there; what the register knows of does not hold either."""
HOLDS = frozenset({"pass", "kink", "weak", "fixed"})
"""Holds there; `fixed` is what the register expects to fail, and passes. `unsupported`, `skip` and `broken` judge nothing."""

QUIET = frozenset({"pass", "skip", "unsupported", "weak"})


@dataclass(frozen=True)
class Check:
    """One property of one subject, in one dtype and mode, on every product that judged it.

    Attributes:
        key: what was judged, as `merging.check_of` gives it.
        verdicts: by product.
    """

    key: tuple[str, ...]
    verdicts: Mapping[str, str]

    @property
    def subject(self) -> str:
        return self.key[0]

    @property
    def name(self) -> str:
        """The property that must hold."""
        return self.key[1]

    @property
    def how(self) -> tuple[str, ...]:
        """Api, device, dtype and mode, where they were given; the first CPU goes without saying."""
        return tuple(part for part in self.key[2:] if part not in ("", "cpu:0"))

    @property
    def failing(self) -> list[str]:
        return [product for product, verdict in self.verdicts.items() if verdict in FAILS]

    @property
    def alone(self) -> str | None:
        """The one product in which it fails, where others hold and none else fails; else None."""
        failing = self.failing
        holds = any(verdict in HOLDS for verdict in self.verdicts.values())
        return failing[0] if len(failing) == 1 and holds else None

    @property
    def disagree(self) -> bool:
        """Whether it fails somewhere and holds somewhere."""
        return bool(self.failing) and any(verdict in HOLDS for verdict in self.verdicts.values())


@dataclass(frozen=True)
class ProductCell:
    """One subject on one product: the worst verdict, and how many of the checks that judged anything hold."""

    verdict: str
    held: int
    judged: int
    alone: int
    bad: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Across:
    """Subjects by products, the subjects with the most checks that fail in exactly one product first.

    Attributes:
        products: their names, in order.
        checks: all of them.
        cells: by subject, one for each product; None where nothing of it was run.
    """

    products: Sequence[str]
    checks: Sequence[Check]
    cells: Mapping[str, Sequence[ProductCell | None]]

    @property
    def alone(self) -> list[Check]:
        """Those that fail in exactly one product, product by product; what the register expects comes last."""
        found = [check for check in self.checks if check.alone is not None]
        return sorted(found, key=lambda check: (check.verdicts[str(check.alone)] == "known", str(check.alone)))

    @cached_property
    def disagreeing(self) -> frozenset[str]:
        """The subjects of which some check fails in one product and holds in another."""
        return frozenset(check.subject for check in self.checks if check.disagree)


def across(report: Mapping[str, Any]) -> Across:
    """The matrix of a merged report; of one that is not merged, with its backends as products."""
    products = [str(product.get("name") or product["backend"]["name"]) for product in report["product"]]
    results: dict[tuple[str, ...], dict[str, list[Mapping[str, Any]]]] = {}
    for result in report["results"]:
        if result["backend"] is not None:
            results.setdefault(check_of(result), {}).setdefault(product_of(result), []).append(result)
    checks = [
        Check(key, {name: worst(str(result["verdict"]) for result in found) for name, found in by.items()})
        for key, by in results.items()
    ]
    by_subject: dict[str, list[tuple[Check, Mapping[str, list[Mapping[str, Any]]]]]] = {}
    for check, by in zip(checks, results.values(), strict=True):
        by_subject.setdefault(check.subject, []).append((check, by))
    cells = {subject: [_cell(each, name) for name in products] for subject, each in by_subject.items()}

    def place(subject: str) -> tuple[int, int]:
        mine = [check for check, _ in by_subject[subject]]
        return -sum(check.alone is not None for check in mine), -sum(check.disagree for check in mine)

    return Across(products, checks, {subject: cells[subject] for subject in sorted(cells, key=place)})


def _cell(checks: Sequence[tuple[Check, Mapping[str, list[Mapping[str, Any]]]]], product: str) -> ProductCell | None:
    mine = [(check, by[product]) for check, by in checks if product in by]
    if not mine:
        return None
    verdicts = [check.verdicts[product] for check, _ in mine]
    held = sum(verdict in HOLDS for verdict in verdicts)
    return ProductCell(
        worst(verdicts),
        held,
        held + sum(verdict in FAILS for verdict in verdicts),
        sum(check.alone == product for check, _ in mine),
        [result for _, found in mine for result in found if result["verdict"] not in QUIET],
    )
