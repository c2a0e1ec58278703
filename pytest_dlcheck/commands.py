"""The subcommands of `dlcheck`: name, help, description, and what adds the arguments. What they do is imported when run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from pytest_dlcheck.errors import DlcheckError

__all__ = ["COMMANDS"]

Parser = argparse.ArgumentParser
Options = argparse.Namespace


def _add_doctor(command: Parser) -> None:
    command.add_argument("--json", action="store_true", help="as JSON, for other programs")
    command.add_argument(
        "--backend", metavar="NAMES", default=None, help="only these, separated by commas (default: all that there are)"
    )
    command.set_defaults(call=_doctor)


def _doctor(options: Options) -> int:
    from pytest_dlcheck.doctor import examine

    return examine(options.backend, as_json=options.json)


def _add_replay(command: Parser) -> None:
    command.add_argument("case", help="the JSON file")
    command.add_argument("--backend", default=None, help="on which backend (default: the one that it was stored for)")
    command.add_argument("--device", default=None, help="on which device (default: the one that it was stored for)")
    command.add_argument("--property", default=None, help="only this one; status 2 if it cannot be judged here")
    command.set_defaults(call=_replay)


def _replay(options: Options) -> int:
    from pytest_dlcheck.replay import replay

    return replay(options.case, options.backend, options.device, options.property)


def _add_register(command: Parser) -> None:
    command.add_argument("entry", nargs="*", help="ids, with * and ? for any (default: all)")
    command.add_argument("--backend", default=None, help="on which backend (default: the first that is installed)")
    command.add_argument("--json", metavar="PATH", default=None, help="write what was seen as JSON")
    command.set_defaults(call=_register)


def _register(options: Options) -> int:
    from pytest_dlcheck.register import examine

    return examine(options.entry, options.backend, options.json)


def _add_env(command: Parser) -> None:
    actions = command.add_subparsers(dest="action", required=True, metavar="action")
    actions.add_parser("list", help="those that are there, and those that this project names")
    make = actions.add_parser("make", help="makes some, so that no later run waits for it")
    make.add_argument("name", nargs="+", help="as in [tool.dlcheck.peers], or like tf2.18")
    prune = actions.add_parser("prune", help="removes those that were not used for long, and half-made ones")
    prune.add_argument("--unused-days", type=float, default=30, metavar="N", help="unused for N days (default: %(default)s)")
    prune.add_argument("--all", action="store_true", help="all of them")
    command.set_defaults(call=_env)


def _env(options: Options) -> int:
    from pytest_dlcheck.environments.command import run

    return run(options)


def _add_merge(command: Parser) -> None:
    command.add_argument(
        "report", nargs="+", help="a folder that --dl-report wrote, its report.json, a folder of such folders; or histories"
    )
    command.add_argument(
        "-o", "--output", metavar="PATH", required=True, help="a folder for the merged report, or a history to add to"
    )
    command.set_defaults(call=_merge)


def _merge(options: Options) -> int:
    from pytest_dlcheck.history.joining import is_history, join
    from pytest_dlcheck.report.merge import merge

    histories = [each for each in options.report if is_history(each)]
    if not histories:
        return merge(options.report, options.output)
    if len(histories) < len(options.report):
        raise DlcheckError(
            f"{histories[0]} is a history, and others are none: merge one or the other, and `dlcheck track` reports"
        )
    print(f"{options.output}: {join(histories, options.output)} runs are new")  # noqa: T201 - the command's answer
    return 0


def _add_drawing(command: Parser) -> None:
    command.add_argument(
        "--subject", metavar="GLOB", action="append", default=[], help="only these, as keras.layers.Conv* (repeatable)"
    )
    command.add_argument("--backend", default=None, help="on which backend (default: the first that is installed)")
    command.add_argument("--seed", type=int, default=0, help="of everything that is drawn (default: 0)")
    command.add_argument(
        "--profile", choices=("smoke", "default", "nightly"), default="smoke", help="how much (default: smoke)"
    )


def _add_record(command: Parser) -> None:
    command.add_argument("-o", "--output", metavar="FILE", required=True, help="where to write it")
    command.add_argument("--python", metavar="PATH", default=None, help="of another interpreter than this one")
    _add_drawing(command)
    command.set_defaults(call=_record)


def _record(options: Options) -> int:
    from pytest_dlcheck.records.recording import record

    drawing: dict[str, Any] = {
        "globs": options.subject,
        "backend": options.backend,
        "seed": options.seed,
        "profile": options.profile,
    }
    return record(options.output, options.python, **drawing)


def _add_diff(command: Parser) -> None:
    command.add_argument("old", help="a record, a report, python:PATH, 'here', or the name of an environment")
    command.add_argument("new", nargs="?", default=None, help="the same (default: this environment)")
    command.add_argument(
        "-o", "--output", metavar="DIR", default=None, help="writes a page, Markdown, JSON and the scripts there"
    )
    _add_drawing(command)
    command.set_defaults(call=_diff)


def _diff(options: Options) -> int:
    from pytest_dlcheck.records.diff import diff

    return diff(options)


def _add_power(command: Parser) -> None:
    command.add_argument("folder", help="one folder a bug, each with a meta.json")
    command.add_argument("bug", nargs="*", help="ids, with * and ? for any (default: all)")
    command.add_argument(
        "--with", metavar="REQUIREMENT=PYTHON", action="append", default=[], help="an interpreter to use, as keras==3.14.1=PATH"
    )
    command.add_argument("--profile", choices=("smoke", "default", "nightly"), default="default", help="(default: default)")
    command.add_argument("-o", "--output", metavar="FILE", default=None, help="writes the table as Markdown")
    command.set_defaults(call=_power)


def _power(options: Options) -> int:
    from pytest_dlcheck.power.measuring import power

    return power(options.folder, options.bug, getattr(options, "with"), options.profile, options.output)


def _add_bench(command: Parser) -> None:
    add = command.add_argument
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
    command.set_defaults(call=_bench)


def _bench(options: Options) -> int:
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


COMMANDS: Mapping[str, tuple[str, str, Callable[[Parser], None]]] = {
    "doctor": (
        "what this machine offers, and why the rest is missing",
        "Asks each backend, in a process of its own, which devices it finds; says what is missing, and why.",
        _add_doctor,
    ),
    "replay": (
        "runs a stored case again",
        "Runs a case from a report's folder `cases`; says what each property makes of it. Status 1 if one fails.",
        _add_replay,
    ),
    "register": (
        "which known issues show here, whatever versions they name",
        "Runs the cases that are kept with the register's entries. Status 1 if one that should fail here does not.",
        _add_register,
    ),
    "env": (
        "other products by name: lists, makes and removes their environments",
        "Environments that [tool.dlcheck.peers] names, or that names like tf2.18 and keras3.5-jax stand for.",
        _add_env,
    ),
    "merge": (
        "several reports as one, subjects by products",
        "Makes one report of several: what fails in exactly one product first. Reports of one product that judge different "
        "things, as tox writes them, become one product.",
        _add_merge,
    ),
    "record": (
        "what this product does, in a small file to compare with later",
        "Runs cases of every layer and function, and keeps what came of them: values, shapes, dtypes, errors, defaults, "
        "configs, weights, random numbers and gradients. `dlcheck diff` compares two such files.",
        _add_record,
    ),
    "diff": (
        "what changed between two versions",
        "Compares two records, two reports or two environments, or one with the other: what changed, who is hurt by it, and a "
        "script for each. Status 0 if nothing changed, 1 if something did.",
        _add_diff,
    ),
    "power": (
        "how many real bugs of released versions the suites find",
        "Runs the suites on the bad and on the good version of each bug of a folder, restricted to its subject: which were "
        "found, by what, which were missed, and what failed on a good version.",
        _add_power,
    ),
    "bench": (
        "how fast workloads train, and whether slower than elsewhere",
        "Times training in pairs of processes. Status 1 for a confirmed regression, 3 where there is no verdict.",
        _add_bench,
    ),
}
