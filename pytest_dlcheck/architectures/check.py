"""Checks models of one kind on one backend: draws them, observes each once, lets properties judge, shrinks what fails."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from pytest_dlcheck.architectures.architecture import Architecture, describe, walk
from pytest_dlcheck.architectures.drawing import Catalogue
from pytest_dlcheck.architectures.kinds import KINDS, draw_architecture
from pytest_dlcheck.architectures.observer import ArchitectureObserver
from pytest_dlcheck.architectures.properties import PROPERTIES
from pytest_dlcheck.architectures.surgery import chosen_middle
from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.cases.case import Case
from pytest_dlcheck.cases.naming import names_of
from pytest_dlcheck.finding import Finding
from pytest_dlcheck.known_issues import KnownIssue
from pytest_dlcheck.properties.verdict import HARMLESS, PASS, Verdict
from pytest_dlcheck.seeds import derive
from pytest_dlcheck.strategies.draw import Source, StillFails, random_value, shrink_value
from pytest_dlcheck.subjects.installed import installed_layer
from pytest_dlcheck.subjects.spec import LayerSpec, World

__all__ = ["EFFORTS", "ArchitectureCheck", "ArchitectureEffort", "catalogue_of", "judge_architecture", "names_of_model"]


@dataclass(frozen=True)
class ArchitectureEffort:
    """How much is drawn for one kind of model.

    Attributes:
        models: how many.
        op_by_op: as many where the framework compiles every operation for every shape, which takes many seconds a model.
        copies: how many of them are cloned, saved and loaded, cut, frozen and called sample by sample, too.
        shrink_s: seconds to look for a smaller model that fails one property.
    """

    models: int
    op_by_op: int
    copies: int
    shrink_s: float

    def of(self, backend: Backend) -> int:
        """How many models a backend gets."""
        return self.op_by_op if backend.compiles_operations else self.models


EFFORTS: Mapping[str, ArchitectureEffort] = MappingProxyType(
    {
        "smoke": ArchitectureEffort(models=3, op_by_op=1, copies=1, shrink_s=20),
        "default": ArchitectureEffort(models=12, op_by_op=3, copies=6, shrink_s=60),
        "nightly": ArchitectureEffort(models=100, op_by_op=20, copies=50, shrink_s=180),
    }
)


def catalogue_of(
    backend: Backend, keras_version: str, device: str, issues: Callable[[LayerSpec], list[KnownIssue]]
) -> Catalogue:
    """The layers that models may be drawn of.

    Args:
        backend: loaded.
        keras_version: `3.15.1`.
        device: the kind of device.
        issues: the register's entries that speak of a layer here, of whatever property: of such cases no model is drawn.
    """

    @cache
    def world(name: str) -> World | None:
        spec = _spec(name)
        found = installed_layer(spec, backend, keras_version, device)
        return None if isinstance(found, str) else found.world

    @cache
    def of(name: str) -> list[KnownIssue]:
        return issues(_spec(name))

    def known(spec: LayerSpec, case: Case) -> bool:
        names = names_of(case)
        return any(each.covers(case.policy, names) for each in of(spec.name))

    return Catalogue(lambda spec: world(spec.name), known, backend=backend.name)


def _spec(name: str) -> LayerSpec:
    from pytest_dlcheck.subjects.layers import SPECS

    return SPECS[name]


def names_of_model(architecture: Architecture) -> dict[str, Any]:
    """What the register's conditions may speak of: as of a layer's case whose argument `layers` are all layers."""
    names = names_of(
        Case("keras.Model", {"layers": list(walk(architecture))}, list(architecture.inputs), policy=architecture.policy)
    )
    given = {key for key, value in names.items() if key.startswith("any_") and key.endswith("_regularizer") and value}
    activity = "any_activity_regularizer" in given or "ActivityRegularization" in names["classes"]
    return {
        **names,
        "activity_regularized": activity,
        "weight_regularized": bool(given - {"any_activity_regularizer"}),
        "masked": "Masking" in names["classes"] or bool(names.get("any_mask_zero")),
        "cut_beside_an_input": any(tensor < len(architecture.inputs) for tensor in (chosen_middle(architecture) or ((), 0))[0]),
        "drops_everything": any(build.arguments.get("rate") == 1 for build in walk(architecture)),
    }


def judge_architecture(architecture: Architecture, backend: Backend, *, copies: bool = True) -> dict[str, Verdict]:
    """Builds a model in every form and lets each property judge it; those that do not apply are left out."""
    with backend.quick(), warnings.catch_warnings():
        # What Keras warns of (a mask that goes no further, a softmax over one entry) is drawn on purpose.
        warnings.simplefilter("ignore")
        seen = ArchitectureObserver(architecture, backend, copies=copies, surgery=copies).observe()
    found = {}
    for name, check in PROPERTIES.items():
        try:
            verdict = check(seen)
        except Exception as error:  # noqa: BLE001 - a property must not take the others with it
            verdict = Verdict("broken", f"the property itself ended in {type(error).__name__}: {error}")
        if verdict is not None:
            found[name] = verdict
    return found


@dataclass
class _Tally:
    examples: int = 0
    seconds: float = 0.0
    message: str = ""
    worst: tuple[Architecture, Verdict, int] | None = None
    known: tuple[Architecture, Verdict, KnownIssue] | None = None


class ArchitectureCheck:
    """All models of one kind for one item.

    Args:
        kind: a name in `KINDS`.
        catalogue: the layers that there are.
        backend: the process's backend, loaded.
        seed: of everything that is drawn.
        effort: how much is drawn.
        known: gives the register's entries that speak of a property of models of this kind here.
        budget_s: seconds for drawing and judging, without shrinking; None for as long as it takes.
        judge: observes and judges one model.
    """

    def __init__(
        self,
        kind: str,
        catalogue: Catalogue,
        backend: Backend,
        *,
        seed: int,
        effort: ArchitectureEffort,
        known: Callable[[str], Iterable[KnownIssue]] = lambda name: (),
        budget_s: float | None = None,
        judge: Callable[..., dict[str, Verdict]] = judge_architecture,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"unknown kind {kind!r}; there are {', '.join(KINDS)}")
        self.kind = kind
        self.catalogue = catalogue
        self.backend = backend
        self.seed = seed
        self.effort = effort
        self.known = known
        self.budget_s = budget_s
        self.judge = judge
        self._tallies: dict[tuple[str, str], _Tally] = {}
        self._judged: dict[str, dict[str, Verdict]] = {}

    def _make(self, source: Source) -> Architecture:
        return draw_architecture(source, self.catalogue, self.kind)

    def _judge(self, architecture: Architecture, *, copies: bool) -> dict[str, Verdict]:
        key = f"{copies} {architecture.key()}"
        if key not in self._judged:
            self._judged[key] = self.judge(architecture, self.backend, copies=copies)
        return self._judged[key]

    def run(self) -> list[Finding]:
        """Draws the models, and says what became of each property."""
        end = None if self.budget_s is None else time.perf_counter() + self.budget_s
        wanted, drawn = self.effort.of(self.backend), 0
        for number in range(4 * wanted):
            if drawn == wanted or (end is not None and drawn and time.perf_counter() > end):
                break
            seed = derive(self.seed, str(number))
            architecture, _ = random_value(self._make, seed)
            # One that cannot be run, as the register says, would show nothing else. It counts where there is no other.
            if self.expected("accepts", architecture) is not None and number + wanted - drawn < 4 * wanted:
                continue
            self._look(architecture, seed, copies=drawn < self.effort.copies)
            drawn += 1
        found = [self._finding(name, policy, tally) for (name, policy), tally in self._tallies.items()]
        if drawn < wanted:
            said = f"the budget of {self.budget_s:.3g} s left time for {drawn} of {wanted} models"
            found.append(Finding("models", "any", "eager", "skip", said, drawn))
        return found

    def _look(self, architecture: Architecture, seed: int, *, copies: bool) -> None:
        start = time.perf_counter()
        verdicts = self._judge(architecture, copies=copies)
        share = (time.perf_counter() - start) / max(1, len(verdicts))
        for name, verdict in verdicts.items():
            tally = self._tallies.setdefault((name, architecture.policy), _Tally())
            tally.examples += 1
            tally.seconds += share
            tally.message = tally.message or verdict.message
            if verdict.outcome in HARMLESS:
                continue
            issue = self.expected(name, architecture)
            if issue is not None and verdict.outcome != "broken":
                tally.known = tally.known or (architecture, verdict, issue)
            elif tally.worst is None:
                tally.worst = architecture, verdict, seed

    def expected(self, name: str, architecture: Architecture) -> KnownIssue | None:
        """The register's entry that says that this model fails so."""
        for issue in self.known(name):
            if issue.covers(architecture.policy, names_of_model(architecture)):
                return issue
        return None

    def _finding(self, name: str, policy: str, tally: _Tally) -> Finding:
        found = Finding(name, policy, "eager", PASS, tally.message, tally.examples, tally.seconds)
        if tally.worst is not None:
            smallest, verdict = self._shrunk(name, *tally.worst)
            found.verdict, found.case = verdict.outcome, smallest
            found.message = f"{verdict.message}\nsmallest model:\n{describe(smallest)}"
        elif tally.known is not None:
            model, verdict, issue = tally.known
            found.verdict, found.case, found.known_issue = "known", model, issue.link
            found.message = f"{issue.told()}\n{verdict.message}\n{describe(model)}"
        return found

    def _shrunk(self, name: str, architecture: Architecture, verdict: Verdict, seed: int) -> tuple[Architecture, Verdict]:
        """The smallest model found in the time there is that fails the same property."""
        if verdict.outcome == "broken":
            return architecture, verdict
        end = time.perf_counter() + self.effort.shrink_s
        best = [(architecture, verdict)]

        def body(candidate: Architecture) -> None:
            # A model seen before keeps its verdict, so that Hypothesis, which runs some twice, finds no contradiction.
            late = time.perf_counter() > end and f"True {candidate.key()}" not in self._judged
            if candidate.policy != architecture.policy or late:
                return
            said = self._judge(candidate, copies=True).get(name)
            if said is None or said.outcome in HARMLESS or self.expected(name, candidate) is not None:
                return
            if len(candidate.key()) <= len(best[0][0].key()):
                best[0] = (candidate, said)
            raise StillFails

        _, choices = random_value(self._make, seed)
        shrink_value(self._make, choices, body)
        return best[0]
