"""The subcommands on what happened between runs: name, help, description, and what adds the arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from pytest_dlcheck.bisect.command import add_arguments as add_bisect
from pytest_dlcheck.dashboard.command import add_arguments as add_dashboard
from pytest_dlcheck.history.alerts_command import add_arguments as add_alerts
from pytest_dlcheck.history.export import add_arguments as add_export
from pytest_dlcheck.history.track import add_arguments as add_track

__all__ = ["COMMANDS"]

COMMANDS: Mapping[str, tuple[str, str, Callable[[argparse.ArgumentParser], None]]] = {
    "track": (
        "adds reports to a history",
        "Keeps what reports say in one SQLite file. The same run twice is one run; several may write at once.",
        add_track,
    ),
    "alerts": (
        "what changed in a history, by cause",
        "Lists what is open. Status 1 if something is that nobody has acknowledged or muted.",
        add_alerts,
    ),
    "bisect": (
        "the first version or commit that behaves otherwise",
        "Searches among interpreters, environments or commits. Status 0 if one is to blame, 1 if it cannot be said which.",
        add_bisect,
    ),
    "export": ("a history as JSON or Parquet", "Writes every row for other programs to read.", add_export),
    "dashboard": ("a history as a site", "Writes pages that need no server and no network.", add_dashboard),
}
