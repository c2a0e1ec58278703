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
from pytest_dlcheck.subjects.spec import LayerSpec, World

__all__ = ["EFFORTS", "RecordEffort", "chosen_subjects", "drawn"]

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


def drawn(
    subject: str, backend: str, seed: int, effort: RecordEffort, taken: Mapping[str, Any] | None
) -> Iterator[dict[str, Any]]:
    """The cases of a subject as a record holds them, each with whether gradients are kept.

    Cases are drawn as if every argument of every version could be given, so that two versions get the same ones. What a
    version does not take is `unsupported` there, and as many further ones are drawn.

    Args:
        subject: its full name.
        backend: on which they run.
        seed: everything drawn follows from it.
        effort: how much.
        taken: the parameters that the constructor takes there; None if that does not matter.
    """
    name = subject.removeprefix("keras.")
    if name in OPERATIONS:
        for number, variant in enumerate(OPERATIONS[name].variants[: effort.variants]):
            of_variant = derive(seed, subject, str(number)) % 1000
            told = variant.told()
            yield {
                "operation": name,
                "variant": number,
                "told": told,
                "seed": of_variant,
                "gradients": number < effort.gradients,
            }
        return
    spec = SPECS[subject.rpartition(".")[2]]
    found = _cases(spec, World(backend, EVERYTHING), seed, effort.cases, taken)
    if taken is not None and not any(usable for _, usable in found):
        # What it needs has another name there.
        own = World(backend, EVERYTHING, frozenset(taken) | {"activity_regularizer", "trainable", "name"})
        found += _cases(spec, own, seed, effort.cases, taken)
    for number, (case, _) in enumerate(found):
        yield {"case": plain(case), "gradients": number < effort.gradients and "gradient" not in spec.exempt}


def _cases(spec: LayerSpec, world: World, seed: int, wanted: int, taken: Mapping[str, Any] | None) -> list[tuple[Any, bool]]:
    found: dict[str, tuple[Any, bool]] = {}
    for number in range(4 * wanted):
        case = random_case(spec, world, derive(seed, spec.subject, str(number)))[0] if number else simplest_case(spec, world)
        known = {"activity_regularizer", "trainable", "name", *(taken or {})}
        usable = taken is None or all(name in known for name in case.arguments)
        found.setdefault(case.key(), (case, usable))
        if sum(each for _, each in found.values()) >= wanted:
            break
    return list(found.values())
