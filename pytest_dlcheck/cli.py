"""`dlcheck`: what happens before, between and after runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from pytest_dlcheck import __version__
from pytest_dlcheck.commands import COMMANDS as HERE
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.history.cli import COMMANDS as OF_HISTORY

__all__ = ["main", "parser_of_commands"]


def parser_of_commands() -> argparse.ArgumentParser:
    """Knows every subcommand; what one does is `call` of what it gives."""
    parser = argparse.ArgumentParser(
        prog="dlcheck", description="Checks how a deep-learning framework behaves and how fast it trains."
    )
    parser.add_argument("--version", action="version", version=f"dlcheck {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, (text, description, add) in {**HERE, **OF_HISTORY}.items():
        add(commands.add_parser(name, help=text, description=description))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; gives the exit status."""
    options = parser_of_commands().parse_args(arguments)
    try:
        return int(options.call(options))
    except DlcheckError as error:
        print(f"dlcheck: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
