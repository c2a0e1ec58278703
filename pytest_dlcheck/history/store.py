"""Writes runs into a history and reads them back; the only place besides `schema.py` that speaks SQL of runs and points."""

from __future__ import annotations

import array
import datetime as dt
import json
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.history.keys import LineKey, SeriesKey, digest
from pytest_dlcheck.history.reading import Outcome, Point, outcomes, points, started_of, versions_of
from pytest_dlcheck.history.schema import opened, readable
from pytest_dlcheck.properties.verdict import PASS

__all__ = ["History", "Line", "Measured", "RunRow", "open_history"]


@dataclass(frozen=True)
class RunRow:
    """A run, without what it found."""

    id: int
    started: str
    commit: str | None
    seed: int | None
    profile: str | None
    suite: str | None
    exit_status: int | None
    channel: str
    seconds: float | None
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class Measured:
    """A figure of a line: the run, its versions, the median, the ratio to the reference, the samples' bytes."""

    run: int
    started: str
    commit: str | None
    series: SeriesKey
    value: float
    ratio: float | None
    packed: bytes

    @property
    def samples(self) -> list[float]:
        return unpacked(self.packed)


@dataclass(frozen=True)
class Line:
    """All figures of a line, oldest first, and its A/A runs."""

    id: int
    key: LineKey
    points: Sequence[Measured]
    aa: Sequence[Measured]


def packed(samples: Sequence[float]) -> bytes:
    """Little-endian float64."""
    kept = array.array("d", samples)
    if sys.byteorder == "big":
        kept.byteswap()
    return kept.tobytes()


def unpacked(found: bytes) -> list[float]:
    kept = array.array("d")
    kept.frombytes(found)
    if sys.byteorder == "big":
        kept.byteswap()
    return kept.tolist()


@contextmanager
def open_history(path: str | Path, *, write: bool = False, make: bool = True) -> Iterator[History]:
    """A history to read, or to write to as well; made where there is none, it is to be written to and `make` allows.

    Raises:
        DlcheckError: see `schema.opened`.
    """
    place = Path(path)
    with opened(place, write=write, make=make) as connection:
        yield History(connection, place)


class History:
    """One open file."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self.path = path
        self._words: dict[str, int] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; other writers wait."""
        with readable(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                self._words.clear()
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    # Settings.

    def setting(self, name: str) -> str | None:
        found = self.connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def pin_reference(self, workload: str) -> None:
        """Names the workload that others are divided by, once for the whole history.

        Raises:
            DlcheckError: another one is pinned: ratios to two references are not comparable.
        """
        with self.transaction():
            pinned = self.setting("reference")
            if pinned not in (None, workload):
                raise DlcheckError(f"the history {self.path} has the reference {pinned!r}; for {workload!r} start another")
            self.connection.execute("INSERT OR IGNORE INTO settings VALUES ('reference', ?)", (workload,))

    # Writing.

    def add(self, report: Mapping[str, Any], name: str, *, channel: str = "", commit: str | None = None) -> int | None:
        """Keeps a report; gives the run's number, or None where it is there already.

        Args:
            report: its JSON, as `report/reading.py` gives it.
            name: of its file, for messages.
            channel: which of several environments it is of.
            commit: what was checked out, where the report does not say.

        Raises:
            DlcheckError: the report is no run with results, or the file cannot be written to; then nothing of it is kept.
        """
        started = started_of(report, name)
        if not report["results"] and not report["measurements"] and not report.get("series"):
            raise DlcheckError(f"{name} holds no result and no measurement: nothing to keep")
        found = outcomes(report, channel)
        measured = points(report, name, self.setting("reference"), channel)
        with self.transaction():
            run = self._add_run(report, started, channel, commit)
            if run is None:
                return None
            self._add_products(run, report, channel)
            self._add_outcomes(run, found)
            self._add_points(run, measured)
        return run

    def _add_run(self, report: Mapping[str, Any], started: str, channel: str, commit: str | None) -> int | None:
        run = report["run"]
        cursor = self.connection.execute(
            "INSERT INTO runs VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO NOTHING RETURNING id",
            (
                digest([channel, report]),
                started,
                dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
                run.get("seconds"),
                run.get("seed"),
                run.get("profile"),
                run.get("suite"),
                run.get("exit_status"),
                run.get("commit") or commit,
                channel,
                json.dumps(run.get("left_out") or {}),
            ),
        )
        found = cursor.fetchone()
        return None if found is None else int(found[0])

    def _add_products(self, run: int, report: Mapping[str, Any], channel: str) -> None:
        rows = []
        for each in report["product"]:
            name = " ".join(filter(None, [str(each.get("name") or each["backend"]["name"]), channel]))
            versions = versions_of(each)
            fingerprint = {key: value for key, value in each.items() if key not in versions}
            rows.append((run, name, each["backend"]["name"], json.dumps(fingerprint), json.dumps(versions, sort_keys=True)))
        self.connection.executemany("INSERT INTO products VALUES (?, ?, ?, ?, ?)", rows)

    def _word(self, text: str | None) -> int | None:
        """The number of a text that is kept once."""
        if text is None:
            return None
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
        if text not in self._words:
            self.connection.execute("INSERT OR IGNORE INTO words (text) VALUES (?)", (text,))
            found = self.connection.execute("SELECT id FROM words WHERE text = ?", (text,)).fetchone()
            self._words[text] = int(found[0])
        return self._words[text]

    def _identity(self, table: str, name: str, columns: Mapping[str, Any]) -> int:
        """The number of a row that is kept once, by its digest."""
        found = self.connection.execute(f"SELECT id FROM {table} WHERE digest = ?", (name,)).fetchone()  # noqa: S608 - ours
        if found is None:
            places = ", ".join("?" * (len(columns) + 1))
            statement = f"INSERT INTO {table} (digest, {', '.join(columns)}) VALUES ({places}) RETURNING id"  # noqa: S608 - ours
            found = self.connection.execute(statement, (name, *columns.values())).fetchone()
        return int(found[0])

    def _add_outcomes(self, run: int, found: Sequence[Outcome]) -> None:
        rows = []
        for each in found:
            check = asdict(each.check)
            number = self._identity("checks", digest(check), check)
            if each.case is not None:
                self._keep_case(number, run, str(each.backend), each.case)
            rows.append(
                (
                    run,
                    number,
                    self._word(each.verdict),
                    each.error,
                    # What held is told by its figures alone: messages of passes would be most of the file.
                    None if each.verdict == PASS else self._word(each.message),
                    self._word(each.known_issue),
                    self._word(each.test),
                    each.examples,
                )
            )
        self.connection.executemany("INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def _keep_case(self, check: int, run: int, backend: str, case: str) -> None:
        """Instead of an earlier run's: one case of a check is enough to look into it."""
        self.connection.execute(
            "INSERT INTO cases VALUES (?, ?, ?, ?) ON CONFLICT (check_id) DO UPDATE SET run = excluded.run,"
            " backend = excluded.backend, text = excluded.text"
            " WHERE (SELECT started FROM runs WHERE id = excluded.run) >= (SELECT started FROM runs WHERE id = cases.run)",
            (check, run, backend, case),
        )

    def cases(self) -> dict[int, tuple[int, str, str]]:
        """Of each check that ever showed something: the last run that did, its backend, and the case as JSON."""
        found = self.connection.execute("SELECT check_id, run, backend, text FROM cases")
        return {check: (run, backend, text) for check, run, backend, text in found}

    def _add_points(self, run: int, found: Sequence[Point]) -> None:
        rows = []
        for each in found:
            line = each.series.line
            line_id = self._identity("lines", line.digest, {"key": json.dumps(asdict(line))})
            columns = {"line": line_id, "versions": json.dumps(dict(each.series.versions))}
            series = self._identity("series", each.series.digest, columns)
            rows.append((series, run, int(each.aa), each.value, each.ratio, packed(each.samples)))
        self.connection.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?, ?)", rows)

    # Reading.

    def runs(self) -> list[RunRow]:
        """Oldest first, by when they began: not by when they came here."""
        rows = self.connection.execute(
            "SELECT id, started, commit_id, seed, profile, suite, exit_status, channel, seconds, left_out FROM runs"
            " ORDER BY started, id"
        )
        names = ("id", "started", "commit", "seed", "profile", "suite", "exit_status", "channel", "seconds", "left_out")
        return [RunRow(**{**dict(zip(names, row, strict=True)), "left_out": json.loads(row[-1])}) for row in rows]

    def lines(self) -> Iterator[Line]:
        """Every line with its figures, in a fixed order."""
        keys = {row[0]: LineKey(**json.loads(row[1])) for row in self.connection.execute("SELECT id, key FROM lines")}
        series = {
            row[0]: (row[1], SeriesKey.of(keys[row[1]], json.loads(row[2])))
            for row in self.connection.execute("SELECT id, line, versions FROM series")
        }
        for line_id, key in sorted(keys.items(), key=lambda each: (each[1].title(), each[0])):
            found: tuple[list[Measured], list[Measured]] = ([], [])
            rows = self.connection.execute(
                "SELECT series, aa, run, started, commit_id, value, ratio, samples FROM points JOIN runs ON runs.id = run"
                " WHERE series IN (SELECT id FROM series WHERE line = ?) ORDER BY started, runs.id",
                (line_id,),
            )
            for number, aa, *rest, value, ratio, samples in rows:
                run, started, commit = rest
                found[aa].append(Measured(run, started, commit, series[number][1], value, ratio, samples))
            yield Line(line_id, key, *found)

    def last_messages(self, since: str) -> dict[int, tuple[str | None, str | None, str | None]]:
        """Of each check's last run what was seen, the known issue and the test.

        Args:
            since: of runs that began then or later; ISO 8601.
        """
        # Numbers of texts first: only those of the last run of each check are read.
        rows = self.connection.execute(
            "SELECT check_id, message, known_issue, test FROM runs CROSS JOIN results ON run = runs.id WHERE started >= ?"
            " ORDER BY started, runs.id",
            (since,),
        )
        last = {check: texts for check, *texts in rows}

        def text(number: int | None) -> str | None:
            if number is None:
                return None
            return str(self.connection.execute("SELECT text FROM words WHERE id = ?", (number,)).fetchone()[0])

        return {check: (text(message), text(issue), text(test)) for check, (message, issue, test) in last.items()}

    def timeline(self, check: int) -> list[tuple[int, str]]:
        """The verdicts of a check, oldest first, by run.

        One look-up for each run: an index by check would be written to in as many places as a run has results.
        """
        rows = self.connection.execute(
            "SELECT runs.id, text FROM runs CROSS JOIN results ON run = runs.id AND check_id = ?"
            " JOIN words ON words.id = verdict ORDER BY started, runs.id",
            (check,),
        )
        return [(run, verdict) for run, verdict in rows]

    def annotations(self) -> list[tuple[str, str]]:
        """Notes on the time axis: day and text."""
        return [(day, text) for day, text in self.connection.execute("SELECT at, text FROM annotations ORDER BY at, id")]
