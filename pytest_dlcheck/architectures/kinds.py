"""The kinds of architectures: chains, branches that merge, shared layers, nested models, several inputs, recurrent stacks.

Each kind begins with the inputs, calls layers, and gives the outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pytest_dlcheck.architectures.architecture import Architecture
from pytest_dlcheck.architectures.drawing import Catalogue, Shape, Sketch
from pytest_dlcheck.cases.case import Build, tensors
from pytest_dlcheck.strategies.draw import Source

__all__ = ["KINDS", "draw_architecture"]


def _chain(sketch: Sketch) -> Sequence[int]:
    """Layers one after another: what Sequential is for."""
    sketch.floats(sketch.sample())
    for _ in range(sketch.choice((1, 2, 3, 4))):
        sketch.layer()
    return (sketch.at,)


def _branches(sketch: Sketch) -> Sequence[int]:
    """Two or three ways from one tensor that merge again, a residual connection among them."""
    sketch.floats(sketch.sample())
    if sketch.flag():
        sketch.layer()
    start, ends = sketch.at, []
    for _ in range(sketch.choice((2, 3))):
        sketch.at = start
        for _ in range(sketch.choice((1, 0, 2))):
            sketch.layer()
        ends.append(sketch.at)
    sketch.merged(ends)
    if sketch.flag():
        sketch.layer()
    return (sketch.at,)


def _shared(sketch: Sketch) -> Sequence[int]:
    """One layer, or one nested model, called on two tensors."""
    sketch.floats(sketch.sample())
    sketch.floats(sketch.sample())
    sketch.calm = True
    found = sketch.drawn()
    if found is None:
        shape: Shape = (2,)
        made: Any = Build("keras.layers.Dense", {"units": 2})
    else:
        shape = tensors(found[1].inputs)[0].shape[1:]
        made = sketch.made(found[1])
    if sketch.flag(3):
        made = sketch.nested(shape)
    sketch.calm = False
    first, second = sketch.reshaped(0, shape), sketch.reshaped(1, shape)
    one = sketch.call(made, (first,))
    other = sketch.call(sketch.nodes[-1].layer, (second,))
    if sketch.flag(3):
        return one, other
    return (sketch.merged((one, other)),)


def _nested(sketch: Sketch) -> Sequence[int]:
    """A model inside a model, with layers around it."""
    sketch.floats(sketch.sample())
    if sketch.flag():
        sketch.layer()
    shape = sketch.shapes[sketch.at] or sketch.sample()
    source = sketch.reshaped(sketch.at, shape)
    sketch.call(sketch.nested(shape), (source,))
    if sketch.flag():
        sketch.layer()
    return (sketch.at,)


def _several(sketch: Sketch) -> Sequence[int]:
    """Two or three inputs, and as many outputs as one likes."""
    count = sketch.choice((2, 3))
    for _ in range(count):
        sketch.floats(sketch.sample())
    ends = []
    for index in range(count):
        sketch.at = index
        if sketch.flag():
            sketch.layer()
        ends.append(sketch.at)
    merged = sketch.merged(ends)
    if sketch.flag():
        sketch.layer()
    outputs = [sketch.at]
    if sketch.flag():
        sketch.at = merged
        outputs.append(sketch.layer())
    return outputs


def _recurrent(sketch: Sketch) -> Sequence[int]:
    """A stack of recurrent layers, fed with an embedding or a masked sequence as often as not."""
    steps = sketch.choice((3, 2, 4))
    first = sketch.choice(("floats", "masked", "words"))
    if first == "words":
        count = sketch.choice((3, 5))
        sketch.words(steps, count)
        given = {"input_dim": count, "output_dim": 2} | ({"mask_zero": True} if sketch.flag() else {})
        sketch.call(Build("keras.layers.Embedding", given), (0,), (steps, 2))
    else:
        # One feature, so that many a step is zero and masked.
        sketch.floats((steps, 1 if first == "masked" else 2), ("sparse",) if first == "masked" else ("normal",))
        if first == "masked":
            sketch.call(Build("keras.layers.Masking", {"mask_value": 0.0}), (0,), (steps, 1))
    for _ in range(sketch.choice((0, 1, 2))):
        if sketch.flag(3):
            known = sketch.shapes[sketch.at] or (steps, 2)
            inner = Build("keras.layers.Dense", {"units": 2})
            sketch.call(Build("keras.layers.TimeDistributed", {"layer": inner}), (sketch.at,), (known[0], 2))
        else:
            sketch.recurrent(last=False)
    sketch.recurrent(last=sketch.flag(4) is False)
    return (sketch.at,)


KINDS: Mapping[str, Callable[[Sketch], Sequence[int]]] = MappingProxyType(
    {
        "chain": _chain,
        "branches": _branches,
        "shared": _shared,
        "nested": _nested,
        "several": _several,
        "recurrent": _recurrent,
    }
)
"""What a model is made like."""


def draw_architecture(source: Source, catalogue: Catalogue, kind: str) -> Architecture:
    """A model of a kind.

    Args:
        source: of the choices: the same ones give the same model.
        catalogue: the layers that there are.
        kind: a name in `KINDS`.
    """
    sketch = Sketch(source, catalogue)
    return sketch.finished(KINDS[kind](sketch))
