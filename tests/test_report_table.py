"""What the report works out from the results."""

from __future__ import annotations

from typing import Any

import pytest
from reports import BAD, a_measurement, a_report, a_result, of

from pytest_dlcheck.properties.verdict import HARMLESS, VERDICTS
from pytest_dlcheck.report.table import SEVERITY, Speed, column_of, counts, headline, matrix, speeds, worst
from pytest_dlcheck.report.words import duration, memory, rate

# Worked out from the results.


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({}, "jax"),
        ({"device": None}, "jax"),
        ({"device": "cpu:1"}, "jax on cpu:1"),
        ({"api": "keras"}, "jax"),
        ({"backend": "tensorflow", "api": "tf.keras", "device": "gpu:0"}, "tensorflow (tf.keras) on gpu:0"),
    ],
)
def test_a_column_names_api_and_device_where_they_are_not_the_usual(changes: dict[str, Any], column: str) -> None:
    assert column_of(a_result(**changes)) == column


def test_every_verdict_has_a_severity_and_none_that_fails_a_run_hides_behind_one_that_does_not() -> None:
    assert sorted(SEVERITY) == sorted(VERDICTS)
    assert set(SEVERITY[: len(BAD)]) == set(BAD)
    assert worst(["pass", "known", "fail", "skip"]) == "fail"
    assert worst(["pass", "skip"]) == "skip"


def test_the_matrix_keeps_the_order_and_shows_the_worst_of_each_cell() -> None:
    first = a_result("pass", property="same_shape")
    table = matrix(
        a_report(
            first,
            a_result("imprecise", property="same_values"),
            a_result("pass", subject="layers.Conv2D", backend="torch", device="gpu:0"),
            crashed := a_result("crash", property="same_shape"),
            a_result("skip", backend="torch", property="same_values"),
        )
    )
    shown = {
        subject: {row.column: [cell and cell.verdict for cell in row.cells] for row in rows}
        for subject, rows in table.subjects.items()
    }
    assert table.properties == ["same_shape", "same_values"]
    assert list(shown) == ["layers.Dense", "layers.Conv2D"]
    assert shown["layers.Dense"] == {"jax": ["crash", "imprecise"], "torch": [None, "skip"]}
    assert shown["layers.Conv2D"] == {"torch on gpu:0": ["pass", None]}
    assert table.cells[0].results == [first, crashed]
    assert [cell.number for cell in table.cells] == [0, 1, 2, 3]


def test_counts_start_with_the_worst() -> None:
    assert list(counts(of("pass", "skip", "fail", "pass", "crash")).items()) == [
        ("crash", 1),
        ("fail", 1),
        ("skip", 1),
        ("pass", 2),
    ]


@pytest.mark.parametrize("verdict", BAD)
def test_the_headline_says_that_something_does_not_hold(verdict: str) -> None:
    assert headline(of("pass", verdict, "skip")) == ("1 of 2 checks does not hold", False)


@pytest.mark.parametrize("verdict", HARMLESS)
def test_the_headline_is_good_where_nothing_fails_a_run(verdict: str) -> None:
    _, well = headline(of("pass", verdict))
    assert well


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        (["pass"] * 3 + ["known"], "3 checks hold, 1 fails as known"),
        (["pass", "known", "known"], "1 check holds, 2 fail as known"),
        (["fail", "fail", "pass"], "2 of 3 checks do not hold"),
    ],
)
def test_the_headline_does_not_count_a_known_failure_as_holding(verdicts: list[str], sentence: str) -> None:
    assert headline(of(*verdicts))[0] == sentence


def test_the_headline_counts_what_ran() -> None:
    assert headline(of("pass", "pass", "skip")) == ("All 2 checks hold", True)
    assert headline(of(*["pass"] * 1234))[0] == "All 1,234 checks hold"


@pytest.mark.parametrize("verdicts", [[], ["skip", "skip"]])
def test_a_run_that_checked_nothing_did_not_go_well(verdicts: list[str]) -> None:
    assert headline(of(*verdicts)) == ("Nothing was checked: no test ran", False)


def test_a_run_that_ended_badly_did_not_go_well_though_all_checks_hold() -> None:
    assert headline(a_report(a_result(), exit_status=2)) == ("1 check holds, and the run ended with exit status 2", False)


# Speed.


def test_fit_is_paired_with_the_loop_of_the_same_model_backend_and_device() -> None:
    found = speeds(
        a_report(
            measurements=[
                a_measurement("loop", step_s=[0.010, 0.010, 0.010]),
                a_measurement("loop", step_s=[0.001, 0.001, 0.001], device="gpu:0"),
                a_measurement("fit"),
                a_measurement("fit", backend="torch"),
                a_measurement("loop", subject="models.other"),
            ]
        )
    )
    assert [(speed.subject, speed.column, speed.loop_s) for speed in found] == [
        ("models.mnist_mlp", "jax", [0.010, 0.010, 0.010]),
        ("models.mnist_mlp", "torch", ()),
    ]
    assert found[0].loop_median_s == 0.010
    assert (found[1].loop_median_s, found[1].ratio) == (None, None)


def test_the_figures_of_a_speed() -> None:
    # Chosen so that the median of the ratios is not the ratio of the medians.
    (speed,) = speeds(a_report(measurements=[a_measurement("fit"), a_measurement("loop", step_s=[0.010, 0.005, 0.010])]))
    assert speed.fit_median_s == 0.020
    assert speed.samples_per_second == pytest.approx(1600)
    assert speed.ratio == pytest.approx(4)
    assert speed.call_s == 0.2
    assert speed.compile_s == pytest.approx(1.0 - 0.2 - 0.020)


def test_compiling_takes_no_less_than_nothing() -> None:
    (speed,) = speeds(a_report(measurements=[a_measurement(first_step_s=0.1)]))
    assert speed.compile_s == 0


def test_the_spread_is_the_quartiles() -> None:
    assert Speed.spread([5.0, 1.0, 3.0, 2.0, 4.0]) == (2.0, 4.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 µs"),
        (0.0000456, "45.6 µs"),
        (0.001, "1 ms"),
        (0.012345, "12.3 ms"),
        (1.0, "1 s"),
        (99.4, "99.4 s"),
        (125.9, "2 min 6 s"),
        (99.7, "1 min 40 s"),
        (0.9996, "1 s"),
        (0.0009996, "1 ms"),
    ],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [(0.01234, "0.0123"), (12.345, "12.3"), (1000, "1,000"), (1234567, "1,230,000"), (9996, "10,000"), (999.7, "1,000")],
)
def test_rates_in_words(per_second: float, text: str) -> None:
    assert rate(per_second) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(300 * 2**20, "300 MiB"), (2**30, "1 GiB"), (3 * 2**29, "1.5 GiB"), (2**30 - 1, "1 GiB"), (1007 * 2**30, "1,010 GiB")],
)
def test_memory_in_words(size: int, text: str) -> None:
    assert memory(size) == text


def test_sides_that_were_measured_apart_have_no_pairs_but_a_ratio() -> None:
    (found,) = speeds(a_report(measurements=[a_measurement(), a_measurement("loop", step_s=[0.010, 0.010])]))
    assert found.ratio == pytest.approx(2)


def test_workloads_of_one_module_are_not_taken_for_each_other() -> None:
    (found,) = speeds(a_report(measurements=[a_measurement(), a_measurement("loop", workload="another")]))
    assert found.loop_s == ()
