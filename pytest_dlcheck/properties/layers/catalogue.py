"""All properties of layers: which parts of an observation each reads, and in which group of modes it is judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pytest_dlcheck.properties.layers import arguments, declared, values
from pytest_dlcheck.properties.layers.judging import Judging
from pytest_dlcheck.properties.verdict import Verdict

__all__ = ["GROUPS", "PROPERTIES", "Property", "of_group", "parts_of"]

GROUPS = ("eager", "graph", "compiled")
"""The mode groups, an item each. Beside the call they compare with, all of them observe the eager call."""


class Property(NamedTuple):
    """One property.

    Attributes:
        name: as reports show it.
        check: from an observation to a verdict, None where it does not apply.
        group: the mode group that it is judged in.
        parts: what must be observed for it beyond the first call.
        overall: whether no single case can fail it, but all of them together: what passes says which argument it is of, and
            the property holds if each argument passed once.
        costly: whether observing takes so long that only some examples are.
        by_values: whether it can be judged of an observation of nothing but the outputs' values.
    """

    name: str
    check: Callable[[Judging], Verdict | None]
    group: str = "eager"
    parts: tuple[str, ...] = ()
    costly: bool = False
    overall: bool = False
    by_values: bool = False


PROPERTIES: tuple[Property, ...] = (
    Property("accepts", values.accepts, parts=("training",)),
    Property("reference", values.matches_reference, by_values=True),
    Property("training_reference", values.training_matches_reference, parts=("training",)),
    Property("shape", declared.declares_its_shape, parts=("declared",)),
    Property("dtype", declared.declares_its_dtype, parts=("declared",)),
    Property("policy", declared.keeps_its_policy),
    Property("mask", declared.carries_its_mask),
    Property("identities", values.satisfies_identities, parts=("identities",)),
    Property("laws", values.follows_its_laws, parts=("training",), by_values=True),
    Property("same_twice", values.same_twice, parts=("again",)),
    Property("seed", declared.seed_repeats, parts=("training",)),
    Property("state", values.keeps_its_state),
    Property("inputs", values.keeps_its_inputs, parts=("again", "training")),
    Property("rows", values.alone_as_in_the_batch, parts=("rows",)),
    Property("no_samples", values.takes_no_samples, parts=("empty",), costly=True),
    Property("another_size", values.takes_another_size, parts=("resized",), costly=True),
    Property("defaults", declared.default_given_is_default, parts=("defaulted",)),
    Property("config", declared.config_restores, parts=("config",)),
    Property("keras_file", declared.file_restores, parts=("saved",), costly=True),
    Property("weights_file", declared.weights_restore, parts=("saved",), costly=True),
    Property("initial_weights", arguments.initializers_fill),
    Property("losses", arguments.regularizers_penalize),
    Property("constraints", arguments.constraints_are_kept),
    Property("effect", arguments.shows_an_effect, parts=("training", "dropped"), overall=True),
    Property("graph", values.graph_is_eager, group="graph", parts=("graph",), by_values=True),
    Property("compiled", values.compiled_is_eager, group="compiled", parts=("compiled",), by_values=True),
)


def of_group(group: str) -> tuple[Property, ...]:
    """The properties that are judged in a group."""
    return tuple(each for each in PROPERTIES if each.group == group)


def parts_of(properties: tuple[Property, ...], *, costly: bool) -> tuple[str, ...]:
    """What must be observed for these, each once."""
    return tuple(dict.fromkeys(part for each in properties if costly or not each.costly for part in each.parts))
