"""Measures again before anybody is told: runs a command that compares in pairs, and keeps what it says."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.history.alerts import CONFIRMED, REFUTED, SUSPECT, SUSPICION, UNCONFIRMED, WORSE, Alert, alerts, settle
from pytest_dlcheck.history.examine import Whole
from pytest_dlcheck.history.store import History

__all__ = ["VERDICTS", "Rerun", "by_command", "confirm"]

VERDICTS = ("regressed", "ok", "inconclusive")
Rerun = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Given the request (see `request`), says `verdict`, one of `VERDICTS`, and whatever figures it has."""


def request(alert: Alert, whole: Whole) -> dict[str, Any]:
    """What has to be measured again: plain data."""
    number = int(alert.what.removeprefix("line:"))
    report = next(each for each in whole.lines if each.line.id == number)
    points = report.line.points
    place = next((place for place, each in enumerate(points) if each.run == alert.began), len(points) - 1)
    before, after = points[max(0, place - 1)], points[place]
    key = report.line.key
    return {
        "alert": alert.id,
        "title": alert.title,
        "workload": key.workload,
        "backend": key.backend,
        "device": key.device,
        "side": key.side,
        "phase": key.phase,
        "metric": key.metric,
        "effect": alert.evidence["effect"],
        "before": {"commit": before.commit, "versions": dict(before.series.versions)},
        "after": {"commit": after.commit, "versions": dict(after.series.versions)},
    }


def by_command(command: str, timeout_s: float) -> Rerun:
    """A rerun by a shell command: it finds the request as JSON in DLCHECK_ALERT and prints JSON as its last line."""

    def rerun(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        variables = {**os.environ, "DLCHECK_ALERT": json.dumps(asked)}
        for name in ("workload", "backend", "device", "phase"):
            variables[f"DLCHECK_{name.upper()}"] = str(asked[name])
        try:
            # The user's own command line, with its pipes and variables.
            done = subprocess.run(  # noqa: S602
                command, shell=True, env=variables, stdout=subprocess.PIPE, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            return {"verdict": "inconclusive", "why": f"the command took longer than {timeout_s:.0f} s"}
        lines = done.stdout.strip().splitlines()
        try:
            said = json.loads(lines[-1]) if lines else None
        except ValueError:
            said = None
        if not isinstance(said, dict) or said.get("verdict") not in VERDICTS:
            return {"verdict": "inconclusive", "why": f"the command ended with status {done.returncode} and said no verdict"}
        return said

    return rerun


def confirm(history: History, whole: Whole, rerun: Rerun, say: Callable[[str], None]) -> int:
    """Measures again what is suspected or not confirmed; gives how many were.

    Raises:
        DlcheckError: a rerun gives no verdict that there is.
    """
    count = 0
    for alert in alerts(history):
        slower = alert.kind in (SUSPICION, *WORSE)
        if not alert.what.startswith("line:") or alert.state not in (SUSPECT, UNCONFIRMED) or not slower:
            continue
        said = rerun(request(alert, whole))
        verdict = said.get("verdict")
        if verdict not in VERDICTS:
            raise DlcheckError(f"the rerun of alert {alert.id} said {verdict!r}, which is none of {', '.join(VERDICTS)}")
        why = f" ({said['why']})" if "why" in said else ""
        say(f"{alert.title}: {verdict}{why}")
        count += 1
        if verdict != "inconclusive":
            settle(history, alert, CONFIRMED if verdict == "regressed" else REFUTED, said)
    return count
