"""Where people are: a summary, annotations, a chat, JUnit's file, the run itself."""

from __future__ import annotations

import json
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import histories
import pytest

from conftest import Runs
from pytest_dlcheck.cli import main
from pytest_dlcheck.history.store import open_history

HOSTILE = "a|b\n<b>%::error::c"


class Chat(HTTPServer):
    """Keeps what it is told, and answers with a status."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.told: list[dict[str, str]] = []
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/secret"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Chat)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.status == 200:
            self.server.told.append(json.loads(body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def chat() -> Iterator[Chat]:
    with Chat() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "history.db"
    add(place, 0, "pass", "pass")
    add(place, 1, "fail", "pass")
    return place


def add(path: Path, night: int, first: str, second: str) -> None:
    with open_history(path, write=True) as history:
        found = [histories.result(HOSTILE, first), histories.result("other", second)]
        history.add(histories.report(night, found), "it", commit=f"{night:040x}")


def test_markdown_is_appended_and_nothing_in_it_is_markup(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    assert main(["alerts", str(path), "--markdown", str(file)]) == 1
    text = file.read_text()
    assert text.startswith("before\n## 1 change to look at\n")
    (row,) = [line for line in text.splitlines() if "newly failing" in line]
    assert row.startswith("| 1 | unconfirmed | newly failing: a\\|b<br>&lt;b&gt;%::error::c, reference, torch")


def test_nothing_to_tell_is_said(path: Path, tmp_path: Path) -> None:
    main(["alerts", str(path), "ack", "1"])
    assert main(["alerts", str(path), "--markdown", str(tmp_path / "s.md"), "--annotations"]) == 0
    assert (tmp_path / "s.md").read_text() == "## Nothing changed that should be looked at\n\n"


def test_annotations_are_one_command_each_whatever_a_name_holds(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["alerts", str(path), "--annotations", "--exit-zero"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("::")]
    assert line.startswith("::warning title=newly failing%3A a|b%0A<b>%25%3A%3Aerror%3A%3Ac%2C reference%2C torch")
    assert line.endswith("::pass to fail; commits 0000000000..0000000000 (alert 1)")
    add(path, 2, "fail", "fail")
    main(["alerts", str(path), "--annotations"])
    levels = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("::")]
    assert levels == ["::error", "::warning"]


def test_many_annotations_are_cut(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_history(path, write=True) as history:
        for night, verdict in ((2, "pass"), (3, "fail")):
            history.add(histories.report(night, [histories.result(f"s{n}", verdict) for n in range(15)]), "it")
    main(["alerts", str(path), "--annotations"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("::")]
    assert len(lines) == 11
    assert lines[-1] == "::notice title=dlcheck::and 6 more: see the summary or the dashboard"


class TestWebhook:
    def test_each_is_told_once_in_each_state(self, path: Path, chat: Chat) -> None:
        command = ["alerts", str(path), "--webhook", chat.url, "--link", "https://example.org/site"]
        assert [main(command), main(command)] == [1, 1]
        (told,) = chat.told
        assert told["text"] == told["content"]
        assert told["text"].splitlines()[0] == "1 change to look at"
        assert told["text"].splitlines()[-1] == "https://example.org/site"
        add(path, 2, "fail", "pass")
        main(command)
        assert "newly failing (confirmed)" in chat.told[1]["text"]
        main(command)
        assert len(chat.told) == 2

    def test_what_was_not_taken_is_told_again(self, path: Path, chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
        command = ["alerts", str(path), "--webhook", chat.url]
        chat.status = 500
        assert main(command) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert "it answered 500" in line
        assert "secret" not in line
        chat.status = 200
        assert main(command) == 1
        assert len(chat.told) == 1

    def test_what_is_muted_is_not_told(self, path: Path, chat: Chat) -> None:
        main(["alerts", str(path), "mute", "*", "--reason", "known", "--until", "2999-12-31"])
        assert main(["alerts", str(path), "--webhook", chat.url]) == 0
        assert chat.told == []

    @pytest.mark.parametrize("url", ["file:///etc/passwd", "http://127.0.0.1:1/", "http://[/"])
    def test_an_address_that_is_none(self, url: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["alerts", str(path), "--webhook", url]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.fixture
def fakes(runs: Runs) -> Runs:
    runs.fake_backends("jax", "torch")
    runs.pytester.makepyfile("def test_a(backend): pass\ndef test_b(backend): assert backend.name == 'jax'")
    return runs


class TestARun:
    @pytest.mark.parametrize("workers", ["-n0", "-n1"])
    def test_keeps_itself_in_a_history(self, workers: str, fakes: Runs) -> None:
        arguments = ["--dl-backend=torch", "--dl-history=h.db", "--dl-label=lab", "--dl-report=out", workers]
        result = fakes(*arguments)
        assert result.ret == 1
        result.stdout.fnmatch_lines(["dlcheck: history: *h.db, run 1"])
        with open_history("h.db") as history:
            (run,) = history.runs()
        assert (run.channel, run.exit_status) == ("lab", 1)
        # The report is the same run.
        assert main(["track", "out", "--history", "h.db", "--label", "lab"]) == 0
        with open_history("h.db") as history:
            assert len(history.runs()) == 1

    def test_refuses_what_is_no_history_before_it_starts(self, fakes: Runs) -> None:
        Path("h.db").write_text("mine")
        result = fakes("--dl-backend=jax", "--dl-history=h.db")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: *h.db is no history: it is no SQLite file; it was left as it is"])
        assert Path("h.db").read_text() == "mine"

    def test_a_label_without_a_history(self, fakes: Runs) -> None:
        result = fakes("--dl-backend=jax", "--dl-label=x")
        assert result.ret == pytest.ExitCode.USAGE_ERROR

    def test_a_history_that_is_gone_at_the_end_is_told(self, fakes: Runs) -> None:
        fakes.pytester.makepyfile(
            "import pathlib\ndef test_a(backend):\n    for each in pathlib.Path().glob('h.db*'): each.unlink()\n"
            "    pathlib.Path('h.db').write_text('x')"
        )
        result = fakes("--dl-backend=jax", "--dl-history=h.db", "-n0")
        assert result.ret == pytest.ExitCode.INTERNAL_ERROR
        result.stdout.fnmatch_lines(["ERROR: dlcheck: not kept in the history: *"])

    def test_junit_says_what_was_judged_where(self, fakes: Runs) -> None:
        fakes("--dl-backend=jax,torch", "--junitxml=junit.xml")
        cases = {
            case.get("name"): {each.get("name"): each.get("value") for each in case.iter("property")}
            for case in ET.parse("junit.xml").iter("testcase")
        }
        assert {each["dlcheck.backend"] for each in cases.values()} == {"jax", "torch"}
        assert len(cases) == 4
