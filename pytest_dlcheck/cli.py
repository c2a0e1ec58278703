"""`dlcheck`: what happens before and between runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from pytest_dlcheck import __version__
from pytest_dlcheck.errors import DlcheckError

__all__ = ["main"]

HISTORY = ("track", "alerts", "dashboard", "bisect")


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
    replay.add_argument("--property", default=None, help="only this one; status 2 if it cannot be judged here")
    register = commands.add_parser(
        "register",
        help="which known issues show here, whatever versions they name",
        description="Runs the cases that are kept with the register's entries. Status 1 if one that should fail here does not.",
    )
    register.add_argument("entry", nargs="*", help="ids, with * and ? for any (default: all)")
    register.add_argument("--backend", default=None, help="on which backend (default: the first that is installed)")
    register.add_argument("--json", metavar="PATH", default=None, help="write what was seen as JSON")
    _add_history(commands)
    options = parser.parse_args(arguments)
    try:
        if options.command == "replay":
            from pytest_dlcheck.replay import replay as run_again

            return run_again(options.case, options.backend, options.device, options.property)
        if options.command == "register":
            from pytest_dlcheck.register import examine as look_at

            return look_at(options.entry, options.backend, options.json)
        if options.command in HISTORY:
            return int(options.call(options))
        from pytest_dlcheck.doctor import examine

        return examine(options.backend, as_json=options.json)
    except DlcheckError as error:
        print(f"dlcheck: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _add_history(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands on what happened between runs."""
    from pytest_dlcheck.history import cli

    for name, (text, description, add) in cli.COMMANDS.items():
        add(commands.add_parser(name, help=text, description=description))


if __name__ == "__main__":
    sys.exit(main())
