"""How many cases of layers the suites judge per second, and how much of that time is the framework's own.

`python docs/rates.py tensorflow` runs the cases that `--dl-profile smoke` draws, of every layer and group of modes, in this
one process; name layers to run only those. The share is that of a bare loop which makes the same calls: building,
calling, tracing, saving and loading layers, and moving arrays to the framework and back. The rest is drawing, references,
tolerances and judging. An example is a case or a further set of values that went through the case's layer.

`python docs/rates.py tensorflow --values Dense LSTM` says how many sets of values go through one compiled signature of a
layer's simplest case and are judged, per second, and what share of that time is the framework's.
"""

from __future__ import annotations

import functools
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

from pytest_dlcheck.backends import create, versions
from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.cases.case import Case
from pytest_dlcheck.checking import Judged, LayerCheck, judge_case
from pytest_dlcheck.devices import kinds_by_name
from pytest_dlcheck.effort import EXAMPLES
from pytest_dlcheck.known_issues import known_issues
from pytest_dlcheck.observe.layer_runner import LayerRunner
from pytest_dlcheck.properties.layers.catalogue import GROUPS, of_group
from pytest_dlcheck.seeds import derive
from pytest_dlcheck.strategies.draw import simplest_case
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import World

COLUMNS = (
    "backend",
    "group",
    "cases",
    "cases per second",
    "examples per second",
    "framework calls per case",
    "share of the time that is the framework's",
)


class Clock:
    """Adds up the time inside the functions that it wraps, the outermost only."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0
        self._inside = False

    def wrap(self, owner: Any, name: str, *, gives_a_function: bool = False) -> None:
        """Replaces `owner.name`; what it returns is wrapped, too, if that is the function to be timed."""
        function = getattr(owner, name)
        if gives_a_function:

            @functools.wraps(function)
            def giving(*args: Any, **kwargs: Any) -> Any:
                found = function(*args, **kwargs)
                return found and self.timed(found)

            setattr(owner, name, giving)
        else:
            setattr(owner, name, self.timed(function))

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time added up."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return function(*args, **kwargs)
            self._inside = True
            self.calls += 1
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start
                self._inside = False

        return timed


def framework_clock(backend: Backend) -> Clock:
    clock, keras = Clock(), backend.keras
    wrapped: list[tuple[Any, tuple[str, ...]]] = [
        (keras.layers.Layer, ("__call__",)),
        (keras.Model, ("save", "save_weights", "load_weights")),
        (keras.models, ("load_model",)),
        (keras.saving, ("serialize_keras_object", "deserialize_keras_object")),
        (LayerRunner, ("construct",)),
        (type(backend), ("put", "to_numpy")),
    ]
    for owner, names in wrapped:
        for name in names:
            clock.wrap(owner, name)
    for name in ("graph", "compiled"):
        clock.wrap(type(backend), name, gives_a_function=True)
    return clock


def checked(backend: Backend, name: str, group: str) -> tuple[int, int]:
    """Checks one layer as the smoke profile does; gives the number of cases and of further sets of values."""
    spec, installed = SPECS[name], versions(backend.name)
    kind = getattr(backend.keras.layers, name, None)
    if kind is None or spec.abstract or spec.requires or (spec.backends and backend.name not in spec.backends):
        return 0, 0
    known: Callable[[str], Any] = lambda wanted: known_issues(spec.subject, wanted, backend.name, installed)  # noqa: E731
    world = World.of(backend.name, installed["keras"], kind, "cpu")
    check = LayerCheck(spec, backend, world, group, seed=derive(0, spec.subject, group), effort=EXAMPLES["smoke"], known=known)
    check.run()
    return check.drawn, check.further


def values_per_second(backend: Backend, name: str, clock: Clock, count: int = 1000) -> str:
    """A row: the rate of sets of values through one compiled signature, and the share of the time that is the framework's."""
    spec, keras = SPECS[name], versions(backend.name)["keras"]
    world = World.of(backend.name, keras, getattr(backend.keras.layers, name), "cpu")
    seen: list[float] = []

    def tell(number: int, case: Case, said: Judged) -> None:
        del number, case
        assert {verdict.outcome for verdict in said.values()} == {"pass"}
        if not seen:  # from here on everything is compiled
            clock.seconds = 0.0
        seen.append(time.perf_counter())

    case = simplest_case(spec, world)
    judge_case(spec, case, backend, world, of_group("compiled"), values=count + 1, tell=tell)
    total = seen[-1] - seen[0]
    return f"| {backend.name} | {name} | {count} | {count / total:.0f} | {clock.seconds / total:.0%} |"


def main() -> None:
    backend = create(sys.argv[1], kinds_by_name(()), 1)
    backend.load()
    warnings.simplefilter("ignore")
    clock = framework_clock(backend)
    if "--values" in sys.argv:
        print("| backend | layer | sets of values | per second | share of the framework |\n|---|---|---|---|---|")  # noqa: T201
        for name in [each for each in sys.argv[2:] if each != "--values"]:
            print(values_per_second(backend, name, clock), flush=True)  # noqa: T201
        return
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")  # noqa: T201
    for group in GROUPS:
        clock.seconds, clock.calls, cases, further = 0.0, 0, 0, 0
        start = time.perf_counter()
        for name in sys.argv[2:] or SPECS:
            drawn, more = checked(backend, name, group)
            cases, further = cases + drawn, further + more
        total = time.perf_counter() - start
        if clock.calls:
            examples = f"{(cases + further) / total:.1f}"
            rates = (f"{cases / total:.1f}", examples, f"{clock.calls / cases:.0f}", f"{clock.seconds / total:.0%}")
            cells = (backend.name, group, cases, *rates)
            print(f"| {' | '.join(map(str, cells))} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
