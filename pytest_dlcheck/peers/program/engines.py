"""How each framework computes a layer's outputs and gradients, compiled where that pays."""

import contextlib
import importlib
import inspect
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

import numpy as np
from generations import Generation

if TYPE_CHECKING:
    from running import Built

__all__ = ["Engine", "engine_of"]

Tensors = Tuple[List[Any], List[Any], List[Any]]
# A layer that is run once is not worth tracing.
TRACED_FROM = 2


class Engine:
    """Runs built layers; this one computes outputs only, on whatever framework converts to NumPy by itself.

    A gradient is that of the sum of all outputs times given cotangents, with respect to floating inputs and trainable
    weights; where there is no path, None.

    Attributes:
        has_texts: whether the framework has tensors of texts.
    """

    has_texts = False

    def __init__(self, generation: Generation) -> None:
        self.generation = generation

    def put(self, array: Any, cast: Optional[str]) -> Any:
        """The framework's tensor of an array; floats as `cast` says, if it does."""
        return array

    def get(self, tensor: Any) -> Tuple[str, Any]:
        """A tensor's dtype, and its values in a dtype that NumPy has."""
        array = np.asarray(tensor)
        if str(array.dtype) == "bfloat16":
            return "bfloat16", array.astype(np.float32)
        if array.dtype.kind in "SUO":
            return "string", np.array([_text(each) for each in array.reshape(-1)], dtype=object).reshape(array.shape)
        return str(array.dtype), array

    def takes_training(self, layer: Any) -> bool:
        """Whether the layer's call distinguishes training from inference."""
        return "training" in inspect.signature(layer.call).parameters

    def assign(self, built: "Built", values: List[Any]) -> None:
        """Gives every variable its value."""
        for variable, value in zip(built.variables, values):
            variable.assign(value)

    def run(self, built: "Built", tensors: Tensors, values: List[Any], cotangents: Optional[List[Any]]) -> Dict[str, Any]:
        """Outputs, masks, state after and gradients of one case."""
        return self.forward(built, tensors, values)

    def forward(self, built: "Built", tensors: Tensors, values: List[Any]) -> Dict[str, Any]:
        """The same without gradients, an operation at a time."""
        self.assign(built, values)
        outputs, masks = built.parts(built.call(tensors))
        return self.told(built, outputs, masks, built.variables, None)

    def told(self, built: "Built", outputs: Any, masks: Any, state: Any, gradients: Any) -> Dict[str, Any]:
        """The answer, as plain values."""
        gotten = [self.get(each) for each in outputs]
        return {
            "outcome": "ran",
            "structure": built.structure,
            "dtypes": [dtype for dtype, _ in gotten],
            "outputs": [array for _, array in gotten],
            "masks": [None if each is None else self.get(each)[1] for each in masks],
            "state": [self.get(state[place])[1] for place in built.places],
            "gradients": None if gradients is None else self._gradients(built, gradients),
        }

    def _gradients(self, built: "Built", gradients: Any) -> Dict[str, Any]:
        """By floating input, and by given weight; None where there is no path, and of a weight that is not trained."""
        inputs, weights = gradients
        found = {id(variable): gradient for variable, gradient in zip(built.trainable, weights)}
        given = [found.get(id(built.variables[place])) for place in built.places]
        return {"inputs": [self._some(each) for each in inputs], "weights": [self._some(each) for each in given]}

    def _some(self, gradient: Any) -> Any:
        return None if gradient is None else self.get(gradient)[1]


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


class TensorFlowEngine(Engine):
    """TensorFlow, under Keras 2 and 3: eager the first time, traced from the second on."""

    has_texts = True

    def __init__(self, generation: Generation) -> None:
        super().__init__(generation)
        self.tf = importlib.import_module("tensorflow")
        # Layers this small are done before other threads have woken up.
        with contextlib.suppress(RuntimeError):  # it runs already
            self.tf.config.threading.set_intra_op_parallelism_threads(1)
            self.tf.config.threading.set_inter_op_parallelism_threads(1)

    def put(self, array: Any, cast: Optional[str]) -> Any:
        if isinstance(array, np.ndarray) and array.dtype == object:
            return self.tf.constant(array.tolist(), shape=array.shape, dtype="string")
        tensor = self.tf.constant(array)
        return self.tf.cast(tensor, cast) if cast and tensor.dtype.is_floating else tensor

    def get(self, tensor: Any) -> Tuple[str, Any]:
        if type(tensor).__name__ == "SparseTensor":
            tensor = self.tf.sparse.to_dense(tensor)
        elif type(tensor).__name__ == "RaggedTensor":
            tensor = tensor.to_tensor()
        return super().get(tensor.numpy() if hasattr(tensor, "numpy") else tensor)

    def run(self, built: "Built", tensors: Tensors, values: List[Any], cotangents: Optional[List[Any]]) -> Dict[str, Any]:
        step = getattr(built, "step", None)
        if step is None:
            step = built.step = self._step(built, bool(cotangents))
            if built.runs >= TRACED_FROM:
                step = built.step = self.tf.function(step, autograph=False)
        elif built.runs == TRACED_FROM:
            step = built.step = self.tf.function(step, autograph=False)
        given = [self._in_dtype_of(variable, value) for value, variable in zip(values, built.variables)]
        outputs, masks, state, gradients = step(list(tensors[0]), list(tensors[1]), list(tensors[2]), given, cotangents or [])
        return self.told(built, outputs, masks, state, gradients)

    def _in_dtype_of(self, variable: Any, value: Any) -> Any:
        dtype = getattr(variable.dtype, "name", variable.dtype)
        return value if str(value.dtype) == dtype else self.tf.cast(value, dtype)

    def _step(self, built: "Built", differentiate: bool) -> Any:
        tf = self.tf

        def dense(gradient: Any) -> Any:
            return tf.convert_to_tensor(gradient) if isinstance(gradient, tf.IndexedSlices) else gradient

        def step(inputs: Any, further: Any, masks: Any, values: Any, cotangents: Any) -> Any:
            for variable, value in zip(built.variables, values):
                variable.assign(value)
            floats = [each for each in inputs if each.dtype.is_floating]
            with tf.GradientTape(persistent=False) as tape:
                tape.watch(floats)
                outputs, carried = built.parts(built.call((inputs, further, masks)))
                total = tf.zeros((), "float64")
                for output, cotangent in zip(outputs, cotangents):
                    if cotangent is not None:
                        total += tf.reduce_sum(tf.cast(output, "float64") * tf.cast(cotangent, "float64"))
            gradients = None
            if differentiate:
                found = [dense(each) for each in tape.gradient(total, floats + built.trainable)]
                gradients = [found[: len(floats)], found[len(floats) :]]
            return outputs, carried, [tf.identity(each) for each in built.variables], gradients

        return step


class JaxEngine(Engine):
    """JAX: compiled from the first time on, since op by op each operation is compiled for itself."""

    def __init__(self, generation: Generation) -> None:
        super().__init__(generation)
        self.jax = importlib.import_module("jax")

    def put(self, array: Any, cast: Optional[str]) -> Any:
        if isinstance(array, np.ndarray) and array.dtype == object:
            return array
        found = self.jax.numpy.asarray(array)
        return found.astype(cast) if cast and array.dtype.kind == "f" else found

    def get(self, tensor: Any) -> Tuple[str, Any]:
        return super().get(tensor.todense() if hasattr(tensor, "todense") else tensor)

    def run(self, built: "Built", tensors: Tensors, values: List[Any], cotangents: Optional[List[Any]]) -> Dict[str, Any]:
        if any(isinstance(each, np.ndarray) for part in tensors for each in part if each is not None):
            return self.forward(built, tensors, values)  # texts
        step = getattr(built, "step", None)
        if step is None:
            step = built.step = self.jax.jit(self._step(built, bool(cotangents)))
        try:
            outputs, masks, state, gradients = step(*tensors, values, cotangents or [])
        except self.jax.errors.JAXTypeError:
            return self.forward(built, tensors, values)  # it looks at values, which a compiled program cannot
        return self.told(built, outputs, masks, state, gradients)

    def _step(self, built: "Built", differentiate: bool) -> Any:
        jax, numpy = self.jax, self.jax.numpy
        places = {id(each): index for index, each in enumerate(built.variables)}
        trained = [places[id(each)] for each in built.trainable]
        dtypes = [str(each.dtype) for each in built.variables]

        def step(inputs: Any, further: Any, masks: Any, values: Any, cotangents: Any) -> Any:
            values = [numpy.asarray(value, dtype) for value, dtype in zip(values, dtypes)]
            floating = [index for index, each in enumerate(inputs) if numpy.issubdtype(each.dtype, numpy.floating)]

            def total(floats: Any, weights: Any) -> Any:
                given, held = list(inputs), list(values)
                for index, each in zip(floating, floats):
                    given[index] = each
                for index, each in zip(trained, weights):
                    held[index] = each
                with self.generation.stateless_scope(list(zip(built.variables, held))) as scope:
                    outputs, carried = built.parts(built.call((given, further, masks)))
                    # Of what was not assigned, the value that it was given.
                    after = [scope.get_current_value(each) for each in built.variables]
                summed = numpy.zeros((), "float32")
                for output, cotangent in zip(outputs, cotangents):
                    if cotangent is not None:
                        summed = summed + (output.astype("float32") * cotangent.astype("float32")).sum()
                return summed, (outputs, carried, after)

            floats, weights = [inputs[index] for index in floating], [values[index] for index in trained]
            if not differentiate:
                return total(floats, weights)[1] + (None,)
            gradients, aux = jax.grad(total, argnums=(0, 1), has_aux=True)(floats, weights)
            return aux + (gradients,)

        return step


class TorchEngine(Engine):
    """PyTorch: eager, with autograd."""

    def __init__(self, generation: Generation) -> None:
        super().__init__(generation)
        self.torch = importlib.import_module("torch")
        # As on TensorFlow; on a machine with other work, threads that wait for each other take far longer than the work.
        self.torch.set_num_threads(1)

    def put(self, array: Any, cast: Optional[str]) -> Any:
        if isinstance(array, np.ndarray) and array.dtype == object:
            return array
        found = self.torch.from_numpy(np.array(array))
        return found.to(getattr(self.torch, cast)) if cast and array.dtype.kind == "f" else found

    def get(self, tensor: Any) -> Tuple[str, Any]:
        tensor = getattr(tensor, "value", tensor) if not isinstance(tensor, self.torch.Tensor) else tensor
        if not isinstance(tensor, self.torch.Tensor):
            return super().get(tensor)
        # A copy: what a tensor shows of its memory changes with the next assignment.
        tensor = tensor.detach().cpu().clone()
        if tensor.dtype == self.torch.bfloat16:
            return "bfloat16", tensor.float().numpy()
        return super().get(tensor.numpy())

    def run(self, built: "Built", tensors: Tensors, values: List[Any], cotangents: Optional[List[Any]]) -> Dict[str, Any]:
        torch = self.torch
        self.assign(built, values)
        floats = [each for each in tensors[0] if isinstance(each, torch.Tensor) and each.is_floating_point()]
        for each in floats:
            each.requires_grad_(bool(cotangents))
        outputs, masks = built.parts(built.call(tensors))
        gradients = None
        if cotangents:
            weights = [each.value if isinstance(each.value, torch.nn.Parameter) else each._value for each in built.trainable]
            wanted = floats + weights
            pairs = [
                (output, torch.from_numpy(cotangent).to(output.dtype))
                for output, cotangent in zip(outputs, cotangents)
                if cotangent is not None and getattr(output, "requires_grad", False)
            ]
            found: List[Any] = [None] * len(wanted)
            if pairs and wanted:
                found = list(
                    torch.autograd.grad([one for one, _ in pairs], wanted, [other for _, other in pairs], allow_unused=True)
                )
            gradients = [found[: len(floats)], found[len(floats) :]]
        return self.told(built, outputs, masks, built.variables, gradients)


_ENGINES = {"tensorflow": TensorFlowEngine, "jax": JaxEngine, "torch": TorchEngine}


def engine_of(generation: Generation) -> Engine:
    """The engine of the backend that a Keras runs on; outputs alone where it is none that differentiates."""
    return _ENGINES.get(generation.backend, Engine)(generation)
