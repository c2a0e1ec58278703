"""How far a run is, and how long it still takes."""

from __future__ import annotations

import types
from typing import Any, ClassVar

import pytest

from conftest import need
from pytest_dlcheck.items import Facts
from pytest_dlcheck.progress import CACHED, EVERY_S, FIRST_GUESS_S, PRIOR, Progress, kind_of, remaining_seconds
from pytest_dlcheck.report.words import duration


def facts(name: str, backend: str | None = "jax", *, timed: bool = False) -> Facts:
    return Facts(f"test_it.py::{name}", backend, None, "models.mlp", None, None, timed=timed)


class TestRemainingSeconds:
    KNOWN: ClassVar = {"test_it.py::test_a jax": 4.0, "test_it.py::test_a torch": 6.0, "test_it.py::test_t jax": 10.0}

    def test_one_process_does_everything_in_turn(self) -> None:
        left = [facts("test_a[jax]"), facts("test_a[torch]", "torch"), facts("test_t[jax]", timed=True)]
        assert remaining_seconds(left, self.KNOWN, {}) == 4 + 6 + 10

    def test_backends_run_side_by_side_and_timed_tests_after_them(self) -> None:
        left = [facts("test_a[jax]"), facts("test_a[torch]", "torch"), facts("test_t[jax]", timed=True)]
        assert remaining_seconds(left, self.KNOWN, {"jax": 1, "torch": 1}) == 6 + 10

    def test_workers_of_one_backend_share_its_tests(self) -> None:
        left = [facts(f"test_a[jax-{number}]") for number in range(6)]
        assert remaining_seconds(left, self.KNOWN, {"jax": 3, "torch": 1}) == 6 * 4 / 3

    def test_of_what_was_never_seen_there_is_a_guess(self) -> None:
        assert remaining_seconds([facts("test_new"), facts("test_t2", timed=True)], {}, {}) == sum(FIRST_GUESS_S.values())

    def test_nothing_left_takes_no_time(self) -> None:
        assert remaining_seconds([], self.KNOWN, {"jax": 1}) == 0

    def test_parameters_do_not_make_a_kind_but_the_backend_does(self) -> None:
        assert kind_of(facts("test_a[jax-1]")) == kind_of(facts("test_a[jax-2]")) != kind_of(facts("test_a[x]", "torch"))


class FakeRun:
    """A controller of one worker, with a cache."""

    def __init__(self, tests: list[Facts], cached: object = None) -> None:
        self.facts = {"gw0": tests}
        self.workers = ["jax"]
        self.is_controller = True
        self.lines: list[str] = []
        self.kept: dict[str, Any] = {}
        self.config = types.SimpleNamespace(
            cache=types.SimpleNamespace(get=lambda _, default: cached or default, set=self.kept.__setitem__)
        )

    def say(self, line: str) -> None:
        self.lines.append(line)


def report(test: Facts, seconds: float) -> Any:
    return types.SimpleNamespace(nodeid=test.nodeid, when="teardown", duration=seconds)


def watched(tests: list[Facts], per_test_s: float, cached: object = None) -> FakeRun:
    """What is said when the tests finish one after the other."""
    now = 0.0
    run = FakeRun(tests, cached)
    progress = Progress(run, clock=lambda: now)  # type: ignore[arg-type]
    for test in tests:
        now += per_test_s
        progress.pytest_runtest_logreport(report(test, per_test_s))
    progress.pytest_sessionfinish(types.SimpleNamespace(config=run.config))  # type: ignore[arg-type]
    return run


class TestProgress:
    def test_says_what_how_far_and_how_long_still(self) -> None:
        cached = {"test_it.py::test_a jax": EVERY_S}
        run = watched([facts(f"test_a[jax-{number}]") for number in range(4)], EVERY_S, cached)
        assert run.lines == [
            f"1 of 4 tests (models.mlp, jax), about {3 * EVERY_S:g} s to go",
            f"2 of 4 tests (models.mlp, jax), about {2 * EVERY_S:g} s to go",
            f"3 of 4 tests (models.mlp, jax), about {EVERY_S:g} s to go",
        ]

    def test_one_slow_test_does_not_make_all_of_its_kind_slow(self) -> None:
        (first, *_) = watched([facts(f"test_a[jax-{number}]") for number in range(10)], EVERY_S).lines
        seconds = (EVERY_S + PRIOR * FIRST_GUESS_S[False]) / (1 + PRIOR)
        assert first.endswith(f"about {duration(round(9 * seconds / 5) * 5)} to go")

    def test_a_short_run_is_left_in_peace(self) -> None:
        assert watched([facts(f"test_a[jax-{number}]") for number in range(4)], EVERY_S / 5).lines == []

    def test_tests_that_are_not_ours_are_left_in_peace(self) -> None:
        assert watched([facts(f"test_{number}", None) for number in range(4)], EVERY_S).lines == []

    def test_the_next_run_knows_how_long_things_take(self) -> None:
        kept = watched([facts("test_a[jax-1]"), facts("test_a[jax-2]")], 7.0).kept
        assert kept == {CACHED: {"test_it.py::test_a jax": 7.0}}, "the mean that was seen"
        following = watched([facts("test_b"), facts("test_a[jax-1]")], EVERY_S, kept[CACHED])
        assert following.lines[0].endswith("about 5 s to go")

    def test_a_broken_cache_does_no_harm(self) -> None:
        assert watched([facts("test_a"), facts("test_b")], EVERY_S, ["not", "a", "mapping"]).lines


def test_a_line_stands_on_a_line_of_its_own(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    need("keras")
    monkeypatch.setattr("pytest_dlcheck.progress.EVERY_S", 0.0)
    pytester.makepyfile("""
        import pytest

        @pytest.mark.parametrize("number", range(3))
        def test_a(_dl_backend, number):
            pass
    """)
    result = pytester.runpytest_inprocess("--dl-backend", "numpy")
    result.stdout.fnmatch_lines(["dlcheck: 1 of 3 tests (numpy), about 5 s to go", "dlcheck: 2 of 3 *"])
    result.assert_outcomes(passed=3)
