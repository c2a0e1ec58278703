"""The harness on itself: what it finds of work that was planted, how often it is wrong, and what it costs.

    python docs/bench_power.py                        # a look: minutes
    python docs/bench_power.py --aa 200 --each 40     # in full: hours, on an idle machine
    python docs/bench_power.py --backend torch        # a Keras model in place of NumPy

It writes `report.md` and `samples.json` into the folder of `-o`.
"""

# ruff: noqa: T201 - a script
from __future__ import annotations

import argparse
import contextlib
import json
import math
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pytest_dlcheck.benchmark.comparison import AGAIN, REFERENCE, Comparison
from pytest_dlcheck.benchmark.paired import Plan, compare
from pytest_dlcheck.benchmark.plain import NAME, PlainBackend
from pytest_dlcheck.benchmark.planted import numpy_work
from pytest_dlcheck.benchmark.show import watched
from pytest_dlcheck.benchmark.sides import Side
from pytest_dlcheck.benchmark.statistics import INCONCLUSIVE, OK, REGRESSED
from pytest_dlcheck.benchmark.trainer import CPU, Clocks, Trainer
from pytest_dlcheck.benchmark.variation import Variation
from pytest_dlcheck.benchmark.verdicts import judge
from pytest_dlcheck.benchmark.workload import Workload
from pytest_dlcheck.devices import DeviceName, kinds_by_name
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.hardware import machine
from pytest_dlcheck.seeds import derive

ERROR = "error"
HOME = "pytest_dlcheck.benchmark.planted"
BUSY = "while True:\n    sum(range(10_000))\n"


@dataclass
class Case:
    """What is planted, and what should be said of it.

    Attributes:
        name: of the case.
        expected: the outcome.
        words: that a reason must begin with, where the step's verdict alone does not tell.
        options: of the side that is judged; `against`: of the other.
        busy: whether another process takes a processor meanwhile.
    """

    name: str
    expected: str
    options: dict[str, Any]
    against: dict[str, Any] = field(default_factory=dict)
    words: str = ""
    busy: bool = False


def _cases(backend: str) -> tuple[str, list[Case]]:
    if backend != NAME:
        more = [Case(f"+{5 * n} %", REGRESSED, {"layers": 40 + 2 * n}, {"layers": 40}) for n in (1, 2)]
        return f"{HOME}:keras_work", [Case("same", OK, {}), *more]
    base = {"products": 400, "building": 20_000, "compiling": 20_000}
    return f"{HOME}:numpy_work", [
        Case("same", OK, {}),
        Case("same, beside a busy process", OK, {}, busy=True),
        Case("+2 %", OK, {"products": 408}),
        Case("+5 %", REGRESSED, {"products": 420}),
        Case("+5 %, beside a busy process", REGRESSED, {"products": 420}, busy=True),
        Case("+10 %", REGRESSED, {"products": 440}),
        Case("compile +50 %", REGRESSED, {**base, "compiling": 30_000}, base, "compile"),
        Case("memory +20 %", REGRESSED, {"memory": 490}, {"memory": 400}, "memory"),
        Case("step -10 %, total slower", REGRESSED, {"products": 360, "building": 200_000}, {}, "step faster, total slower"),
        Case("a timer that does not wait", ERROR, {"asynchronous": 1}, {}, "the work goes on"),
    ]


@contextlib.contextmanager
def _competition(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", BUSY])  # noqa: S603 - our own interpreter
    try:
        yield
    finally:
        process.kill()
        process.wait()


@dataclass
class Seen:
    """What became of one comparison."""

    case: Case
    outcome: str
    why: Sequence[str]
    seconds: float
    comparison: Comparison | None

    @property
    def found(self) -> bool:
        return self.outcome == self.case.expected and any(self.case.words in line for line in self.why)

    @property
    def wrong(self) -> bool:
        """A verdict, and not the right one: no verdict is no help, and no harm."""
        return not self.found and self.outcome != INCONCLUSIVE


def _once(case: Case, workload: str, backend: str, number: int, budget_s: float) -> Seen:
    reference = Side("reference", None, backend, Variation(more=case.against))
    candidate = Side("candidate", None, backend, Variation(more=case.options))
    plan = Plan(
        workload,
        reference,
        candidate,
        device=DeviceName("cpu"),
        kinds=kinds_by_name(()),
        seed=derive(0, "bench_power", case.name, str(number)),
        budget_s=budget_s,
    )
    start = time.monotonic()
    with _competition(case.busy):
        try:
            with watched(plan) as say:
                found = compare(plan, say)
        except DlcheckError as error:
            return Seen(case, ERROR, [str(error)], time.monotonic() - start, None)
    verdicts = judge(found)
    return Seen(case, verdicts.outcome, verdicts.why, time.monotonic() - start, found)


def _step_of(seconds: float, clocks: Clocks) -> tuple[Workload, Any]:
    """A workload whose step takes about so long, with its model."""
    products = 400
    x = np.zeros((8, 1), np.float32)
    for _ in range(2):
        made = numpy_work(products=products, building=0, compiling=0, memory=1).make_model()
        takes = statistics.median(clocks.timed(partial(made.fit, x, None, batch_size=8)).cpu for _ in range(40))
        products = max(1, round(products * seconds / takes))
    workload = numpy_work(products=products, building=0, compiling=0, memory=1)
    return workload, workload.make_model()


def _overhead(step_ms: float = 8.0, pairs: int = 40) -> tuple[float, float, float]:
    """What the harness adds to a step: its blocks beside the same calls in a bare loop, in one process, in pairs.

    Returns the median difference by processor time in percent of the step, its interval, and the step in ms.
    """
    from pytest_dlcheck.benchmark.statistics import effect, log_ratios

    clocks = Clocks(CPU)
    workload, model = _step_of(step_ms / 1e3, clocks)
    trainer = Trainer(workload, model, PlainBackend({}), 1, clocks)
    trainer.first()
    length = 12
    trainer.prepare(length)
    x = workload.x[: 8 * (1 + length)]
    bare: list[float] = []
    ours: list[float] = []
    rng = random.Random(0)

    def run_bare() -> None:
        model.fit(x, None, batch_size=8)

    for _ in range(pairs):
        actions: list[Callable[[], None]] = [
            lambda: bare.append(clocks.timed(run_bare).cpu),
            lambda: ours.append(trainer.block()[1].cpu),
        ]
        rng.shuffle(actions)
        for action in actions:
            action()
    found = effect(log_ratios(bare, ours))
    return found.percent[1], max(map(abs, (found.percent[0], found.percent[2]))), 1e3 * statistics.median(bare) / (1 + length)


def _spreads(seen: Sequence[Seen]) -> tuple[float, float] | None:
    """Standard deviations of what A/A gives: blocks in pairs, and the same blocks as if one side had come after the other."""
    paired: list[float] = []
    sequential: list[float] = []
    for each in seen:
        for run in each.comparison.rounds if each.comparison is not None else ():
            try:
                paired.append(statistics.median(run.pairs(CPU).aa))
            except ValueError:
                continue
            one, other = run.runs[REFERENCE].per_step(CPU), run.runs[AGAIN].per_step(CPU)
            half = len(one) // 2
            sequential.append(math.log(statistics.median(other[half:]) / statistics.median(one[:half])))
    if len(paired) < 2:
        return None
    return statistics.pstdev(paired, 0.0), statistics.pstdev(sequential, 0.0)


def _report(seen: Sequence[Seen], backend: str, budget_s: float, overhead: tuple[float, float, float] | None) -> str:
    host = machine()
    lines = [
        "# The benchmark harness on itself",
        "",
        f"{host['cpu']}, {host['cores']} cores, {host['os']}, Python {host['python']}; {backend}; {budget_s:g} s at most.",
        "",
        "| planted | comparisons | as expected | wrong verdict | no verdict | seconds each |",
        "|---|---|---|---|---|---|",
    ]
    for case in dict.fromkeys(each.case.name for each in seen):
        own = [each for each in seen if each.case.name == case]
        counts = [sum(flag) for flag in zip(*((s.found, s.wrong, s.outcome == INCONCLUSIVE) for s in own), strict=True)]
        seconds = statistics.mean(each.seconds for each in own)
        lines.append(f"| {case} | {len(own)} | {counts[0]} | {counts[1]} | {counts[2]} | {seconds:.0f} |")
    alike = [each for each in seen if each.case.name == "same"]
    false = sum(each.outcome == REGRESSED for each in alike)
    lines += ["", f"False regressions: {false} of {len(alike)} comparisons of the same code (wanted: at most 0.5 %)."]
    spread = _spreads(alike)
    if spread is not None and spread[0]:
        lines.append(
            f"Spread of A/A, set by set: {100 * spread[0]:.2f} % in pairs, {100 * spread[1]:.2f} % one after the other "
            f"({spread[1] / spread[0]:.1f} times as much)."
        )
    if overhead is not None:
        lines.append(
            f"The harness adds {overhead[0]:+.2f} % to a step of {overhead[2]:.1f} ms (99 %: within {overhead[1]:.2f} %; "
            "wanted: less than 0.2 %, and a throughput within 1 % of a bare loop's)."
        )
    wrong = [f"- {each.case.name}: {each.outcome}: {'; '.join(each.why)}" for each in seen if not each.found]
    lines += ["", "What was not as expected:" if wrong else "All was as expected.", "", *wrong]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="The harness on itself.")
    parser.add_argument("--aa", type=int, default=2, help="comparisons of the same code")
    parser.add_argument("--each", type=int, default=1, help="comparisons of each other case")
    parser.add_argument("--budget", type=float, default=180.0, help="seconds for a comparison, at most")
    parser.add_argument("--backend", default=NAME, help="none (NumPy alone), tensorflow, jax or torch")
    parser.add_argument("--case", action="append", help="only these")
    parser.add_argument("-o", "--output", default="bench_power", help="folder of the report")
    options = parser.parse_args()
    workload, cases = _cases(options.backend)
    cases = [case for case in cases if not options.case or case.name in options.case]
    if not cases:
        parser.error(f"no such case; there are {', '.join(case.name for case in _cases(options.backend)[1])}")
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    overhead = _overhead() if options.backend == NAME and not options.case else None
    seen: list[Seen] = []
    plans = [(case, number) for case in cases for number in range(options.aa if case.name == "same" else options.each)]
    for done, (case, number) in enumerate(plans, 1):
        seen.append(_once(case, workload, options.backend, number, options.budget))
        last = seen[-1]
        print(f"{done} of {len(plans)}: {case.name}: {last.outcome} in {last.seconds:.0f} s: {'; '.join(last.why)}", flush=True)
        # After each, so that hours of measuring are not lost with the last of them.
        (folder / "report.md").write_text(_report(seen, options.backend, options.budget, overhead))
        samples = [
            {"case": s.case.name, "outcome": s.outcome, "comparison": s.comparison and s.comparison.dump()} for s in seen
        ]
        (folder / "samples.json").write_text(json.dumps(samples))
    print((folder / "report.md").read_text())
    sys.exit(1 if any(each.wrong for each in seen) else 0)


if __name__ == "__main__":
    main()
