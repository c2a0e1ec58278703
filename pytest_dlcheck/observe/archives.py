"""Files that earlier versions of Keras wrote: where they lie, what they must give, and what they give here.

An archive is a `.tar.xz` of one version: of each tiny model `NAME.keras`, `NAME.weights.h5` and `NAME.h5` (the legacy format)
as that version wrote them on PyTorch, and `expected.npz` with what it computed. `docs/archives.py` writes them.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.models.custom import registered
from pytest_dlcheck.models.tiny import TinySpec
from pytest_dlcheck.models.tiny_build import single
from pytest_dlcheck.observe.layer_observation import Raised
from pytest_dlcheck.observe.life_cycle import attempt, outputs_of

__all__ = ["FORMATS", "STEPS", "Archive", "Archived", "Expected", "observe", "read", "steps", "versions"]

Arrays = tuple[NDArray[Any], ...]

FORMATS: Mapping[str, str] = {"keras": ".keras", "weights": ".weights.h5", "h5": ".h5"}
STEPS = 2
BATCH = 4


@dataclass(frozen=True)
class Expected:
    """What the version that wrote the files computed."""

    x: Arrays
    outputs: Arrays
    moved: Arrays
    """For each output, what its inputs and weights, moved by two units of roundoff, make of it: one row a draw."""
    weights: Arrays
    optimizer: Arrays
    inputs: Arrays
    """To train on."""
    targets: Arrays
    losses: NDArray[Any]
    """Of the next steps, one batch each. Empty for a model that draws random numbers, which differ between backends."""
    moved_losses: NDArray[Any]


@dataclass(frozen=True)
class Archive:
    """The files of one version."""

    version: str
    files: Mapping[str, bytes]
    left_out: Mapping[str, str]
    """Files that the version that wrote them could not read itself, with the reason: `text.keras`."""
    expected: Mapping[str, Expected]


@dataclass(frozen=True)
class Archived:
    """One model from a file of an earlier version."""

    name: str
    expected: Expected
    weights: Arrays
    optimizer: Arrays | None
    """None where the file is none of whole models."""
    outputs: Arrays
    losses: NDArray[Any] | None


def versions() -> list[str]:
    """Those of which there are files, the oldest first."""
    found = [each.name.removesuffix(".tar.xz") for each in _folder().iterdir() if each.name.endswith(".tar.xz")]
    return sorted(found, key=lambda version: [int(part) for part in version.split(".")])


def _folder() -> Any:
    return resources.files("pytest_dlcheck") / "archives"


def read(version: str) -> Archive:
    """The archive of a version, unpacked in memory."""
    with tarfile.open(fileobj=io.BytesIO((_folder() / f"{version}.tar.xz").read_bytes())) as archive:
        files = {}
        for member in archive.getmembers():
            stream = archive.extractfile(member)
            assert stream is not None
            files[member.name] = stream.read()
    about = json.loads(files.pop("about.json"))
    arrays = np.load(io.BytesIO(files.pop("expected.npz")))
    expected = {name: _expected(arrays, name) for name in about["models"]}
    return Archive(version, files, about["left_out"], expected)


def _expected(arrays: Any, name: str) -> Expected:
    def several(what: str) -> Arrays:
        found = [key for key in arrays.files if key.startswith(f"{name}/{what}/")]
        return tuple(arrays[key] for key in sorted(found, key=lambda key: int(key.rpartition("/")[2])))

    groups = ("x", "outputs", "moved", "weights", "optimizer", "inputs", "targets")
    parts = {what: several(what) for what in groups}
    return Expected(**parts, losses=arrays[f"{name}/losses"], moved_losses=arrays[f"{name}/moved_losses"])


def steps(model: Any, inputs: Arrays, targets: Arrays) -> NDArray[Any]:
    """The losses of the next training steps, each of one batch."""
    losses = []
    for number in range(STEPS):
        batch = slice(number * BATCH, (number + 1) * BATCH)
        x, y = single([each[batch] for each in inputs]), single([each[batch] for each in targets])
        losses.append(model.fit(x, y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0).history["loss"][0])
    return np.asarray(losses, dtype=np.float64)


def observe(
    backend: Backend, spec: TinySpec, archive: Archive, form: str, folder: Path, *, training: bool
) -> Archived | Raised | None:
    """The model from its file; None where the version that wrote it could not read it either.

    Args:
        backend: loaded.
        spec: of the model.
        archive: of the version.
        form: one of `FORMATS`.
        folder: for the files.
        training: whether a whole model is trained on.
    """
    name = f"{spec.name}{FORMATS[form]}"
    whole = f"{spec.name}.keras" if form == "weights" else name
    if name in archive.left_out or whole in archive.left_out:
        return None
    registered()
    expected = archive.expected[spec.name]

    def load() -> Archived:
        for each in {name, whole}:
            (folder / each).write_bytes(archive.files[each])
        with backend.alone(), backend.quick():
            model = backend.keras.models.load_model(str(folder / whole))
            if form == "weights":
                # Others first, so that those of the file are seen to come.
                model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
                model.load_weights(folder / name)
            outputs = outputs_of(backend, model, expected.x)
        weights = tuple(backend.to_numpy(weight) for weight in model.weights)
        optimizer = tuple(backend.to_numpy(each) for each in model.optimizer.variables) if form == "keras" else None
        goes_on = form == "keras" and training and expected.losses.size
        losses = steps(model, expected.inputs, expected.targets) if goes_on else None
        return Archived(spec.name, expected, weights, optimizer, outputs, losses)

    return attempt(f"loading {name} of Keras {archive.version}", load)
