"""The site: complete, self-contained, and with nothing of what a report says taken for HTML."""

from __future__ import annotations

import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag

import histories
import numpy as np
import pytest

from pytest_dlcheck.cli import main
from pytest_dlcheck.dashboard import pages
from pytest_dlcheck.dashboard.drawing import strip
from pytest_dlcheck.history.examine import examine
from pytest_dlcheck.history.store import open_history
from pytest_dlcheck.report.html import GLYPHS

HOSTILE = "<script>document.title='taken'</script>\"'&{{ 7 * 7 }}"
NIGHTS = 40


class Page(html.parser.HTMLParser):
    """What a page links to, and its rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.rows: list[dict[str, str | None]] = []
        self.scripts = 0
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.links += [value for name in ("href", "src") if (value := found.get(name))]
        self.scripts += tag == "script"
        if "data-text" in found:
            self.rows.append(found)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two products, a slower step, a subject that fails in one of them, hostile names everywhere."""
    path = tmp_path_factory.mktemp("history") / "history.db"
    noise = np.random.default_rng(0).normal(0, 0.01, NIGHTS)
    with open_history(path, write=True) as history:
        for night in range(NIGHTS):
            step = 0.01 * float(np.exp(noise[night])) * (1.2 if night >= 30 else 1)
            found = [
                histories.result(subject, verdict, backend=backend, message=HOSTILE, known_issue="javascript:alert(1)")
                for subject, verdict in (("keras.layers.Dense", "pass"), (f"a.{HOSTILE}", "known"), ("both", "fail"))
                for backend in ("torch", "jax")
            ]
            found += [histories.result("one", "fail" if night >= 35 else "pass"), histories.result("one", backend="jax")]
            measured = [histories.measurement("models.mlp", [step] * 3), histories.measurement(f"models.{HOSTILE}", [step] * 2)]
            versions = {"keras": "3.15.0" if night < 30 else "3.15.1"}
            products = [histories.product(name, cpu=HOSTILE, **versions) for name in ("torch", "jax")]
            history.add(histories.report(night, found, measured, products), "it", commit=f"{night:040x}")
    return path


@pytest.fixture(scope="module")
def site(history: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "out"
    assert main(["dashboard", str(history), "-o", str(folder), "--title", "Nights <b>"]) == 0
    return folder


def test_the_matrix_puts_first_what_fails_in_exactly_one_product(history: Path) -> None:
    with open_history(history) as found:
        rows = pages.matrix_rows(examine(found), ["jax", "torch"])
    assert [(row.subject, row.kind) for row in rows] == [
        ("one", "one"),
        ("both", "several"),
        (f"a.{HOSTILE}", "known"),
        ("keras.layers.Dense", "holds"),
    ]
    assert rows[0].cells == [("pass", 0, 1), ("fail", 1, 1)]


def test_what_ran_in_one_product_only_does_not_fail_in_exactly_one() -> None:
    assert pages.MatrixRow("x", [("fail", 1, 1), None]).kind == "several"
    assert pages.MatrixRow("x", [("fail", 1, 1), ("pass", 0, 1)]).kind == "one"


def test_a_check_that_is_no_longer_run_is_neither_red_nor_green(tmp_path: Path) -> None:
    with open_history(tmp_path / "h.db", write=True) as history:
        history.add(histories.report(0, [histories.result("gone", "fail"), histories.result("there")]), "it")
        history.add(histories.report(10, [histories.result("there")]), "it")
        assert [row.subject for row in pages.matrix_rows(examine(history), ["torch"])] == ["gone", "there"]
        history.add(histories.report(15, [histories.result("there")]), "it")
        whole = examine(history)
    assert [row.subject for row in pages.matrix_rows(whole, ["torch"])] == ["there"]
    assert [each.counts for each in pages.currents(whole)] == [{"pass": 1}]


def test_upgrades_are_told_with_what_failed_before_and_since(history: Path) -> None:
    with open_history(history) as found:
        rows = pages.version_rows(examine(found))
    assert [(row.product, row.moved, row.failing) for row in rows] == [
        ("torch", ["keras 3.15.0 to 3.15.1"], (1, 1)),
        ("jax", ["keras 3.15.0 to 3.15.1"], (1, 1)),
    ]


def test_a_strip_joins_what_is_the_same() -> None:
    assert strip(["pass", "pass", "fail"], GLYPHS) == [("pass", 2, "✓"), ("fail", 1, "✗")]


def test_every_link_leads_somewhere_and_none_to_the_network(site: Path) -> None:
    found = sorted(site.rglob("*.html"))
    assert len(found) > 15
    for path in found:
        page = Page(path.read_text())
        for link in page.links:
            if link.startswith(("https://", "http://")):
                assert path.name == "register.html" or path.parent.name == "subject"
            elif not link.startswith("data:"):
                assert (path.parent / urldefrag(link)[0]).exists(), (path, link)
    text = "".join(path.read_text() for path in (site / "assets").glob("s*"))
    assert "http" not in text


def test_nothing_of_a_report_becomes_html(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text()
        assert "<script>document" not in text
        assert 'href="javascript' not in text
        assert "49" not in re.findall(r"&amp;(.{2})", text)
        # Its own scripts, and the data of a chart.
        assert Page(text).scripts == (4 if path.parent.name == "series" else 1)
    assert any(HOSTILE in Page(path.read_text()).text for path in site.rglob("*.html"))


def test_a_series_page_holds_its_figures_and_its_change(site: Path) -> None:
    for path in (site / "series").glob("*.html"):
        text = path.read_text()
        if "mlp, fit, step, torch" in text:
            break
    data = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, flags=re.DOTALL)[0])
    assert len(data["nights"]) == NIGHTS
    (change,) = data["changes"]
    assert (change["kind"], change["index"]) == ("step", 30)
    assert [(band["first"], band["last"]) for band in data["bands"]] == [(0, 29), (30, 39)]
    assert [each["keras"] for each in data["versions"]] == ["3.15.0", "3.15.1"]


def test_the_overview_says_what_changed_and_why(site: Path) -> None:
    text = Page((site / "index.html").read_text()).text
    assert re.search(r"\d+ changes to look at", text)
    assert "keras 3.15.0 to 3.15.1" in text
    assert "newly failing: one, reference, torch" in re.sub(r"\s+", " ", text)


def test_it_is_replaced_and_nothing_else_is(
    history: Path, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dashboard", str(history), "-o", str(site)]) == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    assert main(["dashboard", str(history), "-o", str(tmp_path / "mine")]) == 2
    assert "holds something that is no dashboard" in capsys.readouterr().err
    assert [each.name for each in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_history_without_runs_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_history(tmp_path / "h.db", write=True):
        pass
    assert main(["dashboard", str(tmp_path / "h.db"), "-o", str(tmp_path / "site")]) == 2
    assert "holds no run yet" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def chromium(page: str, tmp_path: Path) -> tuple[str, str]:
    """The page as it stands after its scripts have run, and what they complained of."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000", "--dump-dom"]
    rest = ["--enable-logging=stderr", "--v=0", f"--user-data-dir={tmp_path}", page]
    done = subprocess.run([*command, *rest], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
class TestInABrowser:
    def series(self, site: Path) -> Path:
        return next(path for path in (site / "series").glob("*.html") if "mlp, fit, step, torch" in path.read_text())

    def test_pages_complain_of_nothing(self, site: Path, tmp_path: Path) -> None:
        every = ["index", "matrix", "performance", "versions", "register"]
        for place, name in enumerate([*(f"{each}.html" for each in every), f"series/{self.series(site).name}"]):
            text, complaints = chromium((site / name).as_uri(), tmp_path / str(place))
            assert complaints == "", name
            assert "taken" not in re.findall(r"<title>(.*?)</title>", text)[0]

    def test_a_chart_is_drawn_and_two_nights_compared(self, site: Path, tmp_path: Path) -> None:
        text, _ = chromium(f"{self.series(site).as_uri()}#10,35", tmp_path)
        assert "step +" in text
        said = re.findall(r'id="said"[^>]*>(.*?)<', text)[0]
        assert re.match(r"The second is 1\.[12]\d+ times the first; versions differ: ", said)

    def test_a_link_with_a_filter_filters(self, site: Path, tmp_path: Path) -> None:
        text, _ = chromium(f"{(site / 'matrix.html').as_uri()}#?only=one", tmp_path)
        shown: list[Any] = [row for row in Page(text).rows if "hidden" not in row]
        assert [row["data-text"] for row in shown] == ["one"]
