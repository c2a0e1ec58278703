"""Specs of the layers that mix images, and of those that choose among other layers."""

from __future__ import annotations

from pytest_dlcheck.cases.case import Case
from pytest_dlcheck.references.layers import augmentation as references
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.images import draw_value_range
from pytest_dlcheck.subjects.layers import augmentation_laws as laws
from pytest_dlcheck.subjects.layers.augmentation_color import FACTOR_RANGE, FORMATLESS, PAGE, POLICIES, SINGLE, draw_data
from pytest_dlcheck.subjects.spec import LayerSpec

__all__ = ["SPECS"]

INTERPOLATIONS = ("nearest", "bilinear")


def _always(case: Case, training: bool) -> bool:
    del case
    return training


def _cut_mix(d: Draw) -> None:
    d.option("factor", [0.5, (0.2, 0.8), (1.0, 1.0)], one_in=2)
    d.seed()
    data_format = d.data_format()
    d.common_options()
    draw_data(d, data_format, (0.0, 255.0), (3, 1))


def _mix_up(d: Draw) -> None:
    d.option("alpha", [1.0, 0.5, 0.9], one_in=2)
    d.seed()
    data_format = d.data_format()
    d.common_options()
    draw_data(d, data_format, (0.0, 255.0), (3, 1))


def _rand_augment(d: Draw) -> None:
    value_range = draw_value_range(d)
    if d.world.backend == "jax":  # where each operation is compiled, one after the other
        d.set("num_ops", d.choice([1, 0]))
    else:
        d.option("num_ops", [1, 0, 3])
    d.option("factor", [0.1, 1.0, (0.2, 0.6)])
    d.option("interpolation", INTERPOLATIONS)
    d.seed()
    data_format = d.data_format()
    d.common_options()
    draw_data(d, data_format, value_range, (3,))


def _aug_mix(d: Draw) -> None:
    value_range = draw_value_range(d)
    if d.world.backend == "jax":  # as above
        d.set("num_chains", 1)
        d.set("chain_depth", d.choice([1, 0]))
    else:
        d.option("num_chains", [1, 2])
        d.option("chain_depth", [1, 0, 2])
    d.option("factor", [0.1, 1.0, (0.2, 0.6)])
    d.option("alpha", [0.5, 2.0])
    d.option("all_ops", [True, False])
    d.option("interpolation", INTERPOLATIONS)
    d.seed()
    data_format = d.data_format()
    d.common_options()
    draw_data(d, data_format, value_range, (3,))


MADE_OF_OTHERS = {
    "gradient": "it chains other augmentations, whose gradients are checked one by one; JAX compiles all of them at once"
}
LABELLED = (laws.STAYS_IN_RANGE, laws.KEEPS_LABELS)

SPECS: tuple[LayerSpec, ...] = (
    LayerSpec(
        "CutMix",
        _cut_mix,
        references.identity,
        PAGE + "cut_mix/",
        policies=POLICIES,
        laws=(laws.CUT_FROM_THE_BATCH,),
        random=_always,
        rows_in_training=False,
        exempt=FACTOR_RANGE,
    ),
    LayerSpec(
        "MixUp",
        _mix_up,
        references.identity,
        PAGE + "mix_up/",
        policies=POLICIES,
        laws=(laws.MIXED_FROM_TWO,),
        random=_always,
        rows_in_training=False,
        exempt=FORMATLESS,
    ),
    LayerSpec(
        "RandAugment",
        _rand_augment,
        references.identity,
        PAGE + "rand_augment/",
        policies=SINGLE,
        laws=LABELLED,
        random=lambda case, training: training and case.arguments.get("num_ops", 2) != 0,
        exempt={**FACTOR_RANGE, **MADE_OF_OTHERS},
    ),
    LayerSpec(
        "AugMix",
        _aug_mix,
        references.identity,
        PAGE + "aug_mix/",
        policies=SINGLE,
        laws=LABELLED,
        random=lambda case, training: training and case.arguments.get("chain_depth", 3) != 0,
        exempt={**FACTOR_RANGE, **MADE_OF_OTHERS},
    ),
)
