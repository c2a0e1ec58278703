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
    _add_env(commands)
    _add_merge(commands)
    _add_record(commands)
    _add_diff(commands)
    _add_power(commands)
    _add_bench(commands)
    options = parser.parse_args(arguments)
    try:
        if options.command == "power":
            from pytest_dlcheck.power.measuring import power

            return power(options.folder, options.bug, getattr(options, "with"), options.profile, options.output)
        if options.command == "diff":
            from pytest_dlcheck.records.diff import diff

            return diff(options)
        if options.command == "record":
            from pytest_dlcheck.records.recording import record

            return record(options.output, options.python, **_drawing(options))
        if options.command == "merge":
            from pytest_dlcheck.report.merge import merge

            return merge(options.report, options.output)
        if options.command == "replay":
            from pytest_dlcheck.replay import replay as run_again

            return run_again(options.case, options.backend, options.device)
        if options.command == "register":
            from pytest_dlcheck.register import examine as look_at

            return look_at(options.entry, options.backend, options.json)
        if options.command == "env":
            from pytest_dlcheck.environments.command import run as run_env

            return run_env(options)
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


def _add_env(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    env = commands.add_parser(
        "env",
        help="other products by name: lists, makes and removes their environments",
        description="Environments that [tool.dlcheck.peers] names, or that names like tf2.18 and keras3.5-jax stand for.",
    )
    actions = env.add_subparsers(dest="action", required=True, metavar="action")
    actions.add_parser("list", help="those that are there, and those that this project names")
    make = actions.add_parser("make", help="makes some, so that no later run waits for it")
    make.add_argument("name", nargs="+", help="as in [tool.dlcheck.peers], or like tf2.18")
    prune = actions.add_parser("prune", help="removes those that were not used for long, and half-made ones")
    prune.add_argument("--unused-days", type=float, default=30, metavar="N", help="unused for N days (default: %(default)s)")
    prune.add_argument("--all", action="store_true", help="all of them")


def _add_merge(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    merge = commands.add_parser(
        "merge",
        help="several reports as one, subjects by products",
        description="Makes one report of several: what fails in exactly one product first. Reports of one product that judge "
        "different things, as tox writes them, become one product.",
    )
    merge.add_argument("report", nargs="+", help="a folder that --dl-report wrote, or its report.json")
    merge.add_argument("-o", "--output", metavar="DIR", required=True, help="where to write the merged report")


def _add_record(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    record = commands.add_parser(
        "record",
        help="what this product does, in a small file to compare with later",
        description="Runs cases of every layer and function, and keeps what came of them: values, shapes, dtypes, errors, "
        "defaults, configs, weights, random numbers and gradients. `dlcheck diff` compares two such files.",
    )
    record.add_argument("-o", "--output", metavar="FILE", required=True, help="where to write it")
    record.add_argument("--python", metavar="PATH", default=None, help="of another interpreter than this one")
    _add_drawing(record)


def _add_power(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    power = commands.add_parser(
        "power",
        help="how many real bugs of released versions the suites find",
        description="Runs the suites on the bad and on the good version of each bug of a folder, restricted to its subject: "
        "which were found, by what, which were missed, and what failed on a good version.",
    )
    power.add_argument("folder", help="one folder a bug, each with a meta.json")
    power.add_argument("bug", nargs="*", help="ids, with * and ? for any (default: all)")
    power.add_argument(
        "--with", metavar="REQUIREMENT=PYTHON", action="append", default=[], help="an interpreter to use, as keras==3.14.1=PATH"
    )
    power.add_argument("--profile", choices=("smoke", "default", "nightly"), default="default", help="(default: default)")
    power.add_argument("-o", "--output", metavar="FILE", default=None, help="writes the table as Markdown")


def _add_diff(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    diff = commands.add_parser(
        "diff",
        help="what changed between two versions",
        description="Compares two records, two reports or two environments, or one with the other: what changed, who is hurt "
        "by it, and a script for each. Status 0 if nothing changed, 1 if something did.",
    )
    diff.add_argument("old", help="a record, a report, python:PATH, 'here', or the name of an environment")
    diff.add_argument("new", nargs="?", default=None, help="the same (default: this environment)")
    diff.add_argument("-o", "--output", metavar="DIR", default=None, help="writes a page, Markdown, JSON and the scripts there")
    _add_drawing(diff)


def _drawing(options: argparse.Namespace) -> dict[str, Any]:
    return {"globs": options.subject, "backend": options.backend, "seed": options.seed, "profile": options.profile}


def _add_drawing(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--subject", metavar="GLOB", action="append", default=[], help="only these, as keras.layers.Conv* (repeatable)"
    )
    command.add_argument("--backend", default=None, help="on which backend (default: the first that is installed)")
    command.add_argument("--seed", type=int, default=0, help="of everything that is drawn (default: 0)")
    command.add_argument(
        "--profile", choices=("smoke", "default", "nightly"), default="smoke", help="how much (default: smoke)"


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
