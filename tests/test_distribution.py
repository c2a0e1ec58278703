"""The properties of training over several devices catch planted defects and pass what is right.

In observations that are made here without a framework, and in real runs with frameworks that are deliberately broken.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from pytest_dlcheck.observe.distribution_observations import ALONE, TOGETHER, Cut, Distributed, Laid, Piece, Uneven
from pytest_dlcheck.observe.layer_observation import Raised
from pytest_dlcheck.observe.training_models import CLASSES, FEATURES, UNITS, samples
from pytest_dlcheck.observe.training_observations import Run, Scores, Scoring, Task, Training
from pytest_dlcheck.properties import distribution
from pytest_dlcheck.properties.verdict import Verdict
from pytest_dlcheck.references.replicas import train_in_replicas
from pytest_dlcheck.references.training import Batch, Descent, Trained, batches_of, cross_entropy, inference, train

DEVICES = ("cpu:0", "cpu:1")
Judge = Callable[[Distributed], Verdict]


def in_float32(value: np.ndarray) -> np.ndarray:
    return value.astype(np.float32).astype(np.float64)


def task(seed: int = 0) -> Task:
    rng = np.random.default_rng(seed)
    x, labels = samples(seed, 16)
    start = {
        "hidden.kernel": 0.5 * rng.standard_normal((FEATURES, UNITS)),
        "hidden.bias": 0.5 * rng.standard_normal(UNITS),
        "norm.gamma": rng.uniform(0.5, 1.5, UNITS),
        "norm.beta": 0.5 * rng.standard_normal(UNITS),
        "norm.moving_mean": rng.standard_normal(UNITS),
        "norm.moving_variance": rng.uniform(0.5, 1.5, UNITS),
        "out.kernel": 0.5 * rng.standard_normal((UNITS, CLASSES)),
        "out.bias": 0.5 * rng.standard_normal(CLASSES),
    }
    return Task({name: value.astype(np.float32) for name, value in start.items()}, x, labels, None, 8, 2, 0.25, 0.5)


def steps_of(of: Task) -> list[Batch]:
    return batches_of(of.x, of.labels, None, of.batch_size, of.epochs)


def parts_of(batch: Batch, count: int = 2) -> list[Batch]:
    rows = np.split(np.arange(len(batch.x)), count)
    return [Batch(batch.x[part], batch.labels[part]) for part in rows]


def run_of(found: Trained, *, per_step: bool = True) -> Run:
    losses = np.array(found.losses)
    losses = losses if per_step else losses.reshape(2, -1).mean(axis=1)
    weights = {name: value.astype(np.float32) for name, value in found.weights.items()}
    return Run(tuple(losses.astype(np.float32).tolist()), weights, len(found.losses), per_step)


def whole(value: np.ndarray, devices: Sequence[str] = DEVICES) -> Laid:
    return Laid(value, tuple(Piece(device, value.copy(), (0,) * value.ndim) for device in devices))


def cut(value: np.ndarray, axis: int, devices: Sequence[str] = DEVICES, parts: int = 2) -> Laid:
    """The devices share a part where there are more of them than parts."""
    shares = np.split(value, parts, axis)
    wide = value.shape[axis] // parts
    pieces = []
    for number, device in enumerate(devices):
        part = number * parts // len(devices)
        start = tuple(part * wide if each == axis else 0 for each in range(value.ndim))
        pieces.append(Piece(device, shares[part], start))
    return Laid(value, tuple(pieces))


def right(of: Task, together: Run | None = None) -> Distributed:
    """Data parallelism, but for rounding."""
    run = run_of(train(of.start, steps_of(of), Descent(0.25, 0.5), in_float32))
    together = run if together is None else together
    return Distributed(
        DEVICES,
        2,
        Training(of, {ALONE: run, TOGETHER: together}),
        tuple(cut(batch.x, 0) for batch in steps_of(of)),
        Cut(0, 2),
        {name: whole(value) for name, value in together.weights.items()},
        {name: whole(of.start[name]) for name in together.weights},
    )


def in_replicas(of: Task, start: dict[str, np.ndarray] | None = None, **changes: object) -> Distributed:
    """Replicas that normalize on their own."""
    steps = [parts_of(batch) for batch in steps_of(of)]
    run = run_of(
        train_in_replicas(start or of.start, steps, replace(Descent(0.25, 0.5), **changes), in_float32), per_step=False
    )
    return right(of, run)


def cut_model(devices: Sequence[str] = DEVICES, parts: int = 2) -> Distributed:
    """Model parallelism: two kernels cut, on two devices or on four of which two share each part."""
    seen = right(task())
    variables = {name: whole(laid.whole, devices) for name, laid in seen.variables.items()}
    variables["hidden.kernel"] = cut(variables["hidden.kernel"].whole, 1, devices, parts)
    variables["out.kernel"] = cut(variables["out.kernel"].whole, 0, devices, parts)
    cuts = {"hidden.kernel": Cut(1, parts), "out.kernel": Cut(0, parts)}
    return replace(seen, devices=tuple(devices), variables=variables, before=variables, cuts=cuts)


def with_variable(seen: Distributed, name: str, laid: Laid) -> Distributed:
    return replace(seen, variables={**seen.variables, name: laid})


def with_batch(seen: Distributed, laid: Laid) -> Distributed:
    """In the second step."""
    return replace(seen, batches=(seen.batches[0], laid, *seen.batches[2:]))


def says(outcome: str, verdict: Verdict, *words: str) -> None:
    assert verdict.outcome == outcome, verdict.message
    for word in words:
        assert word in verdict.message, verdict.message


@pytest.mark.parametrize("seed", range(5))
def test_right_runs_pass(seed: int) -> None:
    seen = right(task(seed))
    for judge in (distribution.equals_one_device, distribution.batches_are_cut, distribution.variables_are_whole):
        says("pass", judge(seen))
    says("pass", distribution.is_replicated_training(in_replicas(task(seed))))


def test_gradients_that_are_added_up_and_not_averaged() -> None:
    of = task()
    added = run_of(train(of.start, steps_of(of), Descent(0.5, 0.5), in_float32))
    assert added.losses[0] == right(of).training.runs[ALONE].losses[0]
    says("fail", distribution.equals_one_device(right(of, added)), "several devices")
    says("fail", distribution.is_replicated_training(in_replicas(of, rates=0.5)))


def test_a_reported_loss_that_is_of_one_replica() -> None:
    of = task()
    good = right(of).training.runs[TOGETHER]
    losses = [train(good.weights, [parts_of(batch)[0]], Descent(0.25)).losses[0] for batch in steps_of(of)]
    says("fail", distribution.equals_one_device(right(of, replace(good, losses=tuple(losses)))), "losses")


def test_a_normalization_over_the_wrong_samples() -> None:
    of = task()
    apart = in_replicas(of)
    says("fail", distribution.equals_one_device(apart), "several devices")
    says("fail", distribution.is_replicated_training(right(of, replace(right(of).training.runs[ALONE], losses=(1.0, 1.0)))))


def test_a_run_that_is_missing() -> None:
    seen = right(task())
    alone = replace(seen, training=replace(seen.training, runs={ALONE: seen.training.runs[ALONE]}))
    says("fail", distribution.equals_one_device(alone), TOGETHER)


def test_batches_that_are_not_cut() -> None:
    seen = right(task())
    x = seen.batches[1].whole
    judge = distribution.batches_are_cut
    says("fail", judge(with_batch(seen, whole(x))), "step 2", "[8, 8]")
    says("fail", judge(with_batch(seen, Laid(x, (Piece(DEVICES[0], x),)))), "step 2", "each of 2 devices")
    first = Piece(DEVICES[0], x[:4])
    says("fail", judge(with_batch(seen, Laid(x, (first, replace(first, device=DEVICES[1]))))), "differ")
    says("fail", judge(with_batch(seen, Laid(x, (first, Piece(DEVICES[0], x[4:]))))), "step 2")
    says("fail", judge(with_batch(seen, Laid(x, (Piece(DEVICES[0], x[:5]), Piece(DEVICES[1], x[5:]))))), "[5, 3]")
    says("fail", judge(replace(seen, batches=seen.batches[:3])), "3 steps")
    says("fail", judge(replace(seen, batches=())), "0 steps")
    says("fail", judge(replace(seen, replicas=1)), "1 replicas")
    # Which device has which part is for the framework to choose.
    says("pass", judge(with_batch(seen, Laid(x, (Piece(DEVICES[0], x[4:]), Piece(DEVICES[1], x[:4]))))))


def test_weights_that_differ_between_replicas() -> None:
    seen = right(task())
    name = "out.bias"
    value = seen.variables[name].whole
    judge = distribution.variables_are_whole
    drifted = Piece(DEVICES[1], np.nextafter(value, np.float32(9)))
    says("fail", judge(with_variable(seen, name, Laid(value, (Piece(DEVICES[0], value), drifted)))), name, DEVICES[1])
    says("fail", judge(with_variable(seen, name, Laid(value, (Piece(DEVICES[0], value),)))), name)
    says("fail", judge(with_variable(seen, name, Laid(value, (Piece(DEVICES[0], value),) * 2))), name)
    says("fail", judge(with_variable(seen, name, cut(np.append(value, value), 0))), name)
    says("fail", judge(replace(seen, variables={})))


@pytest.mark.parametrize("devices", [DEVICES, ("cpu:0", "cpu:1", "cpu:2", "cpu:3")])
def test_a_kernel_that_is_not_cut(devices: Sequence[str]) -> None:
    seen = cut_model(devices)
    judge = distribution.variables_are_cut
    says("pass", judge(seen))
    says("pass", distribution.variables_are_whole(seen))
    kernel = seen.variables["hidden.kernel"].whole
    says("fail", judge(with_variable(seen, "hidden.kernel", whole(kernel, devices))), "hidden.kernel", "(5, 4)")
    turned = cut(np.ones((4, 4), dtype=np.float32), 0, devices)
    says("fail", judge(with_variable(seen, "hidden.kernel", turned)), "hidden.kernel", "(2, 4)")
    pieces = seen.variables["hidden.kernel"].pieces
    says("fail", judge(with_variable(seen, "hidden.kernel", Laid(kernel, pieces[:-1]))), "held by")
    doubled = tuple(replace(pieces[0], device=device) for device in devices)
    says("fail", judge(with_variable(seen, "hidden.kernel", Laid(kernel, doubled))), "parts begin at")
    wrong = (*pieces[:-1], replace(pieces[-1], values=pieces[-1].values + 1))
    says("fail", judge(with_variable(seen, "hidden.kernel", Laid(kernel, wrong))), devices[-1])
    says("fail", judge(replace(seen, cuts={})), "nothing was asked for")
    says("fail", judge(replace(seen, cuts={"absent": Cut(0, 2)})), "absent")


def test_variables_that_lie_right_only_after_the_first_step() -> None:
    seen = right(task())
    value = seen.before["out.bias"].whole
    alone = {**seen.before, "out.bias": Laid(value, (Piece(DEVICES[0], value),))}
    says("fail", distribution.variables_are_whole(replace(seen, before=alone)), "before the first step, out.bias")
    says("fail", distribution.variables_are_whole(replace(seen, before={})), "not there before the first step")
    seen = cut_model()
    early = {**seen.before, "out.kernel": whole(seen.before["out.kernel"].whole)}
    says("fail", distribution.variables_are_cut(replace(seen, before=early)), "before the first step, out.kernel")
    says("fail", distribution.variables_are_cut(replace(seen, before={})), "not there before the first step")


def uneven() -> Uneven:
    """Both runs, and both scores, those of the reference but for rounding."""
    of = replace(task(), x=samples(0, 19)[0], labels=samples(0, 19)[1])
    run = run_of(train(of.start, steps_of(of), Descent(0.25, 0.5), in_float32))
    outputs = inference(of.start, of.x)
    scores = Scores({"loss": float(np.mean(cross_entropy(outputs, of.labels)))}, outputs.astype(np.float32))
    ways = {ALONE: scores, TOGETHER: scores}
    return Uneven(19, Training(of, {ALONE: run, TOGETHER: run}), Scoring(of.start, of.x, of.labels, None, ways))


def test_short_batches() -> None:
    seen, raised = uneven(), Raised("IndivisibleError", "3 by 2", "training on several devices")
    assert isinstance(seen.training, Training)
    assert isinstance(seen.scoring, Scoring)
    says("pass", distribution.trains_on_a_short_batch(seen))
    says("pass", distribution.scores_a_short_batch(seen))
    says("fail", distribution.trains_on_a_short_batch(replace(seen, training=raised)), "19 samples", "3 by 2")
    says("fail", distribution.scores_a_short_batch(replace(seen, scoring=raised)), "19 samples", "3 by 2")
    of = seen.training.task
    dropped = run_of(train(of.start, [s for s in steps_of(of) if len(s.x) == 8], Descent(0.25, 0.5), in_float32))
    runs = {**seen.training.runs, TOGETHER: dropped}
    says("fail", distribution.trains_on_a_short_batch(replace(seen, training=replace(seen.training, runs=runs))), TOGETHER)
    scores = seen.scoring.ways[TOGETHER]
    assert scores.outputs is not None
    for wrong in (
        replace(scores, outputs=scores.outputs[:16]),
        replace(scores, outputs=np.roll(scores.outputs, 1, axis=0)),
        replace(scores, figures={"loss": scores.figures["loss"] * 1.001}),
    ):
        ways = {**seen.scoring.ways, TOGETHER: wrong}
        says("fail", distribution.scores_a_short_batch(replace(seen, scoring=replace(seen.scoring, ways=ways))), TOGETHER)
    lost = replace(seen.scoring, ways={ALONE: scores})
    says("fail", distribution.scores_a_short_batch(replace(seen, scoring=lost)), "nothing was scored on several devices")


BROKEN = '''
import pytest

from pytest_dlcheck.observe.distribution import MirroredObserver, ShardedObserver
from pytest_dlcheck.observe.training_observations import Run
from pytest_dlcheck.properties import distribution


def says(outcome, verdict):
    assert verdict.outcome == outcome, verdict.message


@pytest.fixture(scope="module")
def mirrored(backend):
    return MirroredObserver(backend, 0, 2)


@pytest.mark.dl_only("tensorflow")
def test_every_replica_is_given_the_whole_batch(mirrored, monkeypatch):
    def batch_by_batch(trainee, task):
        """As `train_on_batch` does: right in what comes of it, and nothing is divided."""
        trainee.restart(task.start)
        fit = trainee.model.train_on_batch
        losses = []
        for _ in range(task.epochs):
            for first in range(0, len(task.x), task.batch_size):
                cut = slice(first, first + task.batch_size)
                trainee.model.reset_metrics()
                losses.append(float(fit(task.x[cut], task.labels[cut], return_dict=True)["loss"]))
        return Run(tuple(losses), trainee.weights(), trainee.steps, per_step=True)

    says("pass", distribution.batches_are_cut(mirrored.observed("none")))
    monkeypatch.setattr(mirrored, "_fit", batch_by_batch)
    seen = mirrored.observed("none")
    says("pass", distribution.equals_one_device(seen))
    says("fail", distribution.batches_are_cut(seen))


@pytest.mark.dl_only("tensorflow")
def test_gradients_are_added_up(backend, mirrored, monkeypatch):
    tf = backend.framework

    class SGD(backend.keras.optimizers.SGD):
        def update_step(self, gradient, variable, learning_rate):
            super().update_step(gradient * tf.distribute.get_strategy().num_replicas_in_sync, variable, learning_rate)

    monkeypatch.setattr(backend.keras.optimizers, "SGD", SGD)
    seen = mirrored.observed("none")
    says("pass", distribution.batches_are_cut(seen))
    says("fail", distribution.equals_one_device(seen))


@pytest.mark.dl_only("tensorflow")
def test_statistics_that_are_averaged(backend, mirrored, monkeypatch):
    """The fixed twin of what the register knows."""

    class Averaging(backend.keras.layers.BatchNormalization):
        def call(self, inputs, training=None, mask=None):
            outputs = super().call(inputs, training=training, mask=mask)
            context = backend.framework.distribute.get_replica_context()
            if training and context is not None and context.num_replicas_in_sync > 1:
                for variable in (self.moving_mean, self.moving_variance):
                    variable.assign(context.all_reduce("MEAN", variable + 0))
            return outputs

    monkeypatch.setattr(backend.keras.layers, "BatchNormalization", Averaging)
    seen = mirrored.observed("by_replica")
    says("pass", distribution.is_replicated_training(seen))
    says("pass", distribution.variables_are_whole(seen))


@pytest.mark.dl_only("jax")
def test_data_that_is_not_cut(backend, monkeypatch):
    of_keras = backend.keras.distribution
    seen = ShardedObserver(backend, 0, 2)
    says("pass", distribution.batches_are_cut(seen.data_parallel()))

    def everywhere(self, shape):
        return of_keras.TensorLayout([None] * len(shape), self.device_mesh)

    monkeypatch.setattr(of_keras.DataParallel, "get_data_layout", everywhere)
    broken = seen.data_parallel()
    says("pass", distribution.equals_one_device(broken))
    says("fail", distribution.batches_are_cut(broken))
    assert of_keras.distribution() is None


@pytest.mark.dl_only("jax")
def test_a_kernel_that_is_not_cut(backend, monkeypatch):
    of_keras = backend.keras.distribution
    seen = ShardedObserver(backend, 0, 2)
    layout = of_keras.ModelParallel.get_variable_layout

    def whole(self, variable):
        if "kernel" in variable.path:
            return of_keras.TensorLayout([None] * len(variable.shape), self.device_mesh)
        return layout(self, variable)

    monkeypatch.setattr(of_keras.ModelParallel, "get_variable_layout", whole)
    broken = seen.model_parallel()
    says("pass", distribution.equals_one_device(broken))
    says("fail", distribution.variables_are_cut(broken))
    assert of_keras.distribution() is None


@pytest.mark.dl_only("jax")
def test_a_failure_leaves_no_distribution_behind(backend, monkeypatch):
    seen = ShardedObserver(backend, 0, 2)

    def fails(*given, **options):
        raise RuntimeError("planted")

    monkeypatch.setattr(ShardedObserver, "_variables", fails)
    with pytest.raises(RuntimeError, match="planted"):
        seen.data_parallel()
    assert backend.keras.distribution.distribution() is None
'''


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_broken_frameworks_are_caught(pytester: pytest.Pytester, backend: str) -> None:
    if importlib.util.find_spec(backend) is None or importlib.util.find_spec("keras") is None:
        pytest.skip(f"needs keras and {backend}, not installed here")
    pytester.makepyfile(test_broken=BROKEN)
    options = ("--dl-backend", backend, "--dl-cpu-devices", "2", "-q", "-p", "no:cacheprovider", "-p", "no:warnings")
    pytester.runpytest_subprocess(*options).assert_outcomes(passed=3, deselected=3)
