"""The state of one pytest session: what the hooks in `plugin` act on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pytest_dlcheck import backends
from pytest_dlcheck.items import Facts
from pytest_dlcheck.options import Plan

if TYPE_CHECKING:
    from pytest_dlcheck.backends.base import Backend
    from pytest_dlcheck.benchmark.client import Stopwatch
    from pytest_dlcheck.report.collect import Collector
    from pytest_dlcheck.routing import BackendScheduling

__all__ = ["RUN", "Run", "Verdicts"]

RUN = pytest.StashKey["Run"]()


class Verdicts:
    """What the properties of one test said, for the report; kept in the test's stash while it runs."""

    def __init__(self) -> None:
        self.outcome: str | None = None
        self.messages: list[str] = []
        self.measurements: list[dict[str, Any]] = []
        self.findings: list[dict[str, Any]] = []


VERDICTS = pytest.StashKey[Verdicts]()


class Run:
    """One session in one process: the only one, the controller of several workers, or a worker.

    Args:
        config: pytest's.
        plan: what was asked for.
        worker_backend: in a worker, the backend that it was started for.
        channel: in a worker, the way to the controller beside xdist's own.
    """

    def __init__(self, config: pytest.Config, plan: Plan, *, worker_backend: str | None = None, channel: Any = None) -> None:
        self.config = config
        self.plan = plan
        self.worker_backend = worker_backend
        self.channel = channel
        # In a controller of several backends, the backend of each worker.
        self.workers: Sequence[str] = ()
        # In a controller, what each worker said of its tests, and what made one give up.
        self.facts: dict[Any, list[Facts]] = {}
        self.fatal: list[str] = []
        self.scheduler: BackendScheduling | None = None
        # Where results arrive, who keeps them.
        self.collector: Collector | None = None
        self.stopwatch: Stopwatch | None = None
        # Whether the user, and not our routing, switched pytest-benchmark off.
        self.benchmarks_disabled = False
        self._backends: dict[str, Backend] = {}

    @property
    def is_worker(self) -> bool:
        return hasattr(self.config, "workerinput")

    @property
    def is_controller(self) -> bool:
        return not self.is_worker and self.config.getoption("dist", "no") != "no"

    @property
    def current_backend(self) -> str | None:
        """The backend of this process; the controller of several has none."""
        if self.worker_backend is not None:
            return self.worker_backend
        if self.workers or not self.plan.backends:
            return None
        return self.plan.backends[0]

    def backend(self, name: str) -> Backend:
        """The backend of that name in this process."""
        if name not in self._backends:
            self._backends[name] = backends.create(name, self.plan.kinds, self.plan.cpu_devices)
        return self._backends[name]

    def give_up(self, reason: str) -> None:
        """Ends the whole run, not only this test: what was asked for cannot be tested."""
        if self.channel is not None:
            self.channel.send(("fatal", reason))
        pytest.exit(reason, returncode=pytest.ExitCode.USAGE_ERROR)

    def refuse(self, reason: str) -> None:
        """Ends the run before any test: it was asked for something that cannot be."""
        if self.is_worker:
            self.give_up(reason)
        raise pytest.UsageError(reason)

    def say(self, line: str) -> None:
        """One line among pytest's own, unless it was told to be quiet."""
        reporter = self.config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and self.config.option.verbose >= 0:
            writer = self.config.get_terminal_writer()
            if writer.width_of_current_line:  # among the dots
                writer.line()
            reporter.write_line(f"dlcheck: {line}")
            sys.stdout.flush()
