"""What the properties of layers share: the observation, and what the reference says of it, worked out once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Build, Name, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.observe.layer_observation import LayerObservation, Outcome, Raised, Value
from pytest_dlcheck.properties.comparison import within
from pytest_dlcheck.properties.verdict import Verdict, failed, first_failure, passed
from pytest_dlcheck.subjects.spec import HALF, Call, Expected, LayerSpec, World, flat
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, Bounded, of_sum, perturbed, unreferenced

__all__ = ["Judging", "same_outcome"]

Array = NDArray[Any]


@dataclass
class Judging:
    """One observation under judgement.

    Attributes:
        spec: of the layer.
        world: where it ran.
        seen: what was observed.
    """

    spec: LayerSpec
    world: World
    seen: LayerObservation

    @property
    def dtype(self) -> str:
        """The dtype that the layer computes in."""
        return self.seen.case.compute_dtype

    @property
    def unit_roundoff(self) -> float:
        return UNIT_ROUNDOFF[self.dtype]

    @cached_property
    def outcome(self) -> Outcome | None:
        """The call in inference mode, if it went well."""
        return self.seen.eager if isinstance(self.seen.eager, Outcome) else None

    def random(self, training: bool = False) -> bool:
        """Whether the outputs are random in that mode."""
        return self.spec.random(self.seen.case, training)

    def stateful(self) -> bool:
        return self.spec.stateful(self.seen.case)

    @cached_property
    def _arguments(self) -> Mapping[str, Any]:
        older, seen = self.spec.older, self.seen
        found: Mapping[str, Any] = older.meant({**older.absent, **seen.defaults, **seen.case.arguments})
        return found

    @cached_property
    def _arrays(self) -> dict[int, Array]:
        return {}

    def _array(self, tensor: Tensor) -> Array:
        """A tensor's array, floating ones in float64; made once, since a reference runs seven times."""
        # Not every recipe can be hashed; the case keeps each of them alive.
        found = self._arrays.get(id(tensor))
        if found is None:
            found = make(tensor, self.dtype)
            found = self._arrays[id(tensor)] = found.astype(np.float64) if found.dtype.kind == "f" else found
            found.flags.writeable = False
        return found

    def call(self, training: bool = False, move: Any = None) -> Call:
        """The call as a reference takes it, its numbers moved by `move` if it is given."""
        case, seen = self.seen.case, self.seen

        def as_reference(tensor: Tensor) -> Array:
            array = self._array(tensor)
            return array if move is None or array.dtype.kind != "f" else np.asarray(move(array))

        def nest(value: Any) -> Any:
            if isinstance(value, Tensor):
                return as_reference(value)
            if isinstance(value, Mapping):
                return {key: nest(item) for key, item in value.items()}
            if isinstance(value, (list, tuple)):
                return type(value)(nest(item) for item in value)
            return value

        assert not isinstance(seen.weights, Raised)
        weights = {}
        for weight in seen.weights:
            array = weight.array
            if array.dtype.kind == "f":
                array = np.asarray(array, dtype=np.float64)
                array = array if move is None else np.asarray(move(array))
            weights[weight.name] = array
        masks = [None if mask is None else make(mask) for mask in case.masks or ()]
        return Call(
            dict(self._arguments),
            weights,
            nest(case.inputs),
            nest(dict(case.call)),
            masks,
            training,
            case.settings,
            nest(case.adapt),
            **({} if move is None else {"rounded": move}),
        )

    def reference(self, training: bool = False) -> Sequence[Bounded | Array] | None:
        """What each output must be: with a tolerance, or, of integers and truth values, exactly. None without a reference."""
        return self._references[training] if self.expected(training) is not None else None

    @cached_property
    def _references(self) -> _Lazy:
        return _Lazy(self)

    def expected(self, training: bool = False) -> Expected | None:
        """All that the reference expects, in float64."""
        if training not in self._expected:
            found = None if self.spec.reference is None or self.random(training) else self.spec.reference(self.call(training))
            self._expected[training] = found if isinstance(found, Expected) or found is None else Expected(found)
        return self._expected[training]

    @cached_property
    def _expected(self) -> dict[bool, Expected | None]:
        return {}

    def too_large(self, values: Sequence[Any]) -> bool:
        """Whether half precision overflows, or nearly, on the way to these values."""
        if self.seen.case.policy not in HALF or self.dtype == "bfloat16":
            return False
        return any(np.max(np.abs(np.asarray(value, dtype=np.float64)), initial=0.0) > 1000 for value in values)

    def between(self, value: Value, index: int, training: bool = False) -> Bounded:
        """What another computation of one output may be, both of them rounding."""
        reference = self.reference(training)
        if reference is not None and index < len(reference):
            bounded = reference[index]
            if isinstance(bounded, Bounded) and bounded.value.shape == value.array.shape:
                return Bounded(value.float64, 2 * bounded.tolerance, f"both sides round: twice {bounded.derived}")
        return unreferenced(value.float64, unit_roundoff=self.unit_roundoff, scale=self.spec.scale)

    def state_tolerance(self, before: Array, after: Array) -> Array:
        """How far off a variable may be after a call in training mode: a moving average of a mean over the batch.

        Args:
            before: what it was before the call.
            after: what it must be.
        """
        before, after = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
        size = np.abs(after) + np.abs(before) + float(np.max(np.abs(after), initial=0.0))
        inputs = max(
            (float(np.max(np.abs(each), initial=0.0)) for each in self.seen.inputs if each.dtype.kind == "f"), default=0
        )
        return np.asarray(of_sum(size + min(inputs, 1e3) ** 2, unit_roundoff=self.unit_roundoff))


class _Lazy:
    def __init__(self, judging: Judging) -> None:
        self._judging = judging
        self._found: dict[bool, Sequence[Bounded | Array]] = {}

    def __getitem__(self, training: bool) -> Sequence[Bounded | Array]:
        if training not in self._found:
            self._found[training] = self._work_out(training)
        return self._found[training]

    def _work_out(self, training: bool) -> Sequence[Bounded | Array]:
        judging, spec = self._judging, self._judging.spec
        assert spec.reference is not None
        outputs = _outputs(judging.expected(training))
        if not outputs or all(output.dtype.kind != "f" for output in outputs):
            return list(outputs)
        # All outputs in one vector, so that six runs serve them all.
        floating = [index for index, output in enumerate(outputs) if output.dtype.kind == "f"]
        shapes = [outputs[index].shape for index in floating]
        ends = np.cumsum([outputs[index].size for index in floating])

        def joined(arrays: Sequence[Array]) -> Array:
            return np.concatenate([np.asarray(arrays[index], dtype=np.float64).reshape(-1) for index in floating])

        def run(move: Any) -> Array:
            assert spec.reference is not None
            return joined(_outputs(spec.reference(judging.call(training, move))))

        bounded = perturbed(run, value=joined(outputs), unit_roundoff=judging.unit_roundoff, scale=spec.scale)
        found: list[Bounded | Array] = list(outputs)
        for place, index in enumerate(floating):
            part = slice(ends[place] - outputs[index].size, ends[place])
            shape = shapes[place]
            found[index] = Bounded(bounded.value[part].reshape(shape), bounded.tolerance[part].reshape(shape), bounded.derived)
        return found


def _outputs(found: Any) -> list[Array]:
    return flat(found.outputs if isinstance(found, Expected) else found)


def compare(what: str, actual: Value, expected: Bounded | Array) -> Verdict:
    """An output against what it must be; infinities and NaN where the reference has them."""
    if not isinstance(expected, Bounded):
        if actual.array.shape != expected.shape:
            return failed(f"{what}: shape {actual.array.shape} instead of {expected.shape}")
        wrong = np.asarray(actual.array != expected)
        if not wrong.any():
            return passed(f"{what}: {actual.array.size} values, all equal")
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        return failed(
            f"{what}: {int(wrong.sum())} of {actual.array.size} values differ; the first is "
            f"{_plain(actual.array[index])!r} instead of {_plain(expected[index])!r} at {list(index)}"
        )
    if actual.array.shape != expected.value.shape:
        return failed(f"{what}: shape {actual.array.shape} instead of {expected.value.shape}")
    got = actual.float64
    special = ~np.isfinite(expected.value)
    with np.errstate(invalid="ignore"):
        same = (got == expected.value) | (np.isnan(got) & np.isnan(expected.value))
    if special.any() and not same[special].all():
        index = tuple(int(i) for i in np.argwhere(special & ~same)[0])
        return failed(f"{what}: {_plain(got[index])!r} instead of {_plain(expected.value[index])!r} at {list(index)}")
    value = np.where(special, 0, expected.value)
    return within(what, np.where(special, 0, got), replace(expected, value=value), actual.dtype)


def _plain(entry: Any) -> Any:
    """An entry of an array as Python shows it; texts are that already."""
    return entry.item() if isinstance(entry, np.generic) else entry


def same_outcome(what: str, judging: Judging, first: Outcome, second: Outcome, training: bool = False) -> Verdict:
    """Two calls that must give the same, but for rounding."""
    if first.structure != second.structure:
        return failed(f"{what}: outputs {second.structure} instead of {first.structure}")
    verdicts = []
    for index, (one, other) in enumerate(zip(first.values, second.values, strict=True)):
        name = f"{what}, output {index}" if len(first.values) > 1 else what
        if one.dtype != other.dtype:
            verdicts.append(failed(f"{name}: dtype {other.dtype} instead of {one.dtype}"))
        elif one.array.dtype.kind not in "fc":
            verdicts.append(compare(name, other, one.array))
        elif judging.too_large([one.array]):
            continue
        else:
            verdicts.append(compare(name, other, judging.between(one, index, training)))
    return first_failure(*verdicts)


def brief(value: Any) -> str:
    """An argument in few words."""
    if isinstance(value, (Build, Name)):
        return value.path.rpartition(".")[2]
    return repr(value)
