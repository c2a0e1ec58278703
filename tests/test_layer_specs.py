"""Every spec: what it draws is valid data, reaches every argument of the constructor, and shrinks to something plain."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from conftest import need
from pytest_dlcheck.cases.case import dumps, loads, tensors
from pytest_dlcheck.cases.values import KINDS, make
from pytest_dlcheck.strategies.draw import random_case, simplest_case
from pytest_dlcheck.subjects.layers import FAMILIES, SPECS
from pytest_dlcheck.subjects.spec import POLICIES, LayerSpec, World

CALLABLE = [spec for spec in SPECS.values() if not spec.abstract]
DRAWS = 500

# Arguments that may be left out, and without which a layer does nothing, or only works on inputs that are not small.
NEEDED: Mapping[str, set[str]] = {
    "GroupNormalization": {"groups"},
    "Normalization": {"mean", "variance"},
    "Discretization": {"bin_boundaries"},
    "CategoryEncoding": {"num_tokens"},
    "IntegerLookup": {"vocabulary"},
    "StringLookup": {"vocabulary"},
    "TextVectorization": {"vocabulary", "split"},
    "MelSpectrogram": {"fft_length", "num_mel_bins", "sequence_stride"},
    "STFTSpectrogram": {"frame_length"},
    "JaxLayer": {"init_fn"},
    "TorchModuleWrapper": {"output_shape"},
}

SIGNATURES = """
import inspect, json, keras
found = {}
for name, kind in vars(keras.layers).items():
    if isinstance(kind, type):
        parameters = inspect.signature(kind).parameters.values()
        found[name] = {p.name: p.default is not p.empty for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
print("\\n" + json.dumps([keras.__version__, found]))
"""


@pytest.fixture(scope="session")
def signatures() -> Mapping[str, Mapping[str, bool]]:
    """By class of the newest Keras that we support: each parameter of its constructor, and whether it may be left out."""
    need("keras")
    done = subprocess.run(
        [sys.executable, "-c", "import os; os.environ['KERAS_BACKEND'] = 'numpy'\n" + SIGNATURES],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    version, found = json.loads(done.stdout.splitlines()[-1])
    if tuple(int(part) for part in version.split(".")[:2]) < (3, 15):
        pytest.skip(f"the specs draw the arguments of Keras 3.15, and {version} is installed")
    return dict(found)


def test_no_layer_has_two_specs() -> None:
    names = [name for family in FAMILIES.values() for spec in family for name in (spec.name, *spec.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("spec", CALLABLE, ids=lambda spec: spec.name)
def test_every_argument_is_drawn(spec: LayerSpec, signatures: Mapping[str, Mapping[str, bool]]) -> None:
    world = World("tensorflow", (3, 15, 1))
    missing = set(signatures.get(spec.name, ())) - {"dtype", "name", "trainable", *spec.not_drawn}
    for seed in range(DRAWS):
        missing -= set(random_case(spec, world, seed)[0].arguments)
        if not missing:
            break
    assert not missing, f"never drawn in {DRAWS} cases, and not in not_drawn: {', '.join(sorted(missing))}"


@pytest.mark.parametrize("spec", CALLABLE, ids=lambda spec: spec.name)
def test_what_is_drawn_is_plain_and_the_same_for_the_same_seed(spec: LayerSpec) -> None:
    for backend in ("tensorflow", "jax"):
        world = World(backend, (3, 15, 1))
        for seed in range(25):
            case, choices = random_case(spec, world, seed)
            assert loads(dumps(case)) == case
            assert random_case(spec, world, seed) == (case, choices)
            assert case.policy in (*POLICIES, "none")
            for tensor in tensors([case.inputs, dict(case.call), case.adapt, list(case.masks or ())]):
                assert tensor.literal is not None or tensor.values in KINDS
                assert make(tensor).shape == tensor.shape


@pytest.mark.parametrize("spec", CALLABLE, ids=lambda spec: spec.name)
def test_a_case_is_small(spec: LayerSpec) -> None:
    for seed in range(100):
        case, _ = random_case(spec, World("tensorflow", (3, 15, 1)), seed)
        assert sum(math.prod(tensor.shape) for tensor in tensors([case.inputs, dict(case.call)])) <= 10_000


@pytest.mark.parametrize("spec", CALLABLE, ids=lambda spec: spec.name)
def test_the_simplest_case_gives_nothing_that_can_be_left_out(
    spec: LayerSpec, signatures: Mapping[str, Mapping[str, bool]]
) -> None:
    case = simplest_case(spec, World("tensorflow", (3, 15, 1)))
    optional = {name for name, may_be_left_out in signatures.get(spec.name, {}).items() if may_be_left_out}
    given = optional & set(case.arguments)
    needed = {*NEEDED.get(spec.name, ())}
    assert given <= needed, f"optional, and given in the simplest case: {', '.join(sorted(given - needed))}"
    assert case.policy in {"float32", "none"}
    assert not case.settings
    assert sum(math.prod(tensor.shape) for tensor in tensors(case.inputs)) <= 1000


def test_an_older_keras_gets_only_what_it_takes() -> None:
    world = World("tensorflow", (3, 0, 5), frozenset({"units", "activation"}))
    for seed in range(50):
        assert set(random_case(SPECS["Dense"], world, seed)[0].arguments) <= {"units", "activation"}


def test_shapes_come_from_a_small_pool_on_jax() -> None:
    def sizes(backend: str) -> set[Any]:
        found = (random_case(SPECS["Dense"], World(backend), seed)[0] for seed in range(100))
        return {size for case in found for size in tensors(case.inputs)[0].shape}

    assert sizes("jax") == {1, 2, 3}
    assert sizes("tensorflow") == {1, 2, 3, 4, 5}
