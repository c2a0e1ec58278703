"""Says whether a candidate is good: by a command, by a stored case, or by the paired gate."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_dlcheck.bisect.candidates import Candidate
from pytest_dlcheck.bisect.search import Answer, Verdict
from pytest_dlcheck.errors import DlcheckError

__all__ = ["Decider", "replaying"]

CANNOT_TEST = 125
"""The exit status that git bisect gives the same meaning."""

EVIDENCE_LINES = 12
GATE: Mapping[str, Verdict] = {"ok": "good", "regressed": "bad", "inconclusive": "skip"}


@dataclass(frozen=True)
class Decider:
    """A command line for a shell.

    Attributes:
        command: with `{python}` where the candidate's interpreter belongs; it is in DLCHECK_PYTHON too.
        timeout_s: longer than this is `skip`.
        gate: whether it prints a verdict of the paired gate as JSON in its last line; else its exit status decides.
        reference: the interpreter that the gate compares with, in DLCHECK_REFERENCE.
        skips: exit statuses that say nothing, beside `CANNOT_TEST`.
        paths: folders to find modules in, before the interpreter's own.
    """

    command: str
    timeout_s: float = 1800.0
    gate: bool = False
    reference: Path | None = None
    skips: tuple[int, ...] = ()
    paths: tuple[Path, ...] = ()

    def identity(self) -> str:
        """What the answers depend on, beside the candidate."""
        return json.dumps([self.command, self.gate, str(self.reference), self.skips])

    def decide(self, candidate: Candidate, folder: Path) -> Answer:
        """Runs it.

        Args:
            candidate: with its interpreter.
            folder: where to run it.
        """
        variables = {**os.environ, **candidate.variables, "DLCHECK_PYTHON": str(candidate.python)}
        if self.reference is not None:
            variables["DLCHECK_REFERENCE"] = str(self.reference)
        if self.paths:
            variables["PYTHONPATH"] = os.pathsep.join(map(str, self.paths))
        command = self.command.replace("{python}", shlex.quote(str(candidate.python)))
        try:
            # The user's own command line, with its pipes and variables.
            done = subprocess.run(  # noqa: S602
                command,
                shell=True,
                cwd=folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="backslashreplace",
                timeout=self.timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Answer("skip", f"took longer than {self.timeout_s:.0f} s")
        lines = done.stdout.strip().splitlines()
        evidence = "\n".join([*lines[-EVIDENCE_LINES:], f"exit status {done.returncode}"])
        return Answer(self._verdict(done.returncode, lines), evidence)

    def _verdict(self, status: int, lines: list[str]) -> Verdict:
        if self.gate:
            try:
                return GATE[json.loads(lines[-1])["verdict"]]
            except (IndexError, KeyError, TypeError, ValueError):
                return "skip"
        if status == 0:
            return "good"
        # From 126 on the shell could not run it; below 0 a signal ended it, and a crash is what it looks for as often as not.
        return "skip" if status == CANNOT_TEST or status in self.skips or status in (126, 127) else "bad"


def replaying(case: Path, timeout_s: float, only: str | None = None) -> Decider:
    """By a stored case: good if its property holds, bad if it does not, skipped where that cannot be judged.

    Args:
        case: a file of a report's folder `cases`.
        timeout_s: longer than this is `skip`.
        only: which property; by default the one that the case was stored for, else all that are judged.

    Raises:
        DlcheckError: the file cannot be read.
    """
    try:
        stored = json.loads(case.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DlcheckError(f"{case} cannot be read: {error}") from None
    only = only or (stored.get("property") if isinstance(stored, dict) else None)
    ours = Path(__file__).resolve().parents[2]
    start = "import sys; from pytest_dlcheck.cli import main; sys.exit(main(sys.argv[1:]))"
    # A traceback ends with status 1 as well, and would be taken for a property that does not hold.
    guarded = f"import traceback\ntry:\n    {start}\nexcept Exception:\n    traceback.print_exc(); sys.exit({CANNOT_TEST})"
    command = f"{{python}} -c {shlex.quote('import sys; exec(sys.argv.pop(1))')} {shlex.quote(guarded)} replay"
    chosen = f" --property {shlex.quote(only)}" if only else ""
    return Decider(f"{command} {shlex.quote(str(case.resolve()))}{chosen}", timeout_s, skips=(2,), paths=(ours,))
