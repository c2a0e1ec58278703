"""The gradients of one layer, over several drawn cases."""

from __future__ import annotations

import contextlib
import dataclasses
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
from pytest_dlcheck.cases.case import Case, Tensor, describe, map_tensors, tensors
from pytest_dlcheck.cases.naming import names_of
from pytest_dlcheck.cases.wide import in_float64
from pytest_dlcheck.finding import Finding
from pytest_dlcheck.gradients.autodiff import autodiff_of
from pytest_dlcheck.gradients.autodiff.base import FrameworkProgram
from pytest_dlcheck.gradients.findings import PROPERTY_OF, VERDICT_OF, Tallies, said_of, verdict_on
from pytest_dlcheck.gradients.functions import Differentiable, of_layer
from pytest_dlcheck.gradients.jacobian import size_of
from pytest_dlcheck.gradients.outcome import NOT_DIFFERENTIABLE, OK, UNSUPPORTED, WRONG, GradientReport, Row
from pytest_dlcheck.gradients.program import NoDerivative
from pytest_dlcheck.gradients.public import gradient_rows
from pytest_dlcheck.known_issues import KnownIssue
from pytest_dlcheck.known_issues.stored import StoredCase, stored_cases, to_be_replayed
from pytest_dlcheck.observe.layer_observation import telling_line
from pytest_dlcheck.observe.layer_runner import LayerRunner, takes_training
from pytest_dlcheck.properties.verdict import HARMLESS
from pytest_dlcheck.seeds import derive
from pytest_dlcheck.strategies.draw import StillFails, random_case, shrink
from pytest_dlcheck.subjects.spec import LayerSpec, World

__all__ = ["EFFORTS", "PROPERTY_OF", "VERDICT_OF", "GradientEffort", "LayerGradients", "smooth"]

# Values at corners, at the edge of a dtype, or all alike: there a gradient is not what differences show.
SMOOTHED = frozenset({"zeros", "ones", "small_integers", "large", "huge", "tiny", "offset", "sparse", "distinct"})

# By how much values that were written out are moved, in units of their size: further than a step, and not past each other.
MOVED = (1 / 64, 1 / 16)


@dataclass(frozen=True)
class GradientEffort:
    """How much is looked at for one layer.

    Attributes:
        cases: drawn.
        modes: how many of the backend's modes.
        directions: for each argument.
        shrink_s: seconds to look for a smaller case of one failing property.
        replays: whether the register's stored cases are looked at, too.
    """

    cases: int
    modes: int
    directions: int
    shrink_s: float
    replays: bool = True


EFFORTS: Mapping[str, GradientEffort] = MappingProxyType(
    {
        "smoke": GradientEffort(cases=1, modes=1, directions=2, shrink_s=5, replays=False),
        "default": GradientEffort(cases=3, modes=2, directions=3, shrink_s=20),
        "nightly": GradientEffort(cases=20, modes=3, directions=3, shrink_s=60),
    }
)


def smooth(case: Case) -> Case:
    """The same case at a point where most functions are smooth: normal values where the case had special ones, any within
    the bounds where it had whole ones, and those that it wrote out moved by a little."""

    def one(tensor: Tensor) -> Tensor:
        if tensor.dtype != "float":
            return tensor
        if tensor.literal is not None:
            # What was chosen has a meaning, as corners of boxes have, and often lies where that changes: at an edge.
            values = np.asarray(tensor.literal, dtype=np.float64)
            least, most = MOVED
            shift = np.random.default_rng(tensor.seed).uniform(least, most, values.shape) * size_of(values)
            return dataclasses.replace(tensor, literal=(values + shift).tolist())
        kind = "normal" if tensor.values in SMOOTHED else "uniform" if tensor.values == "integers" else tensor.values
        return Tensor(tensor.shape, tensor.dtype, kind, tensor.seed, tensor.low, tensor.high)

    return case.replace(inputs=map_tensors(one, case.inputs))


class LayerGradients:
    """One item: a layer on a backend.

    Args:
        spec: of the layer.
        backend: loaded.
        world: where it runs.
        seed: everything drawn follows from it.
        effort: how much.
        known: gives the register's entries for a property.
        stored: gives the cases that are kept with an entry, by its id.
    """

    def __init__(
        self,
        spec: LayerSpec,
        backend: Backend,
        world: World,
        *,
        seed: int,
        effort: GradientEffort,
        known: Callable[[str], Sequence[KnownIssue]] = lambda name: (),
        stored: Callable[[str], Sequence[StoredCase]] = stored_cases,
    ) -> None:
        self.stored = stored
        self.spec, self.backend, self.world = spec, backend, world
        self.seed, self.effort = seed, effort
        self.tallies: Tallies[Case] = Tallies({name: tuple(known(name)) for name in PROPERTY_OF.values()}, names_of, describe)
        self.autodiff = autodiff_of(backend)
        self._choices: dict[str, tuple[int, ...]] = {}
        self._seen: dict[str, list[Row]] = {}

    def run(self) -> list[Finding]:
        """Draws the cases, checks each, and says what became of each property."""
        if "gradient" in self.spec.exempt:
            return [Finding("gradient", "float64", "any", "skip", self.spec.exempt["gradient"])]
        with self.backend.quick(), self.autodiff.one_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for number in range(self.effort.cases):
                case = self._draw(number)
                if case is not None:
                    self.backend.make_room()
                    start = time.perf_counter()
                    rows = self._look(case)
                    share = (time.perf_counter() - start) / max(1, len(rows))
                    for row in rows:
                        self.tallies.enter(case, row, share)
            found = [*self._replayed(), *self.tallies.findings(self._shrunk)]
            return found or [Finding("gradient", "float64", "any", "unsupported", self._why_none())]

    def _replayed(self) -> list[Finding]:
        """The register's stored cases: each must still fail as it says."""
        found: list[Finding] = []
        if not self.effort.replays:
            return found
        for issue, stored, case in to_be_replayed(self.tallies.known, self.stored, self.backend.name, self.spec.subject):
            name, mode = stored.property, stored.mode
            # Whether a layer accepts a case is the matter of suites/layers.
            if name == "accepts" or mode not in self._modes:
                continue
            verdict, said = self.again(case, name, mode) or ("pass", "the property does not apply to the stored case")
            outcome = verdict if verdict == "broken" else "fixed" if verdict in HARMLESS else "known"
            told = f"{issue.told()}\n{said}\n{describe(case)}"
            found.append(Finding(name, "float64", mode, outcome, told, case=case, known_issue=issue.link))
        return found

    def again(self, case: Case, name: str, mode: str) -> tuple[str, str] | None:
        """The worst verdict on a property of a case in a mode, in inference and in training, with what was seen."""
        rows = [row for training in (False, True) for row in self.report(case, training=training).rows]
        return verdict_on(rows, name, mode)

    @property
    def _modes(self) -> Sequence[str]:
        return self.autodiff.modes[: self.effort.modes]

    def _why_none(self) -> str:
        case = self._wide(random_case(self.spec, self.world, derive(self.seed, "0", "0"))[0])
        return f"no case that was drawn is supported here: {self.spec.unsupported(case, self.world)}"

    def _draw(self, number: int) -> Case | None:
        """The first case from a few draws that the layer is meant to take."""
        found = None
        for attempt in range(8):
            case, choices = random_case(self.spec, self.world, derive(self.seed, str(number), str(attempt)))
            case = self._wide(case)
            if self.spec.unsupported(case, self.world) is None:
                self._choices[case.key()] = choices
                found = case
                # A layer that takes whole numbers too is looked at where it takes floats.
                if any(tensor.dtype == "float" for tensor in tensors(case.inputs)):
                    break
        return found

    def _wide(self, case: Case) -> Case:
        """The same case in float64, documented or not: its steps are small enough to stay clear of most corners."""
        if case.policy == "none":
            return case
        return case.replace(policy="float64", arguments=in_float64(case.arguments))

    def _look(self, case: Case) -> list[Row]:
        if case.key() not in self._seen:
            with wide_floats(self.backend):
                # One case in training mode, the next one in inference.
                training = bool(derive(self.seed, case.key()) % 2) and not self.spec.held_constant(case)
                try:
                    self._seen[case.key()] = self._rows(case, training)
                except Exception:  # noqa: BLE001 - a defect of ours must not pass for one of the framework
                    self._seen[case.key()] = [Row("all", "numeric", "eager", "broken", traceback.format_exc(limit=-6))]
        return self._seen[case.key()]

    def report(self, case: Case, *, training: bool) -> GradientReport:
        """Every check of one case in one mode of the layer: for a stored case that is looked at again."""
        with self.backend.quick(), self.autodiff.one_thread(), wide_floats(self.backend):
            rows = self._rows(case, training)
        said = f"{case.subject} in {'training' if training else 'inference'}"
        return GradientReport(said, self.backend.name, rows, self.seed)

    def _rows(self, case: Case, training: bool) -> list[Row]:
        modes = self._modes
        if training and (held := self.spec.held_constant(case)):
            return [Row("all", "numeric", modes[0], NOT_DIFFERENTIABLE, held)]
        runner = LayerRunner(self.spec, smooth(case), self.backend)
        with runner.settings():
            try:
                target = self._target(runner, training)
            except Exception as error:  # noqa: BLE001 - whether a layer takes what it should is the matter of suites/layers
                if case.policy == "float64" and "float64" not in self.spec.policies:
                    # Without a policy of its own it would take that of the check, float64.
                    settings = {**case.settings, "floatx": "float32", "dtype_policy": "float32"}
                    return self._rows(case.replace(policy="float32", settings=settings), training)
                return [Row("all", "numeric", modes[0], UNSUPPORTED, f"it cannot be called here: {_told(error)}")]
            if not target.point:
                said = self.spec.not_differentiable or "it has no floating input and no weight here"
                return [Row("all", "numeric", modes[0], NOT_DIFFERENTIABLE, said)]
            if self.spec.not_differentiable:
                return [self._claimed(target, modes[0])]
            seed = derive(self.seed, "directions")
            directions = self.effort.directions
            rows = gradient_rows(target, self.autodiff, modes=modes, seed=seed, directions=directions)
            if "eager" not in modes and all(row.check == "modes" for row in rows):  # it cannot be compiled
                rows += gradient_rows(target, self.autodiff, modes=("eager",), seed=seed, directions=directions)
            # In the mode in which it could be looked at.
            mode = next((row.mode for row in rows if row.check == "numeric"), None)
            return rows if mode is None else [*rows, *self._finite(case, runner, training, mode)]

    def _target(self, runner: LayerRunner, training: bool) -> Differentiable:
        layer = runner.layer
        runner.give_weights(layer, runner.weight_values_given)
        target = of_layer(
            layer,
            map_tensors(runner.array, runner.case.inputs),
            self.autodiff,
            training=training and takes_training(layer),
            call=map_tensors(runner.put, dict(runner.case.call)),
            replace=runner.attached,
            dtype="float64" if runner.compute_dtype == "float64" else "float32",
        )
        if target.point:
            outputs = target.function([self.autodiff.put(x) for x in target.point])
            if not all(np.isfinite(self.backend.to_numpy(each)).all() for each in outputs):
                raise FloatingPointError("its own value is not finite at this point")
        return target

    def _claimed(self, target: Differentiable, mode: str) -> Row:
        """A layer that is documented to have no gradient must have none."""
        program = FrameworkProgram(self.autodiff, target.function, target.names, mode)
        try:
            found = program.reverse(target.point, [np.ones_like(each) for each in program.value(target.point)])
        except NoDerivative as error:
            return Row("all", "numeric", mode, NOT_DIFFERENTIABLE, f"{self.spec.not_differentiable}: {error}")
        if any(gradient is not None and np.any(gradient) for gradient in found):
            said = f"it is declared to have no gradient ({self.spec.not_differentiable}), and has one"
            return Row("all", "numeric", mode, WRONG, said)
        return Row("all", "numeric", mode, NOT_DIFFERENTIABLE, self.spec.not_differentiable)

    def _finite(self, case: Case, runner: LayerRunner, training: bool, mode: str) -> list[Row]:
        """At the values that were drawn, special ones among them: no NaN in a gradient where the function is finite."""
        if runner.case == case:
            return []
        other = LayerRunner(self.spec, case, self.backend)
        target = self._target(runner, training)
        point = [np.asarray(each, dtype=np.float64) for each in _floating(map_tensors(other.array, case.inputs))]
        point += target.point[len(point) :]
        program = FrameworkProgram(self.autodiff, target.function, target.names, mode)
        outputs = program.value(point)
        if not all(np.isfinite(each).all() for each in outputs):
            return []
        try:
            found = program.reverse(point, [np.ones_like(each) for each in outputs])
        except NoDerivative:
            return []  # which the other checks have said already
        for name, gradient in zip(target.names, found, strict=True):
            if gradient is not None and np.isnan(gradient).any():
                count = int(np.sum(np.isnan(gradient)))
                said = f"NaN in {count} of {gradient.size} entries of the gradient by {name}, where the outputs are finite"
                return [Row(name, "finite", mode, WRONG, said)]
        return [Row("all", "finite", mode, OK, "no NaN where the outputs are finite")]

    def _shrunk(self, name: str, mode: str, verdict: str, case: Case, said: str) -> tuple[Case, str]:
        """The smallest case found in the time there is that fails in the same way."""
        best = [(case, said)]
        end = time.perf_counter() + self.effort.shrink_s

        def body(candidate: Case) -> None:
            candidate = self._wide(candidate)
            if candidate.key() not in self._seen and time.perf_counter() > end:
                return
            if self.spec.unsupported(candidate, self.world) is not None or self.tallies.expected(name, candidate) is not None:
                return
            for row in self._look(candidate):
                if PROPERTY_OF[row.check] == name and row.mode == mode and VERDICT_OF.get(row.verdict) == verdict:
                    if len(candidate.key()) <= len(best[0][0].key()):
                        best[0] = (candidate, said_of(row))
                    raise StillFails

        with contextlib.suppress(KeyError):
            shrink(self.spec, self.world, self._choices[case.key()], body)
        return best[0]


def _floating(arrays: Any) -> list[Any]:
    from pytest_dlcheck.observe.nests import leaves_of

    return [leaf for leaf in leaves_of(arrays) if leaf.dtype.kind == "f"]


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {telling_line(str(error))}"
