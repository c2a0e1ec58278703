"""Draws the parts of architectures from the specs of layers.

Nothing is built here. A layer's spec draws its arguments together with the inputs that they fit; where the tensor at hand has
another shape, or one that only the framework knows, Flatten, Dense and Reshape stand between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, TypeVar

from pytest_dlcheck.architectures.architecture import Architecture, Node, pruned
from pytest_dlcheck.cases.case import Build, Case, Tensor, tensors
from pytest_dlcheck.strategies.draw import Draw, Source
from pytest_dlcheck.subjects.layers import FAMILIES, SPECS
from pytest_dlcheck.subjects.spec import HALF, LayerSpec, World

__all__ = ["Catalogue", "Shape", "Sketch"]

T = TypeVar("T")
Shape = tuple[int, ...]

POOL = (
    "core",
    "activation",
    "merging",
    "reshaping",
    "convolutional",
    "pooling",
    "recurrent",
    "wrappers",
    "attention",
    "normalization",
    "regularization",
)
"""The families that layers are drawn from; the others take texts, integers or images, or change with the batch."""

SAME_SHAPE = frozenset({"activation", "normalization", "regularization"})
"""Families whose layers, given one tensor, give one of its shape."""

ANYWHERE = frozenset({"Dense", "Activation", "ReLU", "LeakyReLU", "ELU", "Identity", "Dropout", "GaussianNoise"})
"""Layers whose arguments, as far as they are drawn here, fit a tensor of any shape."""

RECURRENT = ("LSTM", "GRU", "SimpleRNN")
# Arguments that speak of the batch's size, or with which a layer gives more than one tensor or refuses what it is given.
OF_THE_BATCH = frozenset({"noise_shape", "batch_size", "batch_shape", "batch_input_shape"})
SEVERAL_OUTPUTS = frozenset({"return_state"})
# A low-rank adaptation is merged into the kernel when it is saved, as documented: what is loaded has other weights.
MERGED_WHEN_SAVED = frozenset({"lora_rank"})

REMEMBERS = frozenset({"BatchNormalization", "SpectralNormalization"})
"""Layers whose state changes in training."""

ATTEMPTS = 4


@dataclass(frozen=True)
class Catalogue:
    """The layers that may be drawn.

    Attributes:
        world: gives a layer's world, None where it cannot be used.
        known: whether the register says that a case of a layer fails in some way, so that a model of it would, too.
        policies: of the models.
        backend: its name.
    """

    world: Callable[[LayerSpec], World | None]
    known: Callable[[LayerSpec, Case], bool] = lambda spec, case: False
    policies: Sequence[str] = ("float32", "mixed_float16", "mixed_bfloat16", "bfloat16")
    backend: str = "numpy"

    def fits(self, spec: LayerSpec, case: Case, world: World) -> bool:
        """Whether the layer can stand in a model: it takes floats in a batch, and nothing with them."""
        inputs = tensors(case.inputs)
        return (
            all(each.dtype == "float" and len(each.shape) > 1 and 0 not in each.shape for each in inputs)
            and spec.name != "Lambda"  # whose Python code safe mode refuses where a model is copied
            and not case.call
            and case.masks is None
            and case.adapt is None
            and case.arguments.get("merge_mode", "") is not None  # two outputs
            and not _leaves_open(case.arguments.get("output_shape"))
            and spec.has_batch(case)
            and not spec.stateful(case)
            and not spec.random(case, False)
            and not (OF_THE_BATCH | SEVERAL_OUTPUTS | MERGED_WHEN_SAVED) & _given(case.arguments)
            and spec.unsupported(case, world) is None
            and not self.known(spec, case)
        )


def _leaves_open(shape: Any) -> bool:
    """Whether a shape that is given leaves a size open, so that no Dense could be built for what comes out."""
    return isinstance(shape, (list, tuple)) and None in shape


def _given(arguments: Mapping[str, Any]) -> set[str]:
    """The names of all arguments, those of layers inside the layer among them."""
    found = set(arguments)
    for value in arguments.values():
        for each in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(each, Build):
                found |= _given(each.arguments)
    return found


class Sketch:
    """An architecture in the making.

    Attributes:
        policy: of the whole model.
        at: the tensor that the next layer reads.
        calm: whether layers are left out that are random in training or carry something from call to call. What is called
            twice must not be one: a graph may run the two calls in either order.
    """

    def __init__(self, source: Source, catalogue: Catalogue, *, within: Sketch | None = None) -> None:
        self._source = source
        self.catalogue = catalogue
        self.policy: str = within.policy if within else self.choice(("float32",) * 4 + tuple(catalogue.policies))
        self.batch: int = within.batch if within else self.choice((2, 3))
        self.settings: dict[str, Any] = within.settings if within else {}
        self._around: bool = within is not None and within.started
        self.calm: bool = within is not None and within.calm
        self.inputs: list[Tensor] = []
        self.layers: list[Any] = []
        self.nodes: list[Node] = []
        self.shapes: list[Shape | None] = []
        self.at = 0

    # Plain values.

    def choice(self, options: Sequence[T]) -> T:
        """One of them; the first is the simplest."""
        return options[self._source(0, len(options) - 1)] if len(options) > 1 else options[0]

    def flag(self, one_in: int = 2) -> bool:
        """Yes, one time in so many; no is simpler."""
        return self._source(0, one_in - 1) == one_in - 1

    def sample(self, ranks: Sequence[int] = (1, 2, 3)) -> Shape:
        """The shape of one sample."""
        return tuple(self.choice((2, 3, 1)) for _ in range(self.choice(ranks)))

    # Inputs.

    def floats(self, sample: Shape, kinds: Sequence[str] = ("normal", "small_integers", "sparse")) -> None:
        """One more input; all of them come before the first layer."""
        assert not self.nodes, "an input after a layer"
        recipe = Tensor((self.batch, *sample), "float", self.choice(kinds), self._source(0, 3))
        self.inputs.append(recipe)
        self.shapes.append(sample)

    def words(self, steps: int, count: int) -> None:
        """An input of integers below a count, as an embedding reads them."""
        recipe = Tensor((self.batch, steps), "int32", "integers", self._source(0, 3), 0, count - 1)
        self.inputs.append(recipe)
        self.shapes.append((steps,))

    # Layers.

    def call(self, layer: Any, inputs: Sequence[int], shape: Shape | None = None) -> int:
        """A call of a layer, new or shared (by its index); gives the tensor that comes out."""
        if not isinstance(layer, int):
            self.layers.append(layer)
            layer = len(self.layers) - 1
        self.nodes.append(Node(layer, tuple(inputs)))
        self.shapes.append(shape)
        self.at = len(self.shapes) - 1
        return self.at

    def reshaped(self, tensor: int, sample: Shape) -> int:
        """A tensor of that shape made of another one."""
        known = self.shapes[tensor]
        if known == sample:
            return tensor
        if known is None or len(known) > 1:
            # The global setting, not a user, would have it transpose.
            flatten = Build("keras.layers.Flatten", {"data_format": "channels_last"})
            tensor = self.call(flatten, (tensor,), None if known is None else (prod(known),))
        if self.shapes[tensor] != (prod(sample),):
            tensor = self.call(Build("keras.layers.Dense", {"units": prod(sample)}), (tensor,), (prod(sample),))
        if len(sample) > 1:
            tensor = self.call(Build("keras.layers.Reshape", {"target_shape": sample}), (tensor,), sample)
        return tensor

    def drawn(self, families: Sequence[str] = POOL, *, several: bool = False) -> tuple[LayerSpec, Case] | None:
        """A layer of these families with the inputs that it fits; None where none was found in a few attempts.

        Args:
            families: names in `FAMILIES`.
            several: whether it must take several inputs; else it takes one.
        """
        for _ in range(ATTEMPTS):
            spec = self.choice(FAMILIES[self.choice(families)])
            found = self.case_of(spec)
            if found is not None and (len(tensors(found.inputs)) > 1) == several:
                return spec, found
        return None

    def case_of(self, spec: LayerSpec) -> Case | None:
        """One case of a layer under the model's policy; None if it cannot stand in a model."""
        world = self.catalogue.world(spec)
        if spec.abstract or world is None or self.policy not in spec.policies:
            return None
        drawing = Draw(self._source, world, replace(spec, policies=(self.policy,)))
        spec.draw(drawing)
        case = drawing.case()
        # A global setting holds for the whole model: the first layer that wants one chooses it, and the others must mean it.
        settled = self.settings or self.started
        if case.settings != self.settings and settled and (case.settings or self._means_the_setting(spec, case, world)):
            return None
        if not self.catalogue.fits(spec, case, world):
            return None
        if self.calm and (spec.random(case, True) or spec.name in REMEMBERS):
            return None
        self.settings.update(case.settings)
        return case.without("name")

    @property
    def started(self) -> bool:
        """Whether a layer has been called already, in this model or around it."""
        return bool(self.nodes) or self._around

    def _means_the_setting(self, spec: LayerSpec, case: Case, world: World) -> bool:
        """Whether the layer, or one inside it, was drawn for the data format that a global setting leaves."""
        inside = spec in FAMILIES["wrappers"]
        return bool(self.settings) and (inside or (world.takes("data_format") and "data_format" not in case.arguments))

    def made(self, case: Case) -> Build:
        """The layer of a case, now and then with a dtype policy of its own; what holds a layer has that layer's."""
        given = dict(case.arguments)
        if self.policy in HALF and "dtype" not in _given(given) and self.flag(6):
            given["dtype"] = "float32"
        return Build(case.subject, given)

    def layer(self, families: Sequence[str] = POOL) -> int:
        """One drawn layer on the tensor at hand."""
        found = self.drawn(families)
        if found is None:
            return self.dense()
        spec, case = found
        (tensor,) = tensors(case.inputs)
        sample, known = tensor.shape[1:], self.shapes[self.at]
        if spec.name in ANYWHERE and known is not None:
            sample = known
        source = self.reshaped(self.at, sample)
        return self.call(self.made(case), (source,), self._after(spec, case, sample))

    def _after(self, spec: LayerSpec, case: Case, sample: Shape) -> Shape | None:
        if spec.name == "Dense":
            return (*sample[:-1], case.arguments["units"])
        same = any(spec in FAMILIES[family] for family in SAME_SHAPE) or spec.name in ANYWHERE
        return sample if same else None

    def dense(self) -> int:
        """The plainest layer that learns."""
        known = self.shapes[self.at]
        units = self.choice((2, 3, 1))
        source = self.at if known is not None else self.reshaped(self.at, (2,))
        known = self.shapes[source]
        assert known is not None
        return self.call(Build("keras.layers.Dense", {"units": units}), (source,), (*known[:-1], units))

    def merged(self, sources: Sequence[int]) -> int:
        """Two or more tensors merged into one, by a drawn layer that takes as many; else by their sum."""
        found = self.drawn(("merging",), several=True)
        if found is not None:
            _, case = found
            shapes = [each.shape[1:] for each in tensors(case.inputs)]
            if len(shapes) <= len(sources):
                given = [self.reshaped(*pair) for pair in zip(sources, shapes, strict=False)]
                # What broadcasts over the batch alone has another batch here.
                if all(each.shape[0] == case.inputs[0].shape[0] for each in tensors(case.inputs)):
                    return self.call(self.made(case), given)
        shape = next((self.shapes[each] for each in sources if self.shapes[each] is not None), None) or (2,)
        given = [self.reshaped(each, shape) for each in sources]
        return self.call(Build("keras.layers.Add"), given, shape)

    def recurrent(self, *, last: bool) -> int:
        """A recurrent layer on a sequence, whatever its length and width."""
        case = self.case_of(SPECS[self.choice(RECURRENT)])
        # By default it is orthogonal, which not every backend can compute in half precision.
        given = {"recurrent_initializer": "glorot_uniform"} if case is None else dict(case.arguments)
        kept = {name: value for name, value in given.items() if name not in {"return_sequences", "go_backwards", "unroll"}}
        units = int(kept.setdefault("units", 2))
        path = "keras.layers.LSTM" if case is None else case.subject
        known = self.shapes[self.at]
        assert known is not None
        if not last:
            kept["return_sequences"] = True
        return self.call(Build(path, kept), (self.at,), (units,) if last else (known[0], units))

    def nested(self, sample: Shape) -> Architecture:
        """A model of one to three layers that takes samples of that shape."""
        inner = Sketch(self._source, self.catalogue, within=self)
        inner.floats(sample, ("normal",))
        for _ in range(self.choice((1, 2, 3))):
            inner.layer()
        return inner.finished((inner.at,))

    def finished(self, outputs: Sequence[int]) -> Architecture:
        """What has been drawn, as far as the outputs depend on it."""
        whole = Architecture(
            tuple(self.inputs),
            tuple(self.layers),
            tuple(self.nodes),
            tuple(outputs),
            self.policy,
            dict(self.settings),
            self._source(0, 3),
        )
        return pruned(whole)
