"""What is known of a model before any framework builds it: its layers, formulas and training, as frozen data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

Shape = tuple[int, ...]

__all__ = ["Conv2D", "Dense", "Flatten", "Layer", "Level", "MaxPooling2D", "ModelSpec", "SimpleRNN"]


class Layer(Protocol):
    """One layer: its Keras class name and arguments, and what the formula says of shapes and parameters.

    Shapes leave the batch dimension out.
    """

    @property
    def kind(self) -> str: ...

    @property
    def arguments(self) -> Mapping[str, object]: ...

    def output_shape(self, input_shape: Shape) -> Shape: ...

    def parameters(self, input_shape: Shape) -> int: ...


@dataclass(frozen=True)
class Conv2D:
    """y = f(W * x + b): `filters` square kernels, stride 1, no padding, channels last."""

    filters: int
    kernel_size: int
    activation: str
    kind: str = field(default="Conv2D", init=False)

    @property
    def arguments(self) -> Mapping[str, object]:
        return {"filters": self.filters, "kernel_size": (self.kernel_size,) * 2, "activation": self.activation}

    def output_shape(self, input_shape: Shape) -> Shape:
        height, width, _ = input_shape
        return (height - self.kernel_size + 1, width - self.kernel_size + 1, self.filters)

    def parameters(self, input_shape: Shape) -> int:
        return (self.kernel_size**2 * input_shape[-1] + 1) * self.filters


@dataclass(frozen=True)
class MaxPooling2D:
    """The largest value of each `pool_size` by `pool_size` window; what does not fill a window is dropped."""

    pool_size: int
    kind: str = field(default="MaxPooling2D", init=False)

    @property
    def arguments(self) -> Mapping[str, object]:
        return {"pool_size": (self.pool_size,) * 2}

    def output_shape(self, input_shape: Shape) -> Shape:
        height, width, channels = input_shape
        return (height // self.pool_size, width // self.pool_size, channels)

    def parameters(self, input_shape: Shape) -> int:
        return 0


@dataclass(frozen=True)
class Flatten:
    """All axes but the batch become one, in C order."""

    kind: str = field(default="Flatten", init=False)

    @property
    def arguments(self) -> Mapping[str, object]:
        return {}

    def output_shape(self, input_shape: Shape) -> Shape:
        size = 1
        for extent in input_shape:
            size *= extent
        return (size,)

    def parameters(self, input_shape: Shape) -> int:
        return 0


@dataclass(frozen=True)
class Dense:
    """y = f(x W + b)."""

    units: int
    activation: str | None = None
    kind: str = field(default="Dense", init=False)

    @property
    def arguments(self) -> Mapping[str, object]:
        return {"units": self.units} | ({"activation": self.activation} if self.activation else {})

    def output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.units)

    def parameters(self, input_shape: Shape) -> int:
        return (input_shape[-1] + 1) * self.units


@dataclass(frozen=True)
class SimpleRNN:
    """h_t = f(W x_t + U h_(t-1) + b), h_0 = 0; gives the last h_t of the sequence."""

    units: int
    activation: str = "tanh"
    kind: str = field(default="SimpleRNN", init=False)

    @property
    def arguments(self) -> Mapping[str, object]:
        return {"units": self.units, "activation": self.activation}

    def output_shape(self, input_shape: Shape) -> Shape:
        return (self.units,)

    def parameters(self, input_shape: Shape) -> int:
        return (input_shape[-1] + self.units + 1) * self.units


@dataclass(frozen=True)
class Level:
    """What a trained model must reach on data that it was not trained on, and why that much."""

    metric: str
    """`accuracy` (a share of the samples) or `mean_squared_error` (the data's unit, squared)."""
    bound: float
    why: str
    of_start: bool = False
    """Whether the bound is a share of what the untrained model has. For where that varies, and training takes a share of it."""

    @property
    def higher_is_better(self) -> bool:
        return self.metric == "accuracy"

    def reached(self, value: float) -> bool:
        return value >= self.bound if self.higher_is_better else value <= self.bound


@dataclass(frozen=True)
class ModelSpec:
    """One documented model: what to build, on what data, trained how, and what must come of it."""

    name: str
    title: str
    formula: str
    input_shape: Shape
    layers: tuple[Layer, ...]
    optimizer: str
    loss: str
    metrics: tuple[str, ...]
    batch_size: int
    epochs: int
    data: str
    """A name in `pytest_dlcheck.models.data.SOURCES`."""
    targets: str
    """How the labels are given: `one_hot`, `integer`, `binary`, `real`, or `inputs` (the autoencoder's)."""
    level: Level
    source: str
    """Which tutorial states it, and how much of it."""
    parameters_stated: int | None = None
    """The count that the tutorial's summary gives; None where the tutorials show no code."""
    written: str = "list"
    """`list`: Sequential from a list; `add`: layer by layer."""
    validated: bool = False
    """Whether the tutorial validates on the test set while it trains."""
    shortened_epochs: int | None = None
    """How many epochs are enough outside the nightly profile, where the documented number takes minutes."""

    def epochs_in(self, profile: str) -> int:
        """How many epochs to train in a profile: all that are documented, unless it is to be short."""
        return self.epochs if profile == "nightly" or self.shortened_epochs is None else self.shortened_epochs

    @property
    def subject(self) -> str:
        return f"models.{self.name}"

    def shapes(self) -> Iterator[tuple[Layer, Shape]]:
        """Each layer with the shape that comes into it."""
        shape = self.input_shape
        for layer in self.layers:
            yield layer, shape
            shape = layer.output_shape(shape)

    @property
    def output_shape(self) -> Shape:
        shape = self.input_shape
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    @property
    def parameters(self) -> int:
        """The number of trainable parameters, by each layer's formula."""
        return sum(layer.parameters(shape) for layer, shape in self.shapes())
