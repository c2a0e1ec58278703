"""Chooses, out of many cases that were drawn, few that show as many combinations of options as can be.

Most bugs of software need one option, or two together (Kuhn, Wallace and Gallo, Software fault interactions and implications
for software testing, IEEE Trans. Software Eng. 30(6), 2004). Cases drawn at random show the frequent pairs again and again; to
draw is cheap beside running them, so more are drawn, and those are taken that show most pairs not seen yet: greedy, as sets are
covered, which is within a factor of 1 - 1/e of the best choice (Nemhauser, Wolsey and Fisher, Math. Programming 14, 1978).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, TypeVar

from pytest_dlcheck.cases.case import Build, Case, Name, Tensor, tensors

__all__ = ["features", "pairs", "spread"]

T = TypeVar("T")

# Of which each value is as good as the other.
_INDIFFERENT = frozenset({"name", "seed"})


def spread(drawn: Sequence[T], seen: Sequence[frozenset[Any]], count: int) -> Iterator[T]:
    """As many of them, each one that adds most to those before it; of two that add as much the one drawn first.

    Args:
        drawn: what to choose from.
        seen: what each of them shows.
        count: how many to give.
    """
    shown: set[Any] = set()
    # What one adds can only become less: the first of the heap whose count is up to date adds most.
    heap = [(-len(each), place) for place, each in enumerate(seen)]
    heapq.heapify(heap)
    for _ in range(min(count, len(drawn))):
        while True:
            gain, place = heapq.heappop(heap)
            now = -len(seen[place] - shown)
            if now == gain:
                break
            heapq.heappush(heap, (now, place))
        shown |= seen[place]
        yield drawn[place]


def pairs(cases: Sequence[Case]) -> list[frozenset[Any]]:
    """What each case shows: every feature, and every two of them together, what others have and it has not among them.

    The dtype policy stands alone: paired with everything it would take most cases for itself.
    """
    found = [features(case) for case in cases]
    names = {name for each in found for name in each}
    return [_pairs({**dict.fromkeys(names, "-"), **each}) for each in found]


def _pairs(shown: Mapping[str, str]) -> frozenset[Any]:
    items = sorted(item for item in shown.items() if item[0] != "policy")
    return frozenset([*items, *combinations(items, 2), ("policy", shown["policy"])])


def features(case: Case) -> dict[str, str]:
    """What is particular about a case, by name: each option with its value or its kind, and how numbers compare."""
    found = {"policy": case.policy}
    numbers = {}
    for name, value in case.arguments.items():
        if name in _INDIFFERENT:
            continue
        found[name] = _kind(value)
        if (size := _size(value)) is not None:
            numbers[name] = size
    for one, other in combinations(sorted(numbers), 2):
        found[f"{one} against {other}"] = _compared(numbers[one], numbers[other])
    for place, tensor in enumerate(tensors(case.inputs)):
        found |= _of_tensor(f"input {place}", tensor)
    for place, mask in enumerate(case.masks or ()):
        if mask is not None:
            found |= _of_tensor(f"mask {place}", mask)
    for name, value in case.call.items():
        found[f"call {name}"] = _kind(value)
        if isinstance(value, Tensor):
            found |= _of_tensor(f"call {name}", value)
    found |= {"a mask is broadcast": str(True)} if _has_broadcast_mask(case) else {}
    found |= {f"setting {name}": str(value) for name, value in case.settings.items()}
    found["adapted"] = str(case.adapt is not None)
    return found


def _has_broadcast_mask(case: Case) -> bool:
    """Whether one entry of a mask stands for several of the inputs along an axis that the mask has."""
    if not isinstance(case.inputs, Tensor):
        return False
    masks = [*(case.masks or ()), *(value for name, value in case.call.items() if "mask" in name)]
    return any(
        one == 1 < size
        for mask in masks
        if isinstance(mask, Tensor)
        for one, size in zip(mask.shape, case.inputs.shape, strict=False)
    )


def _of_tensor(name: str, tensor: Tensor) -> dict[str, str]:
    return {
        f"{name} rank": str(len(tensor.shape)),
        f"{name} dtype": tensor.dtype,
        f"{name} values": "literal" if tensor.literal is not None else tensor.values,
        f"{name} planted": str(bool(tensor.planted)),
        **{f"{name} axis {axis} of one": str(size == 1) for axis, size in enumerate(tensor.shape)},
    }


def _kind(value: Any) -> str:
    """A value itself where there are few, else what it is."""
    if isinstance(value, (Build, Name)):
        return value.path
    if isinstance(value, Tensor):
        return "a tensor"
    if isinstance(value, (list, tuple)):
        flat = [str(type(each).__name__) for each in value]
        equal = "equal" if len({repr(each) for each in value}) <= 1 else "unequal"
        signs = "".join("-" if each < 0 else "+" for each in value if isinstance(each, (int, float)))
        falls = all(isinstance(each, (int, float)) for each in value) and list(value) != sorted(value)
        return f"{type(value).__name__} of {len(flat)} {equal}{signs}{' falling' if falls else ''}"
    if isinstance(value, Mapping):
        return f"keys {', '.join(sorted(map(str, value)))}"
    return repr(value)


def _size(value: Any) -> float | None:
    """A number, or the largest of several, to be compared with others."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, (list, tuple)) and value and all(isinstance(each, (int, float)) for each in value):
        return float(max(value))
    return None


def _compared(one: float, other: float) -> str:
    return "less" if one < other else "more" if one > other else "equal"
