"""Bugs of released versions, as a folder describes them, and what a suite's reports say of each. Pure but for reading files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.report.across import FAILS

__all__ = ["FOUND", "MISSED", "SIDES", "Bug", "Outcome", "judged", "read_bugs", "subjects_of", "suites_for"]

FOUND, MISSED = "found", "missed"
SIDES = ("bad", "good")

SUITES: Mapping[str, tuple[str, ...]] = {
    "layers": ("layers",),
    "ops": ("functions", "gradients"),
    "losses": ("functions", "gradients"),
    "activations": ("functions", "gradients"),
    "models": ("architectures", "life_cycle"),
}
"""Which suites look at a subject, by the module that it stands in; what is not here no suite covers."""

# What every layer inherits shows in any layer.
_INHERITED = {"keras.layers.Layer": "keras.layers.Dense"}


@dataclass(frozen=True)
class Bug:
    """One bug.

    Attributes:
        id: its own.
        title: in a line.
        component: where it is: `layers.LSTM/GRU/SimpleRNN`.
        property: the general property that fails.
        backend: on which.
        requirements: by side, `bad` and `good`: what the environment holds, as PEP 508 says it, `python` among them.
    """

    id: str
    title: str
    component: str
    property: str
    backend: str
    requirements: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Outcome:
    """What became of one bug.

    Attributes:
        bug: which.
        verdict: `FOUND` or `MISSED`.
        by: the properties that fail on the bad version and on the good one do not, each with what the register says of it.
        false: the properties that fail on the good version, though the register does not expect it.
        why: why it is missed, where there is more to say than that nothing failed.
    """

    bug: Bug
    verdict: str
    by: Sequence[str] = ()
    false: Sequence[str] = ()
    why: str = ""


def read_bugs(folder: Path) -> list[Bug]:
    """All bugs below a folder, by the path of their `meta.json`.

    Raises:
        DlcheckError: there is none, or one lacks something.
    """
    paths = sorted(folder.rglob("meta.json"))
    if not paths:
        raise DlcheckError(f"{folder} holds no meta.json at all: give a folder of bugs, each in a folder with its own")
    return [_bug(path) for path in paths]


def _bug(path: Path) -> Bug:
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        backend = str(meta.get("backend", "tensorflow"))
        requirements = {side: tuple(_requirements(meta, side, backend)) for side in SIDES}
        return Bug(meta["id"], meta["title"], meta["component"], meta["property"], backend, requirements)
    except OSError as error:
        raise DlcheckError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DlcheckError(f"{path} is no JSON: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise DlcheckError(f"{path} lacks {error}: a bug has id, title, component, property, bad and good") from None


def _requirements(meta: Mapping[str, Any], side: str, backend: str) -> Iterator[str]:
    python = meta["python"][side] if isinstance(meta["python"], dict) else meta["python"]
    yield f"python=={'.'.join(str(python).split('.')[:2])}.*"
    if "packages" in meta:
        yield meta["packages"][side]
        return
    yield f"keras=={meta[side]}"
    if backend == "tensorflow":
        yield f"tensorflow-cpu=={meta['tensorflow']}"
    else:
        yield backend


def subjects_of(component: str) -> list[str]:
    """The subjects that a component names: `layers.LSTM/GRU/SimpleRNN` three of them, `tf.keras.layers.X` as `keras.layers.X`.

    What stands in brackets is what the bug is about, and no name.
    """
    plain = re.sub(r"\(.*?\)", "", component).replace("tf.keras.", "keras.").replace("experimental.", "")
    module, found = "", []
    for part in re.split(r"[/,]", plain):
        name = part.strip().removeprefix("keras.")
        if not re.fullmatch(r"[A-Za-z_][\w.*]*", name):
            continue  # three dots, say
        module, _, last = name.rpartition(".") if "." in name else (module, "", name)
        subject = f"keras.{module}.{last}" if module and not module.startswith("tf") else name
        subject = _INHERITED.get(subject, subject)
        found += [subject] if subject not in found else []
    return found


def suites_for(subjects: Sequence[str]) -> list[str]:
    """The suites that look at any of these subjects."""
    modules = [subject.removeprefix("keras.").split(".")[0] for subject in subjects if subject.startswith("keras.")]
    return list(dict.fromkeys(suite for module in modules for suite in SUITES.get(module, ())))


def judged(bug: Bug, bad: Mapping[str, Any], good: Mapping[str, Any]) -> Outcome:
    """What two reports say: found where a property fails of the bad version and of the good one it does not.

    Args:
        bug: which.
        bad: the report of the version that has it.
        good: the report of the version that has not.
    """
    failing = {name: _failing(report) for name, report in (("bad", bad), ("good", good))}
    by = sorted({said for check, said in failing["bad"].items() if check not in failing["good"]})
    false = sorted({name for name, issue in failing["good"] if issue is None})
    return Outcome(bug, FOUND if by else MISSED, by, false)


def _failing(report: Mapping[str, Any]) -> Mapping[tuple[str, str | None], str]:
    """The properties that fail, each with the entry of the register that expects it to, if there is one, and how to tell of it.

    The register's own stored cases do not count: they were made of what had been found before. A known failure that stands on
    one case alone is one of these.
    """
    return {
        (str(each["property"]), each.get("known_issue")): _told(each)
        for each in report["results"]
        if each["verdict"] in FAILS and not (each["verdict"] == "known" and (each.get("examples") or 0) <= 1)
    }


def _told(result: Mapping[str, Any]) -> str:
    """The property, and what the register says, since that may be another bug, mended in the same version."""
    if result["verdict"] != "known":
        return str(result["property"])
    reason, _, _ = str(result.get("message") or "").partition(" (keras ")
    return f"{result['property']}: {reason}" if reason else str(result["property"])
