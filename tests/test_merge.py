"""`dlcheck merge`: what becomes of several reports, on the JSON, on the page and for bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reports import HOSTILE, a_report, a_result

from pytest_dlcheck.cli import main
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.report.across import across
from pytest_dlcheck.report.merge import headline_across, merged_page, merged_summary, reports_in
from pytest_dlcheck.report.merging import merged, names_of_products


def of(version: str, *results: dict[str, Any], **product: Any) -> dict[str, Any]:
    """A report of one product, with this version of JAX."""
    report = a_report(*results)
    report["product"][0] |= {"jax": version, **product}
    return report


def the_merged(**by_version: list[dict[str, Any]]) -> dict[str, Any]:
    return merged([(name, of(name, *results)) for name, results in by_version.items()])


def test_names_are_as_short_as_tells_products_apart() -> None:
    def product(**changes: Any) -> dict[str, Any]:
        return of("0.7.1", **changes)["product"][0]

    assert names_of_products([product()]) == ["jax 0.7.1"]
    assert names_of_products([product(), product(jax="0.8.0")]) == ["jax 0.7.1", "jax 0.8.0"]
    assert names_of_products([product(), product(keras="3.14.1")]) == ["jax 0.7.1, keras 3.15.1", "jax 0.7.1, keras 3.14.1"]
    assert names_of_products([product(), product(numpy="1.26")]) == ["jax 0.7.1", "jax 0.7.1, numpy 1.26"]
    assert names_of_products([product(), product(cpu="Other")]) == ["jax 0.7.1, Some CPU", "jax 0.7.1, Other"]


def test_fails_in_exactly_one_product_comes_first() -> None:
    everywhere = [a_result("fail", subject="layers.A"), a_result(subject="layers.B")]
    report = the_merged(
        one=everywhere,
        two=[everywhere[0], a_result("fail", subject="layers.B", message="off by 3\nmore")],
        three=everywhere,
    )
    table = across(report)
    assert list(table.cells) == ["layers.B", "layers.A"]
    (check,) = table.alone
    assert (check.subject, check.name, check.alone) == ("layers.B", "same_shape", "jax two")
    assert [cell and (cell.verdict, cell.held, cell.judged, cell.alone) for cell in table.cells["layers.B"]] == [
        ("pass", 1, 1, 0),
        ("fail", 0, 1, 1),
        ("pass", 1, 1, 0),
    ]
    assert headline_across(table) == "1 check fails in exactly one product; 1 differs between products"
    assert "| jax two | layers.B | same\\_shape |" in merged_summary(report)
    assert "off by 3" in merged_page(report)
    assert "<code>off by 3</code>" in merged_page(report)


@pytest.mark.parametrize(
    ("verdicts", "alone"),
    [
        (("fail", "pass"), "jax 0"),
        (("known", "pass"), "jax 0"),
        (("fail", "fail", "pass"), None),
        (("fail", "skip"), None),
        (("fail", "unsupported"), None),
        (("fixed", "pass"), None),
        (("broken", "pass"), None),
        (("pass", "pass"), None),
    ],
)
def test_alone_is_what_fails_once_and_holds_elsewhere(verdicts: tuple[str, ...], alone: str | None) -> None:
    report = merged([(str(place), of(str(place), a_result(verdict))) for place, verdict in enumerate(verdicts)])
    (check,) = across(report).checks
    assert check.alone == alone
    assert check.disagree == (alone is not None or verdicts == ("fail", "fail", "pass"))


def test_suites_of_one_product_become_one_product() -> None:
    first, second = of("1", a_result(subject="layers.A")), of("1", a_result(subject="layers.B"), memory_bytes=5)
    report = merged([("layers", first), ("gradients", second)])
    assert [product["name"] for product in report["product"]] == ["jax 1"]
    assert {result["product"] for result in report["results"]} == {"jax 1"}
    assert [run["source"] for run in report["runs"]] == ["layers", "gradients"]


def test_a_merged_report_can_be_merged_again() -> None:
    both = the_merged(one=[a_result()], two=[a_result("fail")])
    report = merged([("both", both), ("three", of("three", a_result()))])
    assert [product["name"] for product in report["product"]] == ["jax one", "jax two", "jax three"]
    assert [(result["product"], result["verdict"]) for result in report["results"]] == [
        ("jax one", "pass"),
        ("jax two", "fail"),
        ("jax three", "pass"),
    ]
    assert [run["source"] for run in report["runs"]] == ["one", "two", "three"]


def test_the_same_product_twice_is_refused() -> None:
    with pytest.raises(DlcheckError, match=r"a and b hold the same product \(jax 1\), and both judge same_shape of layers"):
        merged([("a", of("1", a_result())), ("b", of("1", a_result()))])


def test_a_page_quotes_what_it_shows() -> None:
    report = the_merged(one=[a_result("fail", message=HOSTILE)], two=[a_result()])
    page = merged_page(report)
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "http" not in page.replace("https?:", "")


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, verdict in (("one", "pass"), ("two", "fail")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(json.dumps(of(name, a_result(verdict))))
    target = tmp_path / "all"
    assert main(["merge", str(tmp_path / "one"), str(tmp_path / "two" / "report.json"), "-o", str(target)]) == 0
    assert "2 products, 1 subjects: 1 check fails in exactly one product" in capsys.readouterr().out
    assert json.loads((target / "report.json").read_text())["schema"] == "dlcheck-report/1"
    assert (target / "index.html").read_text().startswith("<!doctype html>")
    assert "jax two" in (target / "summary.md").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read: No such file or directory; give a folder that --dl-report wrote"),
        ("{", "is no JSON"),
        ("[]", "has schema None, and 'dlcheck-report/1' is needed"),
        ('{"schema": "other/2"}', "has schema 'other/2', and 'dlcheck-report/1' is needed"),
        ('{"schema": "dlcheck-report/1"}', "has no product"),
        (json.dumps(a_report(a_result("perhaps"))), "result 0 has the verdict 'perhaps', which is none"),
        (json.dumps(a_report(a_result(backend="torch"))), "result 0 is of backend 'torch', which is none of its products"),
        (json.dumps(a_report()), "these reports hold no results at all"),
    ],
)
def test_bad_reports_get_one_line(text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "report.json"
    if text is not None:
        path.write_text(text)
    assert main(["merge", str(path), "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_of_reports_stands_for_all_of_them(tmp_path: Path) -> None:
    for name in ("one", "two", "all"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    found = reports_in(str(tmp_path), but=tmp_path / "all")
    assert found == [str(tmp_path / "one"), str(tmp_path / "two")]
    assert reports_in(found[0], but=tmp_path / "all") == found[:1]
    assert reports_in(str(tmp_path / "empty"), but=tmp_path / "all") == [str(tmp_path / "empty")]  # which then is none
