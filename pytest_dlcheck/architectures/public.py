"""`check_models_equivalent`: one call for two models of one's own."""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_dlcheck.architectures.divergence import first_divergence
from pytest_dlcheck.architectures.observation import FormSeen, ModelsSeen
from pytest_dlcheck.architectures.properties import PROPERTIES
from pytest_dlcheck.architectures.rounding import moved_runs, predicts_alike, same_runs
from pytest_dlcheck.architectures.watcher import Watcher, by_layer
from pytest_dlcheck.backends import present
from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.observe.layer_observation import Raised
from pytest_dlcheck.properties.verdict import HARMLESS, Verdict
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF

__all__ = ["EquivalenceReport", "ModelsDiffer", "check_models_equivalent"]


@dataclass(frozen=True)
class EquivalenceReport:
    """What became of each property of two models.

    Attributes:
        verdicts: by the property's name.
        parting: where the models part, in words; empty if they do not.
    """

    verdicts: dict[str, Verdict]
    parting: str = ""

    @property
    def equivalent(self) -> bool:
        """Whether every property holds."""
        return all(verdict.outcome in HARMLESS for verdict in self.verdicts.values())

    def table(self) -> str:
        """A line for each property, and where the models part."""
        width = max(map(len, self.verdicts), default=0)
        lines = [
            f"{name:<{width}}  {verdict.outcome:<9}  {line if not index else ''}".rstrip()
            if not index
            else f"{'':<{width}}  {'':<9}  {line}"
            for name, verdict in self.verdicts.items()
            for index, line in enumerate(verdict.message.splitlines() or [""])
        ]
        return "\n".join(lines + ([self.parting] if self.parting else []))


class ModelsDiffer(AssertionError):
    """Two models are not one function; the message is the report's table."""

    def __init__(self, report: EquivalenceReport) -> None:
        super().__init__(f"the two models are not equivalent\n{report.table()}")
        self.report = report


def check_models_equivalent(
    model_a: Any,
    model_b: Any,
    inputs: Any,
    *,
    copy_weights: bool = True,
    train: bool = True,
    seed: int = 0,
    backend: Backend | None = None,
) -> EquivalenceReport:
    """Checks that two models are one function, and train alike, and says where they part if not.

    Compared are: the number of parameters, the variables of each layer, what `summary` and `get_layer` say of the layers,
    declared shapes, outputs and their masks in inference mode, outputs, added losses and state in training mode, the gradient
    of every weight, `predict_on_batch`, and the losses and variables in three steps of an optimizer. They must agree to the
    last bit, or within what the first model's inputs and weights, moved by two units of roundoff, change.

        from pytest_dlcheck import check_models_equivalent

        def test_rewritten_model():
            check_models_equivalent(old_model, RewrittenModel(), np.random.default_rng(0).normal(size=(4, 8)))

    Args:
        model_a: a Keras model, the one to compare with.
        model_b: the other one.
        inputs: an array, or a list of them, batch first, as both models take them.
        copy_weights: whether `model_b` gets the values of `model_a`'s variables for the check. They are matched by layer and
            order where both models' layers have the same names, else by their order in the whole model.
        train: whether gradients and training are compared, too. Both models are compiled anew for it, and stay so.
        seed: of the targets of training, of what the gradients are taken of, and of the optimizer: 0 is SGD with momentum,
            1 Adam, 2 RMSprop, 3 AdamW.
        backend: on which; by default the one that Keras runs on in this process.

    Returns:
        The report, in which every property holds; `print(report.table())` shows it. The variables of both models are then as
        they were before.

    Raises:
        ModelsDiffer: an `AssertionError` with the table: a property does not hold.
        DlcheckError: the models cannot be called on these inputs, or their variables cannot be matched.
    """
    backend = backend or present()
    backend.load()
    arrays = [np.asarray(each) for each in (inputs if isinstance(inputs, (list, tuple)) else [inputs])]
    given = arrays[0] if len(arrays) == 1 else arrays
    models = {"model_a": model_a, "model_b": model_b}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, model in models.items():
            _call(name, model, given, backend)
        watchers = _watchers(models, arrays, backend, seed)
        before = {name: watcher.state() for name, watcher in watchers.items()}
        try:
            if copy_weights:
                _copy(watchers, before["model_a"])
            seen = _observed(watchers, given, backend, trains=train and backend.trains)
        finally:
            for name, watcher in watchers.items():
                watcher.set_state(before[name])
    # Where they part stands once below the table, and not beside each of its rows.
    judged = dataclasses.replace(seen, parting={})
    found = {name: check(judged) for name, check in PROPERTIES.items()}
    report = EquivalenceReport(
        {name: verdict for name, verdict in found.items() if verdict is not None}, seen.parting.get("model_b", "")
    )
    if not report.equivalent:
        raise ModelsDiffer(report)
    return report


def _call(name: str, model: Any, given: Any, backend: Backend) -> None:
    try:
        model(backend.put_all(given), training=False)
    except Exception as error:  # a model of the user's can raise anything, and the check must say which it was
        raise DlcheckError(f"{name} cannot be called on these inputs: {type(error).__name__}: {error}") from error


def _form(name: str, watcher: Watcher, *, trains: bool) -> FormSeen | Raised:
    try:
        return watcher.form(trains=trains)
    except Exception as error:  # noqa: BLE001 - what a user's model raises in training is part of the answer
        return Raised(type(error).__name__, str(error), f"running {name}")


def _watchers(models: dict[str, Any], arrays: list[Any], backend: Backend, seed: int) -> dict[str, Watcher]:
    layers = {name: {layer.name: layer for layer in model.layers if layer.variables} for name, model in models.items()}
    whole = all(_holds_all(model, layers[name]) for name, model in models.items())
    if whole and set(layers["model_a"]) == set(layers["model_b"]):
        return {name: Watcher(model, layers[name], arrays, backend, seed) for name, model in models.items()}
    found = {}
    for name, model in models.items():
        places = {_place(key): variable for key, variable in by_layer({"": model}).items()}
        found[name] = Watcher(model, {"model": model}, arrays, backend, seed, variables=places)
    return found


def _holds_all(model: Any, layers: dict[str, Any]) -> bool:
    """Whether every weight of a model is one of its layers': a class may have some of its own."""
    return {id(weight) for weight in model.weights} <= {id(variable) for variable in by_layer(layers).values()}


def _place(key: str) -> str:
    """A variable's place alone: two models that differ in names may still be one function."""
    return "variable " + key.rpartition("/")[2].partition(":")[0]


def _copy(watchers: dict[str, Watcher], state: dict[str, Any]) -> None:
    other = watchers["model_b"].state()
    for name, value in state.items():
        shape = other[name].shape if name in other else None
        if shape != value.shape:
            raise DlcheckError(
                f"the models' variables cannot be matched: {name} of model_a is {list(value.shape)}, and model_b has "
                f"{'none of that name' if shape is None else list(shape)}; give the layers the same names, or copy the weights "
                "yourself and say copy_weights=False"
            )
    watchers["model_b"].set_state(state)


def _observed(watchers: dict[str, Watcher], given: Any, backend: Backend, *, trains: bool) -> ModelsSeen:
    first = watchers["model_a"]
    state = first.state()
    dtypes = [first.value(leaf).dtype for leaf in first.variables.values()]
    # The widest rounding that there is in it: a model may mix.
    dtype = max((each for each in dtypes if each in UNIT_ROUNDOFF), key=lambda each: UNIT_ROUNDOFF[each], default="float32")
    dtype = str(getattr(first.model, "compute_dtype", dtype)) if dtype == "float32" else dtype
    seen = ModelsSeen(dtype if dtype in UNIT_ROUNDOFF else "float32", named=set(first.layers) != {"model"})
    others = watchers["model_b"].state()
    for name, watcher in watchers.items():
        seen.forms[name] = _form(name, watcher, trains=trains)
    if seen.first is None or not seen.others:
        return seen
    mine, theirs = seen.first.run, seen.others["model_b"].run
    alike = same_runs(mine, theirs)
    if not alike or not predicts_alike(mine):
        seen.moved = moved_runs(first, state, seen.dtype, trains=trains)
    if not alike:
        watchers["model_b"].set_state(others)
        told = first_divergence(first.model, watchers["model_b"].model, given, backend=backend)
        if told is not None:
            seen.parting["model_b"] = str(told)
    return seen
