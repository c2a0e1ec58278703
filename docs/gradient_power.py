"""What `check_gradients` finds and takes, next to the checker that each framework brings along.

`KERAS_BACKEND=torch python docs/gradient_power.py` runs the functions and the planted defects of `tests/planted_gradients.py`,
then some layers, on that backend (or `tensorflow`, `jax`), each through `check_gradients` and through the framework's own
checker, in float64 and at the same points. `--only functions` and `--only layers` run a part. `--simulate` needs no framework:
it asks which directions and tolerances see what, on 256 entries.

A checker finds a defect when it raises or reports anything at all; the same of a correct function is a false alarm.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from planted_gradients import DEFECTS, FORWARD, FUNCTIONS, KINDS, SECOND, Defect, Function, on_keras, on_torch

from pytest_dlcheck.backends import create, versions
from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.backends.wide_floats import wide_floats
from pytest_dlcheck.devices import kinds_by_name
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.gradients.argument import signs
from pytest_dlcheck.gradients.autodiff import autodiff_of
from pytest_dlcheck.gradients.check import DIRECTIONS
from pytest_dlcheck.gradients.functions import of_layer, widened
from pytest_dlcheck.gradients.lines import Line, best_step
from pytest_dlcheck.gradients.outcome import GradientsWrong
from pytest_dlcheck.gradients.program import Array
from pytest_dlcheck.gradients.public import check_gradients
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, of_differences

Findings = dict[str, bool]
"""By the name of a way of judging: whether it calls the gradient wrong."""

QUICK = 100.0
SLOW = 10_000.0
"""Milliseconds."""


@dataclass(frozen=True)
class Subject:
    """Something with gradients.

    Attributes:
        ours: runs `check_gradients` on it, with its keywords.
        function: of the framework's float64 tensors, with one output, for the framework's own checker.
        point: its arguments.
        forward: whether it has a forward mode of its own, to be checked as well.
    """

    ours: Callable[..., Any]
    function: Callable[..., Any]
    point: list[Array]
    forward: bool = False


@dataclass
class Checker:
    """One checker with its settings.

    Attributes:
        run: judges a subject.
        names: of the ways in which one run is judged: one row each.
        planted: whether it is run on the defects, too.
    """

    run: Callable[[Subject], Findings]
    names: Sequence[str]
    planted: bool = True


# Ours.


def ours(name: str, **keywords: Any) -> Checker:
    def run(subject: Subject) -> Findings:
        try:
            subject.ours(**keywords)
        except GradientsWrong:
            return {name: True}
        return {name: False}

    return Checker(run, [name])


def own_checkers(backend: Backend) -> list[Checker]:
    modes = autodiff_of(backend).modes
    found = [ours(f"check_gradients, order {order}, {modes[0]}", order=order, modes=modes[:1]) for order in (1, 2)]
    if len(modes) > 1:
        # The other modes are compared with the first: what that finds is found.
        found.append(replace(ours(f"check_gradients, order 2, {', '.join(modes)}", order=2), planted=False))
    return found


# The frameworks'.


def raises(name: str, check: Callable[[Subject], Any]) -> Checker:
    def run(subject: Subject) -> Findings:
        try:
            check(subject)
        except Exception:  # noqa: BLE001 - however a checker says that something is wrong, it has said so
            return {name: True}
        return {name: False}

    return Checker(run, [name])


def tensorflow_checkers(backend: Backend) -> list[Checker]:
    tf = backend.framework
    bounds = (1e-3, 1e-4, 1e-5)

    def error(function: Callable[..., Any], xs: Sequence[Array]) -> float:
        """The largest difference between two entries of the Jacobians, which users compare with a bound."""
        pairs = zip(*tf.test.compute_gradient(function, [tf.constant(x) for x in xs]), strict=True)
        return float(np.max([np.max(np.abs(one - other), initial=0.0) for one, other in pairs]))

    def judged(name: str, check: Callable[[Subject], float]) -> Checker:
        names = [f"{name}, error < {bound:g}" for bound in bounds]

        def run(subject: Subject) -> Findings:
            try:
                found = check(subject)
            except Exception:  # noqa: BLE001 - however it says that something is wrong, it has said so
                found = np.inf
            return {each: not found < bound for each, bound in zip(names, bounds, strict=True)}

        return Checker(run, names)

    def second(subject: Subject) -> float:
        def gradient(*xs: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(xs)
                y = subject.function(*xs)
            # A cotangent of ones would hide what sums to zero.
            v = tf.constant(np.random.default_rng(0).uniform(0.5, 1.5, y.shape))
            found = tape.gradient(y, list(xs), output_gradients=v, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            return tf.concat([tf.reshape(tf.convert_to_tensor(each), [-1]) for each in found], axis=0)

        first = error(subject.function, subject.point)
        return max(first, error(gradient, subject.point)) if np.isfinite(first) else first

    return [
        judged("compute_gradient", lambda subject: error(subject.function, subject.point)),
        judged("compute_gradient, of the gradient too", second),
    ]


def jax_checkers(backend: Backend) -> list[Checker]:
    import jax.test_util

    def checker(order: int) -> Checker:
        # A custom gradient has no forward mode in JAX.
        def check(subject: Subject) -> None:
            xs = [backend.put(x) for x in subject.point]
            jax.test_util.check_grads(subject.function, tuple(xs), order=order, modes=("rev",))

        return raises(f"check_grads, order {order}, reverse", check)

    return [checker(1), checker(2)]


def torch_checkers(backend: Backend) -> list[Checker]:
    torch = backend.framework

    def inputs(subject: Subject) -> tuple[Any, ...]:
        return tuple(torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in subject.point)

    def first(subject: Subject, **keywords: Any) -> None:
        torch.autograd.gradcheck(subject.function, inputs(subject), check_forward_ad=subject.forward, **keywords)

    def both(subject: Subject, **keywords: Any) -> None:
        first(subject, **keywords)
        torch.autograd.gradgradcheck(subject.function, inputs(subject), **keywords)

    return [
        raises("gradcheck", first),
        raises("gradcheck, fast mode", lambda subject: first(subject, fast_mode=True)),
        raises("gradcheck and gradgradcheck", both),
        raises("gradcheck and gradgradcheck, fast mode", lambda subject: both(subject, fast_mode=True)),
    ]


THEIRS: dict[str, Callable[[Backend], list[Checker]]] = {
    "tensorflow": tensorflow_checkers,
    "jax": jax_checkers,
    "torch": torch_checkers,
}


# What is checked.


def of_function(backend: Backend, function: Function, defect: Defect | None = None, *, seed: int) -> Subject:
    """A function with its own gradient, or with a defective one."""
    forward = function.jvp is not None and backend.name == "torch"
    if forward and (defect is None or defect.kind == FORWARD):
        run = on_torch(backend.keras, backend.framework, function, defect and defect.jvp)
    else:
        run, forward = on_keras(backend.keras, function, defect and defect.vjp), False
    point = function.at(seed)

    def check(**keywords: Any) -> None:
        check_gradients(run, point, name=function.name, backend=backend, seed=seed, **keywords)

    return Subject(check, run, point, forward)


def layers(keras: Any) -> Iterator[tuple[str, Any, Array, bool]]:
    """Name, layer, input, whether in training mode."""
    rng = np.random.default_rng(0)
    kinds = keras.layers
    yield "Dense", kinds.Dense(4, activation="tanh"), rng.standard_normal((3, 6)), False
    yield "Conv2D", kinds.Conv2D(2, 3), rng.standard_normal((1, 6, 6, 2)), False
    yield "LSTM", kinds.LSTM(3), rng.standard_normal((2, 4, 3)), False
    yield "MultiHeadAttention", self_attention(keras), rng.standard_normal((2, 4, 4)), False
    yield "LayerNormalization", kinds.LayerNormalization(), rng.standard_normal((3, 6)), False
    yield "BatchNormalization", kinds.BatchNormalization(), rng.standard_normal((4, 5)), True
    yield "Embedding", kinds.Embedding(10, 4), rng.integers(0, 10, (3, 4)).astype("int32"), False


def self_attention(keras: Any) -> Any:
    """`MultiHeadAttention` takes its query and its values apart: here they are one."""

    class SelfAttention(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = keras.layers.MultiHeadAttention(2, 3)

        def build(self, shape: Any) -> None:
            self.inner.build(shape, shape)
            self.built = True

        def call(self, x: Any) -> Any:
            return self.inner(x, x)

    return SelfAttention()


def of_a_layer(backend: Backend, layer: Any, inputs: Array, training: bool, stack: ExitStack) -> Subject:
    """A layer as a subject; the stack is closed when it has been checked by the framework's own checker."""
    autodiff = autodiff_of(backend)
    stack.enter_context(wide_floats(backend))
    stack.enter_context(widened(layer))
    target = of_layer(layer, inputs, autodiff, training=training)

    def run(*xs: Any) -> Any:
        (output,) = target.function(list(xs))
        return output

    def check(**keywords: Any) -> None:
        check_gradients(layer, inputs, backend=backend, training=training, **keywords)

    return Subject(check, run, target.point)


# Runs.


@dataclass
class Score:
    """What one way of judging made of all subjects."""

    found: dict[str, list[bool]] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)


def timed(checker: Checker, subject: Subject) -> tuple[Findings, float]:
    """What it finds, and the milliseconds of processor time that it takes: other processes do not count, its threads do."""
    start = time.process_time()
    found = checker.run(subject)
    return found, 1e3 * (time.process_time() - start)


def repeated(checker: Checker, subject: Subject, first: float) -> float:
    """Milliseconds of a later call: of a quick one, the quickest of three; of a very slow one those of the first."""
    if first > SLOW:
        return first
    return min(timed(checker, subject)[1] for _ in range(3 if first < QUICK else 1))


def forget(backend: Backend) -> None:
    """Each checker compiles for itself what it needs, where the framework keeps compiled operations."""
    if backend.name == "jax":
        backend.framework.clear_caches()


def bar(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, transient=True)


def run_functions(backend: Backend, console: Console, seeds: Sequence[int], every: int) -> dict[str, Score]:
    checkers = [*own_checkers(backend), *THEIRS[backend.name](backend)]
    functions = FUNCTIONS[::every]
    defects = [each for each in DEFECTS[::every] if backend.name not in each.not_on]
    scores = {name: Score() for checker in checkers for name in checker.names}
    with bar(console) as progress:
        runs = [len(functions) + checker.planted * len(defects) for checker in checkers]
        task = progress.add_task("functions", total=len(seeds) * sum(runs))
        for checker in checkers:
            forget(backend)
            progress.update(task, description=checker.names[0])
            for seed in seeds:
                for function in functions:
                    with wide_floats(backend):
                        subject = of_function(backend, function, seed=seed)
                        found, first = timed(checker, subject)
                        again = repeated(checker, subject, first)
                    for name, wrong in found.items():
                        scores[name].first.append(first)
                        scores[name].again.append(again)
                        scores[name].alarms += [function.name] if wrong else []
                    progress.advance(task)
                for defect in defects if checker.planted else ():
                    with wide_floats(backend):
                        found, _ = timed(checker, of_function(backend, defect.function, defect, seed=seed))
                    for name, wrong in found.items():
                        scores[name].found.setdefault(defect.kind, []).append(wrong)
                        scores[name].missed += [] if wrong or defect.kind == SECOND else [defect.name]
                    progress.advance(task)
    return scores


def run_layers(backend: Backend, console: Console) -> dict[str, dict[str, list[float]]]:
    """Milliseconds per checker and layer: the first call, and a later one."""
    checkers = [*own_checkers(backend), *THEIRS[backend.name](backend)]
    chosen = list(layers(backend.keras))
    found: dict[str, dict[str, list[float]]] = {}
    with bar(console) as progress:
        task = progress.add_task("layers", total=len(checkers) * len(chosen))
        for checker in checkers:
            forget(backend)
            progress.update(task, description=checker.names[0])
            for name, layer, inputs, training in chosen:
                layer(backend.put(inputs if inputs.dtype.kind == "i" else inputs.astype("float32")))
                with ExitStack() as stack:
                    subject = of_a_layer(backend, layer, inputs, training, stack)
                    seen, first = timed(checker, subject)
                    again = repeated(checker, subject, first)
                label = checker.names[0].partition(", error")[0]
                alarm = "" if not any(seen.values()) else " (alarm)"
                found.setdefault(label, {})[name + alarm] = [first, again]
                progress.advance(task)
    return found


# Tables.


def milliseconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def of_scores(backend: Backend, scores: dict[str, Score]) -> Table:
    table = Table(title=f"{backend.name}: functions, and defects planted in them", title_justify="left")
    table.add_column("checker")
    for name in ("defects found", "false alarms", "CPU ms per function, first call", "again"):
        table.add_column(name, justify="right")
    for name, score in scores.items():
        verdicts = [each for kind in score.found.values() for each in kind]
        cells = (f"{sum(verdicts)} of {len(verdicts)}" if verdicts else "not run", f"{len(score.alarms)} of {len(score.first)}")
        medians = (milliseconds(statistics.median(each)) for each in (score.first, score.again))
        table.add_row(name, *cells, *medians)
    return table


def by_kind(every: dict[str, Score]) -> Table:
    scores = {name: score for name, score in every.items() if score.found}
    table = Table(title="defects found, by kind", title_justify="left")
    table.add_column("kind")
    for number in range(1, len(scores) + 1):
        table.add_column(str(number), justify="right")
    for kind in KINDS:
        found = [score.found.get(kind, []) for score in scores.values()]
        if found[0]:
            table.add_row(f"{kind} ({len(found[0])})", *(str(sum(each)) for each in found))
    table.caption = "\n".join(f"{number}: {name}" for number, name in enumerate(scores, 1))
    table.caption_justify = "left"
    return table


def of_layers(backend: Backend, found: dict[str, dict[str, list[float]]]) -> Table:
    table = Table(title=f"{backend.name}: milliseconds of processor time per layer, first call / again", title_justify="left")
    table.add_column("checker")
    names = [name.partition(" (")[0] for name in next(iter(found.values()))]
    for name in names:
        table.add_column(name, justify="right")
    for label, row in found.items():
        cells = (" / ".join(map(milliseconds, each)) + (" fails" if "alarm" in name else "") for name, each in row.items())
        table.add_row(label, *cells)
    return table


# The directions.


@dataclass(frozen=True)
class Directions:
    """A way of drawing directions, how many, and how far apart two slopes may be."""

    name: str
    draw: Callable[[np.random.Generator, int], Array]
    count: int
    allowed: Callable[[Array], float]


def ways_of(unit_roundoff: float) -> list[Directions]:
    """The package's own, and others that one might take."""

    def quadrature(terms: Array) -> float:
        return float(of_differences(terms, unit_roundoff=unit_roundoff))

    def rademacher(rng: np.random.Generator, count: int) -> Array:
        return rng.choice((-1.0, 1.0), count)

    rtol = relative(unit_roundoff)
    return [
        Directions("3, signs and magnitudes, quadrature (ours)", lambda rng, n: signs(rng, (n,)), DIRECTIONS, quadrature),
        Directions("3 Rademacher, quadrature", rademacher, 3, quadrature),
        Directions("1 Rademacher, quadrature", rademacher, 1, quadrature),
        Directions("1 Gaussian, relative to the slope", _gaussian, 1, lambda terms: rtol * abs(float(np.sum(terms)))),
        Directions("3 non-negative, relative to the sum", _uniform, 3, lambda terms: rtol * float(np.sum(np.abs(terms)))),
    ]


def _gaussian(rng: np.random.Generator, count: int) -> Array:
    return rng.standard_normal(count)


def _uniform(rng: np.random.Generator, count: int) -> Array:
    return rng.random(count)


def relative(unit_roundoff: float) -> float:
    """How far off each numeric entry may be, relatively, for the package's tolerance."""
    return float(of_differences(np.ones(1), unit_roundoff=unit_roundoff)) / 2


def simulate(console: Console, dtype: str, *, entries: int = 256, draws: int = 1000, seed: int = 0) -> None:
    """Which share of wrong and of right gradients a way of choosing directions flags.

    The function is a sum of a_i sin(x_i), whose central differences are taken in float64 with the step of the package. "Noisy"
    adds to every entry of the numeric gradient the largest error that the tolerance is meant for, times a number from -1 to 1.
    """
    unit_roundoff = UNIT_ROUNDOFF[dtype]
    title = f"flagged of {draws:,} draws with {entries} entries; tolerance of {dtype}: {relative(unit_roundoff):.2g}"
    table = Table(title=title, title_justify="left")
    table.add_column("directions and tolerance")
    for name in CASES:
        table.add_column(name, justify="right")
    ways = ways_of(unit_roundoff)
    with bar(console) as progress:
        task = progress.add_task("directions", total=len(ways) * draws)
        for way in ways:
            flagged = dict.fromkeys(CASES, 0)
            rng = np.random.default_rng(seed)
            for _ in range(draws):
                for name, wrong in _simulated(way, rng, entries, relative(unit_roundoff)).items():
                    flagged[name] += wrong
                progress.advance(task)
            table.add_row(way.name, *(f"{each / draws:.1%}" for each in flagged.values()))
    console.print(table)


CASES = (
    "one entry wrong",
    "all 1 % off",
    "two equal entries turned",
    "correct",
    "correct, noisy",
)


def _simulated(way: Directions, rng: np.random.Generator, count: int, rtol: float) -> dict[str, bool]:
    x, a, exact = rng.standard_normal(count), rng.standard_normal(count), UNIT_ROUNDOFF["float64"]
    right = a * np.cos(x)
    # Two entries that are alike: a layer without weights has many.
    alike = np.array(right)
    alike[1] = alike[0]
    entry, turned = np.array(right), np.array(alike)
    entry[rng.integers(count)] = rng.standard_normal()
    turned[:2] *= -1
    noise = rtol * right * rng.uniform(-1, 1, count)
    drawn = [way.draw(rng, count) for _ in range(way.count)]
    found = dict.fromkeys(CASES, False)
    for u in drawn:
        line = Line(lambda xs: [a * np.sin(xs[0])], [x], index=0, direction=u, vs=[np.ones(count)], unit_roundoff=exact)
        numeric = line.central(best_step(exact))
        compared = (
            (numeric, entry),
            (numeric, 1.01 * right),
            (float(np.sum(alike * u)), turned),
            (numeric, right),
            (numeric + float(np.sum(noise * u)), right),
        )
        for name, (slope, gradient) in zip(CASES, compared, strict=True):
            terms = gradient * u
            found[name] |= not abs(slope - float(np.sum(terms))) <= way.allowed(terms)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulate", action="store_true", help="the directions and tolerances alone, without a framework")
    parser.add_argument("--only", choices=("functions", "layers"), help="a part")
    parser.add_argument("--seeds", type=int, default=1, help="of points and directions (default 1)")
    parser.add_argument("--every", type=int, default=1, help="of functions and defects only every so many-th (default 1)")
    given = parser.parse_args()
    console = Console(width=150)
    if given.simulate:
        for dtype in ("float64", "float32"):
            simulate(console, dtype)
        return
    name = os.environ.get("KERAS_BACKEND", "")
    if name not in THEIRS:
        raise DlcheckError(f"KERAS_BACKEND is {name!r}: one of {', '.join(THEIRS)}")
    backend = create(name, kinds_by_name(()), 1)
    backend.load()
    warnings.simplefilter("ignore")
    console.print(", ".join(f"{package} {version}" for package, version in versions(name).items()))
    if given.only != "layers":
        scores = run_functions(backend, console, range(given.seeds), given.every)
        console.print(of_scores(backend, scores))
        console.print(by_kind(scores))
        for each, score in scores.items():
            for what, names in (("missed", score.missed), ("false alarm", score.alarms)):
                for one in sorted(set(names)):
                    console.print(f"{each}: {what}: {one}", markup=False)
    if given.only != "functions":
        console.print(of_layers(backend, run_layers(backend, console)))


if __name__ == "__main__":
    main()
