"""What happens while tests are collected: which ones there are, where each runs, and which are left."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import pytest

from pytest_dlcheck import backends
from pytest_dlcheck.devices import DeviceName
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.items import Facts, applies, facts_of, matches
from pytest_dlcheck.run import RUN, Run

if TYPE_CHECKING:
    from pytest_dlcheck.options import Plan

__all__ = ["FACTS", "mark", "parametrize", "select", "tell_controller"]

FACTS = pytest.StashKey[Facts]()
KNOWN_ISSUE = pytest.StashKey[str]()

KIND_FIXTURES = ("cpu", "gpu", "tpu")
# Stands for the backend in the id of a test that cannot run, since there is none.
NO_BACKEND = "none"


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Gives a test that uses our fixtures its backends and devices: `[jax-cpu]`, or `[jax]` if it asks for no device."""
    names = metafunc.fixturenames
    if "_dl_backend" not in names:
        return
    plan = metafunc.config.stash[RUN].plan
    names_of_backends = plan.backends or (NO_BACKEND,)
    # Always indirect: a parameter that is not would silently take the place of the fixture.
    if "_dl_device" not in names:
        metafunc.parametrize("_dl_backend", names_of_backends, indirect=True, scope="session")
        return
    pairs = [(backend, device) for backend in names_of_backends for device in _devices(plan, backend, names)]
    metafunc.parametrize(
        ("_dl_backend", "_dl_device"),
        pairs,
        indirect=True,
        ids=[f"{backend}-{device.id}" for backend, device in pairs],
        scope="session",
    )


def _devices(plan: Plan, backend: str, fixturenames: Sequence[str]) -> Sequence[DeviceName]:
    chosen = plan.devices.get(backend) or (DeviceName("cpu"),)
    kinds = [kind for kind in KIND_FIXTURES if kind in fixturenames]
    if not kinds:
        return chosen
    # Of a kind that is not part of the run one remains, and its fixture says so when it skips the test.
    return [device for kind, device in product(kinds, chosen) if device.kind == kind] or [DeviceName(kinds[0])]


def mark(item: pytest.Item) -> None:
    """Tells pytest-benchmark that the samples of a timed test are replayed, not measured by it."""
    if "throughput" in getattr(item, "fixturenames", ()):
        from pytest_dlcheck.benchmark.replay import ReplayClock

        chosen = item.get_closest_marker("benchmark")
        kwargs = {**(chosen.kwargs if chosen is not None else {}), "timer": ReplayClock()}
        # Before the test's own mark, whose settings it takes over: pytest-benchmark reads the first one only.
        item.add_marker(pytest.mark.benchmark(**kwargs), append=False)


def select(run: Run, items: list[pytest.Item]) -> bool:
    """Keeps the tests that were asked for and exist, and marks those that this process cannot run.

    Returns whether any of them runs on a backend.

    Raises:
        DlcheckError: a marker is written wrongly, no subject matches, or a test needs a backend and there is none.
    """
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        facts = facts_of(item)
        item.stash[FACTS] = facts
        (kept if applies(item, facts.backend) and matches(facts.subject, run.plan.subjects) else dropped).append(item)
    if run.plan.subjects and items and not kept:
        subjects = sorted({facts.subject for item in items if (facts := item.stash[FACTS]).subject is not None})
        raise DlcheckError(
            f"--dl-subject: no test of {' or '.join(run.plan.subjects)} among those collected; "
            f"there are {', '.join(subjects) or 'none that name a subject'}"
        )
    if run.plan.problem is not None and any(item.stash[FACTS].backend for item in kept):
        raise DlcheckError(run.plan.problem)
    if dropped:
        run.config.hook.pytest_deselected(items=dropped)
        items[:] = kept
    for item in kept:
        _skip_where_impossible(run, item)
    _expect_known_failures([item for item in kept if item.stash[FACTS].backend and item.stash[FACTS].property])
    return any(item.stash[FACTS].backend for item in kept)


def _skip_where_impossible(run: Run, item: pytest.Item) -> None:
    facts = item.stash[FACTS]
    if facts.backend == "numpy" and (facts.timed or item.get_closest_marker("dl_trains")):
        item.add_marker(pytest.mark.skip(reason="Keras on NumPy only runs forward, and the test trains"))
    if run.is_worker or run.workers or facts.timed or facts.backend in (None, run.current_backend):
        return
    item.add_marker(
        pytest.mark.skip(
            reason=f"{facts.backend} needs a process of its own: -n0 and --pdb run the first backend, {run.current_backend}"
        )
    )


def _expect_known_failures(items: Sequence[pytest.Item]) -> None:
    """Marks the tests that fail in what is installed, as the register says."""
    if not items:
        return
    from pytest_dlcheck.known_issues import known_issue
    from pytest_dlcheck.properties.verdict import PropertyFailed

    versions = {name: backends.versions(name) for name in backends.BACKENDS}
    for item in items:
        facts = item.stash[FACTS]
        if "dl_findings" in getattr(item, "fixturenames", ()):
            continue  # it judges many cases, each of which the register may or may not speak of
        installed = versions.get(facts.backend or "", {})
        issue = known_issue(facts.subject, facts.property, facts.backend, installed, found=backends.importable)
        if issue is not None:
            item.stash[KNOWN_ISSUE] = issue.link
            item.add_marker(pytest.mark.xfail(reason=issue.told(), raises=PropertyFailed, strict=True))


def tell_controller(session: pytest.Session) -> None:
    """In a worker, sends the controller what it must know of each test."""
    run = session.config.stash[RUN]
    if run.channel is not None:
        run.channel.send(("facts", [item.stash[FACTS].dump() for item in session.items]))
