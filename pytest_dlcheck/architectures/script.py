"""An architecture as a script of its own, which needs Keras and NumPy and nothing of this package."""

from __future__ import annotations

from pytest_dlcheck.architectures.architecture import Architecture
from pytest_dlcheck.cases.case import Build, Case, Tensor
from pytest_dlcheck.cases.script import CaseWriter, backend_of, docstring

__all__ = ["architecture_script"]

BODY = '''
def run(layers, nodes, outputs, inputs, **keywords):
    """Calls the layers one after another: each node is (which layer, which tensors)."""
    tensors = list(inputs)
    for layer, sources in nodes:
        given = [tensors[index] for index in sources]
        takes = "training" in inspect.signature(layers[layer].call).parameters
        tensors.append(layers[layer](given if len(given) > 1 else given[0], **(keywords if takes else {})))
    found = [tensors[index] for index in outputs]
    return found if len(found) > 1 else found[0]


def functional(make, nodes, outputs, shapes, name=None):
    inputs = [keras.Input(shape, dtype=dtype) for shape, dtype in shapes]
    found = run(make(functional), nodes, outputs, inputs)
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], found, name=name)


def subclass(make, nodes, outputs, shapes, name=None):
    class Written(keras.Model):
        def __init__(self):
            super().__init__(name=name)
            self.parts = make(subclass)

        def call(self, inputs, training=None):
            inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
            keywords = {} if training is None else {"training": training}
            return run(self.parts, nodes, outputs, inputs, **keywords)

    return Written()


def chosen(model, seed):
    """Other values than the initial ones, which hide much."""
    rng = np.random.default_rng(seed)
    found = {}
    for layer in model.layers:
        for index, weight in enumerate(layer.weights):
            values = np.abs(rng.standard_normal(tuple(weight.shape))) + 0.1
            found[layer.name, index] = values / max(1.0, np.sqrt(np.prod(weight.shape[:-1])))
    return found


def give(model, values):
    for layer in model.layers:
        for index, weight in enumerate(layer.weights):
            if "float" in str(weight.dtype):
                weight.assign(keras.ops.cast(values[layer.name, index], weight.dtype))
'''

END = """
x = x if len(x) > 1 else x[0]
models = [functional(**MODEL), subclass(**MODEL)]
values = None
for model in models:
    model(x)
    values = values or chosen(model, SEED)
    give(model, values)
    model.summary()
    for training in (False, True):
        print(type(model).__name__, "training" if training else "inference")
        print(model(x, training=training))
    print("losses", model.losses)
"""


def architecture_script(architecture: Architecture, backend: str, said: str) -> str:
    """The text of the script: it builds the model as a graph and as a class, and prints what both give.

    Args:
        architecture: what to build.
        backend: for `KERAS_BACKEND`.
        said: what was seen when it was judged; it becomes the script's docstring.
    """
    case = Case("keras.Model", {}, list(architecture.inputs), policy=architecture.policy, settings=architecture.settings)
    writer = CaseWriter(case, backend)
    model = _model(architecture, writer, "", 0)
    inputs = ", ".join(writer.tensor(each) for each in architecture.inputs)
    settings = [f"keras.config.set_{name}({value!r})" for name, value in architecture.settings.items()]
    body = [f'keras.config.set_dtype_policy("{architecture.policy}")', *settings]
    parts = [
        docstring(f"A model on {backend_of(backend)}.\n\n{said}"),
        f'import inspect\nimport os\n\nos.environ["KERAS_BACKEND"] = "{backend}"\n\nimport keras\nimport numpy as np',
        *writer.custom.values(),
        "\n".join(body),
        BODY.strip(),
        f"MODEL = {model}\nSEED = {architecture.seed}\nx = [{inputs}]",
        END.strip(),
    ]
    return "\n\n\n".join(parts) + "\n"


def _model(architecture: Architecture, writer: CaseWriter, prefix: str, depth: int) -> str:
    """The model as a dictionary: what makes its layers, which of them reads what, and the shapes of its inputs."""
    layers = []
    for index, layer in enumerate(architecture.layers):
        name = f"{prefix}l{index}"
        if isinstance(layer, Architecture):
            layers.append(f'form(**{_model(layer, writer, name + "_", depth + 1)}, name="{name}")')
        else:
            layers.append(writer.value(Build(layer.path, {**layer.arguments, "name": name})))
    indent = "    " * (depth + 1)
    made = "".join(f"\n{indent}    {each}," for each in layers)
    nodes = ", ".join(f"({node.layer}, {list(node.inputs)})" for node in architecture.nodes)
    shapes = ", ".join(f"({each.shape[1:]!r}, {_dtype(architecture, each)!r})" for each in architecture.inputs)
    return (
        f"dict(\n{indent}make=lambda form: [{made}\n{indent}],\n{indent}nodes=[{nodes}],\n"
        f"{indent}outputs={list(architecture.outputs)},\n{indent}shapes=[{shapes}],\n{'    ' * depth})"
    )


def _dtype(architecture: Architecture, recipe: Tensor) -> str:
    if recipe.dtype != "float":
        return recipe.dtype
    return "float32" if architecture.policy.startswith("mixed") else architecture.compute_dtype
