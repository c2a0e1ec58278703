"""A model before any framework builds it: which layers, and which of them reads what, as plain data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_dlcheck.cases.case import Build, Tensor, brief, dumps

__all__ = ["Architecture", "Node", "describe", "pruned", "walk"]


@dataclass(frozen=True)
class Node:
    """One call of a layer.

    Attributes:
        layer: its index among the architecture's layers; two nodes with the same one share it, weights and all.
        inputs: the tensors that it reads, by index: the architecture's inputs come first, then each node's output in order.
            Where there are several the layer gets them as a list.
    """

    layer: int
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Architecture:
    """A directed graph of layers.

    Attributes:
        inputs: one recipe for each input, the batch first. All have the same batch.
        layers: how each is made; an architecture among them is a nested model. None is used before it can be read: a node
            reads what stands before it.
        nodes: the calls, in order.
        outputs: the tensors that the model gives, by index.
        policy: the dtype policy of each layer that has none of its own.
        settings: global settings: `image_data_format`.
        seed: of the weights' values and of the targets.
    """

    inputs: tuple[Tensor, ...]
    layers: tuple[Any, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    policy: str = "float32"
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    @property
    def batch(self) -> int:
        """The number of samples."""
        return int(self.inputs[0].shape[0])

    @property
    def compute_dtype(self) -> str:
        """The dtype that the policy computes in."""
        return self.policy.removeprefix("mixed_")

    @property
    def is_chain(self) -> bool:
        """Whether Sequential can hold it: each layer is called once, on what the one before it gave."""
        return (
            len(self.inputs) == 1
            and self.outputs == (len(self.nodes),)
            and all(node.inputs == (index,) for index, node in enumerate(self.nodes))
            and len({node.layer for node in self.nodes}) == len(self.nodes)
        )

    def replace(self, **changes: Any) -> Architecture:
        """The same one, with some fields changed."""
        return dataclasses.replace(self, **changes)

    def key(self) -> str:
        """The same text for the same architecture."""
        return dumps(self)

    def kinds(self) -> list[str]:
        """The class of each layer, nested ones in their place: `keras.layers.Dense`."""
        return [build.path for build in walk(self)]

    def __str__(self) -> str:
        return describe(self)


def pruned(architecture: Architecture) -> Architecture:
    """The same function without the inputs and calls that no output depends on, which a graph from inputs to outputs lacks."""
    count = len(architecture.inputs)
    needed = set(architecture.outputs)
    for index in reversed(range(len(architecture.nodes))):
        if count + index in needed:
            needed |= set(architecture.nodes[index].inputs)
    tensors = [index for index in range(count + len(architecture.nodes)) if index in needed]
    new = {old: number for number, old in enumerate(tensors)}
    nodes = [architecture.nodes[index - count] for index in tensors if index >= count]
    layers = sorted({node.layer for node in nodes})
    return architecture.replace(
        inputs=tuple(recipe for index, recipe in enumerate(architecture.inputs) if index in needed),
        layers=tuple(architecture.layers[index] for index in layers),
        nodes=tuple(Node(layers.index(node.layer), tuple(new[each] for each in node.inputs)) for node in nodes),
        outputs=tuple(new[each] for each in architecture.outputs),
    )


def walk(architecture: Architecture) -> Iterator[Build]:
    """Every layer, those of nested models in their place."""
    for layer in architecture.layers:
        if isinstance(layer, Architecture):
            yield from walk(layer)
        else:
            yield layer


def describe(architecture: Architecture) -> str:
    """The model in a few lines: its inputs, and a line for each call."""
    return "\n".join(_lines(architecture, "")) + _said(architecture)


def _said(architecture: Architecture) -> str:
    text = f"\n{architecture.policy}, seed {architecture.seed}"
    return text + "".join(f", {name} {value}" for name, value in architecture.settings.items())


def _lines(architecture: Architecture, indent: str) -> Iterator[str]:
    count = len(architecture.inputs)

    def tensor(index: int) -> str:
        return f"x{index}" if index < count else f"t{index - count}"

    for index, recipe in enumerate(architecture.inputs):
        yield f"{indent}x{index} = {brief(recipe)}"
    for index, node in enumerate(architecture.nodes):
        layer = architecture.layers[node.layer]
        shared = sum(other.layer == node.layer for other in architecture.nodes) > 1
        nested = isinstance(layer, Architecture)
        made = ("nested" if nested else brief(layer)) + (f" #{node.layer}" if shared else "")
        given = ", ".join(tensor(each) for each in node.inputs)
        yield f"{indent}t{index} = {made}({f'[{given}]' if len(node.inputs) > 1 else given})"
        if nested:
            yield from _lines(layer, indent + "  ")
    yield f"{indent}gives {', '.join(tensor(each) for each in architecture.outputs)}"
