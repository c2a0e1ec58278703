"""What `gradient_functions.py` and `gradient_layers.py` share: gradient checkers, ours and the frameworks', and their timing.

A checker finds a defect when it raises or reports anything at all; the same of a correct function is a false alarm.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pytest_dlcheck.backends import create, versions
from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.devices import kinds_by_name
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.gradients.autodiff import autodiff_of
from pytest_dlcheck.gradients.outcome import GradientsWrong
from pytest_dlcheck.gradients.program import Array

__all__ = [
    "Checker",
    "Findings",
    "Subject",
    "backend_of_environment",
    "bar",
    "every_checker",
    "forget",
    "milliseconds",
    "repeated",
    "timed",
]

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


def every_checker(backend: Backend) -> list[Checker]:
    """Ours, then the framework's."""
    return [*own_checkers(backend), *THEIRS[backend.name](backend)]


# Runs.


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


def milliseconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def backend_of_environment(console: Console) -> Backend:
    """The backend that `KERAS_BACKEND` names, loaded, its versions printed."""
    name = os.environ.get("KERAS_BACKEND", "")
    if name not in THEIRS:
        raise DlcheckError(f"KERAS_BACKEND is {name!r}: one of {', '.join(THEIRS)}")
    backend = create(name, kinds_by_name(()), 1)
    backend.load()
    warnings.simplefilter("ignore")
    console.print(", ".join(f"{package} {version}" for package, version in versions(name).items()))
    return backend
