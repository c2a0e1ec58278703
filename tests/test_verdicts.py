"""From what a test does to the verdict that the report gives it, through a run of pytest."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any

import pytest

from conftest import need
from pytest_dlcheck.properties.verdict import Verdict


def judged(pytester: pytest.Pytester, source: str) -> tuple[pytest.RunResult, dict[str, dict[str, Any]]]:
    """Runs tests on the numpy backend; gives their results by the test's name."""
    need("keras")
    pytester.makepyfile("from pytest_dlcheck.properties.verdict import Verdict\nimport pytest\n" + dedent(source))
    result = pytester.runpytest_subprocess("--dl-backend", "numpy", "--dl-report", "report", "-p", "no:cacheprovider")
    made = json.loads((pytester.path / "report" / "report.json").read_text())
    return result, {each["test"].split("::")[1].split("[")[0]: each for each in made["results"]}


def test_a_harmless_verdict_does_not_fail_its_test(pytester: pytest.Pytester) -> None:
    result, seen = judged(
        pytester,
        """
        def test_a(_dl_backend, dl_judge):
            dl_judge(Verdict("unsupported", "no such dtype"))

        def test_b(_dl_backend, dl_judge):
            dl_judge(Verdict("flaky", "now and then"))

        def test_c(_dl_backend, dl_judge):
            dl_judge(Verdict("known", "around the register"))
        """,
    )
    result.assert_outcomes(passed=1, failed=2)
    assert (seen["test_c"]["verdict"], seen["test_c"]["message"]) == (
        "fail",
        "ValueError: 'known' is not for a property to say",
    )
    assert (seen["test_a"]["verdict"], seen["test_a"]["message"]) == ("unsupported", "no such dtype")
    assert (seen["test_b"]["verdict"], seen["test_b"]["message"]) == ("flaky", "now and then")


def test_a_failure_is_taken_for_nothing_else(pytester: pytest.Pytester) -> None:
    result, seen = judged(
        pytester,
        """
        def test_text(_dl_backend):
            assert "[XPASS(strict)]" in ""

        @pytest.fixture
        def breaks():
            yield
            raise OSError("the disk is full")

        def test_both(_dl_backend, breaks):
            assert 1 == 2

        def test_teardown(_dl_backend, breaks):
            pass

        @pytest.mark.xfail(strict=True, reason="issue 7")
        def test_fixed(_dl_backend):
            pass
        """,
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert {name: each["verdict"] for name, each in seen.items()} == {
        "test_text": "fail",
        "test_both": "fail",
        "test_teardown": "broken",
        "test_fixed": "fixed",
    }
    assert seen["test_both"]["message"].startswith("assert 1 == 2")
    assert "the disk is full" in seen["test_both"]["message"]
    assert "the disk is full" in seen["test_teardown"]["message"]


def test_what_is_no_verdict_is_refused() -> None:
    with pytest.raises(ValueError, match="'weird' is no verdict; there are pass, fail"):
        Verdict("weird", "what it saw")
