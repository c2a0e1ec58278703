"""What this product makes of a case, and what the other one is asked about it."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.cases.case import Case, Tensor, map_tensors
from pytest_dlcheck.differential.comparison import Comparison, Slopes
from pytest_dlcheck.differential.product import Product
from pytest_dlcheck.differential.slopes import cotangents_of, slopes_of
from pytest_dlcheck.gradients.layers import smooth
from pytest_dlcheck.observe.layer import LayerObserver
from pytest_dlcheck.observe.layer_observation import LayerObservation, Outcome, Raised
from pytest_dlcheck.peers.answers import UNSUPPORTED, Answer
from pytest_dlcheck.peers.items import item_of
from pytest_dlcheck.peers.translation import NoCounterpart
from pytest_dlcheck.properties.layers.judging import Judging
from pytest_dlcheck.seeds import derive
from pytest_dlcheck.subjects.spec import LayerSpec, World

__all__ = ["Question", "apart", "compared"]

# Past the seeds that are drawn.
_FURTHER = 100


@dataclasses.dataclass
class Question:
    """One case: what it gave here, and what is asked of the other product.

    Attributes:
        judging: what was observed here.
        asked: by what each is for: `answer`, `training`, `slopes_answer`.
        slopes: gradients from here.
        answered: what needs no asking.
    """

    judging: Judging
    asked: dict[str, Mapping[str, Any]]
    slopes: Slopes | None = None
    answered: dict[str, Answer] = dataclasses.field(default_factory=dict)


def _named(seen: LayerObservation) -> list[tuple[str, Any]] | None:
    """The weights with the values that they were given; None where the layer could not be built."""
    return None if isinstance(seen.weights, Raised) else [(weight.name, weight.array) for weight in seen.weights]


def question(spec: LayerSpec, case: Case, backend: Backend, world: World, product: Product) -> Question:
    """Observes a case here and says what to ask."""
    seen = LayerObserver(spec, case, backend).run("training")
    found = Question(Judging(spec, world, seen), {})
    if spec.stateful(case):
        found.answered["answer"] = Answer(UNSUPPORTED, "what the layer remembers is held outside of its weights")
        return found
    try:
        found.asked["answer"] = item_of(case, product.table, _named(seen))
        if _worth_training(found.judging):
            found.asked["training"] = item_of(case, product.table, _named(seen), training=True)
        _add_slopes(found, spec, case, backend, product)
    except NoCounterpart as error:
        found.asked.clear()
        found.answered["answer"] = Answer(UNSUPPORTED, str(error))
    return found


def _worth_training(judging: Judging) -> bool:
    """Whether a call in training mode does something of its own that is no matter of chance."""
    here, training = judging.outcome, judging.seen.training
    if here is None or not isinstance(training, Outcome) or judging.random(training=True):
        return False
    before = judging.seen.state_before
    moved = any(not np.array_equal(value, training.state.get(name, np.empty(0))) for name, value in before.items())
    return moved or any(
        not np.array_equal(one.array, other.array) for one, other in zip(here.values, training.values, strict=False)
    )


def _add_slopes(found: Question, spec: LayerSpec, case: Case, backend: Backend, product: Product) -> None:
    """Gradients, at a point where most functions are smooth."""
    if found.judging.outcome is None or case.policy != "float32" or found.judging.random():
        return
    if spec.not_differentiable or "gradient" in spec.exempt or not (backend.trains and product.backend != "numpy"):
        return
    at = apart(smooth(case))
    seen = found.judging.seen if at == case else LayerObserver(spec, at, backend).run()
    if not isinstance(seen.eager, Outcome) or isinstance(seen.weights, Raised):
        return
    values = seen.eager.values
    if not any(value.array.dtype.kind == "f" and value.array.size for value in values):
        return
    if not all(np.isfinite(value.float64).all() for value in values if value.array.dtype.kind == "f"):
        return
    cotangents = cotangents_of(values, derive(0, case.key()))
    try:
        found.slopes = slopes_of(spec, at, backend, seen.weights, cotangents)
    except Exception:  # noqa: BLE001 - whether it has gradients in float64 is the matter of suites/gradients
        return
    found.asked["slopes_answer"] = item_of(at, product.table, _named(seen), cotangents=cotangents)


def apart(case: Case) -> Case:
    """The same case with no two inputs alike, since the larger of two equal ones has no gradient; the call's own are smooth
    too."""
    count = itertools.count(1)

    def one(tensor: Tensor) -> Tensor:
        drawn = tensor.dtype == "float" and tensor.literal is None
        return dataclasses.replace(tensor, seed=tensor.seed + _FURTHER * next(count)) if drawn else tensor

    call = smooth(case.replace(inputs=dict(case.call))).inputs
    return case.replace(inputs=map_tensors(one, case.inputs), call=map_tensors(one, call))


def compared(
    spec: LayerSpec, cases: Sequence[Case], backend: Backend, world: World, product: Product
) -> Iterator[tuple[Case, Comparison]]:
    """Each case on both products; the other one is asked about all of them in one go.

    Args:
        spec: of the cases' layer.
        cases: valid by construction.
        backend: of this process, loaded.
        world: what it is.
        product: the other one.

    Raises:
        PeerError: the other product answers no more.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        questions = [question(spec, case, backend, world, product) for case in cases]
    items = [item for each in questions for item in each.asked.values()]
    told = iter(product.ask(items))
    for case, each in zip(cases, questions, strict=True):
        found = {**each.answered, **{name: next(told) for name in each.asked}}
        yield case, Comparison(each.judging, product.name, product.world(world), slopes=each.slopes, **found)
