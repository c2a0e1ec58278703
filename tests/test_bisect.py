"""Bisection: the first that changed, whatever cannot be tested; contradictions and dead ends are said."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_dlcheck.bisect.candidates import Candidate
from pytest_dlcheck.bisect.deciders import Decider, replaying
from pytest_dlcheck.bisect.search import Answer, Found, search
from pytest_dlcheck.cli import main

PAIR = [f"--python={name}={sys.executable}" for name in "ab"]
Said = pytest.CaptureFixture[str]
VERDICTS = {"g": "good", "b": "bad", "s": "skip"}


def searched(verdicts: str) -> tuple[Found, list[int]]:
    asked: list[int] = []

    def ask(place: int, left: int) -> Answer:
        assert left >= 0
        assert place not in asked
        asked.append(place)
        return Answer(VERDICTS[verdicts[place]], "")  # type: ignore[arg-type]

    return search(len(verdicts), ask), asked


class TestSearch:
    @pytest.mark.parametrize("count", [2, 3, 7, 64, 100])
    def test_every_place_is_found_in_a_logarithm_of_steps(self, count: int) -> None:
        for place in range(1, count):
            found, asked = searched("g" * place + "b" * (count - place))
            assert (found.before, found.after, found.exact) == (place - 1, place, True)
            assert len(asked) <= 4 + (count - 2).bit_length()

    def test_what_was_mended_is_found_as_well(self) -> None:
        found, _ = searched("bbbbbgg")
        assert (found.before, found.after, found.exact) == (4, 5, True)

    def test_what_cannot_be_tested_is_gone_around(self) -> None:
        found, _ = searched("gggsbbb")
        assert (found.before, found.after, found.exact) == (2, 4, False)
        found, _ = searched("gggsgsbbsb")
        assert (found.before, found.after, found.exact) == (4, 6, False)
        found, _ = searched("sgsgbbbs")
        assert (found.before, found.after, found.exact) == (3, 4, True)

    def test_ends_that_do_not_differ_are_said(self) -> None:
        for verdicts in ("gggg", "bbbb", "ssss", "gsss", "sssb"):
            found, _ = searched(verdicts)
            assert (found.before, found.after, found.exact) == (None, None, False)

    def test_several_changes_are_noticed(self) -> None:
        found, _ = searched("ggggbbbbggggbbbb" * 1)
        assert found.contradictions
        assert not found.exact


class TestDecider:
    @pytest.mark.parametrize(
        ("code", "verdict"),
        [
            ("print('fine')", "good"),
            ("raise SystemExit(1)", "bad"),
            ("raise SystemExit(125)", "skip"),
            ("import os; os.abort()", "bad"),
            ("import time; time.sleep(30)", "skip"),
        ],
    )
    def test_an_exit_status_decides(self, code: str, verdict: str, tmp_path: Path) -> None:
        decider = Decider(f'{{python}} -c "{code}"', timeout_s=5.0)
        answer = decider.decide(Candidate("x", "x", Path(sys.executable)), tmp_path)
        assert answer.verdict == verdict
        assert answer.evidence

    def test_a_command_that_there_is_not_says_nothing(self, tmp_path: Path) -> None:
        assert Decider("no-such-command").decide(Candidate("x", "x", Path(sys.executable)), tmp_path).verdict == "skip"

    @pytest.mark.parametrize(
        ("said", "verdict"),
        [
            ('{"verdict": "ok"}', "good"),
            ('{"verdict": "regressed"}', "bad"),
            ('{"verdict": "inconclusive"}', "skip"),
            ("7", "skip"),
            ("", "skip"),
        ],
    )
    def test_the_gate_s_verdict_decides(self, said: str, verdict: str, tmp_path: Path) -> None:
        decider = Decider(f"echo $DLCHECK_REFERENCE; echo '{said}'", gate=True, reference=Path("/reference"))
        assert decider.decide(Candidate("x", "x", Path(sys.executable)), tmp_path).verdict == verdict

    def test_a_case_that_cannot_be_read_says_nothing_of_a_version(self, tmp_path: Path) -> None:
        case = tmp_path / "case.json"
        case.write_text("{}")
        answer = replaying(case, 60.0).decide(Candidate("x", "x", Path(sys.executable)), tmp_path)
        assert answer.verdict == "skip"
        assert "holds no case" in answer.evidence

    def test_an_interpreter_without_what_a_case_needs_says_nothing(self, tmp_path: Path) -> None:
        case = tmp_path / "case.json"
        case.write_text('{"case": {"$case": {"subject": "keras.layers.Dense"}}}')
        bare = tmp_path / "bare"
        # -S: without any installed package.
        bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
        bare.chmod(0o755)
        answer = replaying(case, 60.0).decide(Candidate("x", "x", bare), tmp_path)
        assert answer.verdict == "skip", answer.evidence
        assert "ModuleNotFoundError" in answer.evidence


@pytest.fixture
def pythons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Eight interpreters, each of which says its number."""
    monkeypatch.chdir(tmp_path)
    made = []
    for number in range(8):
        path = tmp_path / f"python{number}"
        path.write_text(f'#!/bin/sh\nNUMBER={number} exec {sys.executable} "$@"\n')
        path.chmod(0o755)
        made.append(f"--python=v{number}={path}")
    return made


def command(code: str) -> list[str]:
    return ["--command", f"{{python}} -c \"import os, sys; n = int(os.environ['NUMBER']); {code}\""]


class TestCommand:
    def test_the_first_bad_one_with_its_evidence(self, pythons: Sequence[str], capsys: Said, tmp_path: Path) -> None:
        code = "print('value', n); sys.exit(n >= 5)"
        assert main(["bisect", *pythons, *command(code), "--json", "out.json"]) == 0
        told = capsys.readouterr()
        assert "first bad: v5\nlast good: v4\n" in told.out
        assert "value 5" in told.out
        assert "more" in told.err
        said = json.loads((tmp_path / "out.json").read_text())
        assert (said["after"], said["before"], said["exact"]) == ("v5", "v4", True)

    def test_answers_are_kept(self, pythons: Sequence[str], capsys: Said, tmp_path: Path) -> None:
        code = f"open(r'{tmp_path}/ran', 'a').write('x'); sys.exit(n >= 5)"
        assert main(["bisect", *pythons, *command(code)]) == 0
        ran = (tmp_path / "ran").read_text()
        assert main(["bisect", *pythons, *command(code)]) == 0
        assert (tmp_path / "ran").read_text() == ran
        assert "known from before" in capsys.readouterr().err
        # Another question is not answered from it.
        assert main(["bisect", *pythons, *command(code + " # another")]) == 0
        assert (tmp_path / "ran").read_text() != ran

    def test_what_cannot_be_tested_is_said(self, pythons: Sequence[str], capsys: Said) -> None:
        assert main(["bisect", *pythons, *command("sys.exit(125 if n in (3, 4) else n >= 5)")]) == 1
        said = " ".join(capsys.readouterr().out.split())
        assert "the first bad one is among v3, v4, v5: 2 of them could not be tested" in said

    def test_several_changes_are_said(self, pythons: Sequence[str], capsys: Said) -> None:
        assert main(["bisect", *pythons, *command("sys.exit(n in (1, 2, 7))")]) == 1
        assert "not monotone: v" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--command", "true"], "give one of --python"),
            (["--command", "true", "--python=a=/no/such"], "/no/such is no interpreter"),
            (["--command", "true", f"--python=a={sys.executable}"], "there is nothing between"),
            (["--command", "true", "--repository", "."], "needs --good"),
            (["--command", "true", "--repository", ".", "--good", "x"], "git rev-parse"),
            (["--case", "no.json", *PAIR], "there is no case no.json"),
            (
                ["--command", "true", *PAIR],
                "both good: nothing to search for",
            ),
            (
                ["--command", "exit 125", *PAIR],
                "fewer than two of them",
            ),
            (
                ["--command", "true", *PAIR, "--cache", "bad"],
                "is no cache",
            ),
        ],
    )
    def test_what_cannot_be_is_one_line(
        self,
        arguments: list[str],
        said: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: Said,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "bad").write_text("[1]")
        assert main(["bisect", *arguments]) == 2
        assert said in capsys.readouterr().err.strip().splitlines()[-1]


class TestCommits:
    def repository(self, folder: Path) -> list[str]:
        def git(*arguments: str) -> str:
            configured = ["-c", "user.name=a", "-c", "user.email=a@b"]
            return subprocess.run(
                ["git", *configured, *arguments], cwd=folder, capture_output=True, text=True, check=True
            ).stdout.strip()

        git("init", "-q")
        made = []
        for number in range(6):
            (folder / "value.txt").write_text(f"{number}\n")
            git("add", ".")
            git("commit", "-qm", f"number {number}")
            made.append(git("rev-parse", "HEAD"))
        return made

    def test_the_first_bad_commit_and_the_checkout_is_left_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = tmp_path / "repository"
        folder.mkdir()
        made = self.repository(folder)
        (folder / "value.txt").write_text("unsaved")
        monkeypatch.chdir(tmp_path)
        arguments = ["--repository", str(folder), "--good", made[0], "--command", "test $(cat value.txt) -lt 4"]
        assert main(["bisect", *arguments]) == 0
        assert "number 4" in capsys.readouterr().out.partition("first bad: ")[2].splitlines()[0]
        assert (folder / "value.txt").read_text() == "unsaved"
        listed = subprocess.run(["git", "worktree", "list"], cwd=folder, capture_output=True, text=True, check=True).stdout
        assert len(listed.splitlines()) == 1

    def test_a_good_commit_that_is_not_before(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        made = self.repository(tmp_path)
        monkeypatch.chdir(tmp_path)
        assert main(["bisect", "--repository", ".", "--good", made[5], "--bad", made[0], "--command", "true"]) == 2
        assert "is not before" in capsys.readouterr().err
