"""Which cases a record holds: drawn from the seed, the same ones for every version of a product."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pytest_dlcheck.cases.case import plain
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.seeds import derive
from pytest_dlcheck.strategies.draw import random_case, simplest_case
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.operations import OPERATIONS
from pytest_dlcheck.subjects.spec import World

__all__ = ["EFFORTS", "RecordEffort", "chosen_subjects", "differentiable", "drawn", "wanted"]

Drawn = dict[str, Any]

# Newer than any release: everything that any version takes is drawn.
EVERYTHING = (99, 0)


@dataclass(frozen=True)
class RecordEffort:
    """How much is recorded.

    Attributes:
        cases: of each layer.
        variants: ways of calling each function.
        gradients: of how many of the cases of a subject gradients are kept.
    """

    cases: int
    variants: int
    gradients: int


EFFORTS: Mapping[str, RecordEffort] = MappingProxyType(
    {
        "smoke": RecordEffort(cases=3, variants=2, gradients=1),
        "default": RecordEffort(cases=10, variants=8, gradients=3),
        "nightly": RecordEffort(cases=60, variants=99, gradients=20),
    }
)


def chosen_subjects(globs: Sequence[str], backend: str) -> list[str]:
    """The layers and functions that have a spec, by their full names.

    Args:
        globs: of names; all without any.
        backend: on which they must exist.

    Raises:
        DlcheckError: a name matches none.
    """
    layers = [each for each in SPECS.values() if not each.abstract and (not each.backends or backend in each.backends)]
    known = [*(each.subject for each in layers), *(each.subject for each in OPERATIONS.values())]
    for glob in globs:
        if not any(fnmatch.fnmatchcase(name, glob) for name in known):
            raise DlcheckError(f"--subject {glob}: none of the {len(known)} subjects, like {known[0]}, has such a name")
    return [name for name in known if not globs or any(fnmatch.fnmatchcase(name, glob) for glob in globs)]


def drawn(subject: str, backend: str, seed: int, effort: RecordEffort, taken: Mapping[str, Any] | None) -> Iterator[Drawn]:
    """Cases of a subject as a record holds them, as many as may be needed until enough of them are supported.

    Cases are drawn as if every argument of every version could be given, so that two versions get the same ones. What a
    version does not take is `unsupported` there, and further ones are drawn.

    Args:
        subject: its full name.
        backend: on which they run.
        seed: everything drawn follows from it.
        effort: how much.
        taken: the parameters that a version takes, where nothing that it could be given was supported; else None.
    """
    name = subject.removeprefix("keras.")
    if name in OPERATIONS:
        for number, variant in enumerate(OPERATIONS[name].variants[: effort.variants]):
            of_variant = derive(seed, subject, str(number)) % 1000
            yield {"operation": name, "variant": number, "told": variant.told(), "seed": of_variant}
        return
    spec = SPECS[subject.rpartition(".")[2]]
    # What every layer takes, though most hide it in **kwargs.
    names = None if taken is None else frozenset(taken) | {"activity_regularizer", "trainable", "name"}
    world = World(backend, EVERYTHING, names)
    seen = set()
    for number in range(4 * effort.cases):
        case = random_case(spec, world, derive(seed, subject, str(number)))[0] if number else simplest_case(spec, world)
        if case.key() not in seen:
            seen.add(case.key())
            yield {"case": plain(case)}


def wanted(subject: str, effort: RecordEffort) -> int:
    """How many supported cases of a subject are enough."""
    return effort.variants if subject.removeprefix("keras.") in OPERATIONS else effort.cases


def differentiable(subject: str) -> bool:
    """Whether its gradients mean anything."""
    operation = OPERATIONS.get(subject.removeprefix("keras."))
    if operation is not None:
        return not operation.not_differentiable
    return "gradient" not in SPECS[subject.rpartition(".")[2]].exempt
