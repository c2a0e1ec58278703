"""From changes to what somebody is told: once, by cause, confirmed, and quiet where it was asked to be."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import histories
import numpy as np
import pytest

from pytest_dlcheck.cli import main
from pytest_dlcheck.environments.names import understood
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.history import alerts as kept
from pytest_dlcheck.history import gate
from pytest_dlcheck.history.behaviour import Seen, turns
from pytest_dlcheck.history.causes import described, grouped, moved
from pytest_dlcheck.history.confirm import by_command, confirm
from pytest_dlcheck.history.gate import environment_before
from pytest_dlcheck.history.store import open_history


def fill(
    path: Path, steps: Sequence[float], *, results: Any = None, versions: Any = None, workloads: Sequence[str] = ("mlp",)
) -> None:
    """One run a night: each step time is that of all workloads; other phases do not change."""
    with open_history(path, write=True) as history:
        for night, step in enumerate(steps):
            measured = [histories.measurement(f"models.{name}", [step] * 3) for name in workloads]
            products = [histories.product(**(versions(night) if versions else {}))]
            found = [histories.result(verdict="pass", test="t")] if results is None else results(night)
            history.add(histories.report(night, found, measured, products), "it", commit=f"c{night:03}")


def noisy(nights: int = 50, sd: float = 0.01) -> np.ndarray:
    return 0.01 * np.exp(np.random.default_rng(0).normal(0, sd, nights))


def slower(at: int = 44, effect: float = 0.1, nights: int = 50) -> np.ndarray:
    values = noisy(nights)
    values[at:] *= 1 + effect
    return values


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def updated(path: Path) -> list[kept.Alert]:
    with open_history(path, write=True) as history:
        kept.update(history)
        return kept.alerts(history)


class TestTurns:
    def kinds(self, *verdicts: str, errors: Sequence[float | None] | None = None) -> list[str]:
        sizes = errors or [None] * len(verdicts)
        return [each.kind for each in turns([Seen(run, *each) for run, each in enumerate(zip(verdicts, sizes, strict=True))])]

    @pytest.mark.parametrize(
        ("verdicts", "kinds"),
        [
            (("pass", "pass"), []),
            (("pass", "fail"), ["newly failing"]),
            (("known", "fixed"), ["newly failing"]),
            (("pass", "skip", "fail", "fail", "pass"), ["newly failing", "newly passing"]),
            (("pass", "imprecise", "fail"), ["newly imprecise", "newly failing"]),
            (("pass", "broken"), ["newly broken"]),
            (("fail", "crash"), ["newly broken"]),
            (("pass", "known", "pass"), []),
            (("skip", "fail"), []),
        ],
    )
    def test_verdicts(self, verdicts: tuple[str, ...], kinds: list[str]) -> None:
        assert self.kinds(*verdicts) == kinds

    def test_an_error_that_grows_tenfold(self) -> None:
        three = ("pass", "pass", "pass")
        assert self.kinds(*three, errors=[0.01, 0.02, 0.5]) == ["error size"]
        assert self.kinds(*three, errors=[0.1, 0.2, 0.5]) == []
        # Still far from its tolerance.
        assert self.kinds(*three, errors=[0.001, 0.001, 0.05]) == []
        # The last one was a lucky draw, not this one an unlucky one.
        assert self.kinds("pass", *three, errors=[0.2, 0.2, 0.01, 0.5]) == []


class TestCauses:
    def test_what_moved(self) -> None:
        assert moved({"keras": "3.15.0", "jax": "1"}, {"keras": "3.15.1", "jax": "1", "numpy": "2"}) == [
            "keras 3.15.0 to 3.15.1",
            "numpy none to 2",
        ]
        assert described([], ("abc", "abc")).startswith("no version and no commit changed")
        assert described(["keras 1 to 2"], (None, "0123456789abc")) == "keras 1 to 2, commit 0123456789"

    def test_near_and_alike_is_one_group(self) -> None:
        groups = grouped([(5, "a", 1), (6, "a", 2), (6, "b", 3), (9, "a", 4)])
        assert [(place, cause, sorted(found)) for place, cause, found in groups] == [
            (9, "a", [4]),
            (6, "a", [1, 2]),
            (6, "b", [3]),
        ]


class TestAlerts:
    def test_noise_tells_nothing(self, path: Path) -> None:
        fill(path, noisy())
        assert updated(path) == []

    def test_a_slower_step_is_told_once_with_its_cause(self, path: Path) -> None:
        fill(path, slower(), versions=lambda night: {"keras": "3.15.1" if night < 44 else "3.16.0"})
        updated(path)
        (alert,) = updated(path)
        assert (alert.kind, alert.state, alert.began) == ("slower", "unconfirmed", 45)
        assert alert.title == "mlp, fit, step, torch"
        assert alert.cause == "keras 3.15.1 to 3.16.0, commits c043..c044"
        assert alert.evidence["effect"] == pytest.approx(0.1, abs=0.02)

    def test_a_drift_is_due_to_no_version_that_moved_where_the_window_begins(self, path: Path) -> None:
        drifting = noisy(150) * np.linspace(1.0, 1.12, 150)
        fill(path, drifting.tolist(), versions=lambda night: {"keras": "3.15.0" if night < 50 else "3.15.1"})
        (alert,) = [each for each in updated(path) if each.kind == "slower" and "fit, step" in each.title]
        assert alert.evidence["kind"] == "trend"
        assert alert.cause == "a slow drift, which no single night began"

    def test_one_cause_is_one_group(self, path: Path) -> None:
        fill(path, slower(), workloads=("mlp", "cnn", "rnn"))
        with open_history(path, write=True) as history:
            whole = kept.update(history)
            (group,) = kept.groups(whole, kept.alerts(history))
        assert len(group[2]) == 3

    def test_it_stays_one_alert_while_nights_are_added(self, path: Path) -> None:
        values = slower()
        seen = set()
        with open_history(path, write=True) as history:
            for night, step in enumerate(values):
                history.add(histories.report(night, measurements=[histories.measurement(step_s=[step] * 3)]), "it")
                kept.update(history)
                seen |= {alert.id for alert in kept.alerts(history) if alert.kind == "slower"}
        assert len(seen) == 1

    def test_ratios_to_the_reference_cancel_what_slows_both(self, path: Path) -> None:
        with open_history(path, write=True) as history:
            history.pin_reference("linear")
            for night, step in enumerate(slower(effect=0.3)):
                both = [histories.measurement(step_s=[step] * 3), histories.measurement("models.linear", [step / 4] * 3)]
                history.add(histories.report(night, measurements=both), "it")
        assert {alert.title for alert in updated(path)} == {"linear, fit, step, torch"}

    def test_aa_runs_raise_the_floor(self, path: Path) -> None:
        row = {"subject": "models.mlp", "backend": "torch", "phase": "step", "metric": "time", "unit": "s", "role": "aa"}
        row |= {
            "side": "fit",
            "workload": "mlp",
            "batch_size": 32,
            "threads": 4,
            "device": "cpu:0",
            "test": histories.measurement()["test"],
        }
        with open_history(path, write=True) as history:
            for night, step in enumerate(slower(effect=0.06)):
                noise = [{**row, "samples": [(-1) ** night * 0.04]}]
                history.add(
                    histories.report(night, measurements=[histories.measurement(step_s=[step] * 3)], series=noise), "it"
                )
        assert updated(path) == []

    def test_a_check_that_fails_is_unconfirmed_then_confirmed_then_over(self, path: Path) -> None:
        verdicts = ["pass", "pass", "fail", "fail", "pass"]
        states = []
        with open_history(path, write=True) as history:
            for night, verdict in enumerate(verdicts):
                history.add(histories.report(night, [histories.result(verdict=verdict)]), "it")
                kept.update(history)
                states.append([(each.kind, each.state) for each in kept.alerts(history)])
        assert states[:4] == [[], [], [("newly failing", "unconfirmed")], [("newly failing", "confirmed")]]
        assert states[4] == [("newly passing", "unconfirmed"), ("newly failing", "over")]

    def test_a_slow_night_is_suspected_only(self, path: Path) -> None:
        fill(path, slower(at=49, effect=0.2))
        assert [(each.kind, each.state, each.loud) for each in updated(path)] == [("suspicion", "suspect", False)]


class TestConfirming:
    def confirmed(self, path: Path, verdict: str) -> tuple[list[kept.Alert], list[dict[str, Any]]]:
        asked: list[dict[str, Any]] = []

        def rerun(request: Any) -> dict[str, Any]:
            asked.append(dict(request))
            return {"verdict": verdict, "ratio": 1.1}

        with open_history(path, write=True) as history:
            whole = kept.update(history)
            confirm(history, whole, rerun, lambda line: None)
            kept.update(history)
            return kept.alerts(history), asked

    def test_a_rerun_that_regresses_makes_it_sure(self, path: Path) -> None:
        fill(path, slower(at=49, effect=0.2))
        (alert,), (asked,) = self.confirmed(path, "regressed")
        assert (alert.kind, alert.state, alert.loud) == ("slower", "confirmed", True)
        assert alert.evidence["rerun"] == {"verdict": "regressed", "ratio": 1.1}
        assert (asked["workload"], asked["phase"], asked["before"]["commit"], asked["after"]["commit"]) == (
            "mlp",
            "step",
            "c048",
            "c049",
        )

    def test_a_rerun_that_does_not_ends_the_suspicion(self, path: Path) -> None:
        fill(path, slower(at=49, effect=0.2))
        (alert,), _ = self.confirmed(path, "ok")
        assert alert.state == "refuted"
        assert [each.state for each in updated(path)] == ["refuted"]

    def test_an_inconclusive_one_changes_nothing(self, path: Path) -> None:
        fill(path, slower(at=49, effect=0.2))
        (alert,), _ = self.confirmed(path, "inconclusive")
        assert alert.state == "suspect"

    @pytest.mark.parametrize(
        ("code", "verdict"),
        [
            ("import os, json; print(json.dumps({'verdict': 'ok', 'of': json.loads(os.environ['DLCHECK_ALERT'])['x']}))", "ok"),
            ("print('no verdict')", "inconclusive"),
            ("raise SystemExit(3)", "inconclusive"),
            ("import time; time.sleep(60)", "inconclusive"),
        ],
    )
    def test_a_command_is_asked(self, code: str, verdict: str) -> None:
        rerun = by_command(f'{sys.executable} -c "{code}"', 5.0)
        said = rerun({"x": 7, "workload": "mlp", "backend": "torch", "device": "cpu:0", "phase": "step"})
        assert said["verdict"] == verdict
        assert said.get("of", 7) == 7

    def test_a_verdict_that_is_none_is_an_error(self, path: Path) -> None:
        fill(path, slower())
        with pytest.raises(DlcheckError, match="said 'perhaps', which is none of"):
            self.confirmed(path, "perhaps")


class TestCommand:
    def test_it_lists_acknowledges_and_mutes(self, path: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        fill(path, slower(), workloads=("mlp", "cnn"))
        assert main(["alerts", str(path), "--json", "--markdown", str(tmp_path / "summary.md")]) == 1
        told = json.loads(capsys.readouterr().out)
        assert {each["title"] for each in told} == {"mlp, fit, step, torch", "cnn, fit, step, torch"}
        assert "## 2 changes to look at" in (tmp_path / "summary.md").read_text()
        number = next(each["id"] for each in told if each["title"].startswith("mlp"))
        assert main(["alerts", str(path), "ack", str(number), "--note", "being looked at"]) == 1
        day = (dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=9)).date().isoformat()
        assert main(["alerts", str(path), "mute", "cnn*", "--reason", "known", "--until", day]) == 0
        capsys.readouterr()
        assert main(["alerts", str(path)]) == 0
        assert "nothing to tell, of 50 runs" in capsys.readouterr().out
        assert main(["alerts", str(path), "--all"]) == 0
        assert "unconfirmed" in capsys.readouterr().out

    def test_a_mute_expires(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fill(path, slower())
        day = (dt.datetime.now(dt.timezone.utc)).date()
        with open_history(path, write=True) as history:
            kept.mute(history, "*", "reason", day.isoformat())
            assert [each["active"] for each in kept.mutes(history)] == [True]
            with history.transaction():
                history.connection.execute("UPDATE mutes SET until = ?", ((day - dt.timedelta(days=1)).isoformat(),))
            assert [each["active"] for each in kept.mutes(history)] == [False]

    @pytest.mark.parametrize(
        ("action", "said"),
        [
            (["ack", "99"], "there is no alert 99"),
            (["mute", "*", "--reason", "x", "--until", "soon"], "'soon' is no day"),
            (["mute", "*", "--reason", "x", "--until", "2020-01-01"], "2020-01-01 is over"),
            (["mute", "*", "--reason", " ", "--until", "2999-01-01"], "a mute needs a reason"),
            (["note", "soon", "x"], "'soon' is no day"),
        ],
    )
    def test_what_cannot_be_is_one_line(
        self, action: list[str], said: str, path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fill(path, noisy(3))
        assert main(["alerts", str(path), *action]) == 2
        assert said in capsys.readouterr().err

    def test_there_is_no_history(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["alerts", str(path)]) == 2
        assert "there is no history" in capsys.readouterr().err
        assert not path.exists()


class TestGate:
    """The rerun without a command."""

    @pytest.mark.parametrize(
        ("backend", "before", "after", "name"),
        [
            (
                "tensorflow",
                {"tensorflow": "2.20.0", "keras": "3.14.1"},
                {"tensorflow": "2.21.0", "keras": "3.14.1"},
                "tf2.20.0-keras3.14.1",
            ),
            (
                "tensorflow",
                {"tensorflow-cpu": "2.14.0", "keras": "2.14.0"},
                {"tensorflow-cpu": "2.15.0", "keras": "2.15.0"},
                "tf2.14.0",
            ),
            ("jax", {"jax": "0.10.2", "keras": "3.14.1"}, {"jax": "0.10.2", "keras": "3.15.0"}, "keras3.14.1-jax"),
            ("jax", {"jax": "0.10.1", "keras": "3.15.0"}, {"jax": "0.10.2", "keras": "3.15.0"}, None),
            ("torch", {"torch": "2.13.0+cpu", "keras": "3.14.1"}, {"torch": "2.13.0+cpu", "keras": "3.14.1"}, None),
            ("tensorflow", {"tensorflow": "2.21.0", "numpy": "2.3"}, {"tensorflow": "2.21.0", "numpy": "2.4"}, None),
        ],
    )
    def test_the_environment_from_before(
        self, backend: str, before: dict[str, str], after: dict[str, str], name: str | None
    ) -> None:
        asked = {"backend": backend, "before": {"versions": before}, "after": {"versions": after}}
        assert environment_before(asked) == name
        assert name is None or understood(name) is not None

    @pytest.mark.parametrize(
        ("phase", "verdict"),
        [
            ("step", "ok"),
            ("build", "regressed"),
            ("process", "inconclusive"),
            ("first_step", "inconclusive"),
            ("call", "inconclusive"),
        ],
    )
    def test_the_verdict_is_of_the_phase_that_the_alert_is_about(
        self, phase: str, verdict: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ran: list[list[str]] = []
        said = {
            "gate": "cpu",
            "verdict": {
                "outcome": "regressed",
                "step": {"cpu": {"outcome": "ok", "why": "-60 %"}, "wall": {"outcome": "regressed", "why": ""}},
                "phases": {
                    "build": {"outcome": "regressed", "change": 0.4},
                    "memory": {"outcome": "inconclusive", "change": 0.1},
                },
            },
        }

        def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
            ran.append(command)
            Path(command[-1]).write_text(json.dumps({"results": [said]}))
            return subprocess.CompletedProcess(command, 1)

        monkeypatch.setattr(subprocess, "run", run)
        monkeypatch.setattr(gate, "versions", lambda name: {"keras": "3.15.1"})
        asked = {
            "backend": "jax",
            "device": "cpu:0",
            "workload": "mlp",
            "side": "fit",
            "phase": phase,
            "before": {"versions": {"keras": "3.14.1"}},
            "after": {"versions": {"keras": "3.15.1"}},
        }
        assert gate.by_bench(asked, 5.0)["verdict"] == verdict
        count = 0 if phase == "call" else 1
        assert [each[2:7] for each in ran] == [["pytest_dlcheck.cli", "bench", "mlp", "--against", "keras3.14.1-jax"]] * count
        assert gate.by_bench({**asked, "side": "loop"}, 5.0)["verdict"] == "inconclusive"
        monkeypatch.setattr(gate, "versions", lambda name: {"keras": "3.15.0"})
        assert "which is not what became slower" in gate.by_bench(asked, 5.0)["why"]
        assert len(ran) == count

    def test_where_nothing_can_be_compared_the_alert_stays(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        fill(path, slower().tolist())
        assert main(["alerts", str(path), "confirm"]) == 1
        assert "inconclusive (no environment's name says what was there before" in capsys.readouterr().err
        assert {each.state for each in updated(path) if each.kind == "slower"} == {"unconfirmed"}
