"""Where environments are kept, and what is known of each: a folder of its own, a record in it when it is complete."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from pytest_dlcheck.errors import DlcheckError

__all__ = [
    "Record",
    "delete",
    "folder_of",
    "half_made",
    "key_of",
    "locked",
    "logs",
    "read_record",
    "records",
    "size",
    "write_record",
]

RECORD = "dlcheck-environment.json"


@dataclass
class Record:
    """What is known of a complete environment.

    Attributes:
        names: under which it was asked for.
        requirements: what was asked to be in it.
        locked: what that was resolved to, `name==version` each.
        made: when, in seconds since 1970.
        used: when last, in seconds since 1970.
    """

    names: list[str]
    requirements: list[str]
    locked: list[str]
    made: float
    used: float


def cache_folder() -> Path:
    """`$DLCHECK_CACHE`, else the user's cache folder on this platform."""
    given = os.environ.get("DLCHECK_CACHE")
    return Path(given).expanduser().absolute() if given else platformdirs.user_cache_path("dlcheck")


def _environments() -> Path:
    folder = cache_folder() / "environments"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DlcheckError(
            f"cannot keep environments in {folder}: {error.strerror}; DLCHECK_CACHE names another folder"
        ) from None
    return folder


def logs() -> Path:
    """Where what peers print is kept."""
    folder = cache_folder() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def key_of(requirements: Sequence[str]) -> str:
    """Of environments that are interchangeable on this machine: by their requirements, in whatever order."""
    told = [platform.system(), platform.machine(), *sorted({"".join(each.split()) for each in requirements})]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def folder_of(key: str) -> Path:
    """The folder of an environment, whether it exists or not."""
    return _environments() / key


@contextlib.contextmanager
def locked(key: str, waiting: Callable[[], None] | None = None) -> Iterator[bool]:
    """Holds an environment's lock, which ends with the process that holds it.

    Args:
        key: of the environment.
        waiting: called before waiting for another process; None not to wait: then what is given says whether it is held.
    """
    with (_environments() / f"{key}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is None:
                yield False
                return
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield True


def read_record(folder: Path) -> Record | None:
    """What is known of an environment; None of one that is not complete."""
    try:
        return Record(**json.loads((folder / RECORD).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_record(folder: Path, record: Record) -> None:
    """Keeps a record; whoever reads meanwhile sees the old one or the new one."""
    temporary = folder / f"{RECORD}.{os.getpid()}"
    temporary.write_text(json.dumps(asdict(record), indent=1))
    temporary.replace(folder / RECORD)


def used(folder: Path, record: Record, name: str) -> None:
    """Notes that an environment is used now, under a name."""
    record.used = time.time()
    if name not in record.names:
        record.names.append(name)
    with contextlib.suppress(OSError):  # a cache that several users read need not be writable
        write_record(folder, record)


def records() -> list[tuple[Path, Record]]:
    """All complete environments, the last used first."""
    found = [(folder, record) for folder in _environments().iterdir() if (record := read_record(folder)) is not None]
    return sorted(found, key=lambda each: -each[1].used)


def half_made() -> list[Path]:
    """Folders of environments whose making did not end."""
    return [folder for folder in _environments().iterdir() if folder.is_dir() and read_record(folder) is None]


def delete(folder: Path) -> bool:
    """Removes an environment, unless another process is making it."""
    with locked(folder.name) as held:
        if held:
            shutil.rmtree(folder, ignore_errors=True)
    return held


def size(folder: Path) -> int:
    """What the files of an environment take, in bytes; those that uv shares with its own cache count too."""
    total = 0
    for where, _, files in os.walk(folder):
        for file in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(where, file)).st_size  # noqa: PTH118 - a hundred thousand of them
    return total
