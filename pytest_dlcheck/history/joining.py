"""Several histories as one: what shards, machines and copies have kept, each run once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.history.schema import HEADER
from pytest_dlcheck.history.store import History, open_history

__all__ = ["is_history", "join"]

# Rows that are the same wherever they are kept, by what tells them: they take the number that the target gives them.
IDENTITIES = {
    "words": ("text", "text"),
    "checks": ("digest", "digest, subject, property, product, device, api, dtype, mode"),
    "lines": ("digest", "digest, key"),
}
RUN = "digest, started, tracked, seconds, seed, profile, suite, exit_status, commit_id, channel, left_out"


def is_history(path: str) -> bool:
    """Whether a file is one of SQLite's."""
    place = Path(path)
    if not place.is_file():
        return False
    with place.open("rb") as file:
        return file.read(len(HEADER)) == HEADER


def join(sources: Sequence[str], target: str) -> int:
    """Adds every run of some histories that another does not have, with its alerts, mutes and notes; gives how many runs.

    A second time changes nothing: runs are told by what they hold, whatever number they have.

    Args:
        sources: the histories, read only.
        target: the history that they are added to; made if there is none.

    Raises:
        DlcheckError: one is no history, is of an older schema, or has another reference workload; then nothing is added.
    """
    pinned: dict[str | None, str] = {}
    for source in sources:
        if Path(source).resolve() == Path(target).resolve():
            raise DlcheckError(f"{source} cannot be joined to itself: name another file as the output")
        with open_history(source) as found:
            if found.runs():
                pinned.setdefault(found.setting("reference"), source)
    added = 0
    with open_history(target, write=True) as history:
        if history.runs():
            pinned.setdefault(history.setting("reference"), target)
        if len(pinned) > 1:
            (one, first), (two, second) = list(pinned.items())[:2]
            raise DlcheckError(f"{first} has the reference {one!r} and {second} {two!r}: their ratios are not comparable")
        for reference in pinned:
            if reference is not None:
                history.pin_reference(reference)
        for source in sources:
            with _attached(history, source), history.transaction():
                added += _copy(history.connection)
    return added


@contextmanager
def _attached(history: History, source: str) -> Iterator[None]:
    history.connection.execute("ATTACH ? AS source", (str(source),))
    try:
        yield
    finally:
        history.connection.execute("DETACH source")


def _copy(connection: sqlite3.Connection) -> int:
    execute = connection.execute
    for table, (name, columns) in IDENTITIES.items():
        execute(
            f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM source.{table}"  # noqa: S608 - ours
            f" WHERE {name} NOT IN (SELECT {name} FROM main.{table})"
        )
    execute(
        "INSERT INTO main.series (digest, line, versions) SELECT s.digest, ours.id, s.versions FROM source.series s"
        " JOIN source.lines l ON l.id = s.line JOIN main.lines ours ON ours.digest = l.digest"
        " WHERE s.digest NOT IN (SELECT digest FROM main.series)"
    )
    execute("CREATE TEMP TABLE fresh AS SELECT id, digest FROM source.runs WHERE digest NOT IN (SELECT digest FROM main.runs)")
    execute(
        f"INSERT INTO main.runs ({RUN}) SELECT {RUN} FROM source.runs WHERE id IN (SELECT id FROM fresh)"  # noqa: S608 - ours
        " ORDER BY started, id"
    )
    run = "FROM source.{} t JOIN fresh ON fresh.id = t.run JOIN main.runs r ON r.digest = fresh.digest"
    execute("INSERT INTO main.products SELECT r.id, t.name, t.backend, t.fingerprint, t.versions " + run.format("products"))
    check = " JOIN source.checks c ON c.id = t.check_id JOIN main.checks k ON k.digest = c.digest"

    def word(column: str) -> str:
        return f"(SELECT w.id FROM source.words s JOIN main.words w ON w.text = s.text WHERE s.id = t.{column})"  # noqa: S608

    texts = ", ".join([word("verdict"), "t.error", *map(word, ("message", "known_issue", "test"))])
    execute(f"INSERT INTO main.results SELECT r.id, k.id, {texts}, t.examples {run.format('results')}{check}")
    execute(
        "INSERT INTO main.points SELECT k.id, r.id, t.aa, t.value, t.ratio, t.samples "
        + run.format("points")
        + " JOIN source.series c ON c.id = t.series JOIN main.series k ON k.digest = c.digest"
    )
    execute(
        f"INSERT OR REPLACE INTO main.cases SELECT k.id, r.id, t.backend, t.text {run.format('cases')}{check}"  # noqa: S608
        " WHERE r.started >= coalesce((SELECT started FROM main.cases o JOIN main.runs p ON p.id = o.run"
        " WHERE o.check_id = k.id), '')"
    )
    _copy_what_was_said(connection)
    count = int(execute("SELECT count(*) FROM fresh").fetchone()[0])
    execute("DROP TABLE fresh")
    return count


def _copy_what_was_said(connection: sqlite3.Connection) -> None:
    """Alerts with their states, mutes and notes; what is there already is left as it is."""
    for table, columns in (("mutes", "pattern, reason, until, made"), ("annotations", "at, text")):
        connection.execute(
            f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM source.{table}"  # noqa: S608 - ours
            f" EXCEPT SELECT {columns} FROM main.{table}"
        )
    runs = _numbers(connection, "runs")
    places = {"line": _numbers(connection, "lines"), "check": _numbers(connection, "checks")}
    names = "kind, what, title, state, began, opened, cause, evidence, acknowledged, note"
    known = set(connection.execute("SELECT kind, what, began FROM main.alerts"))
    for kind, what, title, state, began, opened, *rest in connection.execute(f"SELECT {names} FROM source.alerts").fetchall():  # noqa: S608
        of, _, number = what.partition(":")
        ours = f"{of}:{places[of][int(number)]}"
        if (kind, ours, runs[began]) in known:
            continue
        cause, evidence, *said = rest
        found = json.loads(evidence)
        if "between" in found:
            evidence = json.dumps({**found, "between": [runs[each] for each in found["between"]]})
        row = (kind, ours, title, state, runs[began], runs[opened], cause, evidence, *said)
        connection.execute(f"INSERT INTO main.alerts ({names}) VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608


def _numbers(connection: sqlite3.Connection, table: str) -> Mapping[int, int]:
    """The target's number of each row of the source."""
    return dict(
        connection.execute(f"SELECT s.id, m.id FROM source.{table} s JOIN main.{table} m ON m.digest = s.digest")  # noqa: S608
    )
