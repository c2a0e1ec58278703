"""Expected failures: what an entry says, where it applies, and that it is strict."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet

from conftest import need
from pytest_dlcheck.backends import BACKENDS, DISTRIBUTIONS
from pytest_dlcheck.register import REGISTER, KnownIssue, known_issue

ISSUE = KnownIssue("layers.*", "gradients", "keras", ">=3.1,<3.4", ("jax",), "it is off", "https://example.org/1", "2026-01-02")


@pytest.mark.parametrize("issue", REGISTER, ids=lambda issue: f"{issue.subject} {issue.property}")
def test_an_entry_is_complete(issue: KnownIssue) -> None:
    assert issue.link.startswith("https://")
    assert issue.reason
    assert dt.date.fromisoformat(issue.date) <= dt.datetime.now(dt.timezone.utc).date()
    assert set(issue.backends) <= set(BACKENDS)
    assert issue.distribution in {"keras", "numpy", *(name for names in DISTRIBUTIONS.values() for name in names)}
    # An open end would still expect the failure in versions that nobody has tried.
    assert any(each.operator in ("<", "<=", "==") for each in SpecifierSet(issue.versions))


@pytest.mark.parametrize(
    ("subject", "property_name", "backend", "versions", "applies"),
    [
        ("layers.Dense", "gradients", "jax", {"keras": "3.1.0"}, True),
        ("layers.Dense", "gradients", "jax", {"keras": "3.3.9"}, True),
        ("layers.Dense", "gradients", "jax", {"keras": "3.2.0rc1"}, True),
        ("layers.Dense", "gradients", "jax", {"keras": "3.4.0"}, False),
        ("layers.Dense", "gradients", "jax", {"keras": "3.0.5"}, False),
        ("layers.Dense", "gradients", "jax", {}, False),
        ("layers.Dense", "gradients", "torch", {"keras": "3.1.0"}, False),
        ("layers.Dense", "forward", "jax", {"keras": "3.1.0"}, False),
        ("losses.Huber", "gradients", "jax", {"keras": "3.1.0"}, False),
        (None, "gradients", "jax", {"keras": "3.1.0"}, False),
    ],
)
def test_an_entry_applies_to_what_it_names(
    subject: str | None, property_name: str, backend: str, versions: dict[str, str], applies: bool
) -> None:
    assert known_issue(subject, property_name, backend, versions, [ISSUE]) == (ISSUE if applies else None)


def test_keras_3_1_averages_batches_and_keras_3_2_samples() -> None:
    assert known_issue("models.mnist_mlp", "evaluate", "torch", {"keras": "3.1.1"}) is REGISTER[0]
    assert known_issue("models.mnist_mlp", "evaluate", "torch", {"keras": "3.2.0"}) is None
    assert known_issue("models.mnist_mlp", "evaluate", "tensorflow", {"keras": "2.15.0"}) is None


def run_as(pytester: pytest.Pytester, keras: str, body: str) -> tuple[pytest.RunResult, dict[str, Any]]:
    """Runs one test of a registered subject as if that Keras were installed; gives its result in the report too."""
    need("keras")
    pytester.makeconftest(f"""
        from pytest_dlcheck import backends
        backends.versions = lambda name: {{"keras": "{keras}"}}
    """)
    pytester.makepyfile(f"""
        import pytest
        from pytest_dlcheck.properties.verdict import failed, passed

        @pytest.mark.dl_subject("models.mnist_mlp")
        @pytest.mark.dl_property("evaluate")
        def test_it(_dl_backend, dl_judge):
            {body}
    """)
    result = pytester.runpytest_subprocess("--dl-backend", "numpy", "--dl-report", "report", "-rx", "-p", "no:cacheprovider")
    (seen,) = json.loads((pytester.path / "report" / "report.json").read_text())["results"]
    return result, seen


def test_a_known_failure_does_not_fail_the_run_and_says_why(pytester: pytest.Pytester) -> None:
    result, seen = run_as(pytester, "3.1.1", 'dl_judge(failed("2.25, not 1.67"))')
    result.assert_outcomes(xfailed=1)
    result.stdout.fnmatch_lines([f"*{REGISTER[0].link}*"])
    assert (seen["verdict"], seen["known_issue"]) == ("known", REGISTER[0].link)


def test_a_known_failure_that_is_gone_fails_the_run(pytester: pytest.Pytester) -> None:
    result, seen = run_as(pytester, "3.1.1", 'dl_judge(passed("1.67"))')
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert seen["verdict"] == "fixed"


def test_another_error_is_not_the_known_failure(pytester: pytest.Pytester) -> None:
    result, seen = run_as(pytester, "3.1.1", 'raise RuntimeError("out of memory")')
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert (seen["verdict"], seen["message"]) == ("fail", "RuntimeError: out of memory")


def test_the_same_failure_of_another_version_fails_the_run(pytester: pytest.Pytester) -> None:
    result, seen = run_as(pytester, "3.2.0", 'dl_judge(failed("2.25, not 1.67"))')
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert (seen["verdict"], seen["known_issue"]) == ("fail", None)
