"""Sets the version ranges of the register's entries to what was seen.

`dlcheck register --backend torch --json keras-3.8.0.json` in one environment for each version, then
`python docs/register_ranges.py *.json`: an entry's range of Keras begins with the oldest version from which on every stored
case failed up to the newest; its range of a backend's framework likewise, from runs with the newest Keras. Versions in which a
case has nothing to show (a layer or an argument that does not exist yet) end a range as those in which it holds do.
`--older` takes runs in which Keras and its framework are of one time (those of the tox matrix): a range that names Keras
alone, of an entry of one backend, then begins earlier, with the oldest of them from which on the entry failed in each. Nothing
else changes.
`--patches` takes runs of earlier patches of the minor version with which a range of Keras begins: it then begins with the
oldest of them from which on every run failed, whatever backend it was on, since patches of one minor version differ little.
`--dry` only prints what it would set.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.version import Version

from pytest_dlcheck.known_issues import KnownIssue, load
from pytest_dlcheck.register import BROKEN, FAILS, HOLDS, SCHEMA

FOLDER = Path(__file__).resolve().parent.parent / "pytest_dlcheck" / "known_issues"
FRAMEWORKS = ("tensorflow", "jax", "torch")


class Runs:
    """What was seen of every entry in every product."""

    def __init__(self, reports: Sequence[Mapping[str, Any]]) -> None:
        # By entry: the versions of a product, and whether all that it looked at failed.
        self.of: dict[str, list[tuple[dict[str, Version], str, bool]]] = {}
        for report in reports:
            versions = {_plain(name): Version(version) for name, version in report["versions"].items()}
            seen: dict[str, list[str]] = {}
            for each in report["results"]:
                seen.setdefault(each["issue"], []).append(each["outcome"])
            for issue, outcomes in seen.items():
                fails = FAILS in outcomes and not {HOLDS, BROKEN} & set(outcomes)
                self.of.setdefault(issue, []).append((versions, report["backend"], fails))

    def range(self, issue: str, package: str) -> str | None:
        """The versions of a package in which the entry shows, the other packages at their newest."""
        runs = self.of.get(issue, [])
        newest = {name: max(versions[name] for versions, _, _ in runs if name in versions) for name in _names(runs)}
        kept = [
            (versions[package], fails)
            for versions, _, fails in runs
            if package in versions
            and all(versions[name] == newest[name] for name in versions if name not in (package, "numpy"))
        ]
        by_version: dict[Version, bool] = {}
        for version, fails in kept:
            by_version[version] = by_version.get(version, True) and fails
        first = last = None
        for version in sorted(by_version, reverse=True):
            if not by_version[version]:
                break
            first, last = version, last or version
        if last is None or first is None:
            return None
        return f"=={last}" if first == last else f">={first},<={last}"


def _names(runs: Sequence[tuple[dict[str, Version], str, bool]]) -> set[str]:
    return {name for versions, _, _ in runs for name in versions}


def _plain(name: str) -> str:
    """`tensorflow-cpu` is `tensorflow`."""
    return next((framework for framework in FRAMEWORKS if name.startswith(framework)), name)


def ranges_of(issue: KnownIssue, runs: Runs) -> dict[str, str]:
    """The entry's ranges as they were seen; those of which nothing was seen as they stand."""
    found = dict(issue.versions)
    for package in ("keras", *FRAMEWORKS):
        seen = runs.range(issue.id, package)
        if seen is None:
            continue
        # Of a framework only where the entry names it, or where an older one does not show it.
        one_backend = list(issue.backends) == [package]
        older = {versions[package] for versions, _, _ in runs.of[issue.id] if package in versions}
        bounded = seen.startswith("==") or Version(seen[2:].partition(",")[0]) > min(older)
        if package == "keras" or (len(older) > 1 and (package in found or (one_backend and bounded))):
            found[package] = seen
    return found


def begun_earlier(issue: KnownIssue, runs: Runs) -> dict[str, str]:
    """The entry's ranges, that of Keras alone begun with the oldest version from which on every run failed."""
    bounds = re.fullmatch(r"(?:==|>=([\d.]+),<=)([\d.]+)", issue.versions.get("keras", ""))
    if set(issue.versions) != {"keras"} or len(issue.backends) != 1 or bounds is None:
        return dict(issue.versions)
    first, last = Version(bounds[1] or bounds[2]), bounds[2]
    by_version: dict[Version, bool] = {}
    for versions, _, fails in runs.of.get(issue.id, []):
        by_version[versions["keras"]] = by_version.get(versions["keras"], True) and fails
    for version in sorted((each for each in by_version if each < first), reverse=True):
        if not by_version[version]:
            break
        first = version
    return {"keras": f"=={last}" if str(first) == last else f">={first},<={last}"}


def begun_with_an_earlier_patch(issue: KnownIssue, runs: Runs) -> dict[str, str]:
    """The entry's ranges, that of Keras begun with an earlier patch of the same minor version where every run of it failed."""
    bounds = re.fullmatch(r"(?:==|>=([\d.]+),<=)([\d.]+)", issue.versions.get("keras", ""))
    if bounds is None:
        return dict(issue.versions)
    first, last = Version(bounds[1] or bounds[2]), bounds[2]
    earlier = [
        (versions["keras"], fails)
        for versions, _, fails in runs.of.get(issue.id, [])
        if versions["keras"].release[:2] == first.release[:2] and versions["keras"] < first
    ]
    for version in sorted({version for version, _ in earlier}, reverse=True):
        if not all(fails for other, fails in earlier if other == version):
            break
        first = version
    return {**issue.versions, "keras": f"=={last}" if str(first) == last else f">={first},<={last}"}


def main() -> None:
    paths = [Path(each) for each in sys.argv[1:] if not each.startswith("--")]
    reports = [json.loads(path.read_text("utf-8")) for path in paths]
    if any(each.get("schema") != SCHEMA for each in reports) or not reports:
        sys.exit("register_ranges: give the files that `dlcheck register --json` wrote")
    runs = Runs(reports)
    rules = {"--older": begun_earlier, "--patches": begun_with_an_earlier_patch}
    rule = next((rule for option, rule in rules.items() if option in sys.argv), ranges_of)
    wanted = {issue.id: rule(issue, runs) for issue in load() if not issue.of_difference()}
    for path in sorted(FOLDER.glob("*.toml")):
        text = path.read_text("utf-8")
        blocks = re.split(r"(?m)^(?=\[\[issue\]\])", text)
        for number, block in enumerate(blocks):
            name = re.search(r'(?m)^id = "(.*)"', block)
            if name is None or name[1] not in wanted:
                continue
            said = ", ".join(f'{package} = "{allowed}"' for package, allowed in wanted[name[1]].items())
            blocks[number] = re.sub(r"(?m)^versions = .*$", f"versions = {{ {said} }}", block)
            if blocks[number] != block:
                print(f"{name[1]}: {said}")  # noqa: T201
        if "--dry" not in sys.argv:
            path.write_text("".join(blocks), "utf-8")


if __name__ == "__main__":
    main()
