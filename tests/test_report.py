"""The report as it is written: chart, page, summary, JSON, and that no text of a test can break them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from reports import BAD, HOSTILE, STARTED, Page, a_measurement, a_report, a_result, of, plotted, table_under

from conftest import Runs
from pytest_dlcheck.devices import DeviceName
from pytest_dlcheck.items import Facts
from pytest_dlcheck.options import Plan
from pytest_dlcheck.properties.verdict import VERDICTS
from pytest_dlcheck.report.chart import throughput_chart
from pytest_dlcheck.report.collect import Result
from pytest_dlcheck.report.html import GLYPHS, page
from pytest_dlcheck.report.markdown import MOST_LISTED, summary
from pytest_dlcheck.report.table import headline, speeds
from pytest_dlcheck.report.write import as_json, write
from pytest_dlcheck.run import Run


def test_the_chart_draws_fit_loop_and_what_lies_between() -> None:
    drawn = plotted(
        throughput_chart(
            speeds(
                a_report(
                    measurements=[
                        a_measurement("fit"),
                        a_measurement("loop", step_s=[0.005, 0.010, 0.010]),
                        a_measurement("fit", backend="torch"),
                    ]
                )
            )
        )
    )
    assert set(drawn) == {"line", "jax, fit", "jax, own loop", "torch, fit"}
    fit, loop = drawn["jax, fit"], drawn["jax, own loop"]
    assert fit["x"] == pytest.approx([1600])
    assert loop["x"] == pytest.approx([3200])
    assert drawn["line"]["x"] == pytest.approx([1600, 3200])
    assert fit["y"] == loop["y"] == [["mnist_mlp"], ["jax"]]
    assert drawn["torch, fit"]["y"] == [["mnist_mlp"], ["torch"]]
    assert (fit["marker"]["symbol"], loop["marker"]["symbol"]) == ("circle", "circle-open")
    assert fit["marker"]["color"] != drawn["torch, fit"]["marker"]["color"]
    # Half of the steps take 15 ms to 30 ms.
    assert 1600 + fit["error_x"]["array"][0] == pytest.approx(32 / 0.015)
    assert 1600 - fit["error_x"]["arrayminus"][0] == pytest.approx(32 / 0.030)


# The page.


@pytest.mark.parametrize(
    "report",
    [
        a_report(),
        a_report(a_result(), a_result("fail", message="off by 3", details="a traceback")),
        a_report(a_result(), measurements=[a_measurement("fit"), a_measurement("loop")]),
    ],
    ids=["empty", "failures", "measurements"],
)
def test_the_page_needs_nothing_from_elsewhere(report: dict[str, Any]) -> None:
    seen = Page(page(report))
    assert not [tag for tag, _ in seen.elements if tag in ("link", "iframe", "img", "object", "embed", "base")]
    assert not [attrs for _, attrs in seen.elements if {"src", "href", "srcset", "data", "action"} & set(attrs)]
    styles = " ".join(text for _, text in seen.all("style"))
    assert "url(" not in styles
    assert "@import" not in styles
    assert seen.title == headline(report)[0]


def test_the_page_has_a_chart_only_of_what_was_measured() -> None:
    without, with_one = page(a_report(a_result())), page(a_report(a_result(), measurements=[a_measurement()]))
    assert "Plotly" not in without
    assert "How fast it trains" not in without
    assert plotted(with_one)["jax, fit"]["x"] == pytest.approx([1600])
    cells = [text for _, text in Page(with_one).all("td")]
    assert {"mnist_mlp", "1,600", "20 ms", "15 ms – 30 ms", "1.5 GiB"} <= set(cells)  # noqa: RUF001 - a dash is meant


def test_every_verdict_has_a_glyph_of_its_own() -> None:
    assert sorted(GLYPHS) == sorted(VERDICTS)
    assert len(set(GLYPHS.values())) == len(GLYPHS)
    shown = Page(page(of(*VERDICTS))).glyphs
    assert shown == {f"layers.Dense, p{i}, jax: {verdict}": GLYPHS[verdict] for i, verdict in enumerate(VERDICTS)}


def test_a_failure_shows_in_the_headline_the_counts_and_the_matrix() -> None:
    seen = Page(page(a_report(a_result(), a_result("pass", property="other"), a_result("fail", message="off by 3"))))
    assert seen.title == "1 of 3 checks does not hold"
    assert not seen.all("h1", **{"class": "well"})
    assert [text for attrs, text in seen.all("span") if "verdict" in str(attrs.get("class"))] == ["✗ 1 fail", "✓ 2 pass"]
    assert seen.glyphs == {"layers.Dense, same shape, jax: fail": "✗", "layers.Dense, other, jax: pass": "✓"}
    assert len(seen.all("button", **{"class": "verdict v-fail"})) == 1


def test_each_cell_opens_its_own_results() -> None:
    results = [a_result(), a_result("fail", message="off by 3"), a_result(backend="torch"), a_result(subject="layers.GRU")]
    seen = Page(page(a_report(*results)))
    details = json.loads(seen.details)
    assert {attrs["aria-label"]: details[attrs["data-cell"]] for attrs, _ in seen.all("button") if "data-cell" in attrs} == {
        "layers.Dense, same shape, jax: fail": results[:2],
        "layers.Dense, same shape, torch: pass": results[2:3],
        "layers.GRU, same shape, jax: pass": results[3:],
    }


def test_a_page_without_failures_says_so() -> None:
    seen = Page(page(of("pass", "skip")))
    assert seen.title == "1 check holds"
    assert seen.all("h1", **{"class": "well"})


def test_the_filter_for_what_is_not_a_pass_finds_every_such_row() -> None:
    seen = Page(page(a_report(a_result(), a_result("known", backend="torch"), a_result("fail", subject="layers.GRU"))))
    bad = {attrs["data-text"]: attrs["data-bad"] for attrs, _ in seen.all("tr") if "data-text" in attrs}
    assert bad == {"layers.Dense jax": "0", "layers.Dense torch": "1", "layers.GRU jax": "1"}


def test_the_page_names_the_product_and_what_is_left_out() -> None:
    seen = Page(page(a_report(a_result())))
    assert [" ".join(text.split()) for _, text in seen.all("td")][:4] == [
        "jax",
        "jax 0.7.1, keras 3.15.1",
        "cpu:0, gpu:0, H200 (driver 570.1)",
        "Python 3.11.7, Some CPU, 16 cores, 128 GiB, Linux 6.1",
    ]
    soft = " ".join(text for _, text in seen.all("p"))
    assert "torch is left out: not installed." in soft
    assert "2025-03-04 05:06 UTC, 2 min 5 s, seed 11" in soft


def test_no_text_of_a_test_becomes_part_of_the_page() -> None:
    hostile = a_result("fail", **dict.fromkeys(("subject", "property", "message", "details", "test"), HOSTILE))
    tame = {key: "x" if value == HOSTILE else value for key, value in hostile.items()}

    def shape(result: dict[str, Any]) -> tuple[Page, list[str]]:
        seen = Page(page(a_report(result, measurements=[a_measurement(subject=result["subject"])])))
        return seen, [tag for tag, _ in seen.elements]

    (seen, tags), (_, expected) = shape(hostile), shape(tame)
    assert tags == expected
    assert json.loads(seen.details) == {"0": [hostile]}
    assert "<" not in seen.details, "what ends a script element, or starts a comment in one, must not be in it"
    assert [text for _, text in seen.all("th", **{"class": "subject"})] == [HOSTILE]
    (row,) = (attrs for attrs, _ in seen.all("tr") if "data-subject" in attrs)
    assert row["data-subject"] == HOSTILE
    assert HOSTILE in [text for _, text in seen.all("td")]


# The summary.


def test_the_summary_lists_what_does_not_hold_and_nothing_else() -> None:
    text = summary(
        a_report(
            a_result(),
            a_result("fail", property="same_values", message="off by 3", device="gpu:0"),
            a_result("known", message="issue 7"),
            a_result("crash", subject="layers.GRU", backend="torch"),
        )
    )
    assert text.startswith("# 2 of 4 checks do not hold\n")
    assert "1 crash, 1 fail, 1 known, 1 pass. Seed 11, profile nightly, 2 min 5 s" in text
    assert table_under("What does not hold", text) == [
        ["layers.Dense", "same_values", "jax on gpu:0", "fail", "off by 3"],
        ["layers.GRU", "same_shape", "torch", "crash", ""],
    ]


@pytest.mark.parametrize("verdict", BAD)
def test_the_summary_lists_every_verdict_that_fails_a_run(verdict: str) -> None:
    assert [row[3] for row in table_under("What does not hold", summary(of("pass", verdict)))] == [verdict]


def test_the_summary_counts_what_holds_of_what_ran() -> None:
    text = summary(
        a_report(
            a_result(),
            a_result("fail"),
            a_result("skip"),
            a_result("skip", backend="torch"),
            a_result(subject="layers.GRU"),
        )
    )
    assert table_under("Checks that hold", text) == [["layers.Dense", "1 of 2", "skipped"], ["layers.GRU", "1 of 1", ""]]


def test_a_long_list_of_failures_is_cut_and_says_so() -> None:
    text = summary(of(*["fail"] * (MOST_LISTED + 7)))
    assert len(table_under("What does not hold", text)) == MOST_LISTED
    assert "and 7 more, in `report.json`" in text
    assert "more, in" not in summary(of(*["fail"] * MOST_LISTED))


def test_the_summary_gives_products_and_speeds() -> None:
    text = summary(a_report(a_result(), measurements=[a_measurement(), a_measurement("loop", step_s=[0.005, 0.010, 0.020])]))
    assert table_under("Products", text) == [
        ["jax", "jax 0.7.1, keras 3.15.1", "cpu:0, gpu:0", "Python 3.11.7, Some CPU, 16 cores, Linux 6.1"]
    ]
    assert table_under("Training speed", text) == [["models.mnist_mlp", "jax", "32", "1,600", "20 ms", "10 ms", "2.00", "1 s"]]


def test_a_summary_of_nothing_has_no_empty_sections() -> None:
    assert re.findall(r"^##? .*$", summary(a_report()), re.MULTILINE) == ["# Nothing was checked: no test ran", "## Products"]


def test_no_text_of_a_test_breaks_a_table_of_the_summary() -> None:
    hostile = a_result("fail", **dict.fromkeys(("subject", "property", "message"), HOSTILE))
    text = summary(a_report(hostile, a_result("fail"), measurements=[a_measurement(subject=HOSTILE)]))

    failures, holding, speed = (
        table_under(name, text) for name in ("What does not hold", "Checks that hold", "Training speed")
    )
    assert [row[2:4] for row in failures] == [["jax", "fail"], ["jax", "fail"]]
    assert [row[1:] for row in holding] == [["0 of 1"], ["0 of 1"]]
    assert [row[1:3] for row in speed] == [["jax", "32"]]
    assert all("alert(1)" in rows[0][0] and "second line" in rows[0][0] for rows in (failures, holding, speed))


# The files.


@pytest.fixture
def run(pytestconfig: pytest.Config) -> Run:
    devices = {"jax": (DeviceName("cpu"), DeviceName("gpu", 1)), "torch": (DeviceName("cpu"),)}
    plan = Plan(("jax", "torch"), devices, kinds={}, seed=11, profile="nightly", left_out={"tensorflow": "not installed"})
    return Run(pytestconfig, plan)


def facts(name: str, backend: str = "jax", **changes: Any) -> Facts:
    known = {"device": "cpu:0", "subject": None, "property": None, "api": None, "timed": False, **changes}
    return Facts(f"tests/test_layers.py::{name}[{backend}]", backend, **known)


def written(run: Run, *results: Result) -> dict[str, Any]:
    return as_json(run, results, started=STARTED, seconds=1.23456, exit_status=1)


def test_the_json_has_what_the_schema_names(run: Run) -> None:
    tested = facts("test_a", subject="layers.Dense", property="same_shape", api="keras")
    made = written(run, Result(tested, "fail", "off", "tb", 0.1))

    assert set(made) == {"schema", "product", "run", "results", "measurements"}
    assert made["schema"] == "dlcheck-report/1"
    assert made["run"] == {
        "seed": 11,
        "profile": "nightly",
        "started": "2025-03-04T05:06:07+00:00",
        "seconds": 1.235,
        "suite": made["run"]["suite"],
        "exit_status": 1,
        "left_out": {"tensorflow": "not installed"},
    }
    assert [product["backend"] for product in made["product"]] == [{"name": "jax"}, {"name": "torch"}]
    assert [product["device"]["names"] for product in made["product"]] == [["cpu:0", "gpu:1"], ["cpu:0"]]
    assert all({"python", "cpu", "os"} <= set(product) for product in made["product"])
    (result,) = made["results"]
    assert result == a_result("fail", api="keras", seconds=0.1, message="off", details="tb", test=tested.nodeid)


def test_a_test_that_names_no_subject_stands_under_its_module_and_its_name(run: Run) -> None:
    (result,) = written(run, Result(facts("test_a")))["results"]
    assert (result["subject"], result["property"]) == ("tests/test_layers", "test_a")


def test_results_come_in_the_order_of_collection(run: Run) -> None:
    collected = [facts(name, backend) for name in ("test_z", "test_a") for backend in ("torch", "jax")]
    run.facts = {"gw0": collected, "gw1": collected}
    unknown = facts("test_of_no_worker")
    made = written(run, *(Result(each) for each in (unknown, collected[3], collected[0], collected[2], collected[1])))
    assert [each["test"] for each in made["results"]] == [each.nodeid for each in (*collected, unknown)]


def test_a_measurement_is_kept_whole_for_the_side_that_its_test_asked_for(run: Run) -> None:
    side = {"first_step_s": 1.0, "samples_s": (0.010, 0.020, 0.040), "calls_s": (0.1, 0.3, 0.2), "steps_per_block": 9}
    entry = {
        **{key: a_measurement()[key] for key in ("backend", "device", "batch_size", "import_s", "start_s", "build_s")},
        "side": "loop",
        "workload": "mnist_mlp",
        "data": "drawn",
        "threads": 2,
        "peak_memory_bytes": 3 * 2**29,
        "sides": {"fit": {**side, "samples_s": (9.0, 9.0)}, "loop": side},
    }
    tested = facts("test_step", subject="models.mnist_mlp", timed=True)
    (made,) = written(run, Result(tested, "pass", measurements=[entry]))["measurements"]
    assert made == a_measurement("loop", test=tested.nodeid, data="drawn", threads=2, steps_per_block=9)


def test_the_three_files_hold_the_same_report(run: Run, tmp_path: Path) -> None:
    results = [Result(facts("test_a"), "fail", f"≠ {HOSTILE}"), Result(facts("test_b"), "pass")]
    path = write(str(tmp_path), as_json(run, results, started=STARTED, seconds=1.23456, exit_status=1))

    assert path == tmp_path / "index.html"
    assert {each.name for each in tmp_path.iterdir()} == {"report.json", "index.html", "summary.md"}
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report == written(run, *results)
    assert path.read_text(encoding="utf-8") == page(report)
    assert (tmp_path / "summary.md").read_text(encoding="utf-8") == summary(report)


# From a run to the files.

CHECKS = """
    import pytest
    from pytest_dlcheck.properties.verdict import Verdict, passed

    @pytest.fixture
    def gives_up():
        raise RuntimeError("the fixture gave up")

    @pytest.fixture
    def leaks():
        yield
        raise RuntimeError("the teardown gave up")

    def test_pass(backend, dl_judge):
        dl_judge(passed("the worst at 0.1 of its tolerance"))

    def test_fail(backend):
        assert backend.name != "torch", "a | b"

    def test_imprecise(backend, dl_judge):
        dl_judge(Verdict("imprecise", "off by 3"))

    @pytest.mark.skip(reason="not here")
    def test_skip(backend):
        pass

    def test_broken(backend, gives_up):
        pass

    def test_broken_after(backend, leaks):
        pass

    @pytest.mark.xfail(reason="issue 7", strict=True)
    def test_known(backend):
        assert False

    @pytest.mark.xfail(reason="issue 8", strict=True)
    def test_fixed(backend):
        pass

    def test_of_no_backend():
        pass
"""


def test_a_run_writes_its_verdicts_to_the_report(runs: Runs) -> None:
    runs.fake_backends("jax", "torch")
    runs.pytester.makepyfile(test_some=CHECKS)
    ended = runs("--dl-backend=jax,torch", "--dl-report=out/report", "--dl-seed=3")

    folder = runs.pytester.path / "out" / "report"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    found = {each["test"]: (each["verdict"], (each["message"] or "").split("\n")[0]) for each in report["results"]}
    same = {
        "pass": ("pass", "the worst at 0.1 of its tolerance"),
        "imprecise": ("imprecise", "off by 3"),
        "skip": ("skip", "not here"),
        "broken": ("broken", "RuntimeError: the fixture gave up"),
        "broken_after": ("broken", "RuntimeError: the teardown gave up"),
        "known": ("known", "issue 7"),
        "fixed": ("fixed", "[XPASS(strict)] issue 8"),
    }
    assert found == {
        **{f"test_some.py::test_{name}[{backend}]": said for name, said in same.items() for backend in ("jax", "torch")},
        "test_some.py::test_fail[jax]": ("pass", ""),
        "test_some.py::test_fail[torch]": ("fail", "AssertionError: a | b"),
    }
    assert "assert 'torch' != 'torch'" in next(each["details"] for each in report["results"] if each["verdict"] == "fail")
    assert (report["run"]["seed"], report["run"]["exit_status"]) == (3, 1)

    seen = Page((folder / "index.html").read_text(encoding="utf-8"))
    assert seen.title == "9 of 14 checks do not hold"
    assert seen.glyphs["test_some, test fail, torch: fail"] == "✗"
    text = (folder / "summary.md").read_text(encoding="utf-8")
    assert text.startswith("# 9 of 14 checks do not hold\n")
    assert len(table_under("What does not hold", text)) == 9

    ours = [line for line in ended.outlines if line.startswith("dlcheck: ")]
    assert ours[-1] == f"dlcheck: report: {folder / 'index.html'}"


def test_half_a_surrogate_pair_in_a_message_does_not_cost_the_report(run: Run, tmp_path: Path) -> None:
    results = [Result(facts("test_a"), "fail", "x \udc80")]
    write(str(tmp_path), as_json(run, results, started=STARTED, seconds=1.0, exit_status=1))
    assert "\\udc80" in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "\\udc80" in (tmp_path / "summary.md").read_text(encoding="utf-8")
