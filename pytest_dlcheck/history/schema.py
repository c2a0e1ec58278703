"""The tables of a history, how an older file becomes a newer one, and how a file is opened without harm."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from pytest_dlcheck.errors import DlcheckError

__all__ = ["APPLICATION_ID", "VERSION", "create", "opened", "readable"]

APPLICATION_ID = 0x646C6368
"""`dlch`, in the file's header: what tells a history from other SQLite files."""

BUSY_S = 60.0
HEADER = b"SQLite format 3\x00"

STEPS = (
    # 1: runs, what they found, and what was measured.
    """
    CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE words (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, started TEXT NOT NULL, tracked TEXT NOT NULL, seconds REAL,
        seed INTEGER, profile TEXT, suite TEXT, exit_status INTEGER, commit_id TEXT,
        channel TEXT NOT NULL, left_out TEXT NOT NULL);
    CREATE INDEX runs_by_time ON runs (started, id);
    CREATE TABLE products (
        run INTEGER NOT NULL REFERENCES runs, name TEXT NOT NULL, backend TEXT NOT NULL, fingerprint TEXT NOT NULL,
        versions TEXT NOT NULL, PRIMARY KEY (run, name)) WITHOUT ROWID;
    CREATE TABLE checks (
        id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, subject TEXT NOT NULL, property TEXT NOT NULL,
        product TEXT NOT NULL, device TEXT, api TEXT, dtype TEXT, mode TEXT);
    CREATE TABLE results (
        run INTEGER NOT NULL REFERENCES runs, check_id INTEGER NOT NULL REFERENCES checks,
        verdict INTEGER NOT NULL REFERENCES words, error REAL, message INTEGER REFERENCES words,
        known_issue INTEGER REFERENCES words, test INTEGER REFERENCES words, examples INTEGER NOT NULL,
        PRIMARY KEY (run, check_id)) WITHOUT ROWID;
    CREATE TABLE lines (id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, key TEXT NOT NULL);
    CREATE TABLE series (
        id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, line INTEGER NOT NULL REFERENCES lines, versions TEXT NOT NULL);
    CREATE TABLE points (
        series INTEGER NOT NULL REFERENCES series, run INTEGER NOT NULL REFERENCES runs, aa INTEGER NOT NULL,
        value REAL NOT NULL, ratio REAL, samples BLOB NOT NULL, PRIMARY KEY (series, aa, run)) WITHOUT ROWID;
    """,
    # 2: alerts, who was told what, and notes.
    """
    CREATE TABLE alerts (
        id INTEGER PRIMARY KEY, kind TEXT NOT NULL, what TEXT NOT NULL, title TEXT NOT NULL, state TEXT NOT NULL,
        began INTEGER NOT NULL REFERENCES runs, opened INTEGER NOT NULL REFERENCES runs,
        cause TEXT NOT NULL, evidence TEXT NOT NULL, acknowledged TEXT, note TEXT);
    CREATE INDEX alerts_by_what ON alerts (what, kind);
    CREATE TABLE mutes (
        id INTEGER PRIMARY KEY, pattern TEXT NOT NULL, reason TEXT NOT NULL, until TEXT NOT NULL, made TEXT NOT NULL);
    CREATE TABLE annotations (id INTEGER PRIMARY KEY, at TEXT NOT NULL, text TEXT NOT NULL);
    """,
    # 3: of each check the last case that showed something, to run it again.
    """
    CREATE TABLE cases (
        check_id INTEGER PRIMARY KEY REFERENCES checks, run INTEGER NOT NULL REFERENCES runs, backend TEXT NOT NULL,
        text TEXT NOT NULL);
    """,
)
VERSION = len(STEPS)


def _upgrade(connection: sqlite3.Connection, start: int) -> None:
    """From one version to the newest, in one transaction."""
    script = "".join(STEPS[start:])
    connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {VERSION}; COMMIT;")


def create(path: Path) -> None:
    """An empty history; one that another process makes at the same moment is as good."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    made = Path(name)
    try:
        with closing(sqlite3.connect(made)) as connection:
            # Before WAL: so both stand in the header of the file itself.
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            _upgrade(connection, 0)
            connection.execute("PRAGMA journal_mode = WAL")
        made.chmod(0o666 & ~_umask())
        with suppress(FileExistsError):
            os.link(made, path)
    finally:
        made.unlink()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _look_at(path: Path) -> int:
    """The version in the header, read as bytes: SQLite itself would make files beside it.

    Raises:
        DlcheckError: it is no history.
    """
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except OSError as error:
        raise DlcheckError(f"the history {path} cannot be read: {error.strerror}") from None
    if head[:16] != HEADER:
        raise DlcheckError(f"{path} is no history: it is no SQLite file; it was left as it is")
    if int.from_bytes(head[68:72], "big") != APPLICATION_ID:
        raise DlcheckError(f"{path} is a database of another program; it was left as it is")
    return int.from_bytes(head[60:64], "big")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """SQLite's errors in one line.

    Raises:
        DlcheckError: in place of any of them.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        said = str(error)
        told = {
            "database is locked": f"is in use by other writers for longer than {BUSY_S:.0f} s; try again",
            "database or disk is full": "could not grow, the disk is full; earlier runs are there, this one is not",
            "attempt to write a readonly database": "may not be written to",
        }.get(said, f"cannot be used: {said}")
        raise DlcheckError(f"the history {path} {told}") from None
    except sqlite3.DatabaseError as error:
        raise DlcheckError(f"the history {path} is damaged ({error}); it was left as it is: take the last copy of it") from None


@contextmanager
def opened(path: Path, *, write: bool = False, make: bool = True) -> Iterator[sqlite3.Connection]:
    """A connection to a history, brought up to date first where it is to be written to.

    Args:
        path: of the file.
        write: whether it is to be written to.
        make: whether it is made, to be written to, where there is none.

    Raises:
        DlcheckError: there is none, it is damaged, another program's or from a newer version.
    """
    if write and make and (not path.exists() or path.stat().st_size == 0):
        _create_at(path)
    if not path.exists():
        raise DlcheckError(f"there is no history {path}: `dlcheck track REPORT --history {path}` makes one")
    _refuse_newer(path, _look_at(path))
    with readable(path), closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        # What the header does not tell yet, while it stands in the write-ahead log.
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        _refuse_newer(path, version)
        if write:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise DlcheckError(f"the history {path} is damaged ({found.splitlines()[-1]}); it was left as it is")
        if version < VERSION:
            if not write:
                raise DlcheckError(
                    f"the history {path} has schema {version}: `dlcheck track --history {path}` brings it to {VERSION}"
                )
            _bring_up_to_date(connection, path, version)
        yield connection


def _create_at(path: Path) -> None:
    if path.exists():
        path.unlink()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        create(path)
    except OSError as error:
        raise DlcheckError(f"the history {path} cannot be made: {error.strerror}") from None


def _refuse_newer(path: Path, version: int) -> None:
    if version > VERSION:
        raise DlcheckError(
            f"the history {path} has schema {version} and this version knows {VERSION} at most: upgrade pytest-dlcheck;"
            " it was left as it is"
        )


def _bring_up_to_date(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Keeps the file as it was beside it, then runs the steps that it lacks."""
    copy = path.with_name(f"{path.name}.schema{version}")
    if not copy.exists():
        with closing(sqlite3.connect(copy)) as target:
            connection.backup(target)
    try:
        _upgrade(connection, version)
    except sqlite3.OperationalError:
        if connection.in_transaction:
            connection.rollback()
        # Another process may have done it since.
        if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            raise
