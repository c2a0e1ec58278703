"""From the options to a session that is ready to collect."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pytest_dlcheck import __version__
from pytest_dlcheck.backends import versions
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.items import Facts
from pytest_dlcheck.options import Plan, asked_backends, plan_run
from pytest_dlcheck.run import RUN, Run

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

__all__ = [
    "choose_before_conftests",
    "configure_worker",
    "header",
    "products",
    "register_collector",
    "start",
]

# A worker's memory of who it works for.
PLAN_KEY = "dlcheck"
CHANNEL_KEY = "dlcheck_channel"


def choose_before_conftests(early_config: pytest.Config) -> None:
    """Sets KERAS_BACKEND for the one backend that is asked for, before a conftest.py imports Keras.

    What is wrong with the options is said later, in one line, by `start`.
    """
    asked = early_config.known_args_namespace.dl_backend or early_config.getini("dl_backend")
    if not asked or "keras" in sys.modules or os.environ.get("PYTEST_XDIST_WORKER"):
        return
    try:
        names, _ = asked_backends(asked)
    except DlcheckError:
        return
    os.environ["KERAS_BACKEND"] = names[0]


def start(config: pytest.Config) -> Run:
    """The session's state, with xdist's and pytest-benchmark's options set for it.

    Raises:
        DlcheckError: the options name something unknown, missing or contradictory.
    """
    workerinput: dict[str, Any] | None = getattr(config, "workerinput", None)
    if workerinput is not None and PLAN_KEY in workerinput:
        return _start_worker(config, workerinput)
    run = Run(config, plan_run(config))
    _arrange_workers(run)
    return run


def _start_worker(config: pytest.Config, workerinput: dict[str, Any]) -> Run:
    plan = Plan.load(json.loads(workerinput[PLAN_KEY]))
    backend = os.environ.get("KERAS_BACKEND")
    if backend not in plan.backends:
        backend = plan.backends[0] if plan.backends else None
    # Timed tests are the controller's; here they are only collected.
    config.option.benchmark_disable = True
    config.option.benchmark_enable = False
    return Run(config, plan, worker_backend=backend, channel=workerinput[CHANNEL_KEY])


def _arrange_workers(run: Run) -> None:
    """Decides between one process and several, and sets what pytest-xdist and pytest-benchmark go by."""
    config, option = run.config, run.config.option
    several = len(run.plan.backends) > 1
    run.benchmarks_disabled = bool(config.getoption("benchmark_disable", False)) and not config.getoption(
        "benchmark_enable", False
    )
    if not config.pluginmanager.hasplugin("xdist"):
        if several and not option.collectonly:
            raise DlcheckError(
                "several backends need pytest-xdist, which is switched off: drop '-p no:xdist', or name one backend"
            )
        return
    if option.collectonly:
        return
    if config.getoption("benchmark_only", False):
        # Timed tests run one at a time in any case, and nothing else is to run.
        option.numprocesses, option.dist, option.tx = 0, "no", []
        return
    if several and option.numprocesses != 0 and not option.usepdb:
        from pytest_dlcheck.routing import distribute

        run.workers = distribute(config, run.plan.backends)
    if option.numprocesses or option.dist != "no" or option.distload:
        # pytest-benchmark would only warn that it switches itself off; the timed tests switch it on for themselves.
        option.benchmark_disable, option.benchmark_enable = True, False


def configure_worker(node: WorkerController) -> None:
    """Gives a worker that is about to start the plan, and a channel beside xdist's own."""
    run: Run = node.config.stash[RUN]
    channel = node.gateway.newchannel()

    def receive(message: tuple[str, Any]) -> None:  # in execnet's thread: note it, and no more
        kind, content = message
        if kind == "facts":
            run.facts[node] = [Facts.load(values) for values in content]
        else:
            run.fatal.append(content)

    channel.setcallback(receive)
    node.workerinput[PLAN_KEY] = json.dumps(run.plan.dump())
    node.workerinput[CHANNEL_KEY] = channel


def register_collector(config: pytest.Config, *, needed: bool) -> None:
    """Lets the one process that sees every result keep them, once some of ours may come.

    Args:
        config: pytest's.
        needed: whether there are tests of ours; what the options or the workers say counts too.
    """
    run = config.stash.get(RUN, None)
    if run is None or run.is_worker or run.collector is not None or config.option.collectonly:
        return
    if not (needed or run.plan.chosen or run.plan.report or run.plan.history or run.is_controller):
        return
    from pytest_dlcheck.report.collect import Collector

    run.collector = Collector(run)
    config.pluginmanager.register(run.collector, "dlcheck-collector")
    if config.option.verbose >= 0:
        from pytest_dlcheck.progress import Progress

        config.pluginmanager.register(Progress(run), "dlcheck-progress")


def products(run: Run) -> dict[str, dict[str, str]]:
    """The versions that each backend of the run consists of, read without importing any."""
    return {name: versions(name) for name in run.plan.backends}


def header(run: Run) -> list[str]:
    """What is about to run, in one line or two."""
    plan = run.plan
    if not plan.chosen:
        return [f"dlcheck: {__version__}, backend {plan.backends[0] if plan.backends else 'none'}, seed {plan.seed}"]
    parts: dict[str, str] = {}
    for found in products(run).values():
        parts |= found
    devices = dict.fromkeys(device.id for chosen in plan.devices.values() for device in chosen)
    lines = [
        f"dlcheck: {__version__}, backends {', '.join(plan.backends)}, devices {', '.join(devices)}, "
        f"profile {plan.profile}, seed {plan.seed}",
        f"dlcheck: {', '.join(f'{name} {version}' for name, version in parts.items())}",
    ]
    lines += [f"dlcheck: {name} is left out: {reason}" for name, reason in plan.left_out.items()]
    return lines
