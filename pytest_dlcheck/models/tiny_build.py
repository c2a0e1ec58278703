"""Builds the tiny models with Keras, whatever it runs on. Importing this imports no Keras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_dlcheck.models.custom import registered
from pytest_dlcheck.models.tiny import Arrays, Layer, TinySpec

__all__ = ["build", "compile_tiny", "single"]


def _made(keras: Any, layer: Layer, name: str | None, custom: Mapping[str, Any]) -> Any:
    arguments = {
        key: custom[value] if isinstance(value, str) and value in custom else value for key, value in layer.arguments.items()
    }
    if name is not None:
        arguments["name"] = name
    parts = [_made(keras, part, None, custom) for part in layer.parts]
    if layer.kind == "Sequential":
        return keras.Sequential(parts, **arguments)
    kind = custom[layer.kind] if layer.kind in custom else getattr(keras.layers, layer.kind)
    return kind(*parts, **arguments)


def build(spec: TinySpec, keras: Any, *, custom: Mapping[str, Any] | None = None, seed: int = 0) -> Any:
    """The model, built and not compiled, what it adapts already adapted.

    Args:
        spec: the model.
        keras: the module.
        custom: classes and functions by the names that the spec gives them; by default those registered with Keras.
        seed: of the data that is adapted to.
    """
    known = registered() if custom is None else custom
    layers = {name: _made(keras, layer, name, known) for name, layer in spec.layers.items()}
    for name in spec.adapted:
        layers[name].adapt(2 * spec.data(32, seed)[0][0] + 1)
    inputs = [keras.Input(each.shape, dtype=each.dtype, name=name) for name, each in spec.inputs.items()]
    if not spec.calls:
        return keras.Sequential([*inputs, *layers.values()], name=spec.name)
    values = dict(zip(spec.inputs, inputs, strict=True))
    for call in spec.calls:
        arguments = [values[name] for name in call.of]
        values[call.to] = layers[call.layer](single(arguments))
    return keras.Model(single(inputs), single([values[name] for name in spec.outputs]), name=spec.name)


def compile_tiny(model: Any, spec: TinySpec, keras: Any) -> None:
    """Adam with a step large enough that few of them show, and the spec's losses and metrics."""
    metrics: Any = list(spec.metrics) if len(spec.outputs) == 1 else [list(spec.metrics), *[[] for _ in spec.outputs[1:]]]
    model.compile(
        optimizer=keras.optimizers.Adam(0.01, beta_1=0.8),
        loss=single(spec.losses),
        **({"metrics": metrics} if spec.metrics else {}),
        **({"loss_weights": [1.0, 0.5]} if len(spec.outputs) == 2 else {}),
    )


def single(parts: Any) -> Any:
    """The one part where there is one, else a list of them: as Keras takes inputs, targets and outputs."""
    return parts[0] if len(parts) == 1 else list(parts)


def fed(arrays: Arrays) -> Any:
    """Arrays as `fit` and `predict` take them."""
    return single(arrays)
