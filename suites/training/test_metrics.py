"""Are metrics over batches those of all samples?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_dlcheck import Backend
from pytest_dlcheck.observe.training_metrics import MetricObserver
from pytest_dlcheck.properties import training_metrics
from pytest_dlcheck.properties.verdict import Verdict

pytestmark = [pytest.mark.dl_trains, pytest.mark.dl_subject("keras.metrics"), pytest.mark.usefixtures("dl_keras_3")]

Judge = Callable[[Verdict], None]


@pytest.fixture
def metrics(backend: Backend, observer_of: Callable[[type], MetricObserver]) -> MetricObserver:
    """The model that passes its input on."""
    version = backend.keras.__version__
    if backend.name == "torch" and tuple(map(int, version.split(".")[:2])) < (3, 10):
        pytest.skip(f"Keras {version} on PyTorch cannot evaluate these metrics: 'Cannot copy out of meta tensor'")
    return observer_of(MetricObserver)


@pytest.fixture
def sizes(dl_profile: str) -> tuple[int, ...]:
    """Of batches of 20 samples."""
    return (8, 20) if dl_profile == "smoke" else (1, 7, 8, 20, 32)


@pytest.mark.dl_property("streaming")
def test_metrics(metrics: MetricObserver, sizes: tuple[int, ...], dl_judge: Judge) -> None:
    dl_judge(training_metrics.of_the_whole(metrics.streamed(sizes)))


@pytest.mark.dl_property("weighted_streaming")
def test_weighted_metrics(metrics: MetricObserver, sizes: tuple[int, ...], dl_judge: Judge) -> None:
    dl_judge(training_metrics.of_the_whole(metrics.streamed(sizes, weighted=True)))
