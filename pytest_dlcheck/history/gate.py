"""The rerun that needs no configuration: `dlcheck bench` of this environment against one with the versions from before."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_dlcheck.backends import versions

__all__ = ["by_bench", "environment_before"]

Asked = Mapping[str, Any]
PHASES = {"import": "import", "build": "build", "first_step": "compile", "process": "memory"}
"""By the name in a history: what `dlcheck bench` calls it. Steps have a verdict of their own."""


def _inconclusive(why: str) -> dict[str, Any]:
    return {"verdict": "inconclusive", "why": why}


def _release(version: str) -> str:
    return version.partition("+")[0]


def environment_before(asked: Asked) -> str | None:
    """The name of the environment from before an alert, as `dlcheck env make` takes it; None where no name says it.

    Names pin TensorFlow and Keras; of JAX and PyTorch they say only which Keras goes with them.

    Args:
        asked: what `confirm.request` gives.
    """
    before, after = ({**asked[name]["versions"]} for name in ("before", "after"))
    moved = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    keras = _release(before.get("keras", ""))
    if asked["backend"] == "tensorflow":
        release = before.get("tensorflow") or before.get("tensorflow-cpu")
        if release is None or not moved & {"tensorflow", "tensorflow-cpu", "keras"}:
            return None
        return f"tf{_release(release)}" + (f"-keras{keras}" if keras.startswith("3.") else "")
    return f"keras{keras}-{asked['backend']}" if "keras" in moved and not moved & {"jax", "jaxlib", "torch"} else None


def by_bench(asked: Asked, timeout_s: float) -> Mapping[str, Any]:
    """Says what a paired comparison makes of an alert; inconclusive, with the reason, where there is nothing to compare with.

    Args:
        asked: what `confirm.request` gives.
        timeout_s: how long it may take, the making of the environment included.
    """
    name = environment_before(asked)
    if name is None:
        return _inconclusive("no environment's name says what was there before: give a command with --with")
    wanted, here = asked["after"]["versions"], versions(asked["backend"])
    other = [f"{each} {version}" for each, version in here.items() if each in wanted and wanted[each] != version]
    if other:
        return _inconclusive(f"here is {', '.join(other)}, which is not what became slower")
    phase = asked["phase"]
    if asked["side"] != "fit" or (phase not in PHASES and phase != "step"):
        return _inconclusive(f"dlcheck bench measures no {phase} of {asked['side']}: give a command with --with")
    command = [sys.executable, "-m", "pytest_dlcheck.cli", "bench", asked["workload"], "--against", name]
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "bench.json"
        command += ["--backend", asked["backend"], "--device", asked["device"], "--json", str(written)]
        try:
            # What it prints is for whoever watches.
            done = subprocess.run(command, stdout=sys.stderr, timeout=timeout_s, check=False)  # noqa: S603 - itself
        except subprocess.TimeoutExpired:
            return _inconclusive(f"it took longer than {timeout_s:.0f} s")
        try:
            (result,) = json.loads(written.read_text(encoding="utf-8"))["results"]
            return {**_of_phase(result, phase), "against": name}
        except (OSError, ValueError, KeyError):
            return _inconclusive(f"dlcheck bench ended with status {done.returncode} and measured nothing")


def _of_phase(result: Mapping[str, Any], phase: str) -> dict[str, Any]:
    """The verdict on what the alert is about, whatever else became slower or faster.

    Raises:
        KeyError: there is none.
    """
    if phase == "step":
        found = result["verdict"]["step"][result["gate"]]
        return {"verdict": found["outcome"], "said": found["why"]}
    found = result["verdict"]["phases"][PHASES[phase]]
    return {"verdict": found["outcome"], "change": found["change"]}
