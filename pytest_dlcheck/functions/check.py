"""One exported function on a backend: everything that must hold of what it gives."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.finding import Finding
from pytest_dlcheck.functions.looks import EFFORTS, WHOLE, Effort, Look, arguments_of, looks_at, turned
from pytest_dlcheck.functions.observing import Declaration, Observer, Outputs
from pytest_dlcheck.gradients.findings import Tallies
from pytest_dlcheck.gradients.operations import VALUE_LACKING, WRITTEN_FOR, options_lacking
from pytest_dlcheck.known_issues import KnownIssue
from pytest_dlcheck.observe.layer_observation import Raised
from pytest_dlcheck.observe.nests import leaves_of, map_leaves
from pytest_dlcheck.properties import functions as properties
from pytest_dlcheck.properties.verdict import HARMLESS, Verdict
from pytest_dlcheck.records.observing_functions import UNDEFINED
from pytest_dlcheck.references.functions import reference_of
from pytest_dlcheck.seeds import derive
from pytest_dlcheck.subjects.operations.record import Operation, Variant
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, Bounded, perturbed

__all__ = ["PROPERTIES", "FunctionCheck"]

Array = NDArray[Any]
Move = Callable[[Array], Array]

PROPERTIES = ("runs", "declares", "open_sizes", "declared_axes", "axes", "graph", "compiled", "values")
EAGER, SYMBOLIC = "eager", "symbolic"
RANDOM = frozenset({"ops.image.elastic_transform"})
"""Functions that draw random numbers; a compiled program may draw others."""


class _Said(NamedTuple):
    property: str
    mode: str
    verdict: Verdict


class FunctionCheck:
    """One item: a function on a backend.

    Args:
        operation: its record.
        function: itself, or a class whose instances are functions.
        backend: loaded.
        keras: Keras's version, as numbers.
        seed: everything drawn follows from it.
        effort: how much.
        known: gives the register's entries for a property.
    """

    def __init__(
        self,
        operation: Operation,
        function: Callable[..., Any],
        backend: Backend,
        *,
        keras: tuple[int, ...] = WRITTEN_FOR,
        seed: int = 0,
        effort: Effort = EFFORTS["nightly"],
        known: Callable[[str], Sequence[KnownIssue]] = lambda name: (),
    ) -> None:
        self.operation, self.function, self.backend, self.keras = operation, function, backend, keras
        self.seed, self.effort = seed, effort
        self.observer = Observer(function, backend)
        self.tallies: Tallies[Look] = Tallies({name: tuple(known(name)) for name in PROPERTIES}, Look.names, Look.told)
        self._judged: list[tuple[str, Look, bool]] = []

    def run(self) -> list[Finding]:
        """Looks at the function in every way, and says what became of each property."""
        with self.backend.quick(), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            for look in looks_at(self.operation, self.effort):
                start = time.perf_counter()
                try:
                    said = list(self._look(look))
                except Exception:  # noqa: BLE001 - a defect of ours must not pass for one of the framework
                    said = [_Said("runs", EAGER, Verdict("broken", traceback.format_exc(limit=-6)))]
                share = (time.perf_counter() - start) / max(1, len(said))
                for name, mode, verdict in said:
                    self.tallies.take(look, (name, look.dtype, mode), verdict, share)
                    if verdict.outcome != "unsupported":  # which says nothing of whether it holds
                        self._judged.append((name, look, verdict.outcome not in HARMLESS))
        return [*self.tallies.findings(), *self._fixed()]

    def _fixed(self) -> list[Finding]:
        """The register's entries that this run contradicts: of no look that they speak of does the property fail."""
        found = []
        for name, issues in self.tallies.known.items():
            for issue in issues:
                judged = self.judged(name, issue)
                if judged and not any(judged) and not issue.unsteady:
                    said = f"the register says that it fails: {issue.told()}"
                    found.append(Finding(name, "float32", EAGER, "fixed", said, len(judged), known_issue=issue.link))
        return found

    def judged(self, name: str, issue: KnownIssue) -> list[bool]:
        """Whether a property failed, for each verdict on a look of which an entry of the register speaks."""
        return [bad for of, look, bad in self._judged if of == name and issue.covers(look.dtype, look.names())]

    # One look.

    def _look(self, look: Look) -> Iterator[_Said]:
        lacking = options_lacking(self.keras, self.function, look.variant)
        if lacking:
            yield _Said("runs", EAGER, Verdict("unsupported", f"this Keras takes no {', '.join(lacking)}"))
            return
        arguments = arguments_of(look, np.random.default_rng(derive(self.seed, str(look.number))))
        found = self.observer.eager(look.variant, arguments, look.dtype)
        why = self._why_not(found) if not isinstance(found, Outputs) else None
        if why is not None:
            yield _Said("runs", EAGER, Verdict("unsupported", f"{why}: {found}"))
            return
        yield _Said("runs", EAGER, properties.runs(found, look.dtype))
        if not isinstance(found, Outputs):
            return
        expected = self._expected(look, arguments)
        if expected is not None and self.operation.name not in UNDEFINED:
            yield _Said("values", EAGER, properties.gives(found, expected))
        if found.tensors and any(leaves_of(each) for each in arguments):
            yield from self._symbolic(look, arguments, found)
            yield from self._otherwise(look, arguments, found, self._allowed(look, found, expected))

    def _why_not(self, found: Raised) -> str | None:
        """Why a call may fail; None if there is no reason."""
        if self.keras[:2] < WRITTEN_FOR and VALUE_LACKING.search(found.message):
            return "this Keras takes no such value of an option"
        return self.operation.unsupported.get(self.backend.name)

    def _symbolic(self, look: Look, arguments: Sequence[Any], found: Outputs) -> Iterator[_Said]:
        declared = self.observer.declared(look.variant, arguments, look.dtype)
        yield _Said("declares", SYMBOLIC, properties.declares(declared, found))
        other = self._turned(look, arguments)
        if other is not None and isinstance(declared, Declaration):
            turned_declared = self.observer.declared(other, arguments, look.dtype)
            yield _Said("declared_axes", SYMBOLIC, properties.declares_alike(turned_declared, declared))
        if look.dtype == "float32":
            opened = self.observer.declared(look.variant, arguments, look.dtype, open_sizes=True)
            yield _Said("open_sizes", SYMBOLIC, properties.fits_open(opened, found))

    def _turned(self, look: Look, arguments: Sequence[Any]) -> Variant | None:
        return turned(self.operation, look.variant, [np.ndim(each) for each in leaves_of(arguments[0])])

    def _otherwise(
        self, look: Look, arguments: Sequence[Any], found: Outputs, allowed: Sequence[Array | None]
    ) -> Iterator[_Said]:
        other = self._turned(look, arguments)
        if other is not None:
            seen = self.observer.eager(other, arguments, look.dtype)
            yield _Said("axes", EAGER, properties.agrees(seen, found, allowed, exact=True))
        for mode in ("graph", "compiled") if look.dtype in self.effort.compiled else ("graph",):
            seen_in_mode = self.observer.in_mode(mode, look.variant, arguments, look.dtype)
            if seen_in_mode is not None:
                yield _Said(mode, mode, properties.agrees(seen_in_mode, found, allowed, exact=mode == "graph"))

    # What the values must be.

    def _undetermined(self, look: Look) -> bool:
        """Whether another call may give something else: it draws random numbers, or the order is not documented."""
        return self.operation.name in RANDOM or look.variant.options.get("sorted", True) is False

    def _expected(self, look: Look, arguments: Sequence[Any]) -> list[Bounded] | None:
        """By the reference, with what rounding may do; None where there is none."""
        reference = reference_of(self.operation.name)
        if reference is None:
            return None
        # Whole numbers that stand for floats are moved as floats are: a function may compute with them in float32.
        drawn = look.variant.arguments(np.random.default_rng(0))
        stood = [np.asarray(leaf).dtype.kind == "f" for each in drawn for leaf in leaves_of(each)]
        left = iter(stood)
        exact = [map_leaves(lambda array: array.astype(np.float64) if next(left) else array, each) for each in arguments]

        def run(place: int, move: Move) -> Array:
            outputs = look.variant.call(reference, *(map_leaves(move, each) for each in exact), **look.variant.options)
            return _plain(leaves_of(outputs)[place])

        try:
            wide = leaves_of(look.variant.call(reference, *exact, **look.variant.options))
            narrow = (
                leaves_of(look.variant.call(reference, *arguments, **look.variant.options)) if look.dtype in WHOLE else wide
            )
            # What follows from a number's being whole, as of 1 // 3, is a matter of its own.
            if not all(np.allclose(one, other, equal_nan=True) for one, other in zip(wide, narrow, strict=True)):
                return None
        except (TypeError, ValueError, AttributeError, NotImplementedError):
            # NumPy takes no such dtype, and an older one no such option: there is nothing to compare with.
            return None
        unit = UNIT_ROUNDOFF[look.dtype if look.dtype in UNIT_ROUNDOFF else "float32"]
        return [_bounded(partial(run, place), unit) for place in range(len(wide))]

    def _allowed(self, look: Look, found: Outputs, expected: Sequence[Bounded] | None) -> list[Array | None]:
        """How far each output may be off: by the reference, else by what moved arguments change of the function itself."""
        if self.operation.name in UNDEFINED or self._undetermined(look):
            return [None] * len(found.values)
        by_reference = [each.tolerance for each in expected or ()]
        if expected is not None and [each.shape for each in by_reference] == [each.array.shape for each in found.values]:
            return [*by_reference]
        unit = UNIT_ROUNDOFF[look.dtype if look.dtype in UNIT_ROUNDOFF else "float32"]
        arguments = arguments_of(look, np.random.default_rng(derive(self.seed, str(look.number))))

        def run(place: int, move: Move) -> Array:
            moved = [map_leaves(lambda array: _moved(array, move), each) for each in arguments]
            seen = self.observer.eager(look.variant, moved, look.dtype)
            if not isinstance(seen, Outputs) or seen.values[place].array.shape != found.values[place].array.shape:
                raise ArithmeticError("it does not take moved arguments")
            return np.asarray(seen.values[place].array)

        allowed: list[Array | None] = []
        for place, value in enumerate(found.values):
            numbers = np.asarray(value.array).dtype.kind in "fcuib"
            try:
                allowed.append(_bounded(partial(run, place), unit).tolerance if numbers else np.zeros(value.array.shape))
            except ArithmeticError:  # probabilities that must not leave [0, 1]
                allowed.append(None)
        return allowed


def _moved(array: Array, move: Move) -> Array:
    return move(array).astype(array.dtype) if array.dtype.kind == "f" else array


def _plain(output: Any) -> Array:
    array = np.asarray(output)
    return array.astype(np.float64) if array.dtype.kind in "iub" else array


def _bounded(run: Callable[[Move], Array], unit: float) -> Bounded:
    """As `perturbed`, of arrays of any kind: what is no float is exact, and complex numbers are off by either part."""
    value = run(lambda array: array)
    if value.dtype.kind == "c":
        parts = [_bounded(lambda move, part=part: part(run(move)), unit) for part in (np.real, np.imag)]  # type: ignore[misc]
        return Bounded(value, np.maximum(parts[0].tolerance, parts[1].tolerance), parts[0].derived)

    def moved(move: Move) -> Array:
        return run(lambda array: move(array) if np.asarray(array).dtype.kind == "f" else array)

    return perturbed(moved, unit_roundoff=unit, value=np.asarray(value, dtype=np.float64))
