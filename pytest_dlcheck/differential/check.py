"""Checks one layer against another product: draws cases, compares, and shrinks what differs."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.cases.case import Case, describe
from pytest_dlcheck.differential.comparison import Comparison
from pytest_dlcheck.differential.observing import compared
from pytest_dlcheck.differential.product import Product
from pytest_dlcheck.finding import Finding
from pytest_dlcheck.known_issues import KnownIssue
from pytest_dlcheck.properties.differential import PROPERTIES, DifferentialProperty
from pytest_dlcheck.properties.verdict import HARMLESS, PASS, Verdict
from pytest_dlcheck.seeds import derive
from pytest_dlcheck.strategies.draw import StillFails, random_case, shrink
from pytest_dlcheck.subjects.spec import LayerSpec, World

__all__ = ["EFFORTS", "DifferentialCheck", "DifferentialEffort", "judged"]

Expected = Callable[[DifferentialProperty, Case], KnownIssue | None]

# The lower precisions are compared with each product's own reference elsewhere.
POLICIES = ("float32", "none")


@dataclass(frozen=True)
class DifferentialEffort:
    """How much is drawn for one layer.

    Attributes:
        cases: drawn.
        shrink_s: seconds to look for a smaller case of one property.
        restarts: how often the peer may be started again while a case is shrunk.
    """

    cases: int
    shrink_s: float
    restarts: int = 2


EFFORTS: Mapping[str, DifferentialEffort] = MappingProxyType(
    {
        "smoke": DifferentialEffort(cases=4, shrink_s=5),
        "default": DifferentialEffort(cases=15, shrink_s=20),
        "nightly": DifferentialEffort(cases=100, shrink_s=60, restarts=5),
    }
)


def judged(comparison: Comparison) -> dict[str, Verdict]:
    """What each property says; those that do not apply are left out."""
    found = {}
    for each in PROPERTIES:
        try:
            verdict = each.check(comparison)
        except Exception:  # noqa: BLE001 - a defect of ours must not pass for one of a product
            verdict = Verdict("broken", traceback.format_exc(limit=-6))
        if verdict is not None:
            found[each.name] = verdict
    return found


class DifferentialCheck:
    """One item: a layer here against the same layer on another product.

    Args:
        spec: of the layer.
        backend: loaded.
        world: where it runs here.
        product: the other one.
        seed: everything drawn follows from it.
        effort: how much is drawn.
        expected: the register's entry that speaks of a property of a case on these two products.
    """

    def __init__(
        self,
        spec: LayerSpec,
        backend: Backend,
        world: World,
        product: Product,
        *,
        seed: int,
        effort: DifferentialEffort,
        expected: Expected = lambda check, case: None,
    ) -> None:
        policies = tuple(each for each in spec.policies if each in POLICIES)
        self.spec = dataclasses.replace(spec, policies=policies or spec.policies)
        self.backend, self.world, self.product = backend, world, product
        self.seed, self.effort, self.expected = seed, effort, expected
        self._choices: dict[str, tuple[int, ...]] = {}
        self._judged: dict[str, dict[str, Verdict]] = {}
        self._told = ""

    def run(self) -> list[Finding]:
        """Compares the drawn cases, and says what became of each property.

        Raises:
            PeerError: the other product answers no more.
        """
        start = time.perf_counter()
        self._told = self.product.told()
        cases = self._draw()
        self._judge(cases)
        seconds = (time.perf_counter() - start) / max(1, len(PROPERTIES))
        return [found for each in PROPERTIES if (found := self._finding(each, cases, seconds)) is not None]

    def _draw(self) -> list[Case]:
        found: dict[str, Case] = {}
        for number in range(self.effort.cases):
            case, choices = random_case(self.spec, self.world, derive(self.seed, str(number)))
            self._choices[case.key()] = choices
            found.setdefault(case.key(), case)
        return list(found.values())

    def _judge(self, cases: Sequence[Case]) -> None:
        new = [case for case in cases if case.key() not in self._judged]
        with self.backend.quick():
            for case, comparison in compared(self.spec, new, self.backend, self.world, self.product):
                self._judged[case.key()] = judged(comparison)

    def _finding(self, each: DifferentialProperty, cases: Sequence[Case], seconds: float) -> Finding | None:
        said = [(case, self._judged[case.key()][each.name]) for case in cases if each.name in self._judged[case.key()]]
        if not said:
            return None
        against = f"against {self._told}"
        message = f"{said[0][1].message}\n{against}"
        found = Finding(each.name, said[0][0].policy, "eager", PASS, message, len(said), seconds)
        bad = [(case, verdict) for case, verdict in said if verdict.outcome not in HARMLESS]
        new = [(case, verdict) for case, verdict in bad if verdict.outcome == "broken" or self.expected(each, case) is None]
        if new:
            case, verdict = self._shrunk(each, *new[0])
            found.verdict, found.case = verdict.outcome, case
            found.message = f"{verdict.message}\n{against}\nsmallest case: {describe(case)}"
        elif bad:
            case, verdict = bad[0]
            issue = self.expected(each, case)
            assert issue is not None
            found.verdict, found.case, found.known_issue = "known", case, issue.link
            found.message = f"{issue.told()}\n{verdict.message}\n{against}\n{describe(case)}"
        elif (gone := self._gone(each, said)) is not None:
            case, issue = gone
            found.verdict, found.case, found.known_issue = "fixed", case, issue.link
            found.message = f"the register says that these two differ: {issue.told()}\n{describe(case)}"
        elif all(verdict.outcome == "unsupported" for _, verdict in said):
            found.verdict = "unsupported"
        return found

    def _gone(self, each: DifferentialProperty, said: Sequence[tuple[Case, Verdict]]) -> tuple[Case, KnownIssue] | None:
        """A case that must differ, as the register says, and does not."""
        for case, verdict in said:
            issue = self.expected(each, case) if verdict.outcome == PASS else None
            if issue is not None and issue.of_difference() and not issue.unsteady:
                return case, issue
        return None

    def _shrunk(self, each: DifferentialProperty, case: Case, verdict: Verdict) -> tuple[Case, Verdict]:
        """The smallest case found in the time there is, and with few crashes, that differs in the same way."""
        best = [(case, verdict)]
        if verdict.outcome == "broken":
            return best[0]
        end = time.perf_counter() + self.effort.shrink_s
        starts = self.product.peer.starts

        def body(candidate: Case) -> None:
            tired = time.perf_counter() > end or self.product.peer.starts - starts > self.effort.restarts
            if candidate.key() not in self._judged:
                if tired:
                    return
                self._judge([candidate])
            said = self._judged[candidate.key()].get(each.name)
            if said is None or said.outcome != verdict.outcome or self.expected(each, candidate) is not None:
                return
            if len(candidate.key()) <= len(best[0][0].key()):
                best[0] = (candidate, said)
            raise StillFails

        shrink(self.spec, self.world, self._choices[case.key()], body)
        return best[0]
