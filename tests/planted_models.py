"""A model as data, and sound observations of what is done to models, into which tests plant defects."""

from __future__ import annotations

import numpy as np

from pytest_dlcheck.architectures.architecture import Architecture, Node
from pytest_dlcheck.architectures.drawing import Catalogue
from pytest_dlcheck.architectures.observation import Listing, Middle, Thawed
from pytest_dlcheck.cases.case import Build, Tensor
from pytest_dlcheck.observe.layer_observation import Value
from pytest_dlcheck.subjects.spec import World

CATALOGUE = Catalogue(lambda spec: World("numpy"))
DENSE = Build("keras.layers.Dense", {"units": 2})
ADD = Build("keras.layers.Add")
SHARED = Architecture(
    (Tensor((2, 3)), Tensor((2, 3))), (DENSE, ADD), (Node(0, (0,)), Node(0, (1,)), Node(1, (2, 3))), (4,), seed=3
)


def value(*numbers: float, dtype: str = "float32") -> Value:
    """An output of one sample."""
    return Value(dtype, np.array([numbers], dtype="float32"))


MIDDLE = Middle("from l0 to l2", [value(1, 2)], [value(1, 2)], [value(1, 2)], 6, (6, 6))
LISTING = Listing(
    [("l0", 2), ("l1", 1)],
    {"total": 3, "trainable": 1, "non-trainable": 2},
    ("l0", "l1"),
    (2, 1),
    (1, 2),
    0,
    {},
    (),
    (True, True),
)
START = {"a": np.array([1.0, 2.0]), "b": np.array([3.0])}
STEP = {"a": np.array([1.5, 2.5]), "b": np.array([3.5])}
THAWED = Thawed("l0", ("a",), ("a", "b"), ("b",), ("a", "b"), LISTING, START, STEP, {**STEP, "a": START["a"]}, STEP, (), True)
