"""Which entries of the register speak of a difference between two products."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_dlcheck.cases.case import Case
from pytest_dlcheck.cases.naming import names_of
from pytest_dlcheck.differential.product import Product
from pytest_dlcheck.known_issues import KnownIssue, load
from pytest_dlcheck.properties.differential import DifferentialProperty

__all__ = ["expected"]


def expected(
    backend: str, versions: Mapping[str, str], product: Product
) -> Callable[[DifferentialProperty, Case], KnownIssue | None]:
    """What gives the entry that explains why a property of a case fails, if there is one.

    An entry of differences names both sides. What is known to be wrong on one side alone, this or the other, shows as a
    difference too.

    Args:
        backend: of this process.
        versions: of this product.
        product: the other one.
    """

    def look(check: DifferentialProperty, case: Case) -> KnownIssue | None:
        sides = [(backend, versions), (product.backend, product.versions)]
        for issue in load():
            if issue.of_difference():
                speaks = issue.applies(case.subject, check.name, backend, versions) and issue.differs_from(
                    product.backend, product.versions
                )
            else:
                speaks = any(issue.applies(case.subject, name, *side) for name in check.alone for side in sides)
            if speaks and issue.covers(case.policy, names_of(case)):
                return issue
        return None

    return look
