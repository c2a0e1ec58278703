"""Cases are chosen so that together they show many combinations of options."""

from __future__ import annotations

import random

import pytest

from pytest_dlcheck.cases.case import Build, Case, Tensor
from pytest_dlcheck.strategies.draw import random_case
from pytest_dlcheck.strategies.spreading import features, pairs, spread
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import World


def case(shape: tuple[int, ...] = (2, 3), **arguments: object) -> Case:
    return Case("keras.layers.Planted", arguments, Tensor(shape))


def shown(*sets: set[int]) -> list[frozenset[int]]:
    return [frozenset(each) for each in sets]


def test_each_adds_most_to_those_before_it() -> None:
    assert list(spread("abcd", shown({1, 2}, {1, 2, 3}, {4}, {3, 4, 5, 6}), 4)) == ["d", "a", "b", "c"]


def test_of_two_that_add_as_much_the_one_drawn_first() -> None:
    assert list(spread("abc", shown({1}, {2}, {1, 2}), 2)) == ["c", "a"]


def test_no_more_than_there_are() -> None:
    assert list(spread("ab", shown({1}, set()), 5)) == ["a", "b"]
    assert list(spread("", [], 5)) == []


@pytest.mark.parametrize("seed", range(5))
def test_as_the_plain_greedy_choice(seed: int) -> None:
    rng = random.Random(seed)
    sets = [frozenset(rng.sample(range(30), rng.randint(0, 8))) for _ in range(40)]
    left, covered, plain = list(range(40)), set[int](), []
    for _ in range(10):
        best = max(left, key=lambda place: (len(sets[place] - covered), -place))
        left.remove(best)
        covered |= sets[best]
        plain.append(best)
    assert list(spread(range(40), sets, 10)) == plain


def test_what_is_particular_about_a_case() -> None:
    found = features(case((2, 1), strides=(3, 4), kernel_size=2, padding="same", name="x", activation=Build("keras.X", {})))
    assert found["padding"] == "'same'"
    assert found["kernel_size against strides"] == "less"
    assert found["input 0 axis 1 of one"] == "True"
    assert found["input 0 rank"] == "2"
    assert found["activation"] == "keras.X"
    assert "name" not in found
    assert found["strides"] != features(case(strides=(4, 3)))["strides"]
    assert features(case(axis=[2, 1]))["axis"] != features(case(axis=[1, 2]))["axis"]
    assert features(case(axis=[-1, -2]))["axis"] != features(case(axis=[2, 1]))["axis"]


@pytest.mark.parametrize(("shape", "expected"), [((2, 1), True), ((2, 3), False), ((2,), False)])
def test_a_mask_that_is_broadcast(shape: tuple[int, ...], expected: bool) -> None:
    mask = Tensor(shape, "bool", "padding")
    called = Case("keras.layers.Planted", {}, Tensor((2, 3, 4)), call={"mask": mask})
    attached = Case("keras.layers.Planted", {}, Tensor((2, 3, 4)), masks=(mask,))
    assert ["a mask is broadcast" in features(each) for each in (called, attached)] == [expected] * 2


def test_what_only_others_have_is_a_feature_too() -> None:
    one, other = pairs([case(), case(axis=1)])
    assert ("axis", "-") in one
    assert ("axis", "1") in other
    assert any(("axis", "-") in pair for pair in one if isinstance(pair[0], tuple))


@pytest.mark.parametrize("name", ["CategoryEncoding", "Conv2D", "Reshape", "LSTM"])
def test_more_pairs_than_at_random(name: str) -> None:
    spec = next(each for each in SPECS.values() if each.name == name)
    drawn = [random_case(spec, World("torch"), seed)[0] for seed in range(120)]
    seen = pairs(drawn)
    chosen = list(spread(range(120), seen, 10))
    assert len(frozenset().union(*(seen[place] for place in chosen))) > 1.15 * len(frozenset().union(*seen[:10]))
