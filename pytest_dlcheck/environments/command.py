"""`dlcheck env`: lists, makes and removes environments."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_dlcheck.environments import cache
from pytest_dlcheck.environments.environment import product
from pytest_dlcheck.environments.finding import configured, find, project_root
from pytest_dlcheck.errors import DlcheckError

if TYPE_CHECKING:
    from pytest_dlcheck.environments.table import Request

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Does what was asked for; gives the exit status.

    Raises:
        DlcheckError: a name is unknown, or an environment cannot be made.
    """
    if options.action == "list":
        return _list(project_root(Path.cwd()))
    if options.action == "make":
        return _make(options.name, project_root(Path.cwd()))
    return _prune(0.0 if options.all else options.unused_days)


def _list(root: Path) -> int:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("name", "versions", "size", "last used"):
        table.add_column(title, overflow="fold", justify="right" if title == "size" else "left", no_wrap=title == "size")
    wanted = configured(root)
    kept = cache.records()
    keys = {cache.key_of(record.requirements): record for _, record in kept}
    for folder, record in kept:
        mine = [name for name, each in wanted.items() if each.requirements and cache.key_of(each.requirements) == folder.name]
        names = ", ".join(dict.fromkeys([*mine, *record.names]))
        table.add_row(names, _versions(record), f"{cache.size(folder) / 2**20:,.0f} MiB", _ago(record.used))
    for name, each in wanted.items():
        if each.interpreter is None and cache.key_of(each.requirements) in keys:
            continue
        table.add_row(name, _told(each), "", "not made" if each.interpreter is None else "an interpreter of yours")
    console = Console()
    if not table.rows:
        console.print(f"no environments: none in {cache.cache_folder()}, and {root} names none")
        return 0
    console.print(table)
    for path in cache.half_made():
        console.print(f"half made: {path} (dlcheck env prune removes it)")
    return 0


def _versions(record: cache.Record) -> str:
    pairs = dict(line.split("==", 1) for line in record.locked if "==" in line)
    python = next((line.rpartition("python")[2] for line in record.locked if line.startswith("python ")), "")
    return product({"python": python, **pairs})


def _told(asked: Request) -> str:
    return str(asked.interpreter) if asked.interpreter is not None else ", ".join(asked.requirements)


def _ago(when: float) -> str:
    days = (time.time() - when) / 86400
    return "today" if days < 1 else f"{days:.0f} days ago"


def _make(names: Sequence[str], root: Path) -> int:
    for number, name in enumerate(names, 1):
        environment = find(name, root)
        print(f"{number} of {len(names)}: {environment.told()}: {environment.python}")
    return 0


def _prune(unused_days: float) -> int:
    if unused_days < 0:
        raise DlcheckError(f"--unused-days: {unused_days:g} is less than 0")
    limit = time.time() - unused_days * 86400
    old = [(folder, ", ".join(record.names)) for folder, record in cache.records() if record.used <= limit]
    for folder, name in [*old, *((folder, "half made") for folder in cache.half_made())]:
        freed = cache.size(folder) / 2**20
        if cache.delete(folder):
            print(f"removed {name} ({folder}), {freed:,.0f} MiB")
        else:
            print(f"kept {name} ({folder}): another process is making it")
    if not old:
        print(f"nothing has been unused for {unused_days:g} days" if unused_days else "there was nothing to remove")
    return 0
