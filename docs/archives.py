"""Writes the archive of the Keras that is installed: the tiny models as files, and what they compute.

    KERAS_BACKEND=torch python docs/archives.py pytest_dlcheck/archives

Run once for each version, with that version first on PYTHONPATH. A file that the version itself cannot read back to the same
outputs is left out, and the archive says why.
"""

from __future__ import annotations

import io
import json
import lzma
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pytest_dlcheck.backends import create
from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.models.tiny import TINY, TinySpec
from pytest_dlcheck.models.tiny_build import build, compile_tiny, single
from pytest_dlcheck.observe.archives import FORMATS, steps
from pytest_dlcheck.observe.layer_observation import Raised
from pytest_dlcheck.observe.life_cycle import attempt, outputs_of
from pytest_dlcheck.observe.moved import from_moved
from pytest_dlcheck.seeds import derive

SAMPLES = 8


def trained(backend: Backend, spec: TinySpec, seed: int) -> Any:
    """The model after four steps."""
    backend.seed(seed)
    model = build(spec, backend.keras, seed=seed)
    compile_tiny(model, spec, backend.keras)
    inputs, targets = spec.data(SAMPLES, seed)
    model.fit(single(inputs), single(targets), batch_size=4, epochs=2, shuffle=False, verbose=0)
    return model


def expected(backend: Backend, spec: TinySpec, model: Any, seed: int) -> dict[str, Any]:
    """What the model gives now, as arrays by name; the model stays as it is."""
    x = spec.data(3, derive(seed, "probe"))[0]
    inputs, targets = spec.data(SAMPLES, derive(seed, "next"))
    optimizer = list(model.optimizer.variables)
    groups = {
        "x": x,
        "outputs": outputs_of(backend, model, x),
        "moved": from_moved(backend, model, x, lambda moved: outputs_of(backend, model, moved), seed=seed),
        "weights": [backend.to_numpy(weight) for weight in model.weights],
        "optimizer": [backend.to_numpy(variable) for variable in optimizer],
        "inputs": inputs,
        "targets": targets,
    }
    found = {f"{spec.name}/{what}/{index}": each for what, arrays in groups.items() for index, each in enumerate(arrays)}
    losses, moved = np.zeros(0), np.zeros((0, 0))
    if not spec.random:
        before = [backend.to_numpy(variable) for variable in [*model.weights, *optimizer]]
        (moved,) = from_moved(backend, model, inputs, lambda x: (steps(model, x, targets),), seed=seed, variables=optimizer)
        losses = steps(model, inputs, targets)
        for variable, value in zip([*model.weights, *optimizer], before, strict=True):
            variable.assign(value)
    return {**found, f"{spec.name}/losses": losses, f"{spec.name}/moved_losses": moved}


def unreadable(backend: Backend, spec: TinySpec, path: Path, whole: Path, arrays: dict[str, Any]) -> str | None:
    """Why this version cannot read its own file; None if it can."""
    if not whole.exists():
        return f"{whole.name} is left out, and it is what the weights are loaded into"
    x = [arrays[f"{spec.name}/x/{index}"] for index in range(len(spec.inputs))]

    def load() -> bool:
        loaded = backend.keras.models.load_model(str(whole))
        if path != whole:
            loaded.load_weights(path)
        again = outputs_of(backend, loaded, tuple(x))
        return all(np.array_equal(one, arrays[f"{spec.name}/outputs/{index}"]) for index, one in enumerate(again))

    same = attempt("loading", load)
    if isinstance(same, Raised):
        return str(same)
    return None if same else "other outputs come back"


def main() -> None:
    """Writes one archive into the folder that the command line names."""
    backend = create("torch", {})
    version = backend.keras.__version__
    arrays: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for spec in TINY:
            seed = derive(0, "archives", spec.name)
            model = trained(backend, spec, seed)
            arrays.update(expected(backend, spec, model, seed))
            whole = folder / f"{spec.name}.keras"
            for form, suffix in FORMATS.items():
                path = folder / f"{spec.name}{suffix}"
                save = model.save_weights if form == "weights" else model.save
                saved = attempt("saving", lambda save=save, path=path: save(str(path)))
                why = str(saved) if isinstance(saved, Raised) else None
                why = why or unreadable(backend, spec, path, whole if form == "weights" else path, arrays)
                if why is not None:
                    left_out[path.name] = why
                    path.unlink(missing_ok=True)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        about = json.dumps({"keras": version, "models": [spec.name for spec in TINY], "left_out": left_out}, indent=1)
        (folder / "expected.npz").write_bytes(buffer.getvalue())
        (folder / "about.json").write_text(about)
        target = Path(sys.argv[1]) / f"{version}.tar.xz"
        with tarfile.open(target, "w:xz", preset=9 | lzma.PRESET_EXTREME) as archive:
            for path in sorted(folder.iterdir(), key=lambda path: (path.suffix, path.name)):
                member = archive.gettarinfo(path, path.name)
                member.mtime, member.uid, member.gid, member.uname, member.gname, member.mode = 0, 0, 0, "", "", 0o644
                with path.open("rb") as stream:
                    archive.addfile(member, stream)
    print(f"{target}: {target.stat().st_size:,} bytes; left out: {left_out or 'nothing'}")  # noqa: T201 - a script


if __name__ == "__main__":
    main()
