"""What a model says of its layers: `summary`, `get_layer`."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any
from unittest import mock

import numpy as np

from pytest_dlcheck.architectures.observation import Listing, ModelsSeen
from pytest_dlcheck.observe.layer_observation import Raised
from pytest_dlcheck.properties.verdict import Verdict, failed, passed

__all__ = ["entries", "get_layer", "listing_of", "read_summary", "summary", "wrong_summary"]

WIDTH = 300  # characters: no cell of the table is broken
ROW = re.compile(r"^\W*(?P<name>.*?) \((?P<kind>\w+)\) *[│|][^│|]*[│|] *(?P<count>[\d,]+)")
TOTAL = re.compile(r"^ *(?P<what>Total|Trainable|Non-trainable|Optimizer) params: (?P<count>[\d,]+)")


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def read_summary(text: str) -> tuple[list[tuple[str, int]], dict[str, int]]:
    """The layers of a summary with their parameters, and the totals below them."""
    rows, totals = [], {}
    for line in text.splitlines():
        if found := ROW.match(line):
            rows.append((found["name"], _number(found["count"])))
        elif found := TOTAL.match(line):
            totals[found["what"].lower()] = _number(found["count"])
    return rows, totals


def entries(weights: Iterable[Any]) -> int:
    """Entries of all weights, each counted once."""
    return sum(int(np.prod(tuple(weight.shape))) for weight in {id(each): each for each in weights}.values())


def listing_of(model: Any) -> Listing | Raised:
    """What a built model says of its layers."""
    try:
        return _listing(model)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the framework did
        return Raised(type(error).__name__, str(error), "summary and get_layer")


def _listing(model: Any) -> Listing:
    said: list[str] = []
    # The table is cut at the terminal's width, whatever `line_length` says.
    with mock.patch.dict(os.environ, {"COLUMNS": str(WIDTH)}):
        model.summary(print_fn=lambda text, **_: said.append(str(text)), line_length=WIDTH)
    rows, totals = read_summary("\n".join(said))
    layers = list(model.layers)
    names = tuple(str(layer.name) for layer in layers)

    def places(found: Any) -> tuple[int, ...]:
        return tuple(index for index, layer in enumerate(layers) if layer is found)

    optimizer = getattr(model, "optimizer", None)
    return Listing(
        rows,
        totals,
        names,
        tuple(entries(layer.weights) for layer in layers),
        (entries(model.trainable_weights), entries(model.non_trainable_weights)),
        entries(optimizer.variables) if optimizer is not None and optimizer.built else 0,
        {name: places(model.get_layer(name)) for name in names},
        tuple(places(model.get_layer(index=index)) for index in range(len(layers))),
        (_refuses(lambda: model.get_layer("no such layer")), _refuses(lambda: model.get_layer(index=len(layers)))),
    )


def _refuses(call: Callable[[], object]) -> bool:
    try:
        call()
    except ValueError:
        return True
    return False


def summary(seen: ModelsSeen) -> Verdict | None:
    """`summary` lists every layer with the parameters that it has, and the totals are those of the variables, in each form."""
    found = {"first form": seen.first, **seen.others}
    first: dict[str, int] | None = None
    for name, form in found.items():
        if form is None or form.listing is None:
            continue
        if isinstance(form.listing, Raised):
            return failed(f"{name}: {form.listing}")
        wrong = wrong_summary(form.listing)
        if wrong:
            return failed(f"the summary of the {name} {wrong}")
        totals = {what: count for what, count in form.listing.totals.items() if what in ("trainable", "non-trainable")}
        first = totals if first is None else first
        if totals != first:
            return failed(f"the summary of the {name} counts {totals}, and that of the first form {first}")
    return (
        None if first is None else passed(f"{len(found)} summaries: {first['trainable']} + {first['non-trainable']} parameters")
    )


def wrong_summary(listing: Listing) -> str:
    """What is wrong with a summary, in words; empty if it is right."""
    expected = Counter(zip(listing.layers, listing.sizes, strict=True))
    if expected - Counter(listing.rows):
        lacking = ", ".join(f"{name} with {size} parameters" for name, size in expected - Counter(listing.rows))
        return f"does not list {lacking}; it lists {', '.join(f'{name} with {size}' for name, size in listing.rows)}"
    if others := Counter(listing.rows) - expected:
        odd = [f"{name} with {size} parameters" for name, size in others if size]  # an operation is no layer and has none
        if odd:
            return f"lists {', '.join(odd)}, and the model has no such layer, or not so often"
    trainable, frozen = listing.weights
    right = {"total": trainable + frozen + listing.optimizer, "trainable": trainable, "non-trainable": frozen}
    for what, count in right.items():
        if listing.totals.get(what) != count:
            return f"says {what} params: {listing.totals.get(what)}, and the variables have {count}"
    return ""


def get_layer(seen: ModelsSeen) -> Verdict | None:
    """`get_layer`, by name and by index, gives the object that is in `layers`, and refuses what is not there."""
    count = 0
    for name, form in {"first form": seen.first, **seen.others}.items():
        if form is None or form.listing is None:
            continue
        if isinstance(form.listing, Raised):
            return failed(f"{name}: {form.listing}")
        listing = form.listing
        for index, places in enumerate(listing.by_index):
            if index not in places:
                return failed(f"{name}: get_layer(index={index}) gives another object than layers[{index}]")
        for layer, places in listing.by_name.items():
            if not any(listing.layers[place] == layer for place in places):
                return failed(f"{name}: get_layer({layer!r}) gives no layer of that name in layers")
        for what, refused in zip(("a name", "an index"), listing.refused, strict=True):
            if not refused:
                return failed(f"{name}: get_layer raises no ValueError for {what} that there is not")
        count += len(listing.layers)
    return passed(f"{count} layers by name and by index") if count else None
