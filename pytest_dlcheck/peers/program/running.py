"""Runs cases of layers: builds each layer once, gives it each case's weights and inputs, and computes outputs and gradients."""

from collections import OrderedDict
from typing import Any, Dict, List, Tuple

import numpy as np
from engines import Engine, engine_of
from generations import Generation, Unsupported
from nests import leaves, mapped, signature, structure

__all__ = ["Built", "Runner"]

# Layers that are kept; each holds its weights, and what it was compiled to.
KEPT = 64


class Runner:
    """Answers cases, one at a time."""

    def __init__(self, generation: Generation) -> None:
        self.generation = generation
        self.engine = engine_of(generation)
        self._built: OrderedDict[str, Built] = OrderedDict()

    def answer(self, item: Dict[str, Any]) -> Dict[str, Any]:
        """What a case gives: `outcome` is `ran`, `error` or `unsupported`."""
        try:
            with self.generation.settings(item.get("settings") or {}):
                return self._layer(item).run(item)
        except Unsupported as error:
            return {"outcome": "unsupported", "message": str(error)}
        except Exception as error:
            return {"outcome": "error", "kind": type(error).__name__, "message": str(error)[:4000]}

    def _layer(self, item: Dict[str, Any]) -> "Built":
        fixed = [item.get(name) for name in ("subject", "arguments", "policy", "settings", "adapt", "training")]
        shapes = [item.get(name) for name in ("inputs", "call", "masks", "cotangents", "weights")]
        key = signature(fixed, True) + signature(shapes, False)
        if key not in self._built:
            self._built[key] = Built(self.generation, self.engine, item)
            if len(self._built) > KEPT:
                self._built.popitem(last=False)
        self._built.move_to_end(key)
        return self._built[key]


def resolve(value: Any, generation: Generation) -> Any:
    """A case's value as the object that it stands for.

    Raises:
        Unsupported: something that it names is not here.
    """
    if isinstance(value, list):
        return [resolve(item, generation) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, inner),) = value.items()
        if key == "$tuple":
            return tuple(resolve(item, generation) for item in inner)
        if key == "$float":
            return float(inner)
        if key == "$name":
            return generation.find(inner["path"])
        if key == "$build":
            positional = resolve(inner.get("positional", []), generation)
            arguments = resolve(inner.get("arguments", {}), generation)
            return generation.construct(generation.find(inner["path"]), list(positional), arguments)
    return {key: resolve(item, generation) for key, item in value.items()}


class Built:
    """One layer, made and built by a first call, and everything that is fixed for the cases that share it."""

    def __init__(self, generation: Generation, engine: Engine, item: Dict[str, Any]) -> None:
        self.generation, self.engine = generation, engine
        self.policy = item.get("policy") or "float32"
        self.runs = 0
        self.structure = ""
        arguments = resolve(item["arguments"], generation)
        if self.policy not in ("float32", "none"):
            arguments["dtype"] = self.policy
        self.layer = generation.construct(generation.find(item["subject"]), [], arguments)
        if item.get("adapt") is not None:
            self.layer.adapt(resolve(item["adapt"], generation))
        self.keywords = resolve(item.get("call") or {}, generation)
        self.inputs = resolve(item["inputs"], generation)
        self.training = bool(item.get("training"))
        self.takes_training = engine.takes_training(self.layer)
        self.call(self.tensors(item))
        self.variables = generation.variables(self.layer)
        self.trainable = list(self.layer.trainable_variables)
        self.names = [generation.variable_name(each) for each in self.variables]
        self.initial = [engine.get(each)[1] for each in self.variables]
        self.places = self._places(item.get("weights"))

    def tensors(self, item: Dict[str, Any]) -> Tuple[List[Any], List[Any], List[Any]]:
        """The arrays of a case as the framework's tensors: of the inputs, of the call's other arguments, of the masks."""
        given = [_arrays(resolve(item["inputs"], self.generation)), _arrays(resolve(item.get("call") or {}, self.generation))]
        cast = self.policy if self.policy == "bfloat16" else None
        puts = given
        # Beside a text, which only TensorFlow has tensors of, everything stays an array.
        if self.engine.has_texts or not any(each.dtype == object for each in given[0]):
            puts = [[self.engine.put(each, cast) for each in arrays] for arrays in given]
        masks = [None if each is None else self.engine.put(each, None) for each in item.get("masks") or []]
        return puts[0], puts[1], masks

    def call(self, tensors: Tuple[List[Any], List[Any], List[Any]]) -> Any:
        """The layer's outputs."""
        given, further, masks = (list(each) for each in tensors)
        queue = [
            value if index >= len(masks) or masks[index] is None else self.generation.attacher(masks[index])(value)
            for index, value in enumerate(given)
        ]
        inputs = mapped(lambda array: queue.pop(0), self.inputs)
        keywords = mapped(lambda array: further.pop(0), self.keywords)
        if self.takes_training:
            keywords["training"] = self.training
        outputs = self.layer(inputs, **keywords)
        self.structure = structure(outputs)
        return outputs

    def parts(self, outputs: Any) -> Tuple[List[Any], List[Any]]:
        """The tensors of the outputs and their masks."""
        found = leaves(outputs)
        return found, [self.generation.mask_of(each) for each in found]

    def _places(self, weights: Any) -> List[int]:
        """Which variable each of the given weights goes to: the first that is free, of the same last name and shape.

        Where no weights are given, each variable is its own.

        Raises:
            Unsupported: there is none.
        """
        if weights is None:
            return list(range(len(self.variables)))
        found: List[int] = []
        for name, array in weights:
            last = name.split("/")[-1]
            free = [
                index
                for index, own in enumerate(self.names)
                if index not in found and own.split("/")[-1] == last and self.initial[index].shape == array.shape
            ]
            if not free:
                told = ", ".join("%s %s" % (own, array.shape) for own, array in zip(self.names, self.initial))
                raise Unsupported("no place for a weight %s %s: the layer here has %s" % (name, array.shape, told or "none"))
            found.append(free[0])
        return found

    def run(self, item: Dict[str, Any]) -> Dict[str, Any]:
        """One case through this layer."""
        values = list(self.initial)
        for place, (_, array) in zip(self.places, item.get("weights") or []):
            values[place] = array
        self.runs += 1
        answer: Dict[str, Any] = self.engine.run(self, self.tensors(item), values, item.get("cotangents"))
        return answer


def _arrays(nest: Any) -> List[np.ndarray]:
    return [each for each in leaves(nest) if isinstance(each, np.ndarray)]
