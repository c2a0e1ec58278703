"""The other product: what it is, and cases asked of it."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_dlcheck.environments import Environment, same_versions
from pytest_dlcheck.environments.environment import Interpreter, product
from pytest_dlcheck.peers.answers import Answer, answers
from pytest_dlcheck.peers.host import Peer
from pytest_dlcheck.peers.translation import Translation, translation_of
from pytest_dlcheck.subjects.spec import World

__all__ = ["Product"]


def _here() -> Environment:
    """What this process runs in."""
    version = ".".join(map(str, sys.version_info[:3]))
    backend = os.environ.get("KERAS_BACKEND")
    paths = tuple(each for each in sys.path if each)
    return Environment("this product", Path(sys.executable), backend=backend, interpreter=Interpreter(version, paths))


class Product:
    """A peer, and what it said of itself.

    Args:
        environment: of the product.
        peer: that runs there; by default one of its own.
    """

    def __init__(self, environment: Environment, peer: Peer | None = None) -> None:
        self.environment = environment
        self.peer = peer or Peer(environment)

    @property
    def name(self) -> str:
        """By which it was asked for."""
        return self.environment.name

    @cached_property
    def versions(self) -> Mapping[str, str]:
        """What is installed there."""
        return self.environment.versions()

    @cached_property
    def said(self) -> Mapping[str, str]:
        """What it says of itself: `generation`, `backend`, `keras`. Imports its framework.

        Raises:
            PeerError: it cannot.
        """
        (found,) = self.peer.ask("versions")
        return dict(found)

    @property
    def backend(self) -> str:
        """What its Keras runs on."""
        return self.said["backend"]

    @property
    def table(self) -> Translation:
        """From the words of cases to its own."""
        return translation_of(self.said["generation"])

    def told(self) -> str:
        """What it is, in a line, and whether it is anything else than this product."""
        found = f"{self.name}, {self.said['generation']} on {self.backend} ({product(self.versions)})"
        same = same_versions(_here(), self.environment)
        return found if same is None else f"{found}; {same}"

    def world(self, here: World) -> World:
        """What specs may ask about it; of the constructors' parameters what is known here."""
        numbers = tuple(int(part) for part in self.said["keras"].split(".")[:3] if part.isdigit())
        return dataclasses.replace(here, backend=self.backend, keras=numbers)

    def ask(self, items: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """What it makes of cases.

        Raises:
            PeerError: it answers no more.
        """
        return answers(self.peer, items)
