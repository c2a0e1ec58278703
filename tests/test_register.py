"""Expected failures: what an entry says, where it applies, and that it is strict."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet

from conftest import need
from pytest_dlcheck.backends import BACKENDS, DISTRIBUTIONS
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.known_issues import KnownIssue, holds, known_issue, known_issues, load, parse

REGISTER = load()
AVERAGES = next(issue for issue in REGISTER if issue.id == "evaluate-averages-batches")
ISSUE = KnownIssue(
    "gradients-are-off",
    "layers.*",
    "gradients",
    {"keras": ">=3.1,<3.4"},
    "it is off",
    "https://example.org/1",
    "2026-01-02",
    backends=("jax",),
)


@pytest.mark.parametrize("issue", REGISTER, ids=lambda issue: issue.id)
def test_an_entry_is_complete(issue: KnownIssue) -> None:
    assert issue.link.startswith(("https://", "docs/discrepancies.md#", "docs/peers.md#"))
    assert issue.reason
    assert dt.date.fromisoformat(issue.date) <= dt.datetime.now(dt.timezone.utc).date()
    assert set(issue.backends) <= set(BACKENDS)
    assert set(issue.versions) <= {"keras", "numpy", *(name for names in DISTRIBUTIONS.values() for name in names)}
    # An open end would still expect the failure in versions that nobody has tried.
    for versions in (*issue.versions.values(), *issue.peer.values()):
        assert any(each.operator in ("<", "<=", "==") for each in SpecifierSet(versions))


ENTRY = """
[[issue]]
id = "one"
subject = "keras.layers.Dense"
property = "config"
versions = { keras = "==3.15.1" }
reason = "it is off"
link = "https://example.org/1"
date = "2026-01-02"
"""


def test_a_build_under_a_name_of_its_own_is_the_distribution() -> None:
    (entry,) = parse(ENTRY.replace('keras = "==3.15.1"', 'tensorflow = ">=2.20"'))
    assert entry.applies("keras.layers.Dense", "config", "tensorflow", {"tensorflow-cpu": "2.21.0"})
    assert not entry.applies("keras.layers.Dense", "config", "tensorflow", {"tensorflow-cpu": "2.19.0"})
    assert not entry.applies("keras.layers.Dense", "config", "tensorflow", {"keras": "2.21.0"})


def test_entries_are_read_from_toml() -> None:
    (issue,) = parse(ENTRY + 'where = "units > 2"\nbackends = ["jax"]\n')
    assert (issue.id, issue.versions, issue.where, list(issue.backends)) == ("one", {"keras": "==3.15.1"}, "units > 2", ["jax"])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[issue]\n", "not readable as TOML"),
        ('[[issue]]\nid = "one"\n', "one: missing 6 required positional arguments"),
        (ENTRY + 'colour = "red"\n', "one: got an unexpected keyword argument 'colour'"),
        (ENTRY.replace("==3.15.1", "~3"), "one: Invalid specifier"),
        (ENTRY + 'where = "units >"\n', "one: cannot read 'units >'"),
        (ENTRY + "where = \"open('x')\"\n", "it may call only"),
        (ENTRY + 'where = "units.real"\n', "Attribute is not allowed"),
    ],
)
def test_a_wrong_entry_is_named_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(DlcheckError) as caught:
        parse(text, "here.toml")
    assert str(caught.value).startswith("here.toml")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("where", "result"),
    [
        ("", True),
        ("units == 3", True),
        ("units == 3 and padding != 'same'", True),
        ("units > 3 or rank == 2", True),
        ("not (units < 3)", True),
        ("shape[0] in (1, 2)", True),
        ("len(shape) == 2 and max(shape) % 4 == 0", True),
        ("1 < units <= 3", True),
        ("-units == -3", True),
        ("padding is None", True),
        ("(padding or units) == 3", True),
        ("(units and padding) is None", True),
        ("shape[1:] == (4,) and shape[:1] == (2,)", True),
        ("longer((1, 3, 0)) == (3,)", True),
        ("same_padding((5, 2), (2, 3), (3, 1)) == (0, 2)", True),  # windows at 0 and 3: of the last one nothing is missing
        ("same_padding((6,), 1, 3) == (-2,)", True),
        ("fits_float32(0.5) and not fits_float32(0.1)", True),
        ("dilated(2, 3, (1, 2)) == (3, 5)", True),
        ("window_counts((5, 6), (3, 3), 2, None) == (2, 2)", True),
        ("window_counts((5, 6), (3, 3), (2, 3), 'same') == (3, 2)", True),
        ("paired(2, 0, (1, 2)) == ((0, 1), (0, 2))", True),
        ("remainders((3, 4), 2) == (1, 0) and positive((-1, 2)) == (0, 2)", True),
        ("kind(units) == 'int'", True),
        ("units > 3", False),
        ("padding > 3", False),  # which the case does not give
        ("shape[7] == 1", False),
    ],
)
def test_where_says_of_which_cases(where: str, result: bool) -> None:
    assert holds(where, {"units": 3, "shape": (2, 4), "rank": 2}) is result


@pytest.mark.parametrize(
    ("shapes", "batch", "taken"),
    [
        ([(4, 2, 2), (2, 2)], None, False),  # two sizes above 1
        ([(1, 2, 2), (1, 2)], None, False),  # of the last axis, as it is
        ([(1, 2, 2), (1, 2, 1)], None, True),  # of axis 1, and the last one has the same size
        ([(1, 2, 3), (1, 2, 1)], None, False),
        ([(1, 3, 2, 4), (1, 1, 2, 1)], None, False),  # of no axis that a bias may have
        ([(1, 2, 2, 4), (1, 1, 2, 1)], None, True),  # taken for one of axis 1
        ([(4, 2, 2), (4, 2, 1)], None, False),
        ([(4, 2, 2), (4, 2, 1)], 1, True),
        ([(1, 2, 1), (1, 1, 2), (1, 2, 1)], None, True),  # to the sum of the first two
    ],
)
def test_what_tensorflow_takes_for_a_bias(shapes: Any, batch: int | None, taken: bool) -> None:
    where = "taken_for_a_bias(shapes)" if batch is None else f"taken_for_a_bias(shapes, {batch})"
    assert holds(where, {"shapes": tuple(shapes)}) is taken


def test_an_argument_may_be_lacking_in_one_of_several_objects() -> None:
    names = {"objects": (("RNN", {}), ("LSTMCell", {"seed": 1}), ("GRUCell", {}))}
    assert holds("lacking(objects, ('LSTMCell', 'GRUCell'), 'seed')", names)
    assert not holds("lacking(objects, ('LSTMCell',), 'seed')", names)


def test_an_entry_of_some_cases_marks_no_test_as_a_whole() -> None:
    some = ISSUE._replace(where="units > 1")
    assert known_issue("layers.Dense", "gradients", "jax", {"keras": "3.1.0"}, register=[some]) is None
    assert known_issues("layers.Dense", "gradients", "jax", {"keras": "3.1.0"}, register=[some]) == (some,)


def test_an_entry_of_a_kind_of_device_speaks_of_that_kind() -> None:
    on_gpu = ISSUE._replace(devices=("gpu",))
    versions = {"keras": "3.1.0"}
    assert known_issues("layers.Dense", "gradients", "jax", versions, device="gpu:1", register=[on_gpu]) == (on_gpu,)
    assert known_issues("layers.Dense", "gradients", "jax", versions, device="cpu:0", register=[on_gpu]) == ()


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
    assert known_issue(subject, property_name, backend, versions, register=[ISSUE]) == (ISSUE if applies else None)


ON_ONEDNN = ISSUE._replace(backends=("tensorflow",), versions={}, kernels="oneDNN")


@pytest.mark.parametrize(
    ("issue", "onednn", "expected"),
    [
        (ON_ONEDNN, {"float32", "bfloat16"}, ["float32", "bfloat16", "mixed_bfloat16"]),
        (ON_ONEDNN._replace(kernels="Eigen"), {"float32", "bfloat16"}, ["float64", "float16", "mixed_float16"]),
        (ON_ONEDNN._replace(dtypes=("mixed_bfloat16", "float64")), {"float32", "bfloat16"}, ["mixed_bfloat16"]),
        (ON_ONEDNN, set(), None),
        (ON_ONEDNN._replace(kernels="Eigen", dtypes=("float32",)), {"float32"}, None),
        (ON_ONEDNN._replace(kernels=""), {"float32"}, []),
        (ON_ONEDNN, None, []),
    ],
)
def test_an_entry_of_some_kernels_speaks_of_the_policies_that_they_compute(
    issue: KnownIssue, onednn: set[str] | None, expected: list[str] | None
) -> None:
    found = issue.where_computed(onednn)
    assert (None if found is None else list(found.dtypes)) == expected
    seen = known_issues("layers.Dense", "gradients", "tensorflow", {}, onednn=onednn, register=[issue])
    assert bool(seen) is (expected is not None)
    assert (known_issue("layers.Dense", "gradients", "tensorflow", {}, register=[issue]) is None) is bool(issue.kernels)


def test_other_kernels_than_there_are_is_an_error() -> None:
    with pytest.raises(DlcheckError, match="one: kernels are oneDNN or Eigen, and not 'MKL'"):
        parse(ENTRY + 'kernels = "MKL"\n')


@pytest.mark.parametrize(
    ("there", "speaks"),
    [(frozenset(), True), (frozenset({"jax"}), True), (frozenset({"tensorflow", "jax"}), False), (None, True)],
    ids=["nothing", "another", "it", "unknown"],
)
def test_an_entry_of_what_is_not_installed(there: frozenset[str] | None, speaks: bool) -> None:
    (issue,) = parse(ENTRY + 'without = ["tensorflow"]\n')
    found = None if there is None else there.__contains__
    asked = ("keras.layers.Dense", "config", "torch", {"keras": "3.15.1"})
    assert bool(known_issues(*asked, found=found, register=[issue])) is speaks


def test_keras_3_1_averages_batches_and_keras_3_2_samples() -> None:
    assert known_issue("models.mnist_mlp", "evaluate", "torch", {"keras": "3.1.1"}) is AVERAGES
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
    result.stdout.fnmatch_lines([f"*{AVERAGES.link}*"])
    assert (seen["verdict"], seen["known_issue"]) == ("known", AVERAGES.link)


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
