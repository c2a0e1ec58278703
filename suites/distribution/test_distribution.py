"""Is training over several devices training on one, and does each device have the part that it is to have?

Needs several devices: `--dl-cpu-devices 2` makes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_dlcheck import Backend, Device
from pytest_dlcheck.observe.distribution import MirroredObserver, ShardedObserver, usable
from pytest_dlcheck.observe.distribution_observations import Distributed
from pytest_dlcheck.properties import distribution
from pytest_dlcheck.properties.verdict import Verdict
from pytest_dlcheck.seeds import derive

pytestmark = [pytest.mark.dl_trains, pytest.mark.dl_devices(2), pytest.mark.usefixtures("dl_keras_3")]

Judge = Callable[[Verdict], None]
See = Callable[..., Distributed]


@pytest.fixture(scope="session")
def seen_before() -> dict[Any, Any]:
    """Observers and what they saw."""
    return {}


@pytest.fixture
def observer(backend: Backend, devices: list[Device], dl_seed: int, dl_compiled_once: None, seen_before: dict[Any, Any]) -> Any:
    """The one of this backend, over two devices or four."""
    count, kind = usable(len(devices)), devices[0].kind
    made = {"tensorflow": MirroredObserver, "jax": ShardedObserver}[backend.name]
    if (made, kind) not in seen_before:
        seen_before[made, kind] = made(backend, derive(dl_seed, "distribution", made.__name__), count, kind)
    return seen_before[made, kind]


@pytest.fixture
def see(observer: Any, seen_before: dict[Any, Any]) -> See:
    """`see(method, *given)`: what the observer saw, the first time that it was asked."""

    def once(method: str, *given: Any) -> Distributed:
        key = (id(observer), method, *given)
        if key not in seen_before:
            seen_before[key] = getattr(observer, method)(*given)
        found: Distributed = seen_before[key]
        return found

    return once


@pytest.fixture
def mirrored(see: See) -> Callable[[str], Distributed]:
    """`fit` under `MirroredStrategy`, with one of the kinds of normalization."""
    return lambda normalized: see("observed", normalized)


WHOLE_BATCH = pytest.mark.parametrize("normalized", ["none", "synchronized"])


@pytest.mark.dl_only("tensorflow")
@pytest.mark.dl_subject("tf.distribute.MirroredStrategy")
@pytest.mark.dl_property("equals_one_device")
@WHOLE_BATCH
def test_mirrored_is_one_device(mirrored: Callable[[str], Distributed], normalized: str, dl_judge: Judge) -> None:
    dl_judge(distribution.equals_one_device(mirrored(normalized)))


@pytest.mark.dl_only("tensorflow")
@pytest.mark.dl_subject("tf.distribute.MirroredStrategy")
@pytest.mark.dl_property("batch_is_cut")
def test_mirrored_cuts_the_batch(mirrored: Callable[[str], Distributed], dl_judge: Judge) -> None:
    dl_judge(distribution.batches_are_cut(mirrored("none")))


@pytest.mark.dl_only("tensorflow")
@pytest.mark.dl_subject("tf.distribute.MirroredStrategy")
@pytest.mark.dl_property("variables_are_mirrored")
@WHOLE_BATCH
def test_mirrored_variables(mirrored: Callable[[str], Distributed], normalized: str, dl_judge: Judge) -> None:
    dl_judge(distribution.variables_are_whole(mirrored(normalized)))


@pytest.mark.dl_only("tensorflow")
@pytest.mark.dl_subject("tf.distribute.BatchNormalization")
@pytest.mark.dl_property("normalizes_by_replica")
def test_normalization_by_replica(mirrored: Callable[[str], Distributed], dl_judge: Judge) -> None:
    dl_judge(distribution.is_replicated_training(mirrored("by_replica")))


@pytest.mark.dl_only("tensorflow")
@pytest.mark.dl_subject("tf.distribute.BatchNormalization")
@pytest.mark.dl_property("statistics_are_mirrored")
def test_statistics_of_replicas(mirrored: Callable[[str], Distributed], dl_judge: Judge) -> None:
    dl_judge(distribution.variables_are_whole(mirrored("by_replica")))


@pytest.mark.dl_only("jax")
@pytest.mark.dl_subject("keras.distribution.DataParallel")
@pytest.mark.dl_property("equals_one_device")
def test_data_parallel_is_one_device(see: See, dl_judge: Judge) -> None:
    dl_judge(distribution.equals_one_device(see("data_parallel")))


@pytest.mark.dl_only("jax")
@pytest.mark.dl_subject("keras.distribution.DataParallel")
@pytest.mark.dl_property("batch_is_cut")
def test_data_parallel_cuts_the_batch(see: See, dl_judge: Judge) -> None:
    dl_judge(distribution.batches_are_cut(see("data_parallel")))


@pytest.mark.dl_only("jax")
@pytest.mark.dl_subject("keras.distribution.DataParallel")
@pytest.mark.dl_property("variables_are_replicated")
def test_data_parallel_variables(see: See, dl_judge: Judge) -> None:
    dl_judge(distribution.variables_are_whole(see("data_parallel")))


@pytest.mark.dl_only("jax")
@pytest.mark.dl_subject("keras.distribution.ModelParallel")
@pytest.mark.dl_property("equals_one_device")
def test_model_parallel_is_one_device(see: See, dl_judge: Judge) -> None:
    dl_judge(distribution.equals_one_device(see("model_parallel")))


@pytest.mark.dl_only("jax")
@pytest.mark.dl_subject("keras.distribution.ModelParallel")
@pytest.mark.dl_property("variables_are_cut")
def test_model_parallel_cuts_variables(see: See, dl_judge: Judge) -> None:
    dl_judge(distribution.variables_are_cut(see("model_parallel")))


@pytest.mark.dl_only("jax")
@pytest.mark.dl_subject("keras.distribution.ModelParallel")
@pytest.mark.dl_property("batch_is_cut")
def test_model_parallel_batch_and_other_variables(see: See, dl_judge: Judge) -> None:
    seen = see("model_parallel")
    dl_judge(distribution.batches_are_cut(seen))
    dl_judge(distribution.variables_are_whole(seen))


# Half of a batch, which the devices share; and a batch that they cannot share in equal parts.
SHORT = {"even": 20, "odd": 19}


def short(subject: str, only: str) -> list[Any]:
    """One parameter for each property, named after it: the two ways to be short are two properties."""
    marks = [pytest.mark.dl_subject(subject), pytest.mark.dl_only(only)]
    judges = {
        "trains_short_batch": distribution.trains_on_a_short_batch,
        "scores_short_batch": distribution.scores_a_short_batch,
    }
    return [
        pytest.param(count, judge, id=f"{only}-{name}-{how}", marks=[*marks, pytest.mark.dl_property(f"{name}_{how}")])
        for name, judge in judges.items()
        for how, count in SHORT.items()
    ]


MIRRORED = short("tf.distribute.MirroredStrategy", "tensorflow")
DATA_PARALLEL = short("keras.distribution.DataParallel", "jax")


@pytest.mark.parametrize(("count", "judge"), [*MIRRORED, *DATA_PARALLEL])
def test_short_batch(count: int, judge: Callable[[Any], Verdict], see: See, dl_judge: Judge) -> None:
    dl_judge(judge(see("uneven", count)))
