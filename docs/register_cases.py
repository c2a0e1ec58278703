"""Looks for small cases that show the register's entries, and stores them beside it.

`python docs/register_cases.py torch` draws cases of each entry's subjects until one fails as the entry says, shrinks it, and
writes it to `pytest_dlcheck/known_issues/cases/BACKEND.jsonl`; entries that have a case for the backend are left alone, unless
they are named: `python docs/register_cases.py torch rnn-orthogonal-half`.

`python docs/register_cases.py --reports reports/*/report.json` stores what failed there instead, in whatever version that was:
the shortest case of each entry that has none yet for the backend.
"""

from __future__ import annotations

import fnmatch
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_dlcheck.backends import create, versions
from pytest_dlcheck.cases.case import Case, plain, revive
from pytest_dlcheck.cases.naming import names_of
from pytest_dlcheck.devices import DeviceName, kinds_by_name
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.gradients.findings import PROPERTY_OF
from pytest_dlcheck.gradients.layers import in_float64
from pytest_dlcheck.known_issues import KnownIssue, known_issues, load
from pytest_dlcheck.known_issues.stored import StoredCase, read, written
from pytest_dlcheck.properties.layers.catalogue import GROUPS, of_group
from pytest_dlcheck.register import FAILS, Register
from pytest_dlcheck.report.reading import read_report
from pytest_dlcheck.seeds import derive
from pytest_dlcheck.strategies.draw import StillFails, random_case, shrink
from pytest_dlcheck.subjects.installed import installed_layer
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import LayerSpec, World

FOLDER = Path(__file__).resolve().parent.parent / "pytest_dlcheck" / "known_issues" / "cases"
DRAWN = 40_000
LOOKED_AT = 200
SHRINK_S = 6.0
TIMES = 12
LOOK_S = 60.0
GRADIENTS = frozenset(PROPERTY_OF.values())


class Finder:
    """Looks for cases on one backend."""

    def __init__(self, backend_name: str) -> None:
        self.versions = versions(backend_name)
        self.backend = create(backend_name, kinds_by_name(()))
        self.backend.load()
        self.register = Register(self.backend, self.versions["keras"], lambda *given: True)

    def ways(self, issue: KnownIssue, spec: LayerSpec) -> Iterator[tuple[str, str]]:
        """The properties that the entry speaks of, each with the modes in which it is judged."""
        gradients = issue.property != "accepts" and any(map(issue.names_property, GRADIENTS - {"accepts"}))
        if gradients and not self.backend.trains:
            return
        for mode in GROUPS:
            names = [] if gradients else [each.name for each in of_group(mode)]
            for name in (*names, *(GRADIENTS if gradients else ())):
                if issue.applies(spec.subject, name, self.backend.name, self.versions, "cpu"):
                    yield name, mode

    def found(self, issue: KnownIssue) -> StoredCase | None:
        """A small case that shows the entry."""
        end = time.perf_counter() + LOOK_S
        specs = [spec for spec in SPECS.values() if any(True for _ in self.ways(issue, spec)) and not spec.abstract]
        for name, mode, spec, world, case, choices in self.drawn(issue, specs):
            if time.perf_counter() > end:
                return None
            if self.fails(spec, case, name, mode):
                small = self.shrunk(issue, spec, world, name, mode, case, choices)
                return StoredCase(issue.id, name, self.backend.name, mode, plain(small))
        return None

    def drawn(
        self, issue: KnownIssue, specs: Sequence[LayerSpec]
    ) -> Iterator[tuple[str, str, LayerSpec, World, Case, tuple[int, ...]]]:
        """Cases of which the entry speaks, in each way in which it may show."""
        matching: dict[str, int] = {}
        found = [installed_layer(spec, self.backend, self.versions["keras"], "cpu") for spec in specs]
        here = [(each.spec, each.world) for each in found if not isinstance(each, str)]
        ways = {spec.name: list(self.ways(issue, spec)) for spec, _ in here}
        for number in range(DRAWN // max(1, len(here))):
            for spec, world in here:
                if matching.get(spec.name, 0) > LOOKED_AT:
                    continue
                case, choices = random_case(spec, world, derive(0, spec.subject, str(number)))
                case = self.as_checked(case, ways[spec.name][0][0])
                if not issue.covers(case.policy, names_of(case)) or spec.unsupported(case, world) or spec.older.not_here(case):
                    continue
                matching[spec.name] = matching.get(spec.name, 0) + 1
                for name, mode in ways[spec.name]:
                    yield name, mode, spec, world, case, choices

    def as_checked(self, case: Case, name: str) -> Case:
        """As the check of the property alters what is drawn."""
        if name not in GRADIENTS or name == "accepts" or "float64" not in SPECS[case.name].policies:
            return case
        return case.replace(policy="float64", arguments=in_float64(case.arguments))

    def fails(self, spec: LayerSpec, case: Case, name: str, mode: str) -> bool:
        """Whether it fails every time that it is tried: what is random may fail now and then only."""
        times = TIMES if spec.random(case, True) or spec.random(case, False) else 1
        return all(self.register.judge(case, name, mode)[0] == FAILS for _ in range(times))

    def shrunk(  # noqa: PLR0917 - what a case is of
        self, issue: KnownIssue, spec: LayerSpec, world: World, name: str, mode: str, case: Case, choices: tuple[int, ...]
    ) -> Case:
        best = [case]
        seen: dict[str, bool] = {}
        end = time.perf_counter() + SHRINK_S

        def body(candidate: Case) -> None:
            candidate = self.as_checked(candidate, name)
            key = candidate.key()
            if key not in seen:
                if time.perf_counter() > end or not issue.covers(candidate.policy, names_of(candidate)):
                    return
                supported = spec.unsupported(candidate, world) is None
                seen[key] = supported and self.fails(spec, candidate, name, mode)
            if seen[key]:
                if len(key) <= len(best[0].key()):
                    best[0] = candidate
                raise StillFails

        shrink(spec, world, choices, body)
        return best[0]


def from_reports(paths: Sequence[str], folder: Path = FOLDER) -> None:
    """Stores, for entries without a case, the shortest that failed in these reports.

    Args:
        paths: of `report.json`, or of the folders that hold it.
        folder: of the stored cases.

    Raises:
        DlcheckError: one of them is no report.
    """
    best: dict[tuple[str, str], tuple[int, StoredCase]] = {}
    for report in map(read_report, paths):
        products = {product["backend"]["name"]: product for product in report["product"]}
        for result in report["results"]:
            if result["verdict"] != "fail" or not result.get("case"):
                continue
            installed = {name: each for name, each in products[result["backend"]].items() if isinstance(each, str)}
            case: Case = revive(result["case"])
            stored = StoredCase("", result["property"], result["backend"], result["mode"], plain(case))
            for issue in known_issues(case.subject, stored.property, stored.backend, installed, device="cpu:0"):
                key, size = (issue.id, stored.backend), len(case.key())
                if issue.covers(case.policy, names_of(case)) and size < best.get(key, (size + 1,))[0]:
                    best[key] = size, stored._replace(issue=issue.id)
    for backend_name in sorted({name for _, name in best}):
        path = folder / f"{backend_name}.jsonl"
        kept = list(read(path.read_text("utf-8"), path.name)) if path.exists() else []
        had = {each.issue for each in kept}
        new = [each for (issue, name), (_, each) in best.items() if name == backend_name and issue not in had]
        path.write_text(written([*kept, *new]), "utf-8")
        print(f"{backend_name}: {', '.join(each.issue for each in new) or 'nothing new'}")  # noqa: T201


def main() -> None:
    backend_name, *wanted = sys.argv[1:]
    if backend_name == "--reports":
        try:
            from_reports(wanted)
        except DlcheckError as error:
            sys.exit(f"register_cases: {error}")
        return
    path = FOLDER / f"{backend_name}.jsonl"
    kept = {each.issue: each for each in (read(path.read_text("utf-8"), path.name) if path.exists() else ())}
    finder = Finder(backend_name)
    with finder.backend.activate(DeviceName.parse("cpu")):
        for issue in (each for each in load() if not each.of_difference()):
            chosen = any(fnmatch.fnmatchcase(issue.id, each) for each in wanted) if wanted else issue.id not in kept
            if not chosen or (issue.backends and backend_name not in issue.backends):
                continue
            if not any(issue.names_subject(spec.subject) for spec in SPECS.values()):
                continue
            start = time.perf_counter()
            found = finder.found(issue)
            said = "no case found" if found is None else f"{found.property}, {found.mode}"
            print(f"{issue.id}: {said} ({time.perf_counter() - start:.1f} s)", flush=True)  # noqa: T201
            if found is not None:
                kept[issue.id] = found
                path.write_text(written(list(kept.values())), "utf-8")


if __name__ == "__main__":
    main()
