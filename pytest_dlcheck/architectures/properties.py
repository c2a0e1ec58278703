"""What must hold of one model in several forms: pure functions from what was seen to verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.architectures.observation import FormSeen, Frozen, ModelsSeen, Run, Variable
from pytest_dlcheck.observe.layer_observation import Raised, Value
from pytest_dlcheck.properties.comparison import within
from pytest_dlcheck.properties.verdict import PASS, Verdict, failed, first_failure, passed
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, from_moved_starts

__all__ = ["PROPERTIES"]

Array = NDArray[Any]


def _agree(seen: ModelsSeen, what: str, got: Array, expected: Array, moved: Sequence[Array], *, scale: float = 0.0) -> Verdict:
    """Bit for bit, or as far apart as the first form's inputs and weights, moved by two units of roundoff, carry it."""
    if got.shape != expected.shape:
        return failed(f"{what}: shape {got.shape} instead of {expected.shape}")
    if np.array_equal(got, expected, equal_nan=got.dtype.kind == "f" and expected.dtype.kind == "f"):
        return passed(f"{what}: {got.size} values, the same to the last bit")
    got, expected = np.asarray(got, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    finite = np.isfinite(expected)
    if not np.array_equal(finite, np.isfinite(got)):
        return failed(
            f"{what}: {int((finite != np.isfinite(got)).sum())} of {got.size} values are finite in one of the two only"
        )
    if not moved:
        return failed(f"{what}: not the same to the last bit, and nothing is known of what rounding may do")
    runs = np.stack([np.where(np.isfinite(run), run, expected) for run in moved])[:, finite]
    allowed = from_moved_starts(expected[finite], runs, unit_roundoff=UNIT_ROUNDOFF[seen.dtype], scale=scale)
    return within(what, got[finite], allowed)


def _values(seen: ModelsSeen, what: str, got: Sequence[Value], part: str, expected: Sequence[Value] | None = None) -> Verdict:
    assert seen.first is not None
    expected = getattr(seen.first.run, part) if expected is None else expected
    if len(got) != len(expected):
        return failed(f"{what}: {len(got)} of them instead of {len(expected)}")
    verdicts = []
    for index, (one, other) in enumerate(zip(got, expected, strict=True)):
        if one.dtype != other.dtype:
            return failed(f"{what}: {one.dtype} instead of {other.dtype}")
        moved = [getattr(run, part)[index].array for run in seen.moved]
        verdicts.append(_agree(seen, what, one.array, other.array, moved))
    return first_failure(*verdicts) if verdicts else passed(f"{what}: there are none")


def _named(seen: ModelsSeen, what: str, got: Mapping[str, Array | None], part: str) -> Verdict:
    assert seen.first is not None
    expected: Mapping[str, Array | None] = getattr(seen.first.run, part)
    if set(got) != set(expected):
        odd = ", ".join(sorted(set(got) ^ set(expected)))
        return failed(f"{what}: not of the same variables: {odd}")
    verdicts = []
    real = [each for each in expected.values() if each is not None and each.dtype.kind == "f" and np.isfinite(each).all()]
    size = max((float(np.max(np.abs(each), initial=0.0)) for each in real), default=0.0)
    for name, other in expected.items():
        one = got[name]
        if (one is None) != (other is None):
            return failed(
                f"{what}: {name} has {'none' if one is None else 'one'} here, and {'none' if other is None else 'one'} there"
            )
        if one is None or other is None:
            continue
        if one.dtype.kind != "f":  # the state of a random generator, a counter
            same = np.array_equal(one, other)
            verdicts.append(passed(what) if same else failed(f"{what}: {name} is {one.tolist()} instead of {other.tolist()}"))
            continue
        moved = [getattr(run, part)[name] for run in seen.moved]
        # Sums over the batch cancel: what is left of them is as exact as what they were made of.
        verdicts.append(_agree(seen, f"{what} of {name}", one, other, moved, scale=size if part == "gradients" else 0.0))
    exact = sum("to the last bit" in verdict.message for verdict in verdicts)
    bad = [verdict for verdict in verdicts if verdict.outcome != PASS]
    return bad[0] if bad else passed(f"{what}: {len(expected)} of them, {exact} of floats the same to the last bit")


def _each(seen: ModelsSeen, judge: Callable[[str, FormSeen], Verdict]) -> Verdict | None:
    """The verdict on every other form and copy against the first one, the worst of them; None if there are none."""
    if seen.first is None or not seen.others:
        return None
    verdicts = []
    for name, form in seen.others.items():
        said = judge(name, form)
        if said.outcome != PASS and name in seen.parting:
            said = failed(f"{said.message}\n{seen.parting[name]}")
        verdicts.append(said)
    return first_failure(*verdicts, passed(f"{', '.join(seen.others)}: {verdicts[0].message.partition(': ')[2]}"))


def accepts(seen: ModelsSeen) -> Verdict | None:
    """Every form can be built, called, trained and copied."""
    for name, found in _parts(seen):
        if isinstance(found, Raised):
            return failed(f"{name}: {found}")
    return passed(f"built as {', '.join(seen.forms)}")


def _parts(seen: ModelsSeen) -> Iterator[tuple[str, object]]:
    yield from seen.forms.items()
    yield from seen.copies.items()
    yield "frozen", seen.frozen
    yield "cut", seen.cut
    yield "one by one", seen.batches


def parameters(seen: ModelsSeen) -> Verdict | None:
    """Every form has the same variables, layer by layer, and counts each once."""
    for name, form in {"the first form": seen.first, **seen.others}.items():
        if form is None:
            return None
        weights = sum(int(np.prod(each.shape)) for layer in form.variables.values() for each in layer if _is_weight(each.name))
        if form.parameters != weights:
            return failed(f"{name} counts {form.parameters} parameters, and its layers have {weights}")

    def judge(name: str, form: FormSeen) -> Verdict:
        assert seen.first is not None
        for layer, expected in seen.first.variables.items():
            if _kinds(form.variables[layer], seen.named) != _kinds(expected, seen.named):
                return failed(f"{name}: {layer} has {_told(form.variables[layer])} instead of {_told(expected)}")
        if seen.ordered and form.weights != seen.first.weights:
            return failed(f"{name} lists its weights as {', '.join(form.weights)} and not as {', '.join(seen.first.weights)}")
        if set(form.weights) != set(seen.first.weights) or len(form.weights) != len(seen.first.weights):
            return failed(
                f"{name} has {len(form.weights)} weights, {', '.join(form.weights)}, and not {len(seen.first.weights)}"
            )
        return passed(f"{name}: {form.parameters} parameters in {len(form.weights)} weights")

    return _each(seen, judge)


def _kinds(variables: Sequence[Variable], named: bool) -> list[tuple[Any, ...]]:
    return [(each.name if named else "", each.shape, each.dtype, each.trainable) for each in variables]


def _is_weight(name: str) -> bool:
    # What a random layer keeps of its generator is a variable and no weight.
    return "seed_generator_state" not in name


def _told(variables: Sequence[Variable]) -> str:
    return ", ".join(f"{each.name} {each.dtype}{list(each.shape)}" for each in variables) or "no variables"


def outputs(seen: ModelsSeen) -> Verdict | None:
    """The same values, shapes and dtypes in inference mode."""
    return _each(seen, lambda name, form: _values(seen, f"outputs of the {name}", form.run.inference, "inference"))


def masks(seen: ModelsSeen) -> Verdict | None:
    """The same masks attached to the outputs."""

    def judge(name: str, form: FormSeen) -> Verdict:
        assert seen.first is not None
        for index, (one, other) in enumerate(zip(form.run.masks, seen.first.run.masks, strict=True)):
            if (one is None) != (other is None):
                return failed(f"{name}: output {index} carries {'no' if one is None else 'a'} mask")
            if one is not None and other is not None and not np.array_equal(one, other):
                return failed(f"{name}: output {index} carries the mask {one.tolist()} instead of {other.tolist()}")
        carried = sum(mask is not None for mask in seen.first.run.masks)
        return passed(f"{name}: {carried} of {len(seen.first.run.masks)} outputs carry a mask")

    return _each(seen, judge)


def training_call(seen: ModelsSeen) -> Verdict | None:
    """The same outputs, added losses and state in training mode: random layers go on from the same state."""

    def judge(name: str, form: FormSeen) -> Verdict:
        assert seen.first is not None
        first = seen.first.run
        return first_failure(
            _values(seen, f"outputs of the {name} in training mode", form.run.training, "training"),
            _losses(seen, f"losses that the {name} adds", form.run.losses, first),
            _named(seen, f"state of the {name} after it", form.run.state, "state"),
        )

    return _each(seen, judge)


def _losses(seen: ModelsSeen, what: str, got: Sequence[float], first: Run) -> Verdict:
    if len(got) != len(first.losses):
        return failed(f"{what}: {len(got)} of them instead of {len(first.losses)}")
    # Which comes first is nobody's promise.
    one, other = np.sort(np.asarray(got, dtype=np.float64)), np.sort(np.asarray(first.losses, dtype=np.float64))
    return _agree(seen, what, one, other, [np.sort(np.asarray(run.losses, dtype=np.float64)) for run in seen.moved])


def gradients(seen: ModelsSeen) -> Verdict | None:
    """The same gradients of every trainable weight."""
    if seen.first is None or not seen.first.run.gradients:
        return None
    return _each_trained(seen, lambda name, form: _named(seen, f"gradient in the {name}", form.run.gradients, "gradients"))


def _each_trained(seen: ModelsSeen, judge: Callable[[str, FormSeen], Verdict]) -> Verdict | None:
    trained = [name for name, form in seen.others.items() if form.run.steps]
    if not trained:
        return None
    return _each(seen, lambda name, form: judge(name, form) if name in trained else passed(f"{name}: not trained"))


def training(seen: ModelsSeen) -> Verdict | None:
    """The same losses in some steps of training, and the same variables after them."""
    if seen.first is None or not seen.first.run.steps:
        return None

    def judge(name: str, form: FormSeen) -> Verdict:
        assert seen.first is not None
        expected = np.asarray(seen.first.run.steps)
        moved = [np.asarray(run.steps) for run in seen.moved]
        return first_failure(
            _agree(seen, f"losses of the {name}, step by step", np.asarray(form.run.steps), expected, moved),
            _named(seen, f"variables of the {name} after {len(expected)} steps", form.run.after, "after"),
        )

    return _each_trained(seen, judge)


def predict(seen: ModelsSeen) -> Verdict | None:
    """`predict_on_batch`, which runs as a graph or compiled, gives what the call gives."""
    if seen.first is None or not seen.first.run.predicted:
        return None
    forms = {"first form": seen.first, **{name: form for name, form in seen.others.items() if form.run.predicted}}
    return first_failure(
        *(
            _values(seen, f"predict_on_batch of the {name}", _typed(form.run), "inference", form.run.inference)
            for name, form in forms.items()
        )
    )


def _typed(run: Run) -> Sequence[Value]:
    """The predictions with the dtypes of the call: NumPy has no bfloat16, and `predict` gives NumPy's arrays."""
    return [
        Value(other.dtype if other.dtype == "bfloat16" else one.dtype, one.array)
        for one, other in zip(run.predicted, run.inference, strict=False)
    ]


def declared(seen: ModelsSeen) -> Verdict | None:
    """The shapes that a model declares are those that it gives, the batch left open."""
    found = {"first form": seen.first, **seen.others}
    judged = {name: form for name, form in found.items() if form is not None and form.declared is not None}
    for name, form in judged.items():
        assert form.declared is not None
        actual = [value.array.shape for value in form.run.inference]
        if len(form.declared) != len(actual) or any(
            len(one) != len(other) or any(a not in (None, b) for a, b in zip(one, other, strict=True))
            for one, other in zip(form.declared, actual, strict=True)
        ):
            return failed(f"{name} declares {list(form.declared)} and gives {actual}")
    return passed(f"{', '.join(judged)}: {len(judged)} declare their shapes") if judged else None


def inference_keeps(seen: ModelsSeen) -> Verdict | None:
    """A call in inference mode changes no variable."""
    if seen.first is None:
        return None
    for name, form in {"first form": seen.first, **seen.others}.items():
        if form.run.moved_by_inference:
            return failed(f"{name}: inference changes {', '.join(form.run.moved_by_inference)}")
    return passed(f"{len(seen.others) + 1} models keep their variables")


def cut(seen: ModelsSeen) -> Verdict | None:
    """A model cut out of the graph at a layer gives what that layer gave."""
    if not isinstance(seen.cut, dict):
        return None
    for name, (one, other) in seen.cut.items():
        for a, b in zip(one, other, strict=True):
            if a.dtype != b.dtype or a.array.shape != b.array.shape:
                given = f"{a.dtype}{list(a.array.shape)} and not {b.dtype}{list(b.array.shape)}"
                return failed(f"the model that ends at {name} gives {given}")
            if not np.array_equal(a.array, b.array, equal_nan=a.array.dtype.kind == "f"):
                return failed(f"the model that ends at {name} gives other values than the layer did in the whole model")
    return passed(f"cut at {', '.join(seen.cut) or 'no layer'}")


def batches(seen: ModelsSeen) -> Verdict | None:
    """Sample by sample the model gives what it gives for all of them at once."""
    if not isinstance(seen.batches, list) or seen.first is None:
        return None
    return _values(seen, "outputs, sample by sample", seen.batches, "inference")


def frozen(seen: ModelsSeen) -> Verdict | None:
    """A frozen model has nothing to train and keeps its weights in training; unfrozen it has all that it had."""
    found = seen.frozen
    if not isinstance(found, Frozen):
        return None
    if found.trainable:
        return failed(f"frozen, it has {found.trainable} trainable weights")
    if found.moved:
        return failed(f"frozen, training moves {', '.join(found.moved)}")
    lost = [name for name in found.before if name not in found.back]
    if lost:
        return failed(f"unfrozen, it no longer trains {', '.join(lost)}")
    return passed(f"{len(found.before)} weights freeze and thaw")


PROPERTIES: Mapping[str, Callable[[ModelsSeen], Verdict | None]] = MappingProxyType(
    {
        "accepts": accepts,
        "parameters": parameters,
        "declared": declared,
        "outputs": outputs,
        "masks": masks,
        "training_call": training_call,
        "inference_keeps": inference_keeps,
        "gradients": gradients,
        "training": training,
        "predict": predict,
        "cut": cut,
        "batches": batches,
        "frozen": frozen,
    }
)
"""By name, as reports show it; None where a property does not apply."""
