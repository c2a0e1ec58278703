"""The file: one JSON object, compressed. The same content gives the same bytes, so that it can be kept in a repository."""

from __future__ import annotations

import json
import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_dlcheck.errors import DlcheckError

__all__ = ["SCHEMA", "Record", "read_record", "write_record"]

SCHEMA = "dlcheck-record/1"

_MAGIC = b"\xfd7zXZ"


@dataclass(frozen=True)
class Record:
    """What a product did.

    Attributes:
        product: its versions: `keras`, `torch`, `python`, `backend`.
        run: `seed`, `profile`, `suite` (our version).
        subjects: by name: `parameters` of the constructor or function with their defaults, or `missing` with the reason, and
            `cases`: each the case (`case`, or `operation`, `variant`, `told` and `seed`), and what was seen of it (`seen`).
    """

    product: Mapping[str, str]
    run: Mapping[str, Any]
    subjects: Mapping[str, Mapping[str, Any]]

    @property
    def name(self) -> str:
        """The product in a few words: `keras 3.15.1 on torch 2.13.0, Python 3.11.7`."""
        backend = self.product["backend"]
        framework = self.product.get(backend, "?").partition("+")[0]
        return f"keras {self.product['keras']} on {backend} {framework}, Python {self.product['python']}"


def write_record(path: Path, record: Record) -> int:
    """Writes the file; gives its size in bytes.

    Raises:
        DlcheckError: it cannot be written.
    """
    stored = {"schema": SCHEMA, "product": record.product, "run": record.run, "subjects": record.subjects}
    # In the order in which things came: that of parameters has a meaning.
    text = json.dumps(stored, separators=(",", ":")).encode("utf-8", "backslashreplace")
    packed = lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(packed)
    except OSError as error:
        raise DlcheckError(f"{path} cannot be written: {error.strerror}") from None
    return len(packed)


def is_record(path: Path) -> bool:
    """Whether the file begins as a record does."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def read_record(path: Path) -> Record:
    """The record of a file.

    Raises:
        DlcheckError: it cannot be read, or is no record of this schema.
    """
    try:
        found = json.loads(lzma.decompress(path.read_bytes()))
    except OSError as error:
        raise DlcheckError(f"{path} cannot be read: {error.strerror}") from None
    except (lzma.LZMAError, EOFError, ValueError) as error:
        raise DlcheckError(f"{path} is no record, or was cut off: {error}") from None
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema != SCHEMA:
        raise DlcheckError(f"{path} has schema {schema!r}, and {SCHEMA!r} is needed: record it again with this version")
    wrong = _wrong(found)
    if wrong is not None:
        raise DlcheckError(f"{path} says that it is {SCHEMA!r}, and {wrong}")
    return Record(found["product"], found["run"], found["subjects"])


def _wrong(found: Mapping[str, Any]) -> str | None:
    for key in ("product", "run", "subjects"):
        if not isinstance(found.get(key), dict):
            return f"has no {key}"
    lacking = [key for key in ("backend", "keras", "python") if not isinstance(found["product"].get(key), str)]
    if lacking:
        return f"its product names no {lacking[0]}"
    for name, subject in found["subjects"].items():
        if not isinstance(subject, dict) or not isinstance(subject.get("cases"), list):
            return f"{name} has no cases"
        if any(not isinstance(case, dict) or not isinstance(case.get("seen"), dict) for case in subject["cases"]):
            return f"{name} has a case of which nothing was seen"
    return None
