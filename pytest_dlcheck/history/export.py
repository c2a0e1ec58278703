"""`dlcheck export`: a history as JSON or Parquet, for other programs."""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pytest_dlcheck.errors import DlcheckError

if TYPE_CHECKING:
    from pytest_dlcheck.history.store import History

__all__ = ["SCHEMA", "add_arguments", "export"]

SCHEMA = "dlcheck-history/1"
# So many rows are held at a time.
BATCH = 50_000
# Of a line's key, as it stands in `keys.LineKey`.
KEY = (
    *("channel", "suite", "subject", "workload", "side", "phase", "metric", "unit", "backend", "batch", "dtype", "jit"),
    *("device", "device_model", "driver", "cpu", "cores", "threads", "python"),
)

Row = dict[str, Any]


def _as_is(row: Row) -> Row:
    return row


def _parse(*names: str) -> Callable[[Row], Row]:
    return lambda row: {**row, **{name: json.loads(row[name]) for name in names}}


def _measurement(row: Row) -> Row:
    from pytest_dlcheck.history.store import unpacked

    key = json.loads(row.pop("key"))
    versions, samples = json.loads(row.pop("versions")), unpacked(row.pop("samples"))
    return {**row, "aa": bool(row["aa"]), **{name: key.get(name) for name in KEY}, "versions": versions, "samples": samples}


TABLES: Mapping[str, tuple[str, Callable[[Row], Row]]] = {
    "runs": (
        'SELECT id AS run, started, tracked, seconds, seed, profile, suite, exit_status, commit_id AS "commit", channel,'
        " left_out FROM runs WHERE started >= :since ORDER BY started, id",
        _parse("left_out"),
    ),
    "products": (
        "SELECT run, name, backend, fingerprint, versions FROM products JOIN runs ON runs.id = run WHERE started >= :since"
        " ORDER BY started, run, name",
        _parse("fingerprint", "versions"),
    ),
    "results": (
        "SELECT run, subject, property, product, device, api, dtype, mode, v.text AS verdict, error, m.text AS message,"
        " i.text AS known_issue, t.text AS test, examples FROM runs CROSS JOIN results ON run = runs.id"
        " JOIN checks ON checks.id = check_id JOIN words v ON v.id = verdict LEFT JOIN words m ON m.id = message"
        " LEFT JOIN words i ON i.id = known_issue LEFT JOIN words t ON t.id = test WHERE started >= :since",
        _as_is,
    ),
    "measurements": (
        "SELECT run, line, aa, value, ratio, samples, key, series.versions FROM points JOIN runs ON runs.id = run"
        " JOIN series ON series.id = series JOIN lines ON lines.id = line WHERE started >= :since ORDER BY line, started, run",
        _measurement,
    ),
    "alerts": (
        "SELECT alerts.id, kind, what, title, state, began, opened, cause, evidence, acknowledged, note FROM alerts"
        " JOIN runs ON runs.id = began WHERE started >= :since ORDER BY alerts.id",
        _parse("evidence"),
    ),
    "annotations": ("SELECT at, text FROM annotations WHERE at >= substr(:since, 1, 10) ORDER BY at, id", _as_is),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(call=export)
    parser.add_argument("history", help="the SQLite file")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="PATH",
        help="FILE.json, or a folder that takes one Parquet file for each table",
    )
    parser.add_argument("--since", default="", metavar="DAY", help="only runs of that day and later, as 2026-12-31")


def export(options: argparse.Namespace) -> int:
    """Writes it; gives the exit status.

    Raises:
        DlcheckError: the history or the day cannot be used, or the output cannot be written.
    """
    import datetime as dt

    from pytest_dlcheck.history.store import open_history

    if options.since:
        try:
            dt.date.fromisoformat(options.since)
        except ValueError:
            raise DlcheckError(f"{options.since!r} is no day; write it as 2026-12-31") from None
    target = Path(options.output)
    with open_history(options.history) as history:
        try:
            if target.suffix == ".json":
                _write_json(history, target, options.since)
            else:
                _write_parquet(history, target, options.since)
        except OSError as error:
            raise DlcheckError(f"{target} cannot be written: {error.strerror or error}") from None
    print(target)  # noqa: T201 - the command's answer
    return 0


def rows(history: History, table: str, since: str = "") -> Iterator[Row]:
    """The rows of a table, one at a time.

    Args:
        history: an open one.
        table: one of `TABLES`.
        since: of runs that began then or later; ISO 8601.
    """
    statement, made = TABLES[table]
    cursor = history.connection.cursor()
    cursor.row_factory = sqlite3.Row
    for row in cursor.execute(statement, {"since": since}):
        yield made(dict(row))


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A name beside a file's, which becomes the file's once all of it is written: half an export is none."""
    part = target.with_name(f".{target.name}.part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _write_json(history: History, target: Path, since: str) -> None:
    """One object, written row by row: a history may be larger than memory."""
    with _whole(target) as part, part.open("w", encoding="utf-8") as file:
        file.write(f'{{"schema": {json.dumps(SCHEMA)}, "reference": {json.dumps(history.setting("reference"))}')
        for table in TABLES:
            file.write(f',\n"{table}": [')
            _write_rows(file, rows(history, table, since))
            file.write("]")
        file.write("}\n")


def _write_rows(file: TextIO, found: Iterator[Row]) -> None:
    file.writelines(f"{',' if place else ''}\n{json.dumps(row)}" for place, row in enumerate(found))


def _write_parquet(history: History, target: Path, since: str) -> None:
    """One file for each table; what is nested, but for samples, as JSON."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise DlcheckError("Parquet needs pyarrow: pip install 'pytest-dlcheck[parquet]'; or name a FILE.json") from None
    target.mkdir(parents=True, exist_ok=True)
    floats, whole, truth = pa.float64(), pa.int64(), pa.bool_()
    kinds = {
        **dict.fromkeys(("value", "ratio", "error", "seconds"), floats),
        **dict.fromkeys(("run", "line", "id", "began", "opened", "examples", "seed", "exit_status"), whole),
        **dict.fromkeys(("batch", "cores", "threads"), whole),
        "aa": truth,
        "samples": pa.list_(floats),
    }
    for table in TABLES:
        found = rows(history, table, since)
        batch = list(islice(found, BATCH))
        schema = pa.schema([(name, kinds.get(name, pa.string())) for name in (batch[0] if batch else _columns(history, table))])
        with _whole(target / f"{table}.parquet") as part, pq.ParquetWriter(part, schema) as writer:
            while batch:
                writer.write_table(pa.Table.from_pylist([_flat(row, schema.names) for row in batch], schema))
                batch = list(islice(found, BATCH))


def _columns(history: History, table: str) -> Sequence[str]:
    found = [each[0] for each in history.connection.execute(TABLES[table][0], {"since": "9999"}).description]
    return [*(name for name in found if name != "key"), *(KEY if table == "measurements" else ())]


def _flat(row: Row, names: Sequence[str]) -> Row:
    return {name: json.dumps(value) if isinstance(value := row[name], dict) else value for name in names}
