"""What a subject's page says beside its verdicts: what is known of it, what its properties mean, how to run it again."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_dlcheck.subjects.spec import LayerSpec

__all__ = ["Reproducer", "facts", "meaning", "script_of"]

LAYERS = "keras.layers."


@dataclass(frozen=True)
class Reproducer:
    """A case that shows something.

    Attributes:
        name: of its file, without the ending.
        case: as `dlcheck replay` takes it.
        script: that needs Keras and NumPy alone; None if it could not be written.
    """

    name: str
    case: str
    script: str | None


def facts(subject: str) -> list[tuple[str, Sequence[str]]]:
    """What the spec of a layer says, in words; nothing of subjects that have none here."""
    from pytest_dlcheck.subjects.layers import SPECS

    spec = SPECS.get(subject.removeprefix(LAYERS)) if subject.startswith(LAYERS) else None
    return [] if spec is None else [(name, values) for name, values in _facts(spec) if values]


def _facts(spec: LayerSpec) -> list[tuple[str, Sequence[str]]]:
    def words(names: Sequence[str]) -> list[str]:
        return [", ".join(name.replace("_", " ") for name in names)] if names else []

    def reasons(given: Mapping[str, str]) -> list[str]:
        return [f"{name.replace('_', ' ')}: {why}" for name, why in given.items()]

    return [
        ("also called", words(spec.aliases)),
        (
            "expected values",
            ["computed independently, in float64" if spec.reference else "laws alone: no single one is right"],
        ),
        ("source", [spec.source] if spec.source else []),
        ("dtype policies", words(spec.policies)),
        ("laws", words([law.name for law in spec.laws])),
        ("must agree with", words([each.name for each in spec.identities])),
        ("exists on", words(spec.backends)),
        ("needs", words(spec.requires)),
        ("gradient", [spec.not_differentiable] if spec.not_differentiable else []),
        ("not called", [spec.abstract] if spec.abstract else []),
        ("properties left out", reasons(spec.exempt)),
        ("arguments not drawn", reasons(spec.not_drawn)),
    ]


@cache
def _meanings() -> Mapping[str, str]:
    from pytest_dlcheck.architectures.properties import PROPERTIES as OF_MODELS
    from pytest_dlcheck.properties.layers.catalogue import PROPERTIES as OF_LAYERS

    checks = {**OF_MODELS, **{each.name: each.check for each in OF_LAYERS}}
    return {name: (inspect.getdoc(check) or "").partition("\n")[0] for name, check in checks.items()}


def meaning(name: str) -> str:
    """A property in a sentence; empty where its name has to do."""
    return _meanings().get(name, "")


def script_of(case: str, backend: str, said: str, keras: str) -> str | None:
    """A stored case as a script; None where it cannot be written.

    Args:
        case: as a report holds it, as JSON.
        backend: on which it was seen.
        said: what was seen.
        keras: the version with which it was seen.
    """
    from pytest_dlcheck.architectures.script import architecture_script
    from pytest_dlcheck.cases.case import Case, revive
    from pytest_dlcheck.cases.script import script

    try:
        found = revive(json.loads(case))
        return script(found, backend, said, keras) if isinstance(found, Case) else architecture_script(found, backend, said)
    except Exception:  # noqa: BLE001 - a page must not be lost over a case of another version
        return None
