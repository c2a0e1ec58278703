"""What two sides say of a layer beside its values: parameters, weights, config, declared outputs. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pytest_dlcheck.records.changes import Change

__all__ = ["compare_facts", "compare_parameters"]

_STARS = ("*", "**")


def compare_parameters(subject: str, old: Mapping[str, str | None], new: Mapping[str, str | None]) -> Iterator[Change]:
    """The constructor's or the function's parameters and their defaults.

    Args:
        subject: whose they are.
        old: by name, the default as text; None where there is none.
        new: the same of the other side.
    """
    if not old or not new:  # one of the two could not say
        return
    first = {name: default for name, default in old.items() if default not in _STARS}
    second = {name: default for name, default in new.items() if default not in _STARS}
    for name in [name for name in first if name not in second]:
        # Behind **kwargs it may still be taken; whether it is, the cases show.
        if "**" not in new.values():
            yield Change(
                subject, "argument disappears", name, f"there is no argument {name} any more", cause=f"argument {name}"
            )
    for name in [name for name in second if name not in first]:
        told = "" if second[name] is None else f", {second[name]} by default"
        yield Change(subject, "argument appears", name, f"there is an argument {name}{told}", cause=f"argument {name} {told}")
    common = [name for name in first if name in second]
    for name in common:
        if first[name] != second[name]:
            told = f"{_default(second[name])} instead of {_default(first[name])}"
            yield Change(subject, "default", name, f"{name}: {told}", cause=f"{name}: {told}", size=1)
    if common != [name for name in second if name in first]:
        message = f"by position: {', '.join(second)} instead of {', '.join(first)}"
        yield Change(subject, "argument order", "parameters", message, size=1)


def _default(text: str | None) -> str:
    return "no default" if text is None else text


def compare_facts(subject: str, old: Mapping[str, Any], new: Mapping[str, Any], broken: Collection[str]) -> Iterator[Change]:
    """The structure of the outputs, the weights, what is declared, the config.

    Args:
        subject: of which.
        old: as `observing` records them.
        new: the same of the other side.
        broken: the parts that ended in an error on one side or both, which are told elsewhere.
    """
    for mode in ("inference", "training"):
        name = f"{mode} structure"
        if mode not in broken and old.get(name) != new.get(name) and None not in (old.get(name), new.get(name)):
            yield Change(subject, "structure", f"{mode} output", f"outputs {new[name]} instead of {old[name]}", size=1)
    if "weights" in old and "weights" in new:
        yield from _weights(subject, old["weights"], new["weights"])
    if "declared" not in broken and old.get("declared") != new.get("declared") and old.get("declared") and new.get("declared"):
        told = f"{_declared(new['declared'])} instead of {_declared(old['declared'])}"
        yield Change(subject, "declared", "declared", f"the symbolic call gives {told}", size=1)
    if "config" in old and "config" in new:
        yield from _config(subject, old["config"], new["config"])


def _declared(found: Sequence[Any]) -> str:
    structure, *outputs = found
    return f"{structure} " + ", ".join(f"{dtype}{shape}" for dtype, shape in outputs)


def _weights(subject: str, old: Sequence[Sequence[Any]], new: Sequence[Sequence[Any]]) -> Iterator[Change]:
    if list(old) == list(new):
        return
    names = [[each[0] for each in side] for side in (old, new)]
    if names[0] != names[1]:
        lost = [name for name in names[0] if name not in names[1]]
        made = [name for name in names[1] if name not in names[0]]
        told = (
            "the same names in another order"
            if not lost and not made
            else f"{made or 'nothing'} in place of {lost or 'nothing'}"
        )
        yield Change(subject, "weights", "names", f"weights: {told}", cause=f"{subject} {told}", size=1)
        return
    for first, second in zip(old, new, strict=True):
        for place, word in ((1, "dtype"), (2, "shape"), (3, "trainable")):
            if first[place] != second[place]:
                told = f"weight {first[0]}: {word} {second[place]} instead of {first[place]}"
                yield Change(subject, "weights", word, told, cause=f"{subject} {first[0]} {word}", size=1)


def _config(subject: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    gone = {key: value for key, value in old.items() if key not in new and not _inside_of_another(key, new)}
    added = {key: value for key, value in new.items() if key not in old and not _inside_of_another(key, old)}
    for keys, told, size in ((gone, "lacks", 2.0), (added, "has further keys:", 0.5)):
        # A layer's own, and those of what it holds: an initializer's are one cause, in whichever layer it stands.
        for part in ({key for key in keys if "." not in key}, {key for key in keys if "." in key}):
            if part:
                listed = ", ".join(f"{key} ({_brief(value)})" for key, value in keys.items() if key in part)
                cause = f"{told} {sorted({key.rpartition('.')[2] for key in part})}"
                yield Change(subject, "config", "keys", f"the config {told} {listed}", cause=cause, size=size)
    for key in old:
        if key in new and old[key] != new[key]:
            told = f"{_brief(new[key])} instead of {_brief(old[key])}"
            cause = f"config {key.rpartition('.')[2]} {told}"
            yield Change(subject, "config", key, f"config {key}: {told}", cause=cause, size=1)


def _inside_of_another(key: str, others: Mapping[str, Any]) -> bool:
    """Whether the other side has a plain value where this one has an object: told once, as a value would be too often."""
    parts = key.split(".")
    return any(".".join(parts[:count]) in others for count in range(1, len(parts)))


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
