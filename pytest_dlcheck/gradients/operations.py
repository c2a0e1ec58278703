"""The gradients of one exported function or class of functions, over its variants."""

from __future__ import annotations

import inspect
import re
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.backends.wide_floats import wide_floats
from pytest_dlcheck.finding import Finding
from pytest_dlcheck.gradients.autodiff import autodiff_of
from pytest_dlcheck.gradients.autodiff.base import FrameworkProgram
from pytest_dlcheck.gradients.findings import PROPERTY_OF, VERDICT_OF, Tallies
from pytest_dlcheck.gradients.functions import Differentiable, of_call
from pytest_dlcheck.gradients.outcome import NOT_DIFFERENTIABLE, UNSUPPORTED, WEAK, WRONG, Row
from pytest_dlcheck.gradients.program import NoDerivative
from pytest_dlcheck.gradients.public import gradient_rows
from pytest_dlcheck.known_issues import KnownIssue, holds
from pytest_dlcheck.observe.layer_observation import telling_line
from pytest_dlcheck.observe.nests import leaves_of
from pytest_dlcheck.properties.verdict import HARMLESS
from pytest_dlcheck.seeds import derive
from pytest_dlcheck.subjects.operations.record import Operation, Variant

__all__ = ["EFFORTS", "NOT_OFFERED", "VALUE_LACKING", "WRITTEN_FOR", "OperationEffort", "OperationGradients", "options_lacking"]

WRITTEN_FOR = (3, 15)
"""The version of Keras whose functions the records describe: an older one may lack an option."""

# What a framework says that has no derivative to give, or no value while it is asked for one.
_REFUSAL = re.compile(r"gradient|differentia|derivative|\bgrad\b|tracer|traced|abstract|symbolic|numpy\(\)", re.IGNORECASE)
NOT_OFFERED = re.compile(
    r"not (yet )?(implemented|supported|support|available)|does(n't| not) support|unsupported|only supports?|NotImplemented|"
    # TensorFlow of a dtype that a kernel lacks; Keras of a backend, and of all but one value of an option.
    r"could not find device for node|not in the list of allowed values|when using the \w+ backend|"
    r"only \S+ is currently supported",
    re.IGNORECASE,
)
"""What a framework says of a call that it does not offer at all."""

VALUE_LACKING = re.compile(r"[Ii]nvalid value for|[Ee]xpected one of|must be one of|[Uu]nknown (value|mode|reduction)")
"""What an older Keras says of a value that an option has taken only since."""


@dataclass(frozen=True)
class OperationEffort:
    """How much is looked at for one function.

    Attributes:
        variants: how many of them, in their order; None for all.
        modes: how many of the backend's modes.
        directions: for each argument.
        compiles_second: whether second derivatives are looked at where the first mode is a compiled one.
    """

    variants: int | None
    modes: int
    directions: int
    compiles_second: bool = True


EFFORTS: Mapping[str, OperationEffort] = MappingProxyType(
    {
        "smoke": OperationEffort(variants=1, modes=1, directions=2, compiles_second=False),
        "default": OperationEffort(variants=None, modes=2, directions=3),
        "nightly": OperationEffort(variants=None, modes=3, directions=3),
    }
)


class OperationGradients:
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
        effort: OperationEffort = EFFORTS["nightly"],
        known: Callable[[str], Sequence[KnownIssue]] = lambda name: (),
    ) -> None:
        self.operation, self.function, self.backend, self.keras = operation, function, backend, keras
        self.seed, self.effort = seed, effort
        self.autodiff = autodiff_of(backend)
        self.tallies: Tallies[Variant] = Tallies(
            {name: tuple(known(name)) for name in PROPERTY_OF.values()}, names_of, Variant.told
        )
        self._judged: dict[str, list[tuple[Variant, bool]]] = {}

    def run(self) -> list[Finding]:
        """Checks each variant, and says what became of each property."""
        with self.backend.quick(), self.autodiff.one_thread(), warnings.catch_warnings(), wide_floats(self.backend):
            warnings.simplefilter("ignore")
            for number, variant in enumerate(self.operation.variants[: self.effort.variants]):
                start = time.perf_counter()
                try:
                    rows = self._rows(variant, derive(self.seed, str(number)))
                except Exception:  # noqa: BLE001 - a defect of ours must not pass for one of the framework
                    rows = [Row("all", "numeric", self.autodiff.modes[0], "broken", traceback.format_exc(limit=-6))]
                share = (time.perf_counter() - start) / max(1, len(rows))
                for row in rows:
                    self.tallies.enter(variant, row, share)
                    verdict = VERDICT_OF.get(row.verdict, row.verdict)
                    if verdict != "unsupported":  # which says nothing of whether it holds
                        self._judged.setdefault(PROPERTY_OF[row.check], []).append((variant, verdict not in HARMLESS))
        return [*self.tallies.findings(), *self._fixed()]

    def _fixed(self) -> list[Finding]:
        """The register's entries that this run contradicts: of no variant that they speak of does the property fail."""
        found = []
        for name, issues in self.tallies.known.items():
            for issue in issues:
                judged = self.judged(name, issue)
                if judged and not any(judged):
                    said = f"the register says that it fails: {issue.told()}"
                    mode = self.autodiff.modes[0]
                    found.append(Finding(name, "float64", mode, "fixed", said, len(judged), known_issue=issue.link))
        return found

    def judged(self, name: str, issue: KnownIssue) -> list[bool]:
        """Whether a property failed, for each verdict on a variant of which an entry of the register speaks."""
        return [bad for variant, bad in self._judged.get(name, ()) if holds(issue.where, names_of(variant))]

    # One variant.

    def _rows(self, variant: Variant, seed: int) -> list[Row]:
        modes = self.autodiff.modes[: self.effort.modes]
        lacking = options_lacking(self.keras, self.function, variant)
        if lacking:
            said = f"this Keras takes no {', '.join(lacking)}"
            return [Row("all", "call", modes[0], UNSUPPORTED, said)]
        target = self.target(variant, seed)
        if self.operation.not_differentiable:
            return self._claimed(target)
        rows = self._differentiated(variant, target, modes, seed)
        nothing = all(row.check == "modes" for row in rows)
        if nothing or any(row.check == "modes" and row.mode == "eager" and row.verdict == UNSUPPORTED for row in rows):
            # Whether the framework can be called at all is seen outside of any derivative and of any compilation.
            said_of_call = self._called(target)
            if said_of_call is not None:
                return [said_of_call]
        return [*self._differentiated(variant, target, ("eager",), seed), *rows] if nothing else rows

    def _differentiated(self, variant: Variant, target: Differentiable, modes: Sequence[str], seed: int) -> list[Row]:
        rows = gradient_rows(
            target,
            self.autodiff,
            modes=modes,
            order=self._order(modes[0]),
            seed=derive(seed, "directions"),
            directions=self.effort.directions,
        )
        numeric = [row.verdict for row in rows if row.check == "numeric"]
        if numeric and set(numeric) == {WEAK}:
            said = f"its record says that it has a derivative, and with {variant.told()} it is constant"
            rows.append(Row("all", "numeric", modes[0], WRONG, said))
        return rows

    def _order(self, mode: str) -> int:
        """Second derivatives take twice as many programs as first ones, and larger ones: too many to compile in little time."""
        return 1 if mode == "compiled" and not self.effort.compiles_second else 2

    def target(self, variant: Variant, seed: int) -> Differentiable:
        """The function of those arguments of a variant that are differentiated, at the point that the seed draws."""
        arguments = variant.arguments(np.random.default_rng(seed))
        constant = {place: np.asarray(arguments[place]) for place in variant.fixed}
        moving = [place for place in range(len(arguments)) if place not in constant]

        def run(*tensors: Any) -> Any:
            given = dict(zip(moving, tensors, strict=True))
            given.update({place: self.backend.put(value) for place, value in constant.items()})
            outputs = variant.call(self.function, *(given[place] for place in range(len(arguments))), **variant.options)
            # What has left the framework carries no derivative.
            return [each for each in leaves_of(outputs) if not isinstance(each, (np.ndarray, np.generic))]

        names = self._names(variant, len(arguments))
        return of_call(run, [arguments[place] for place in moving], self.autodiff, [names[place] for place in moving])

    def _names(self, variant: Variant, count: int) -> list[str]:
        plain = all(each.kind is each.VAR_POSITIONAL for each in list(_parameters(variant.call).values())[1:2])
        named = list(_parameters(self.function)) if plain else list(_parameters(variant.call))[1:]
        return [named[place] if place < len(named) else f"argument {place}" for place in range(count)]

    def _program(self, target: Differentiable, mode: str) -> FrameworkProgram:
        return FrameworkProgram(self.autodiff, target.function, target.names, mode)

    def _called(self, target: Differentiable) -> Row | None:
        """What is wrong with the plain call; None where it goes well."""
        try:
            self._program(target, "eager").value(target.point)
        except Exception as error:  # noqa: BLE001 - a call that is valid must not fail, in whatever way
            said = f"{type(error).__name__}: {telling_line(str(error))}"
            offered = not isinstance(error, NotImplementedError) and not NOT_OFFERED.search(said)
            why = self.operation.unsupported.get(self.backend.name)
            if why is None and self.keras[:2] < WRITTEN_FOR and VALUE_LACKING.search(said):
                why = "this Keras takes no such value of an option"
            if why is None and offered:
                return Row("all", "call", "eager", WRONG, f"a valid call fails: {said}")
            return Row("all", "call", "eager", UNSUPPORTED, f"{why or 'it says that it cannot'}: {said}")
        return None

    def _claimed(self, target: Differentiable) -> list[Row]:
        """What is said to have no derivative must give none, or zero, or refuse clearly."""
        why, mode = self.operation.not_differentiable, "eager"
        said_of_call = self._called(target)
        if said_of_call is not None:
            return [said_of_call]
        program = self._program(target, mode)
        outputs = program.value(target.point)
        if not target.point:
            return [Row("all", "numeric", mode, NOT_DIFFERENTIABLE, f"{why}: no argument of a floating dtype")]
        if not outputs:
            return [Row("all", "numeric", mode, NOT_DIFFERENTIABLE, f"{why}: no tensor of a floating dtype comes out")]
        try:
            found = program.reverse(target.point, [np.ones_like(each) for each in outputs])
        except NoDerivative as error:
            if _REFUSAL.search(str(error)):
                return [Row("all", "numeric", mode, NOT_DIFFERENTIABLE, f"{why}: {error}")]
            said = f"it is said to have no derivative ({why}), and fails without saying so: {error}"
            return [Row("all", "numeric", mode, WRONG, said)]
        for name, gradient in zip(target.names, found, strict=True):
            if gradient is not None and np.any(gradient):
                said = f"it is said to have no derivative ({why}), and gives one by {name}: {gradient.reshape(-1)[:4].tolist()}"
                return [Row(name, "numeric", mode, WRONG, said)]
        return [Row("all", "numeric", mode, NOT_DIFFERENTIABLE, why)]


def options_lacking(keras: tuple[int, ...], function: Callable[..., Any], variant: Variant) -> list[str]:
    """The options of a variant that an older Keras does not take.

    Args:
        keras: its version, as numbers.
        function: as it exports it.
        variant: of the function's record.
    """
    if keras[:2] >= WRITTEN_FOR:
        return []
    taken = [*_parameters(function).values(), *_parameters(variant.call).values()]
    names = {each.name for each in taken}
    return [name for name in variant.options if name not in names]


def names_of(variant: Variant) -> Mapping[str, Any]:
    """What the register's `where` may speak of: the options by their names, and `label`."""
    return {"label": variant.label, **variant.options}


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # builtins have none
        return {}
