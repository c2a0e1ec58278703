"""The scripts that keep the register's stored cases and version ranges: `docs/register_cases.py`, `docs/register_ranges.py`."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from reports import a_report, a_result

from pytest_dlcheck.cases.case import Build, Case, Tensor, plain, revive
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.known_issues import KnownIssue
from pytest_dlcheck.known_issues.stored import read

DOCS = Path(__file__).resolve().parent.parent / "docs"
ISSUE = KnownIssue("one", "keras.layers.Dense", "config", {"keras": "==3.15.1"}, "it is off", "docs", "2026-11-23", ["jax"])


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ran(outcome: str, backend: str = "jax", **versions: str) -> dict[str, Any]:
    """What `dlcheck register --json` writes of one product and one case."""
    return {"backend": backend, "versions": versions, "results": [{"issue": "one", "outcome": outcome}]}


def failed(case: Case, verdict: str = "fail", **changes: Any) -> dict[str, Any]:
    return a_result(verdict, subject=case.subject, property="config", mode="eager", case=plain(case), **changes)


def seeded(seed: int | None, **arguments: Any) -> Case:
    return Case("keras.layers.JaxLayer", {"seed": seed, **arguments}, Tensor((2, 3)))


class TestCasesFromReports:
    def stored(self, folder: Path, *results: Mapping[str, Any]) -> list[Case]:
        report = folder / "report.json"
        report.write_text(json.dumps(a_report(*results)), "utf-8")
        script("register_cases").from_reports([str(report)], folder)
        text = (folder / "jax.jsonl").read_text("utf-8") if (folder / "jax.jsonl").exists() else ""
        kept = read(text, "jax.jsonl")
        assert {each.issue for each in kept} <= {"jaxlayer-config-seed"}
        return [revive(each.case) for each in kept]

    def test_the_shortest_that_an_entry_speaks_of_is_kept(self, tmp_path: Path) -> None:
        results = [failed(seeded(7, call_fn=Build("a.b"))), failed(seeded(7)), failed(seeded(None))]
        assert self.stored(tmp_path, *results) == [seeded(7)]

    def test_what_did_not_fail_is_not(self, tmp_path: Path) -> None:
        assert not self.stored(tmp_path, failed(seeded(7), "known"), failed(seeded(None)))

    def test_an_entry_that_has_a_case_keeps_it(self, tmp_path: Path) -> None:
        self.stored(tmp_path, failed(seeded(11, call_fn=Build("a.b"))))
        assert self.stored(tmp_path, failed(seeded(7))) == [seeded(11, call_fn=Build("a.b"))]

    def test_a_file_that_is_no_report_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "report.json").write_text('{"schema": "other"}', "utf-8")
        with pytest.raises(DlcheckError, match=r"report\.json has schema 'other'"):
            script("register_cases").from_reports([str(tmp_path)], tmp_path)


class TestRanges:
    def test_a_range_begins_where_every_newer_version_fails(self) -> None:
        ranges = script("register_ranges")
        runs = [
            ran("fails", keras="3.8.0"),
            ran("holds", keras="3.9.2"),
            ran("fails", keras="3.10.0"),
            ran("fails", keras="3.15.1"),
        ]
        assert ranges.ranges_of(ISSUE, ranges.Runs(runs)) == {"keras": ">=3.10.0,<=3.15.1"}

    def test_what_was_not_looked_at_stays(self) -> None:
        ranges = script("register_ranges")
        assert ranges.ranges_of(ISSUE, ranges.Runs([])) == {"keras": "==3.15.1"}

    def test_runs_of_older_products_only_lengthen_a_range(self) -> None:
        ranges = script("register_ranges")
        runs = [ran("fails", keras="3.8.0"), ran("fails", keras="3.3.3"), ran("not here", keras="3.0.5")]
        assert ranges.begun_earlier(ISSUE, ranges.Runs(runs)) == {"keras": ">=3.3.3,<=3.15.1"}
        held = [*runs, ran("holds", keras="3.8.0")]
        assert ranges.begun_earlier(ISSUE, ranges.Runs(held)) == {"keras": "==3.15.1"}

    def test_a_range_begins_with_an_earlier_patch_of_the_same_minor_version_alone(self) -> None:
        ranges = script("register_ranges")
        issue = ISSUE._replace(versions={"keras": ">=3.9.2,<=3.15.1"})
        runs = [ran("fails", keras="3.9.1"), ran("fails", keras="3.9.0"), ran("fails", keras="3.8.0")]
        assert ranges.begun_with_an_earlier_patch(issue, ranges.Runs(runs)) == {"keras": ">=3.9.0,<=3.15.1"}
        held = [*runs, ran("holds", keras="3.9.0")]
        assert ranges.begun_with_an_earlier_patch(issue, ranges.Runs(held)) == {"keras": ">=3.9.1,<=3.15.1"}
        assert ranges.begun_with_an_earlier_patch(ISSUE, ranges.Runs([])) == {"keras": "==3.15.1"}

    def test_an_entry_of_several_backends_keeps_its_range(self) -> None:
        ranges = script("register_ranges")
        issue = ISSUE._replace(backends=["jax", "torch"])
        assert ranges.begun_earlier(issue, ranges.Runs([ran("fails", keras="3.8.0")])) == {"keras": "==3.15.1"}
