"""Specs of the layers that are given an object of a framework's own: `subjects.foreign_objects` makes them."""

from __future__ import annotations

from pytest_dlcheck.cases.case import Build, Case, Name
from pytest_dlcheck.references.layers import foreign as references
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.identities import mapped_inputs
from pytest_dlcheck.subjects.spec import Identity, LayerSpec

__all__ = ["SPECS"]

PAGES = "https://keras.io/api/layers/backend_specific_layers"
OBJECTS = "pytest_dlcheck.subjects.foreign_objects"


def _sizes(d: Draw) -> dict[str, int]:
    return {"inputs": d.size(), "outputs": d.size()}


def _tfsm_layer(d: Draw) -> None:
    sizes = _sizes(d)
    d.set("filepath", Build(f"{OBJECTS}.saved_model", sizes))
    d.option("call_endpoint", ["train"])
    d.option("call_training_endpoint", ["train", "serve"])
    d.option("dtype", ["float32"], one_in=6)
    d.common_options()
    d.inputs = d.floats((d.size(), sizes["inputs"]))


def _torch_module(d: Draw) -> None:
    sizes = _sizes(d)
    d.set("module", Build(f"{OBJECTS}.{d.choice(['torch_linear', 'torch_tanh'])}", sizes))
    batch = d.size()
    # Without it, nothing but a call can tell the shape.
    d.set("output_shape", (None, sizes["outputs"]))
    d.common_options()
    d.inputs = d.floats((batch, sizes["inputs"]))


CALLS = ("jax_affine", "jax_affine_trained", "jax_counted", "jax_noisy")


def _jax_layer(d: Draw) -> None:
    inputs = d.size()
    function = d.choice(CALLS)
    d.set("call_fn", Name(f"{OBJECTS}.{function}"))
    counted = function == "jax_counted"
    # A function that makes the parameters, or the parameters themselves, of which a config says nothing.
    d.set("init_fn", Name(f"{OBJECTS}.{'jax_init_counted' if counted else 'jax_init'}"))
    if d.flag(3):
        d.set("params", Build(f"{OBJECTS}.jax_params", {"inputs": inputs, "outputs": 3}))
        if counted:
            d.set("state", Build(f"{OBJECTS}.jax_state"))
    d.seed()
    d.option("native_serialization_platforms", [("cpu",)], one_in=6)
    d.common_options()
    d.inputs = d.floats((d.size(), inputs))


def _noisy(case: Case, training: bool) -> bool:
    return training and case.arguments["call_fn"].path.endswith("jax_noisy")


def _flax_layer(d: Draw) -> None:
    inputs = d.size()
    outputs = d.size()
    d.set("module", Build(f"{OBJECTS}.flax_dense", {"outputs": outputs}))
    d.option("method", [Name(f"{OBJECTS}.flax_call")])
    d.option("variables", [Build(f"{OBJECTS}.flax_variables", {"inputs": inputs, "outputs": outputs})])
    d.common_options()
    d.inputs = d.floats((d.size(), inputs))


def _repeated(case: Case) -> Case:
    """Every sample twice: the size of the batch is no part of the object."""
    return case.replace(inputs=mapped_inputs(case, lambda values: values.repeat(2, axis=0)))


TWICE = Identity("repeated_samples_repeat", _repeated, lambda case, outputs: [output.repeat(2, axis=0) for output in outputs])

SPECS = (
    LayerSpec(
        "TFSMLayer",
        _tfsm_layer,
        references.tfsm_layer,
        f"{PAGES}/tfsm_layer/",
        policies=("float32",),
        identities=(TWICE,),
        backends=("tensorflow",),
        requires=("tensorflow",),
    ),
    LayerSpec(
        "TorchModuleWrapper",
        _torch_module,
        references.torch_module,
        f"{PAGES}/torch_module_wrapper/",
        policies=("float32",),
        identities=(TWICE,),
        backends=("torch",),
        requires=("torch",),
    ),
    LayerSpec(
        "JaxLayer",
        _jax_layer,
        references.jax_layer,
        f"{PAGES}/jax_layer/",
        policies=("float32",),
        random=_noisy,
        identities=(TWICE,),
        backends=("tensorflow", "jax"),
        requires=("jax",),
    ),
    LayerSpec(
        "FlaxLayer",
        _flax_layer,
        references.flax_layer,
        f"{PAGES}/flax_layer/",
        policies=("float32",),
        identities=(TWICE,),
        backends=("jax",),
        requires=("flax",),
    ),
)
