"""What specs draw with: Hypothesis, in the words of layers.

Everything is valid by construction and shrinks towards the plain: options that were not given, small shapes, small integers.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from hypothesis.database import ExampleDatabase, choices_to_bytes

from pytest_dlcheck.cases.case import Build, Case, Name, Tensor
from pytest_dlcheck.cases.values import INTERESTING
from pytest_dlcheck.subjects.spec import HALF, LayerSpec, World

__all__ = [
    "Draw",
    "Source",
    "StillFails",
    "cases",
    "drawn_case",
    "random_case",
    "random_value",
    "shrink",
    "shrink_value",
    "simplest_case",
    "values",
]

T = TypeVar("T")
Source = Callable[[int, int], int]
"""Gives an integer between two bounds, both included; the lower one is the simplest."""

# JAX compiles for each shape anew, so there they come from a small pool.
SIZES: Mapping[str, tuple[int, ...]] = {"jax": (2, 3, 1)}
ALL_SIZES = (2, 3, 1, 4, 5)

FLOAT_VALUES = ("normal", "small_integers", "sparse", "zeros", "tiny", "large", "offset")
# What half precision can hold without overflowing on the way.
HALF_VALUES = ("normal", "small_integers", "sparse", "zeros", "tiny")

REGULARIZERS: tuple[Any, ...] = (
    "l2",
    Build("keras.regularizers.L1", {"l1": 0.02}),
    Build("keras.regularizers.L1L2", {"l1": 0.01, "l2": 0.03}),
    Build("keras.regularizers.L2", {"l2": 0.5}),
)
CONSTRAINTS: tuple[Any, ...] = (
    "non_neg",
    Build("keras.constraints.MaxNorm", {"max_value": 0.5, "axis": 0}),
    Build("keras.constraints.UnitNorm", {"axis": 0}),
)
INITIALIZERS: tuple[Any, ...] = (
    "ones",
    "zeros",
    Build("keras.initializers.Constant", {"value": 0.5}),
    Build("keras.initializers.RandomUniform", {"minval": -0.5, "maxval": 0.5, "seed": 0}),
    Build("keras.initializers.RandomNormal", {"mean": 0.1, "stddev": 0.2, "seed": 7}),
    "he_normal",
)
ACTIVATIONS: tuple[Any, ...] = (
    "relu",
    "tanh",
    "sigmoid",
    "softplus",
    Name("keras.activations.relu"),
    Name("keras.activations.tanh"),
    Build("keras.layers.LeakyReLU", {"negative_slope": 0.25}),
    Name("pytest_dlcheck.subjects.callables.double"),
)
"""As name, function, layer, and a function of the user's own. `references.activations` knows them all."""


class Draw:
    """One case in the making.

    Attributes:
        world: where it is to run.
        policy: the dtype policy, drawn already.
        arguments: of the constructor so far; `option` and `set` add to them.
        inputs: to be set by the spec.
        call: keyword arguments of the call.
        masks: attached masks, one for each tensor of the inputs.
        settings: global settings.
        weights_seed: None to leave a layer's initial weights alone.
        adapt: what `adapt` is to be called with.
    """

    def __init__(self, source: Source, world: World, spec: LayerSpec) -> None:
        self.world = world
        self.spec = spec
        self._source = source
        self.policy = self.choice(_policies(spec, world))
        self.arguments: dict[str, Any] = {}
        self.inputs: Any = None
        self.call: dict[str, Any] = {}
        self.masks: tuple[Tensor | None, ...] | None = None
        self.settings: dict[str, Any] = {}
        self.weights_seed: int | None = self.integer(0, 3)
        self.adapt: Any = None

    def case(self) -> Case:
        """What has been drawn."""
        assert self.inputs is not None, f"the spec of {self.spec.name} draws no inputs"
        return Case(
            self.spec.subject,
            self.arguments,
            self.inputs,
            call=self.call,
            masks=self.masks,
            policy=self.policy,
            settings=self.settings,
            weights_seed=self.weights_seed,
            adapt=self.adapt,
        )

    # Plain values.

    def choice(self, options: Sequence[T]) -> T:
        """One of them; the first is the simplest."""
        return options[self._source(0, len(options) - 1)] if len(options) > 1 else options[0]

    def integer(self, low: int, high: int) -> int:
        """From `low`, which is the simplest, to `high`."""
        return self._source(low, high)

    def flag(self, one_in: int = 2) -> bool:
        """Yes, one time in so many; no is simpler."""
        return self.integer(0, one_in - 1) == one_in - 1

    # The constructor's arguments.

    def set(self, name: str, value: T) -> T:
        """Gives an argument, if the constructor takes it."""
        if self.world.takes(name):
            self.arguments[name] = value
        return value

    def option(self, name: str, values: Sequence[Any] | Callable[[], Any], default: Any = None, one_in: int = 3) -> Any:
        """Gives an optional argument one time in so many, if the constructor takes it.

        Args:
            name: of the argument.
            values: what to choose from, or a function that draws a value.
            default: what is returned when it is not given.
            one_in: how often it is given.
        """
        if not self.world.takes(name) or not self.flag(one_in):
            return default
        value = values() if callable(values) else self.choice(values)
        self.arguments[name] = value
        return value

    def weight_options(self, *names: str) -> None:
        """Initializer, regularizer and constraint of each of these weights: `kernel`, `bias`."""
        for name in names:
            self.option(f"{name}_initializer", INITIALIZERS, one_in=5)
            self.option(f"{name}_regularizer", REGULARIZERS, one_in=5)
            self.option(f"{name}_constraint", CONSTRAINTS, one_in=6)

    def common_options(self) -> None:
        """What every layer takes."""
        self.option("trainable", [False], one_in=8)
        self.option("name", ["subject"], one_in=10)

    def activation(self, name: str = "activation", extra: Sequence[Any] = ()) -> Any:
        """An activation as name, function, layer or function of one's own."""
        # A layer has a policy of its own, and one that computes in float32 has no place in another.
        known = [each for each in ACTIVATIONS if self.policy == "float32" or not _is_layer(each)]
        return self.option(name, (*known, *extra))

    def seed(self, name: str = "seed") -> Any:
        """A seed; zero is one too."""
        return self.option(name, [0, 1, 1234], one_in=2)

    def data_format(self) -> str:
        """`channels_last` or `channels_first`: by argument, by the global setting, or by both, which then disagree."""
        setting = self.choice(["channels_last", "channels_last", "channels_last", "channels_first"])
        if setting != "channels_last":
            self.settings["image_data_format"] = setting
        given = self.option("data_format", ["channels_last", "channels_first"])
        return given or setting

    def per_axis(self, rank: int, values: Sequence[int]) -> int | tuple[int, ...]:
        """One number for all axes, or one for each."""
        if self.flag():
            return tuple(self.choice(values) for _ in range(rank))
        return self.choice(values)

    # Shapes and inputs.

    @property
    def sizes(self) -> tuple[int, ...]:
        return SIZES.get(self.world.backend, ALL_SIZES)

    def size(self, least: int = 1) -> int:
        """The size of an axis, small."""
        return self.choice([size for size in self.sizes if size >= least] or [least])

    def shape(self, rank: int, least: int = 1) -> tuple[int, ...]:
        """A shape of that rank, its sizes unequal as often as not."""
        return tuple(self.size(least) for _ in range(rank))

    def image(self, batch: int, spatial: Sequence[int], channels: int, data_format: str) -> tuple[int, ...]:
        """The shape of a batch of images in that format."""
        if data_format == "channels_first":
            return (batch, channels, *spatial)
        return (batch, *spatial, channels)

    def floats(self, shape: Sequence[int], values: Sequence[str] | None = None) -> Tensor:
        """A tensor of the dtype that the policy computes in."""
        kinds = values or (HALF_VALUES if self.policy in HALF else FLOAT_VALUES)
        planted: tuple[tuple[int, float], ...] = ()
        # In half precision a subnormal float32 is zero, and 100 squared near the end.
        interesting = [value for value in INTERESTING if self.policy not in HALF or 1e-4 < abs(value) < 10 or value == 0]
        if values is None and self.flag(4):
            planted = tuple((self.integer(0, 7), self.choice(interesting)) for _ in range(self.integer(1, 3)))
        return Tensor(tuple(shape), "float", self.choice(kinds), self.integer(0, 3), planted=planted)

    def integers(self, shape: Sequence[int], low: int, high: int, dtypes: Sequence[str] = ("int32",)) -> Tensor:
        """A tensor of integers, both bounds included."""
        return Tensor(tuple(shape), self.choice(dtypes), "integers", self.integer(0, 3), low, high)

    def bools(self, shape: Sequence[int]) -> Tensor:
        return Tensor(tuple(shape), "bool", "bool", self.integer(0, 3))

    def padding(self, batch: int, steps: int) -> Tensor:
        """A mask over time whose true steps come first, at least one in each row."""
        return Tensor((batch, steps), "bool", "padding", self.integer(0, 3))

    def strings(self, shape: Sequence[int], words: Sequence[str]) -> Tensor:
        """A tensor of texts."""
        count = 1
        for size in shape:
            count *= size
        return Tensor(tuple(shape), "string", literal=tuple(self.choice(words) for _ in range(count)))


def _is_layer(value: Any) -> bool:
    return isinstance(value, Build) and value.path.startswith("keras.layers.")


def _policies(spec: LayerSpec, world: World) -> tuple[str, ...]:
    """Those that the spec and the backend have; float32 is drawn half of the time."""
    # Elsewhere Keras's promotion of dtypes takes float64 for float32 (`keras.src.backend.common.dtypes`).
    known = [policy for policy in spec.policies if policy != "float64" or world.backend == "tensorflow"]
    if known == ["none"] or "float32" not in known:
        return tuple(known)
    return ("float32",) * max(1, len(known) - 1) + tuple(policy for policy in known if policy != "float32")


def cases(spec: LayerSpec, world: World) -> st.SearchStrategy[Case]:
    """Cases of a layer, as a Hypothesis strategy."""
    return values(lambda source: drawn_case(source, world, spec))


def values(make: Callable[[Source], T]) -> st.SearchStrategy[T]:
    """What a function makes of its choices, as a Hypothesis strategy."""

    @st.composite
    def drawn(draw: Callable[[st.SearchStrategy[int]], int]) -> T:
        return make(lambda low, high: draw(st.integers(low, high)))

    return drawn()


def random_case(spec: LayerSpec, world: World, seed: int) -> tuple[Case, tuple[int, ...]]:
    """The case of a seed, and the choices that lead to it, from which Hypothesis can shrink."""
    return random_value(lambda source: drawn_case(source, world, spec), seed)


def random_value(make: Callable[[Source], T], seed: int) -> tuple[T, tuple[int, ...]]:
    """What a seed's choices make, and the choices, from which Hypothesis can shrink.

    Each choice is uniform. Hypothesis's own generation favours what it has drawn before, which pays off over many more cases
    than a layer gets: of its first thirty, a third differ in nothing but the values of an input.

    Args:
        make: draws a value with what it is given.
        seed: of the choices.
    """
    rng = random.Random(seed)
    choices: list[int] = []

    def source(low: int, high: int) -> int:
        choices.append(rng.randint(low, high))
        return choices[-1]

    return make(source), tuple(choices)


def simplest_case(spec: LayerSpec, world: World) -> Case:
    """What everything shrinks towards."""
    return drawn_case(lambda low, high: low, world, spec)


def drawn_case(source: Source, world: World, spec: LayerSpec) -> Case:
    """The case of a layer to which a source's choices lead."""
    drawing = Draw(source, world, spec)
    spec.draw(drawing)
    return drawing.case()


class _Start(ExampleDatabase):
    """The one example that Hypothesis is to begin with."""

    def __init__(self, choices: Sequence[int]) -> None:
        super().__init__()
        # One choice too many: an example that is used to its end counts as shrunk already.
        self._stored = choices_to_bytes([*choices, 0])

    def fetch(self, key: bytes) -> Iterable[bytes]:
        return [] if key.endswith((b".secondary", b".pareto")) else [self._stored]

    def save(self, key: bytes, value: bytes) -> None:
        """Nothing is kept: what is worth keeping stands in the report."""

    def delete(self, key: bytes, value: bytes) -> None:
        """As `save`."""


def shrink(spec: LayerSpec, world: World, choices: Sequence[int], body: Callable[[Case], None]) -> None:
    """Runs `body` on ever simpler cases, as long as it raises `StillFails` for them.

    Args:
        spec: of the layer.
        world: where the case runs.
        choices: those of the case to begin with.
        body: raises `StillFails` for a case that shows what is looked for.
    """
    shrink_value(lambda source: drawn_case(source, world, spec), choices, body)


def shrink_value(make: Callable[[Source], T], choices: Sequence[int], body: Callable[[T], None]) -> None:
    """As `shrink`, of anything that is drawn with a source.

    Args:
        make: draws a value with what it is given.
        choices: those of the value to begin with.
        body: raises `StillFails` for a value that shows what is looked for.
    """

    @settings(
        database=_Start(choices),
        deadline=None,
        phases=(Phase.reuse, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
        print_blob=False,
    )
    @given(values(make))
    def run(value: T) -> None:
        body(value)

    with contextlib.suppress(StillFails):
        run()


class StillFails(Exception):
    """Tells Hypothesis that the case fails."""
