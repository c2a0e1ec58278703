"""`dlcheck`: what happens before and between runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from pytest_dlcheck import __version__
from pytest_dlcheck.errors import DlcheckError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; gives the exit status."""
    parser = argparse.ArgumentParser(
        prog="dlcheck", description="Checks how a deep-learning framework behaves and how fast it trains."
    )
    parser.add_argument("--version", action="version", version=f"dlcheck {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    doctor = commands.add_parser(
        "doctor",
        help="what this machine offers, and why the rest is missing",
        description="Asks each backend, in a process of its own, which devices it finds; says what is missing, and why.",
    )
    doctor.add_argument("--json", action="store_true", help="as JSON, for other programs")
    doctor.add_argument(
        "--backend", metavar="NAMES", default=None, help="only these, separated by commas (default: all that there are)"
    )
    replay = commands.add_parser(
        "replay",
        help="runs a stored case again",
        description="Runs a case from a report's folder `cases`; says what each property makes of it. Status 1 if one fails.",
    )
    replay.add_argument("case", help="the JSON file")
    replay.add_argument("--backend", default=None, help="on which backend (default: the one that it was stored for)")
    replay.add_argument("--device", default=None, help="on which device (default: the one that it was stored for)")
    register = commands.add_parser(
        "register",
        help="which known issues show here, whatever versions they name",
        description="Runs the cases that are kept with the register's entries. Status 1 if one that should fail here does not.",
    )
    register.add_argument("entry", nargs="*", help="ids, with * and ? for any (default: all)")
    register.add_argument("--backend", default=None, help="on which backend (default: the first that is installed)")
    register.add_argument("--json", metavar="PATH", default=None, help="write what was seen as JSON")
    _add_bench(commands)
    options = parser.parse_args(arguments)
    try:
        if options.command == "replay":
            from pytest_dlcheck.replay import replay as run_again

            return run_again(options.case, options.backend, options.device)
        if options.command == "register":
            from pytest_dlcheck.register import examine as look_at

            return look_at(options.entry, options.backend, options.json)
        if options.command == "bench":
            return _bench(options)
        from pytest_dlcheck.doctor import examine

        return examine(options.backend, as_json=options.json)
    except DlcheckError as error:
        print(f"dlcheck: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _add_bench(commands: Any) -> None:
    bench = commands.add_parser(
        "bench",
        help="how fast workloads train, and whether slower than elsewhere",
        description="Times training in pairs of processes. Status 1 for a confirmed regression, 3 where there is no verdict.",
    )
    add = bench.add_argument
    add("workload", nargs="*", help="documented models, or package.module:function (default: every documented model)")
    add("--backend", default=None, help="of the side that is judged (default: KERAS_BACKEND, or the first that is installed)")
    add("--against", metavar="NAME", default=None, help="the environment that is held against, as in 'tf2.18'")
    add("--python", metavar="PATH", default=None, help="the interpreter of the environment that is held against")
    add("--against-backend", metavar="NAME", default=None, help="the backend that is held against")
    add(
        "--option", metavar="K=V", action="append", default=[], help="batch, dtype, jit, steps_per_execution, or the workload's"
    )
    add("--against-option", metavar="K=V", action="append", default=[], help="where the side that is held against differs")
    add("--budget", metavar="TIME", default="3m", help="how long a workload may take: 90s, 3m, 1h (default: 3m)")
    add("--steps", type=int, default=1000, help="how many steps the total is of (default: 1000)")
    add("--device", default="cpu", help="cpu, gpu, gpu:1 (default: cpu)")
    add("--seed", type=int, default=0, help="of data, weights and the order of the sides (default: 0)")
    add("--json", metavar="PATH", default=None, help="write everything that was measured as JSON")
    add(
        "-o", "--output", metavar="DIR", default=None, help="write that, a page with charts, and github-action-benchmark's JSON"
    )


def _bench(options: argparse.Namespace) -> int:
    from pytest_dlcheck.benchmark.command import Asked, bench
    from pytest_dlcheck.options import duration_s

    return bench(
        Asked(
            workloads=options.workload,
            backend=options.backend,
            against=options.against,
            python=options.python,
            against_backend=options.against_backend,
            options=options.option,
            against_options=options.against_option,
            budget_s=duration_s(options.budget, "--budget"),
            device=options.device,
            seed=options.seed,
            steps=options.steps,
            json_path=options.json,
            folder=options.output,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
