"""Checks one layer in one group of modes: draws cases, observes each once, lets properties judge, and shrinks what fails."""

from __future__ import annotations

import contextlib
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.cases.case import Case, describe, with_values
from pytest_dlcheck.cases.naming import names_of
from pytest_dlcheck.effort import ENOUGH, TURNS, Effort
from pytest_dlcheck.finding import Finding
from pytest_dlcheck.known_issues import KnownIssue
from pytest_dlcheck.known_issues.fatal import how_it_ends
from pytest_dlcheck.known_issues.stored import StoredCase, stored_cases, to_be_replayed
from pytest_dlcheck.observe.layer import LayerObserver
from pytest_dlcheck.observe.layer_observation import Raised
from pytest_dlcheck.properties.layers.catalogue import GROUPS, PROPERTIES, Property, of_group, parts_of
from pytest_dlcheck.properties.layers.judging import Judging
from pytest_dlcheck.properties.verdict import HARMLESS, PASS, Verdict, failed
from pytest_dlcheck.seeds import derive
from pytest_dlcheck.strategies.draw import StillFails, random_case, shrink, simplest_case
from pytest_dlcheck.strategies.spreading import pairs, spread
from pytest_dlcheck.subjects.spec import LayerSpec, World

__all__ = ["Judged", "LayerCheck", "judge_case"]


Judged = dict[str, Verdict]


def judge_case(
    spec: LayerSpec,
    case: Case,
    backend: Backend,
    world: World,
    properties: Sequence[Property],
    *,
    costly: bool = True,
    without: frozenset[str] = frozenset(),
    values: int = 0,
    tell: Callable[[int, Case, Judged], None] = lambda number, case, said: None,
) -> Judged:
    """Observes a case and lets each property judge it; those that do not apply are left out.

    A property that itself ends in an error gives `broken`, with the traceback: a defect of this package.

    Args:
        spec: of the case's layer.
        case: to be observed.
        backend: loaded.
        world: where it runs.
        properties: of one group of modes.
        costly: whether those that take long are judged.
        without: parts of the observation; nothing is observed of them, nor is what needs one of them judged.
        values: how many further sets of values are judged, by the properties that need nothing else.
        tell: is handed their numbers, their cases, and what was said of them.
    """
    observer = LayerObserver(spec, case, backend)
    declared_unsupported = spec.unsupported(case, world) is not None
    properties = [
        each
        for each in properties
        if each.name not in spec.exempt
        and (costly or not each.costly)
        # Whether it is accepted shows in whatever is observed.
        and (each.name == "accepts" or without.isdisjoint(each.parts))
    ]
    if declared_unsupported:
        # In every group of modes: that it ends in an error is all that there is to say of such a case.
        properties = [each for each in PROPERTIES if each.name == "accepts"]
    seen = observer.run(*(part for part in parts_of(tuple(properties), costly=costly) if part not in without))
    if isinstance(seen.eager, Raised):
        properties = [each for each in PROPERTIES if each.name == "accepts"]
    found = _said(properties, Judging(spec, world, seen), lambda: Judging(spec, world, observer.run("exact")))
    by_values = [each for each in properties if each.by_values]
    if by_values and not spec.random(case, False):
        for number in range(1, values + 1):
            further = observer.further(number, by_values[0].group)
            if further is None:
                break
            tell(number, further.case, _said(by_values, Judging(spec, world, further)))
    return found


def _said(properties: Sequence[Property], judging: Judging, in_float64: Callable[[], Judging] | None = None) -> Judged:
    """What each property says; `in_float64` observes further what tells rounding from logic."""
    found: Judged = {}
    for each in properties:
        try:
            verdict = each.check(judging)
            if in_float64 is not None and verdict is not None and each.name == "reference" and verdict.outcome not in HARMLESS:
                verdict = each.check(in_float64())
        except Exception:  # noqa: BLE001 - a defect of ours must not pass for one of the framework
            verdict = Verdict("broken", traceback.format_exc(limit=-6))
        if verdict is not None:
            found[each.name] = verdict
    return found


@dataclass
class _Tally:
    """The cases that one property has judged under one policy."""

    examples: int = 0
    seconds: float = 0.0
    message: str = ""
    unsupported: int = 0
    known: dict[str, tuple[Case, str]] = field(default_factory=dict)
    worst: tuple[Case, Verdict] | None = None
    # Of a property that only all cases together can fail: what each part of it said, and the first case of it.
    parts: dict[str, list[tuple[Case, Verdict]]] = field(default_factory=dict)


class LayerCheck:
    """One item: a layer, a backend, a group of modes.

    Args:
        spec: of the layer.
        backend: loaded.
        world: where it runs.
        group: of modes.
        seed: everything drawn follows from it.
        effort: how much is drawn.
        known: gives the register's entries for a property.
        stored: gives the cases that are kept with an entry, by its id.
        budget_s: seconds after which no further case is drawn; None for no limit.
    """

    def __init__(
        self,
        spec: LayerSpec,
        backend: Backend,
        world: World,
        group: str,
        *,
        seed: int,
        effort: Effort,
        known: Callable[[str], Sequence[KnownIssue]] = lambda name: (),
        stored: Callable[[str], Sequence[StoredCase]] = stored_cases,
        budget_s: float | None = None,
    ) -> None:
        assert group in GROUPS
        self.spec, self.backend, self.world, self.group = spec, backend, world, group
        self.seed, self.effort, self.budget_s = seed, effort, budget_s
        self.wanted = effort.cases(group, backend)
        # What never showed in a few cases may still show.
        self.properties = tuple(each for each in of_group(group) if not each.overall or self.wanted >= ENOUGH)
        self.known = {name: tuple(known(name)) for name in ("accepts", *(each.name for each in self.properties))}
        self.stored = stored
        self.overall = {each.name for each in self.properties if each.overall}
        self.cut = False
        self._judged: dict[str, Judged] = {}
        self._looked_at: set[str] = set()
        self._choices: dict[str, tuple[int, ...]] = {}
        # Which further set of values of the case that its choices lead to; 0 for the case itself.
        self._numbers: dict[str, int] = {}
        self._tallies: dict[tuple[str, str], _Tally] = {}
        self.drawn = 0
        self.further = 0
        self._shrink_left_s = 3 * effort.shrink_s
        self._end: float | None = None

    def run(self) -> list[Finding]:
        """Replays the register's cases, draws the others, and says what became of each property."""
        with self.backend.quick() if self.effort.quick else contextlib.nullcontext(), warnings.catch_warnings():
            # What Keras warns of (a mask that goes no further, a softmax over one entry) is drawn on purpose.
            warnings.simplefilter("ignore")
            return self._run()

    def _run(self) -> list[Finding]:
        stale = self._replay()
        self._end = None if self.budget_s is None else time.perf_counter() + self.budget_s
        wanted = self.wanted
        # The simplest case is one of them where there are several; where there are few, it says least.
        if wanted > 2:
            self._look(simplest_case(self.spec, self.world))
        for case, choices in self._draws(wanted):
            if self.drawn >= wanted or self.cut:
                break
            self._choices.setdefault(case.key(), choices)
            self._look(case)
        findings = [self._finding(name, dtype, tally) for (name, dtype), tally in self._tallies.items()]
        if self.cut:
            said = f"the budget of {self.budget_s:.3g} s left time for {self.drawn} of {wanted} cases"
            findings.append(Finding("cases", "any", self.group, "skip", said, self.drawn))
        return stale + findings

    def _draws(self, wanted: int) -> Iterator[tuple[Case, tuple[int, ...]]]:
        """Random cases, more than are wanted, since a layer with few options has few that differ."""
        drawn = (random_case(self.spec, self.world, derive(self.seed, str(number))) for number in range(4 * wanted))
        if self.effort.pool == 1:
            yield from drawn
            return
        more = [
            random_case(self.spec, self.world, derive(self.seed, str(number))) for number in range(self.effort.pool * wanted)
        ]
        # Each once, in the order in which they were drawn.
        pool = list({case.key(): (case, choices) for case, choices in reversed(more)}.values())[::-1]
        yield from spread(pool, pairs([case for case, _ in pool]), len(pool))

    def _judge(
        self,
        case: Case,
        *,
        costly: bool,
        without: frozenset[str] = frozenset(),
        values: int = 0,
    ) -> Judged:
        key = case.key() if not without else f"{case.key()} without {sorted(without)}"
        if key not in self._judged:
            self._judged[key] = judge_case(
                self.spec,
                case,
                self.backend,
                self.world,
                self.properties,
                costly=costly,
                without=without,
                values=values,
                tell=partial(self._further, case),
            )
        return self._judged[key]

    def _further(self, base: Case, number: int, case: Case, said: Judged) -> None:
        """Enters what was said of further values of a case; where they fail, of the whole observation that they get then."""
        self.further += 1
        for name, verdict in said.items():
            if verdict.outcome not in HARMLESS:
                if base.key() in self._choices:
                    self._choices[case.key()] = self._choices[base.key()]
                    self._numbers[case.key()] = number
                again = self._judge(case, costly=False).get(name, verdict)
                verdict = verdict if again.outcome in HARMLESS else again  # noqa: PLW2901
            tally = self._tallies.setdefault((name, case.policy), _Tally())
            tally.examples += 1
            self._enter(tally, name, case, verdict)

    def _not_its_turn(self) -> frozenset[str]:
        if not self.effort.in_turns or self.group != "eager":
            return frozenset()
        # Which half comes first differs from layer to layer, and from run to run.
        return TURNS[(self.drawn + self.seed) % len(TURNS)]

    def _look(self, case: Case) -> None:
        if self._end is not None and self.drawn and time.perf_counter() > self._end:
            self.cut = True
            return
        if case.key() in self._looked_at or self.spec.older.not_here(case) is not None:
            return
        self._looked_at.add(case.key())
        start = time.perf_counter()
        costly = self.drawn < self.effort.costly
        without = self._not_its_turn()
        self.drawn += 1
        verdicts = self._judge(case, costly=costly, without=without, values=self.effort.values)
        share = (time.perf_counter() - start) / max(1, len(verdicts))
        for name, verdict in verdicts.items():
            tally = self._tallies.setdefault((name, "any" if name in self.overall else case.policy), _Tally())
            tally.examples += 1
            tally.seconds += share
            self._enter(tally, name, case, verdict)

    def _enter(self, tally: _Tally, name: str, case: Case, verdict: Verdict) -> None:
        tally.message = tally.message or verdict.message
        if name in self.overall:
            tally.parts.setdefault(verdict.message.partition(":")[0], []).append((case, verdict))
            return
        if verdict.outcome == PASS:
            return
        if verdict.outcome in HARMLESS:
            tally.unsupported += 1
            return
        issue = self.expected(name, case)
        if issue is not None and verdict.outcome != "broken":
            tally.known.setdefault(issue.id, (case, verdict.message))
        elif tally.worst is None:
            tally.worst = (case, verdict)

    def expected(self, name: str, case: Case) -> KnownIssue | None:
        for issue in self.known.get(name, ()):
            if issue.covers(case.policy, names_of(case)):
                return issue
        return None

    def _replay(self) -> list[Finding]:
        """The register's stored cases: each must still fail as it says."""
        if not self.effort.replays:
            return []
        kept = to_be_replayed(self.known, self.stored, self.backend.name, self.spec.subject)
        return [self._replayed(stored.property, issue, case) for issue, stored, case in kept if stored.mode == self.group]

    def _replayed(self, name: str, issue: KnownIssue, case: Case) -> Finding:
        verdict = self._ended(case) if issue.ends_process else self._judge(case, costly=True).get(name)
        if verdict is not None and verdict.outcome == "broken":
            return Finding(name, case.policy, self.group, "broken", verdict.message, case=case)
        if verdict is not None and verdict.outcome not in HARMLESS:
            return self._known(name, case.policy, issue, case, verdict.message)
        message = f"the register says that it fails: {issue.told()}\n{describe(case)}"
        said = f"\n{verdict.message}" if verdict is not None else "\nthe property does not apply to the stored case"
        return Finding(name, case.policy, self.group, "fixed", message + said, case=case, known_issue=issue.link)

    def _ended(self, case: Case) -> Verdict:
        signal = how_it_ends(case, self.backend.name, ".".join(map(str, self.world.keras)))
        return Verdict(PASS, "the process goes on") if signal is None else failed(f"the process ends: {signal}")

    def _known(self, name: str, dtype: str, issue: KnownIssue, case: Case, message: str) -> Finding:
        text = f"{issue.told()}\n{message}\n{describe(case)}"
        return Finding(name, dtype, self.group, "known", text, case=case, known_issue=issue.link)

    def _finding(self, name: str, dtype: str, tally: _Tally) -> Finding:
        base = Finding(name, dtype, self.group, PASS, tally.message, tally.examples, tally.seconds)
        if tally.parts:
            self._conclude(name, base, tally)
            return base
        if tally.worst is not None:
            case, verdict = self._shrunk(name, *tally.worst)
            base.verdict, base.case = verdict.outcome, case
            base.message = f"{verdict.message}\nsmallest case: {describe(case)}"
        elif tally.known:
            issue_id, (case, message) = next(iter(tally.known.items()))
            issue = next(issue for issue in self.known[name] if issue.id == issue_id)
            known = self._known(name, dtype, issue, case, message)
            base.verdict, base.case, base.known_issue, base.message = "known", case, issue.link, known.message
        elif tally.unsupported == tally.examples:
            base.verdict = "unsupported"
        return base

    def _conclude(self, name: str, finding: Finding, tally: _Tally) -> None:
        """A part that failed in every one of several cases is the finding; known ones aside."""
        held = sorted(part for part, said in tally.parts.items() if any(verdict.outcome == PASS for _, verdict in said))
        never = {
            part: [case for case, _ in said if self.expected(name, case) is None]
            for part, said in tally.parts.items()
            if part not in held and len(said) >= ENOUGH
        }
        dead = {part: cases for part, cases in never.items() if cases}
        finding.message = f"seen of {', '.join(held) or 'nothing'}"
        if dead:
            part, cases = next(iter(dead.items()))
            finding.verdict, finding.case = "fail", min(cases, key=lambda case: len(case.key()))
            finding.message = (
                f"{', '.join(dead)}: without it nothing changes that can be observed, in {len(cases)} cases of {part}\n"
                f"smallest case: {describe(finding.case)}"
            )

    def _shrunk(self, name: str, case: Case, verdict: Verdict) -> tuple[Case, Verdict]:
        """The smallest case found in the time there is that fails in the same way."""
        if verdict.outcome == "broken":
            return case, verdict
        start = time.perf_counter()
        # Where much fails, one cause is likely: the first few get their time, the others what is left.
        end = start + min(self.effort.shrink_s, max(0.0, self._shrink_left_s))
        best = [(case, verdict)]
        policy = case.policy

        def body(candidate: Case) -> None:
            candidate = with_values(candidate, self._numbers.get(case.key(), 0))
            # A case seen before keeps its verdict, so that Hypothesis, which runs some twice, finds no contradiction.
            if candidate.policy != policy or (candidate.key() not in self._judged and time.perf_counter() > end):
                return
            said = self._judge(candidate, costly=True).get(name)
            if said is None or said.outcome in HARMLESS or self.expected(name, candidate) is not None:
                return
            if len(candidate.key()) <= len(best[0][0].key()):
                best[0] = (candidate, said)
            raise StillFails

        choices = self._choices.get(case.key())
        if choices is not None:  # the simplest case has none, and needs none
            shrink(self.spec, self.world, choices, body)
        self._shrink_left_s -= time.perf_counter() - start
        return best[0]
