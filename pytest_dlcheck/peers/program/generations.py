"""The generations of Keras: what each calls the things that a case needs. An older one is another class here."""

import contextlib
import importlib
import os
from typing import Any, Dict, Iterator, List, Optional

__all__ = ["Generation", "Unsupported", "present"]


class Unsupported(Exception):
    """This product has nothing that a case asks for: no defect, and nothing to compare."""


class Generation:
    """One generation of Keras in this process.

    Attributes:
        name: `keras3`, `keras2` (TensorFlow's own), `tf_keras`.
        version: of Keras.
        backend: what it runs on.
        keras: the module.
    """

    name = ""
    keras: Any = None
    version = ""
    backend = ""

    def find(self, path: str) -> Any:
        """What a path such as `keras.layers.Dense` names.

        Raises:
            Unsupported: there is no such thing here.
        """
        module, _, rest = path.partition(".")
        if module != "keras":
            raise Unsupported("%s is not part of Keras" % path)
        found = self.keras
        for part in rest.split("."):
            found = getattr(found, part, None)
        if found is None:
            raise Unsupported("keras %s has no %s" % (self.version, rest))
        return found

    def construct(self, kind: Any, positional: List[Any], arguments: Dict[str, Any]) -> Any:
        """An object of a class.

        Raises:
            Unsupported: the class does not take one of the arguments.
        """
        try:
            return kind(*positional, **arguments)
        except (TypeError, ValueError) as error:
            text = str(error)
            if any(each in text for each in ("unexpected keyword", "Keyword argument not", "Unrecognized keyword")):
                raise Unsupported("keras %s: %s" % (self.version, text.splitlines()[0])) from None
            raise

    def variables(self, layer: Any) -> List[Any]:
        """All of a layer's variables, its weights first."""
        weights = list(layer.weights)
        known = {id(each) for each in weights}
        found = weights + [each for each in layer.variables if id(each) not in known]
        # Keras 2 counts among them what holds a vocabulary, which is no variable.
        return [each for each in found if hasattr(each, "shape") and hasattr(each, "assign")]

    def variable_name(self, variable: Any) -> str:
        """Its path in the layer: `dense/kernel`."""
        raise NotImplementedError

    def mask_of(self, tensor: Any) -> Any:
        """The mask that Keras has attached to a tensor; None if there is none."""
        return getattr(tensor, "_keras_mask", None)

    def attacher(self, mask: Any) -> Any:
        """A layer that hands its input on with a mask attached, as Embedding and Masking do."""

        class Attach(self.keras.layers.Layer):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.supports_masking = True

            def call(self, x: Any) -> Any:
                return x

            def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
                return mask

            def compute_output_shape(self, input_shape: Any) -> Any:
                return input_shape

        return Attach()

    @contextlib.contextmanager
    def settings(self, wanted: Dict[str, Any]) -> Iterator[None]:
        """Inside, Keras has these global settings: `image_data_format`, `epsilon`."""
        places = [each for each in (getattr(self.keras, "config", None), self.keras.backend) if each is not None]
        before = []
        for name, value in wanted.items():
            place = next((each for each in places if hasattr(each, "set_" + name)), None)
            if place is None:
                raise Unsupported("keras %s has no setting %s" % (self.version, name))
            before.append((place, name, getattr(place, name)()))
            getattr(place, "set_" + name)(value)
        try:
            yield
        finally:
            for place, name, value in before:
                getattr(place, "set_" + name)(value)


class Keras3(Generation):
    """Keras 3, on whichever backend."""

    name = "keras3"

    def __init__(self, keras: Any) -> None:
        self.keras = keras
        self.version = str(keras.__version__)
        self.backend = str(keras.backend.backend())
        self._source = importlib.import_module("keras.src.backend")

    def variable_name(self, variable: Any) -> str:
        return str(variable.path)

    def mask_of(self, tensor: Any) -> Any:
        get = getattr(self._source, "get_keras_mask", None)
        return get(tensor) if get is not None else getattr(tensor, "_keras_mask", None)

    def stateless_scope(self, mapping: Any) -> Any:
        """Inside, variables have other values, and what is assigned to them is kept aside."""
        scope = getattr(self.keras, "StatelessScope", None) or self._source.StatelessScope
        return scope(state_mapping=mapping)


class Keras2(Generation):
    """Keras 2 on TensorFlow: TensorFlow's own, or `tf_keras`."""

    backend = "tensorflow"

    def __init__(self, keras: Any, name: str, version: str) -> None:
        self.keras = keras
        self.name = name
        self.version = version

    def variable_name(self, variable: Any) -> str:
        return str(variable.name).split(":")[0]


def present() -> Generation:
    """The Keras of this process: as TensorFlow gives it where the legacy one was asked for, else as it is installed.

    Raises:
        ImportError: there is none.
    """
    if os.environ.get("KERAS_BACKEND") == "jax":
        # Small programs that run a few times each: compiling them well takes longer than running them badly.
        os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
    if os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true"):
        legacy = importlib.import_module("tf_keras")
        return Keras2(legacy, "tf_keras", str(legacy.__version__))
    version = _keras_version()
    if version is not None and version.startswith("2."):
        return Keras2(importlib.import_module("tensorflow").keras, "keras2", version)
    return Keras3(importlib.import_module("keras"))


def _keras_version() -> Optional[str]:
    try:
        return str(importlib.import_module("keras").__version__)
    except ImportError:
        return None
