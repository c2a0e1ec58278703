"""What must hold when a model is taken apart, saved, loaded, or trained on: an observation in, a verdict out."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.observe.archives import Archived
from pytest_dlcheck.observe.layer_observation import Raised
from pytest_dlcheck.observe.life_cycle_observations import (
    Exported,
    Held,
    Plain,
    Rebuilt,
    Refused,
    Reloaded,
    Resumed,
)
from pytest_dlcheck.properties.comparison import identical, within
from pytest_dlcheck.properties.verdict import PASS, Verdict, failed, passed
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, from_moved_starts

__all__ = [
    "archive_computes_the_same",
    "config_is_plain",
    "export_computes_the_same",
    "file_keeps_everything",
    "file_keeps_optimizer",
    "file_keeps_random_state",
    "is_refused",
    "rebuilt_is_the_same",
    "resumed_is_uninterrupted",
    "saving_leaves_settings",
]

Array = NDArray[np.generic]


def _identical(what: str, found: Sequence[Array], expected: Sequence[Array]) -> Verdict | None:
    """The first array that is not what it must be; None if all are."""
    if len(found) != len(expected):
        return failed(f"{what}: {len(found)} instead of {len(expected)}")
    for index, (one, other) in enumerate(zip(found, expected, strict=True)):
        verdict = identical(f"{what}, number {index}", one, other)
        if verdict.outcome != PASS:
            return verdict
    return None


def _first_difference(what: str, found: str, expected: str) -> Verdict | None:
    """Where two JSON texts first differ; None if they do not."""
    if found == expected:
        return None
    path = _differing(json.loads(found), json.loads(expected), "")
    return failed(f"{what} is another: {path}")


def _differing(found: object, expected: object, path: str) -> str:
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted({*found, *expected}):
            if found.get(key, "(missing)") != expected.get(key, "(missing)"):
                return _differing(found.get(key, "(missing)"), expected.get(key, "(missing)"), f"{path}.{key}")
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            if one != other:
                return _differing(one, other, f"{path}[{index}]")
    return f"{path.lstrip('.') or 'it'} is {json.dumps(found)[:120]} instead of {json.dumps(expected)[:120]}"


def _names(found: Held, expected: Held) -> Verdict | None:
    if found.names == expected.names:
        return None
    return failed(f"the weights are {', '.join(found.names)} instead of {', '.join(expected.names)}")


def _first(*verdicts: Verdict | None) -> Verdict | None:
    return next((verdict for verdict in verdicts if verdict is not None), None)


def config_is_plain(seen: Plain) -> Verdict:
    """`get_config` has nothing in it that JSON cannot hold, and what comes back from JSON makes a model of the same config."""
    for text in (seen.text, seen.again):
        if isinstance(text, Raised):
            return failed(str(text))
    assert isinstance(seen.text, str)
    assert isinstance(seen.again, str)
    return _first_difference("the config of the model made from JSON", seen.again, seen.text) or passed(
        f"{len(seen.text)} characters of JSON, there and back"
    )


def rebuilt_is_the_same(seen: Rebuilt | Raised) -> Verdict:
    """The config again is the same, so are the weights' names and shapes; with the weights set the outputs are the same bit for
    bit; and no weight is shared with the original."""
    if isinstance(seen, Raised):
        return failed(str(seen))
    found, expected = seen.rebuilt, seen.original
    wrong = _first(
        _first_difference("the config", found.config, expected.config),
        _names(found, expected),
        _identical("weights of the original after those of the new model were changed", seen.original_after, expected.weights),
        _identical("weights", found.weights, expected.weights),
        _identical("outputs", found.outputs, expected.outputs),
    )
    return wrong or passed(f"by way of {seen.way}: {len(found.weights)} weights, {len(found.outputs)} outputs, all identical")


def file_keeps_everything(seen: Reloaded | Raised) -> Verdict:
    """All that the file promises to keep comes back bit for bit, and writing it changes nothing of the model."""
    if isinstance(seen, Raised):
        return failed(str(seen))
    found, expected, after = seen.reloaded, seen.original, seen.original_after
    wrong = _first(
        _names(found, expected),
        _identical("weights", found.weights, expected.weights),
        _identical("optimizer variables", found.optimizer, expected.optimizer) if "optimizer" in seen.kept else None,
        _first_difference("what compile was given", found.settings, expected.settings) if "settings" in seen.kept else None,
        _first_difference("the config", found.config, expected.config) if "config" in seen.kept else None,
        _identical("outputs", found.outputs, expected.outputs),
        _identical("weights of the model that was saved, afterwards", after.weights, expected.weights),
        _identical("optimizer variables of the model that was saved, afterwards", after.optimizer, expected.optimizer),
        _identical("states of random generators of the model that was saved, afterwards", after.seeds, expected.seeds),
        _first_difference("the config of the model that was saved, afterwards,", after.config, expected.config),
    )
    return wrong or passed(
        f"by way of {seen.way}: {len(found.weights)} weights and {', '.join(('outputs', *sorted(seen.kept)))} are identical"
    )


def file_keeps_random_state(seen: Reloaded | Raised) -> Verdict:
    """The random generators of the layers go on where they were: else a resumed run draws other numbers, or the first ones
    again."""
    if isinstance(seen, Raised):
        return failed(str(seen))
    if not seen.original.seeds:
        return failed("the model has no random generator whose state could be kept")
    wrong = _identical("states of random generators", seen.reloaded.seeds, seen.original.seeds)
    return wrong or passed(f"by way of {seen.way}: {len(seen.original.seeds)} states of random generators are identical")


def file_keeps_optimizer(seen: Reloaded | Raised) -> Verdict:
    """The optimizer's step count, learning rate and moments come back bit for bit."""
    if isinstance(seen, Raised):
        return failed(str(seen))
    wrong = _identical("optimizer variables", seen.reloaded.optimizer, seen.original.optimizer)
    return wrong or passed(f"by way of {seen.way}: {len(seen.original.optimizer)} optimizer variables are identical")


def saving_leaves_settings(seen: Reloaded | Raised) -> Verdict:
    """Writing a file leaves what the model was compiled with: else the next file of it holds another optimizer, or none."""
    if isinstance(seen, Raised):
        return failed(str(seen))
    if seen.original.settings == "null":
        return failed("the model was not compiled: there is nothing that could be lost")
    wrong = _first_difference(
        "what compile was given, of the model that was saved, afterwards", seen.original_after.settings, seen.original.settings
    )
    return wrong or passed(f"by way of {seen.way}: the model is compiled as it was")


def resumed_is_uninterrupted(seen: Resumed | Raised) -> Verdict:
    """Losses, metrics, weights, optimizer and random state at the end are those of training that was not interrupted."""
    if isinstance(seen, Raised):
        return failed(str(seen))
    found, expected = seen.resumed, seen.uninterrupted
    if set(found.history) != set(expected.history):
        return failed(f"the history has {', '.join(sorted(found.history))} instead of {', '.join(sorted(expected.history))}")
    for name, values in expected.history.items():
        rest = values[seen.begun :]
        if tuple(found.history[name]) != tuple(rest):
            return failed(f"{name} after resuming ({seen.way}): {_exact(found.history[name])} instead of {_exact(rest)}")
    wrong = _first(
        _names(found.held, expected.held),
        _identical("weights at the end", found.held.weights, expected.held.weights),
        _identical("optimizer variables at the end", found.held.optimizer, expected.held.optimizer),
        _identical("states of random generators at the end", found.held.seeds, expected.held.seeds),
        _identical("outputs at the end", found.held.outputs, expected.held.outputs),
    )
    if wrong is not None:
        return wrong
    if _identical("", seen.start.weights, expected.held.weights) is None:
        return failed("training after the file was written moved no weight: nothing was compared")
    return passed(f"{seen.way}: {len(expected.history)} curves and {len(found.held.weights)} weights go on as if nothing were")


def _exact(values: Sequence[float]) -> str:
    return ", ".join(repr(value) for value in values)


def is_refused(seen: Refused) -> Verdict:
    """The attempt ends in an error that names what is wrong, and changes nothing."""
    if seen.error is None:
        return failed(f"{seen.what} raises nothing")
    message = seen.error.message.lower()
    if not any(word.lower() in message for word in seen.words):
        return failed(f"{seen.what} raises an error that names none of {', '.join(seen.words)}: {seen.error}")
    if not seen.untouched:
        return failed(f"{seen.what} raises {seen.error.kind}, and has changed weights before it does")
    return passed(f"{seen.what} raises {seen.error.kind}")


def archive_computes_the_same(version: str, seen: Sequence[Archived | Raised]) -> Verdict:
    """What an earlier version wrote comes back: weights and optimizer bit for bit, outputs within rounding of what that version
    computed, and so do the losses of the training steps that it would have taken next."""
    for each in seen:
        verdict = failed(str(each)) if isinstance(each, Raised) else _archived(each)
        if verdict is not None:
            return Verdict(verdict.outcome, f"written by Keras {version}: {verdict.message}")
    if not seen:
        return failed(f"no file of Keras {version} was loaded")
    names = ", ".join(each.name for each in seen if isinstance(each, Archived))
    return passed(f"written by Keras {version}, and the same here: {names}")


def _as_written(found: Sequence[Array], expected: Sequence[Array]) -> list[Array]:
    """Integers in the width that the file's backend counts in, where it can hold them: a counter has 32 bits or 64."""

    def narrowed(one: Array, other: Array) -> Array:
        cast = one.astype(other.dtype) if one.dtype.kind == other.dtype.kind == "i" else one
        return cast if np.array_equal(cast, one) else one

    if len(found) != len(expected):
        return list(found)
    return [narrowed(one, other) for one, other in zip(found, expected, strict=True)]


def _archived(seen: Archived) -> Verdict | None:
    expected, name = seen.expected, seen.name
    wrong = _identical(f"weights of {name}", _as_written(seen.weights, expected.weights), expected.weights)
    if wrong is None and seen.optimizer is not None:
        optimizer = _as_written(seen.optimizer, expected.optimizer)
        wrong = _identical(f"optimizer variables of {name}", optimizer, expected.optimizer)
    if wrong is not None:
        return wrong
    parts = [*zip(seen.outputs, expected.outputs, expected.moved, [f"output {i} of {name}" for i in range(9)], strict=False)]
    if len(seen.outputs) != len(expected.outputs):
        return failed(f"{name} has {len(seen.outputs)} outputs instead of {len(expected.outputs)}")
    if seen.losses is not None:
        parts.append((seen.losses, expected.losses, expected.moved_losses, f"losses of the next steps of {name}"))
    for found, value, moved, what in parts:
        allowed = from_moved_starts(
            np.asarray(value, dtype=np.float64),
            np.asarray(moved, dtype=np.float64),
            unit_roundoff=UNIT_ROUNDOFF["float32"],
            scale=1.0,
        )
        verdict = within(what, found, allowed)
        if verdict.outcome != PASS:
            return verdict
    return None


def export_computes_the_same(seen: Exported | Raised) -> Verdict:
    """What reads the SavedModel computes what the model does, within rounding, for each size of batch."""
    if isinstance(seen, Raised):
        return failed(str(seen))
    said = []
    for reader, batches in seen.read.items():
        for size, outputs in batches.items():
            called = seen.called[size]
            if len(outputs) != len(called):
                return failed(f"{reader}, {size} samples: {len(outputs)} outputs instead of {len(called)}")
            for index, (found, expected) in enumerate(zip(outputs, called, strict=True)):
                if found.dtype != expected.dtype:
                    return failed(f"{reader}, {size} samples: output {index} is {found.dtype} instead of {expected.dtype}")
                allowed = from_moved_starts(
                    np.asarray(expected, dtype=np.float64),
                    np.asarray(seen.moved[size][index], dtype=np.float64),
                    unit_roundoff=UNIT_ROUNDOFF[str(expected.dtype)],
                    scale=1.0,
                )
                verdict = within(f"{reader}, {size} samples, output {index}", found, allowed)
                if verdict.outcome != PASS:
                    return verdict
                said.append(verdict.message)
    return passed("\n".join(said)) if said else failed("nothing read the SavedModel")
