"""What must hold of one model in several forms: pure functions from what was seen to verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from pytest_dlcheck.architectures.agreement import agree, each_form, each_trained, named_agree, values_agree
from pytest_dlcheck.architectures.listing import get_layer, summary
from pytest_dlcheck.architectures.observation import FormSeen, ModelsSeen, Run, Variable
from pytest_dlcheck.architectures.surgery_properties import batches, cut, frozen, inside, middle, middle_keeps_whole, thawed
from pytest_dlcheck.observe.layer_observation import Raised, Value
from pytest_dlcheck.properties.verdict import Verdict, failed, first_failure, passed

__all__ = ["PROPERTIES"]


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
    yield "longer", seen.longer
    yield "thawed", seen.thawed


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

    return each_form(seen, judge)


def _kinds(variables: Sequence[Variable], named: bool) -> list[tuple[Any, ...]]:
    return [(each.name if named else "", each.shape, each.dtype, each.trainable) for each in variables]


def _is_weight(name: str) -> bool:
    # What a random layer keeps of its generator is a variable and no weight.
    return "seed_generator_state" not in name


def _told(variables: Sequence[Variable]) -> str:
    return ", ".join(f"{each.name} {each.dtype}{list(each.shape)}" for each in variables) or "no variables"


def outputs(seen: ModelsSeen) -> Verdict | None:
    """The same values, shapes and dtypes in inference mode."""
    return each_form(seen, lambda name, form: values_agree(seen, f"outputs of the {name}", form.run.inference, "inference"))


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

    return each_form(seen, judge)


def training_call(seen: ModelsSeen) -> Verdict | None:
    """The same outputs, added losses and state in training mode: random layers go on from the same state."""

    def judge(name: str, form: FormSeen) -> Verdict:
        assert seen.first is not None
        first = seen.first.run
        return first_failure(
            values_agree(seen, f"outputs of the {name} in training mode", form.run.training, "training"),
            _losses(seen, f"losses that the {name} adds", form.run.losses, first),
            named_agree(seen, f"state of the {name} after it", form.run.state, "state"),
        )

    return each_form(seen, judge)


def _losses(seen: ModelsSeen, what: str, got: Sequence[float], first: Run) -> Verdict:
    if len(got) != len(first.losses):
        return failed(f"{what}: {len(got)} of them instead of {len(first.losses)}")
    # Which comes first is nobody's promise.
    one, other = np.sort(np.asarray(got, dtype=np.float64)), np.sort(np.asarray(first.losses, dtype=np.float64))
    return agree(seen, what, one, other, [np.sort(np.asarray(run.losses, dtype=np.float64)) for run in seen.moved])


def gradients(seen: ModelsSeen) -> Verdict | None:
    """The same gradients of every trainable weight."""
    if seen.first is None or not seen.first.run.gradients:
        return None
    return each_trained(seen, lambda name, form: named_agree(seen, f"gradient in the {name}", form.run.gradients, "gradients"))


def training(seen: ModelsSeen) -> Verdict | None:
    """The same losses in some steps of training, and the same variables after them, those of the optimizer among them."""
    if seen.first is None or not seen.first.run.steps:
        return None

    def judge(name: str, form: FormSeen) -> Verdict:
        assert seen.first is not None
        expected = np.asarray(seen.first.run.steps)
        moved = [np.asarray(run.steps) for run in seen.moved]
        return first_failure(
            agree(seen, f"losses of the {name}, step by step", np.asarray(form.run.steps), expected, moved),
            named_agree(seen, f"variables of the {name} after {len(expected)} steps", form.run.after, "after"),
            named_agree(seen, f"variables of the {name}'s optimizer after them", form.run.optimizer, "optimizer"),
        )

    return each_trained(seen, judge)


def predict(seen: ModelsSeen) -> Verdict | None:
    """`predict_on_batch`, which runs as a graph or compiled, gives what the call gives."""
    if seen.first is None or not seen.first.run.predicted:
        return None
    forms = {"first form": seen.first, **{name: form for name, form in seen.others.items() if form.run.predicted}}
    return first_failure(
        *(
            values_agree(seen, f"predict_on_batch of the {name}", _typed(form.run), "inference", form.run.inference)
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


def longer(seen: ModelsSeen) -> Verdict | None:
    """Where sizes were left open, longer inputs give what a model built for them gives, called and in `predict_on_batch`."""
    if not isinstance(seen.longer, ModelsSeen):
        return None
    found = [check(seen.longer) for check in (outputs, masks, predict, training_call)]
    return first_failure(*(verdict for verdict in found if verdict is not None))


PROPERTIES: Mapping[str, Callable[[ModelsSeen], Verdict | None]] = MappingProxyType(
    {
        "accepts": accepts,
        "parameters": parameters,
        "summary": summary,
        "get_layer": get_layer,
        "declared": declared,
        "outputs": outputs,
        "masks": masks,
        "training_call": training_call,
        "inference_keeps": inference_keeps,
        "gradients": gradients,
        "training": training,
        "predict": predict,
        "longer": longer,
        "cut": cut,
        "middle": middle,
        "middle_keeps_whole": middle_keeps_whole,
        "inside": inside,
        "batches": batches,
        "frozen": frozen,
        "thawed": thawed,
    }
)
"""By name, as reports show it; None where a property does not apply."""
