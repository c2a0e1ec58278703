"""Do files that earlier versions of Keras wrote still load, and compute what they computed?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.version import Version

from pytest_dlcheck import Backend, Device
from pytest_dlcheck.backends import versions
from pytest_dlcheck.models.tiny import IMAGE, TINY, TinySpec
from pytest_dlcheck.observe import archives
from pytest_dlcheck.observe.archives import Archive, Archived
from pytest_dlcheck.observe.layer_observation import Raised
from pytest_dlcheck.properties.life_cycle import archive_computes_the_same
from pytest_dlcheck.properties.verdict import Verdict

pytestmark = pytest.mark.usefixtures("dl_keras_3")

Judge = Callable[[Verdict], None]
Load = Callable[..., list[Archived | Raised]]

PARAMETERS = [
    pytest.param(version, id=version, marks=pytest.mark.dl_subject(f"archives.{version}")) for version in archives.versions()
]
# How many models' files of each version are loaded: others for the next version.
MODELS = {"smoke": 1, "default": 3, "nightly": len(TINY)}


def chosen(version: str, profile: str) -> tuple[TinySpec, ...]:
    count = MODELS[profile]
    start = count * archives.versions().index(version)
    return tuple(TINY[(start + number) % len(TINY)] for number in range(count))


@pytest.fixture(scope="module", params=PARAMETERS)
def archive(request: pytest.FixtureRequest, backend: Backend, dl_keras_3: None) -> Archive:
    """The files of one version, where what is installed is at least as new."""
    keras = versions(backend.name)["keras"]
    if Version(keras) < Version(request.param):
        pytest.skip(f"the files are of Keras {request.param}, and an older version ({keras}) need not read them")
    return archives.read(request.param)


@pytest.fixture
def load(archive: Archive, backend: Backend, device: Device, dl_compiled_once: None, dl_profile: str, tmp_path: Path) -> Load:
    """Loads the version's files of one format, and trains on if asked to."""

    def load(form: str, *, training: bool = False) -> list[Archived | Raised]:
        specs = [spec for spec in chosen(archive.version, dl_profile) if not (training and spec.random)]
        if training and dl_profile != "nightly":
            if archive.version not in (archives.versions()[0], archives.versions()[-1]):
                pytest.skip(
                    "what the oldest and the newest version wrote is trained on; with --dl-profile nightly the others' too"
                )
            specs = [IMAGE]
        found = [archives.observe(backend, spec, archive, form, tmp_path, training=training) for spec in specs]
        if not any(found):
            left_out = ", ".join(f"{name}: {why}" for name, why in archive.left_out.items())
            pytest.skip(f"Keras {archive.version} cannot read what it writes itself: {left_out}")
        return [each for each in found if each is not None]

    return load


@pytest.mark.dl_property("keras_file")
def test_keras_file(archive: Archive, load: Load, dl_judge: Judge) -> None:
    dl_judge(archive_computes_the_same(archive.version, load("keras")))


@pytest.mark.dl_property("weights_file")
def test_weights_file(archive: Archive, load: Load, dl_judge: Judge) -> None:
    dl_judge(archive_computes_the_same(archive.version, load("weights")))


@pytest.mark.dl_property("legacy_file")
def test_legacy_file(archive: Archive, load: Load, dl_judge: Judge) -> None:
    dl_judge(archive_computes_the_same(archive.version, load("h5")))


@pytest.mark.dl_trains
@pytest.mark.dl_property("next_steps")
def test_training_goes_on(archive: Archive, load: Load, dl_judge: Judge) -> None:
    dl_judge(archive_computes_the_same(archive.version, load("keras", training=True)))
