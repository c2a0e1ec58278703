"""The site: complete, self-contained, and with nothing of what a report says taken for HTML."""

from __future__ import annotations

import html.parser
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urldefrag

import histories
import numpy as np
import pytest
from browser import Browser, available, browser

from pytest_dlcheck.cases.case import Case, Tensor, plain
from pytest_dlcheck.cli import main
from pytest_dlcheck.dashboard import pages, subjects
from pytest_dlcheck.dashboard.differences import differences
from pytest_dlcheck.dashboard.drawing import bands, strip
from pytest_dlcheck.dashboard.stretches import held, stretches, upgrades
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
        rows = upgrades(found, stretches(examine(found)))
    assert [(row.stretch.product, row.stretch.moved, row.checks, row.failed, row.fails, row.newly) for row in rows] == [
        (name, ["keras 3.15.0 to 3.15.1"], 4, 1, 1, 0) for name in ("torch", "jax")
    ]


def test_suites_of_one_night_are_one_night_and_old_upgrades_keep_their_figures(tmp_path: Path) -> None:
    def night(number: int, keras: str, first: str, second: str) -> None:
        products = [histories.product(keras=keras)]
        for hour, (subject, verdict) in enumerate((("a", first), ("b", second))):
            made = histories.report(number, [histories.result(subject, verdict)], products=products)
            made["run"]["started"] = made["run"]["started"].replace("T03", f"T0{3 + hour}")
            history.add(made, "it")

    with open_history(tmp_path / "h.db", write=True) as history:
        night(0, "3.0", "fail", "pass")
        night(1, "3.1", "pass", "fail")
        for number in range(2, 100):  # by now the verdicts of those nights are no longer looked at one by one
            night(number, "3.1", "pass", "pass")
        found = stretches(examine(history))
        (row,) = upgrades(history, found)
        told = held(history, found)
    assert (row.checks, row.failed, row.fails, row.newly) == (2, 1, 1, 1)
    assert [(each.stretch.versions["keras"], each.verdict, each.failing) for each in told["a"]] == [
        ("3.1", "pass", 0),
        ("3.0", "fail", 1),
    ]


def test_a_suite_that_broke_is_seen_behind_the_next_of_its_night(tmp_path: Path) -> None:
    with open_history(tmp_path / "h.db", write=True) as history:
        for hour, status in ((3, 3), (4, 0)):
            made = histories.report(0, [histories.result(f"s{hour}")])
            made["run"] |= {"started": f"2026-03-01T0{hour}:00:00+00:00", "exit_status": status}
            history.add(made, "it")
        assert [each.exit_status for each in pages.currents(examine(history))] == [3]
        history.add(histories.report(1, [histories.result("s3")]), "it")
        assert [each.exit_status for each in pages.currents(examine(history))] == [0]


def test_two_products_are_put_beside_each_other(history: Path) -> None:
    with open_history(history) as found:
        whole = examine(found)
        data = differences(whole, pages.currents(whole), {each.check.subject: "page" for each in whole.checks})
    assert [each["name"] for each in data["products"]] == ["jax", "torch"]
    assert data["checks"] == [["one", "page", "reference", "cpu:0, float32, eager", ["pass", "fail"]]]
    assert data["figures"] == []  # measured in one of them alone


def test_a_subject_of_ours_says_what_is_specified(site: Path) -> None:
    text = Page((site / "subject" / "keras.layers.Dense.html").read_text()).text
    assert "computed independently, in float64" in text
    assert "Over versions" in text
    assert subjects.facts("keras.layers.NoSuchLayer") == subjects.facts("mine") == []
    assert subjects.meaning("reference")
    assert subjects.meaning("no_such_property") == ""


def test_a_failure_can_be_run_again(tmp_path: Path, needs: Callable[..., None]) -> None:
    """The script of a page and its case are what the report's would be."""
    drawn = plain(Case("keras.layers.Dense", {"units": 2}, Tensor((2, 3))))
    with open_history(tmp_path / "h.db", write=True) as history:
        found = [histories.result("keras.layers.Dense", "fail", case=drawn), histories.result("b", "fail", case={"odd": 1})]
        history.add(histories.report(0, found), "it")
    assert main(["dashboard", str(tmp_path / "h.db"), "-o", str(tmp_path / "site")]) == 0
    cases = {each.name for each in (tmp_path / "site" / "cases").iterdir()}
    assert cases == {"1.json", "1.py", "2.json"}
    assert "keras.layers.Dense" in (tmp_path / "site" / "cases" / "1.py").read_text()
    links = Page((tmp_path / "site" / "subject" / "keras.layers.Dense.html").read_text()).links
    assert {"../cases/1.py", "../cases/1.json"} <= set(links)
    needs("torch")
    # In a process of its own: it imports Keras.
    replay = [sys.executable, "-m", "pytest_dlcheck.cli", "replay", str(tmp_path / "site" / "cases" / "1.json")]
    assert subprocess.run(replay, check=False).returncode == 0  # it was no true failure


def test_the_band_of_a_drift_is_as_wide_as_its_noise_and_as_steep_as_it(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 0.005, 100)
    with open_history(tmp_path / "h.db", write=True) as history:
        for night in range(100):
            step = 0.01 * (1 + 0.002 * night) * float(np.exp(noise[night]))
            history.add(histories.report(night, measurements=[histories.measurement(step_s=[step])]), "it")
        report = next(each for each in examine(history).lines if each.line.key.phase == "step")
    (band,) = bands(report)
    assert band["middle"] == pytest.approx(0.01, rel=0.02)
    assert band["end"] == pytest.approx(0.012, rel=0.02)
    assert band["wide"] == pytest.approx(2 * 0.005 * 0.011, rel=0.5)


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
        assert Page(text).scripts == (
            {"series": 4, "diff": 4}.get(path.stem if path.name == "diff.html" else path.parent.name, 1)
        )
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
    assert re.search(r"Last night: \d+ changes to look at", text)
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


needs_a_browser = pytest.mark.skipif(not available(), reason="needs chromium and chromedriver")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@needs_a_browser
class TestInABrowser:
    def series(self, site: Path) -> Path:
        return next(path for path in (site / "series").glob("*.html") if "mlp, fit, step, torch" in path.read_text())

    def shown(self, chromium: Browser) -> list[str]:
        return list(
            chromium.run(
                "return [...document.querySelectorAll('tr[data-text]')].filter((r) => !r.hidden).map((r) => r.dataset.text)"
            )
        )

    def comes_to_show(self, chromium: Browser, rows: list[str]) -> bool:
        """Waits until it does: on a busy machine a page has filtered only some time after it was loaded."""
        shown = "[...document.querySelectorAll('tr[data-text]')].filter((r) => !r.hidden).map((r) => r.dataset.text)"
        wanted = json.dumps(json.dumps(rows, separators=(",", ":")))
        return bool(chromium.until(f"JSON.stringify({shown}) === {wanted}"))

    def test_pages_complain_of_nothing_and_run_nothing_of_a_report(self, site: Path, chromium: Browser) -> None:
        hostile = list((site / "subject").glob("a.*.html"))
        assert hostile
        for path in [*site.glob("*.html"), self.series(site), *hostile, site / "subject" / "one.html"]:
            chromium.open(path)
            assert chromium.complaints() == [], path.name
            assert chromium.run("return document.title") != "taken"

    def test_a_chart_is_drawn_and_two_nights_compared(self, site: Path, chromium: Browser) -> None:
        chromium.open(self.series(site), "#10,35")
        chromium.until("document.querySelector('#chart .annotation-text')")
        texts = chromium.run("return [...document.querySelectorAll('#chart .annotation-text')].map((e) => e.textContent)")
        assert any(text.startswith("step +") for text in texts)
        said = "return document.getElementById('said').textContent"
        assert re.match(r"The second is 1\.[12]\d+ times the first; versions differ: ", chromium.run(said))
        chromium.run("const one = document.getElementById('one'); one.value = 34; one.dispatchEvent(new Event('input'))")
        assert "; same versions" in chromium.run(said)
        assert chromium.url.endswith("#34,35")
        assert chromium.run("return document.querySelectorAll('#samples .points path').length") == 6

    def test_a_wild_night_is_drawn_at_the_edge(self, tmp_path: Path, chromium: Browser) -> None:
        with open_history(tmp_path / "h.db", write=True) as history:
            for night in range(30):
                step = 0.01 + 0.0001 * (night % 3) + (night == 20)
                history.add(histories.report(night, measurements=[histories.measurement(step_s=[step])]), "it")
        assert main(["dashboard", str(tmp_path / "h.db"), "-o", str(tmp_path / "site")]) == 0
        path = next(path for path in (tmp_path / "site" / "series").glob("*.html") if "fit, step" in path.read_text())
        chromium.open(path)
        chromium.until("document.querySelector('#chart .points path')")
        low, high = chromium.run("return document.getElementById('chart').layout.yaxis.range")
        assert 0.009 < low < 0.01
        assert 0.0102 < high < 0.0105

    def test_of_a_long_line_the_newest_part_is_drawn_and_all_of_it_on_demand(self, tmp_path: Path, chromium: Browser) -> None:
        noise = np.random.default_rng(0).normal(0, 0.01, 500)
        with open_history(tmp_path / "h.db", write=True) as history:
            for night in range(500):
                step = 0.01 * float(np.exp(noise[night])) * (1.2 if night > 450 else 1)
                history.add(histories.report(night - 500, measurements=[histories.measurement(step_s=[step])]), "it")
        assert main(["dashboard", str(tmp_path / "h.db"), "-o", str(tmp_path / "site")]) == 0
        path = next(path for path in (tmp_path / "site" / "series").glob("*.html") if "fit, step" in path.read_text())
        chromium.open(path)
        points = "document.querySelectorAll('#chart .scatterlayer .points path').length"
        chromium.until(f"{points} === 400")
        chromium.click("#every")
        chromium.until(f"{points} === 500")
        assert chromium.complaints() == []

    def test_filters_are_typed_chosen_and_linked_to(self, site: Path, chromium: Browser) -> None:
        chromium.open(site / "matrix.html", "#?only=one")
        assert self.comes_to_show(chromium, ["one"])
        chromium.run("const only = document.getElementById('only'); only.value = ''; only.dispatchEvent(new Event('input'))")
        assert len(self.shown(chromium)) == 4
        chromium.write("#search", "dense keras")
        assert self.comes_to_show(chromium, ["keras.layers.Dense"])
        assert chromium.url.endswith("#?q=dense+keras")
        chromium.write("#search", "xyz")
        assert self.comes_to_show(chromium, [])
        assert chromium.run("return document.getElementById('nothing').checkVisibility()")

    def test_keys_lead_through_pages_and_rows(self, site: Path, chromium: Browser) -> None:
        chromium.open(site / "index.html")
        chromium.press("m")
        chromium.until("location.pathname.endsWith('matrix.html') && document.readyState === 'complete'")
        chromium.press("jj")
        assert chromium.run("return document.activeElement.textContent.replaceAll('\\u200b', '')") == "both"
        chromium.press("/")
        assert chromium.run("return document.activeElement.id") == "search"
        chromium.press("m")  # in a field a letter is a letter
        assert chromium.run("return document.getElementById('search').value") == "m"
        chromium.press("\ue00c")  # escape
        chromium.press("?")
        assert chromium.run("return document.getElementById('keys').open")

    def test_anything_is_found_by_its_name(self, site: Path, chromium: Browser) -> None:
        chromium.open(site / "versions.html")
        chromium.press("f")
        chromium.press("layers dense")
        assert chromium.until("document.querySelector('#found a')?.textContent") == "keras.layers.Dense"
        chromium.press("\ue007")  # enter
        chromium.until("location.pathname.endsWith('keras.layers.Dense.html')")
        chromium.open(site / "index.html")
        chromium.write("#find", "script")
        assert chromium.until("document.querySelector('#found a')?.textContent") == f"a.{HOSTILE}"
        chromium.write("#find", " nowhere")
        assert chromium.until("document.getElementById('found').textContent") == "nothing of that name"

    def test_a_click_on_a_change_leads_to_its_check(self, site: Path, chromium: Browser) -> None:
        chromium.open(site / "index.html")
        chromium.run("[...document.querySelectorAll('.group a')].find((a) => a.textContent.startsWith('one, ')).click()")
        chromium.until("location.pathname.endsWith('subject/one.html')")
        assert chromium.until("document.querySelector('tr:target')?.dataset.kind") == "bad"

    def test_two_products_are_chosen_swapped_and_linked_to(self, site: Path, chromium: Browser) -> None:
        rows = "return [...document.querySelectorAll('#checks tbody tr')].map((row) => row.innerText.split(/\\s+/))"
        chromium.open(site / "diff.html")
        assert chromium.run(rows) == [["one", "reference", "cpu:0,", "float32,", "eager", "✓", "pass", "✗", "fail"]]
        chromium.click("#swap")
        assert chromium.run(rows)[0][-4:] == ["✗", "fail", "✓", "pass"]
        assert chromium.url.endswith("#?first=torch&second=jax")
        chromium.open(site / "diff.html", "#?first=torch&second=torch")
        # The address changes at once, and the page follows it when it is told.
        assert chromium.until("document.getElementById('said').textContent") == "The same product twice."

    def test_an_old_history_says_so(self, site: Path, chromium: Browser) -> None:
        chromium.open(site / "index.html")
        assert "The newest run began" in chromium.run("return document.getElementById('late').innerText")

    @pytest.mark.parametrize("width", [1280, 700, 400])
    def test_no_page_is_wider_than_the_window(self, width: int, site: Path, chromium: Browser) -> None:
        chromium.resize(width)
        for path in [*site.glob("*.html"), self.series(site), site / "subject" / "keras.layers.Dense.html"]:
            chromium.open(path)
            assert chromium.run("return document.documentElement.scrollWidth - innerWidth") <= 0, path.name


@needs_a_browser
def test_the_dark_page_is_dark(site: Path, tmp_path: Path) -> None:
    with browser(tmp_path / "profile", dark=True) as found:
        found.open(site / "index.html")
        assert found.run("return getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 27)"


@needs_a_browser
@pytest.mark.parametrize("kind", ["results", "measurements"])
def test_a_history_of_one_kind_has_pages_without_holes(kind: str, tmp_path: Path, chromium: Browser) -> None:
    rows = {"results": [histories.result()], "measurements": [histories.measurement()]}
    with open_history(tmp_path / "h.db", write=True) as history:
        history.add(histories.report(0, **{kind: rows[kind]}), "it")
    assert main(["dashboard", str(tmp_path / "h.db"), "-o", str(tmp_path / "site")]) == 0
    for path in (tmp_path / "site").rglob("*.html"):
        chromium.open(path)
        assert chromium.complaints() == [], path.name
        if path.name != "register.html":  # there these words are the frameworks'
            assert not re.search(r"undefined|NaN|\bNone\b(?! found)", chromium.run("return document.body.innerText")), path.name
