"""Sends every test to a worker of its backend. Used in the controller of a run with pytest-xdist; imports no framework."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.items import Facts

if TYPE_CHECKING:
    import pytest
    from xdist.workermanage import WorkerController

__all__ = ["BackendScheduling", "backend_of", "distribute", "worker_backends"]

# xdist's worker starts a test only once it knows the next one, or that there is none.
IN_FLIGHT = 2
RESTARTS_PER_WORKER = 4


def worker_backends(backends: Sequence[str], count: int | None) -> list[str]:
    """The backend of each worker: `count` workers, the first backends getting those that do not divide; at least one each."""
    return list(islice(cycle(backends), max(count or 0, len(backends))))


def distribute(config: pytest.Config, backends: Sequence[str]) -> list[str]:
    """Sets xdist's options so that it starts workers for several backends; gives the backend of each.

    Raises:
        DlcheckError: the options contradict each other.
    """
    option = config.option
    if option.dist not in ("no", "load") and not option.distload:
        raise DlcheckError(
            f"--dist {option.dist} cannot be combined with several backends: each test goes to a worker of its own backend"
        )
    count = option.numprocesses
    if count in ("auto", "logical"):
        count = config.hook.pytest_xdist_auto_num_workers(config=config)
    if count is not None and option.tx:
        raise DlcheckError("-n and --tx contradict each other: -n starts workers here, --tx says where")
    if count is not None and option.maxprocesses:
        count = min(count, option.maxprocesses)
    chosen = worker_backends(backends, count)
    specs = [(template, backend) for template in option.tx or ["popen"] for backend in chosen]
    threads = _threads(len(specs))
    option.tx = ["//".join([template, f"env:KERAS_BACKEND={backend}", *threads]) for template, backend in specs]
    option.numprocesses = None
    option.dist = "load"
    if option.maxworkerrestart is None:
        # xdist sets no limit of its own when --tx is given, and a backend that dies at start would be restarted for ever.
        option.maxworkerrestart = str(RESTARTS_PER_WORKER * len(specs))
    return [backend for _, backend in specs]


def _threads(workers: int) -> list[str]:
    """Limits each worker to its share of the cores: threads of one that wait busily would take them from the others."""
    share = max(1, (os.cpu_count() or 1) // workers)
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    return [f"env:{name}={share}" for name in names if name not in os.environ]


def backend_of(node: WorkerController, default: str | None) -> str | None:
    """The backend that a worker was started for."""
    environment: dict[str, str] = getattr(node.gateway.spec, "env", {})
    return environment.get("KERAS_BACKEND", default)


class BackendScheduling:
    """A scheduler for xdist (see `xdist.scheduler.protocol.Scheduling`).

    Every worker collects all tests; each test runs once, on a worker of its backend, and one that needs no backend on any.
    A backend's workers each get a stretch of consecutive tests, so that what neighbours share (a session-scoped fixture, a
    trained model) is made once; one that has finished takes over from the end of the longest stretch that is left. Timed
    tests are left to the controller.
    """

    def __init__(self, expected: int, facts: dict[Any, list[Facts]], default: str | None) -> None:
        """
        Args:
            expected: how many workers will collect.
            facts: what each worker has said of its tests, filled in before it reports its collection.
            default: the backend of workers that were started for none in particular.
        """
        self._expected = expected
        self._facts = facts
        self._default = default
        self._index: dict[WorkerController, dict[str, int]] = {}
        self._nodeids: dict[WorkerController, Sequence[str]] = {}
        self._running: dict[WorkerController, list[str]] = {}
        self._stretch: dict[WorkerController, deque[str]] = {}
        # Tests that wait for a worker: of no backend, or whose worker died.
        self._loose: dict[str | None, deque[str]] = {}
        self._backend: dict[str, str | None] = {}
        self._started = False
        self.timed: dict[str, Facts] = {}

    # What xdist asks.

    @property
    def nodes(self) -> list[WorkerController]:
        return list(self._running)

    @property
    def collection_is_completed(self) -> bool:
        return len(self._index) >= self._expected

    @property
    def has_pending(self) -> bool:
        return self._waiting > 0 or any(self._running.values())

    @property
    def tests_finished(self) -> bool:
        return (
            self.collection_is_completed
            and self._started
            and not self._waiting
            and all(len(running) < IN_FLIGHT for running in self._running.values())
        )

    def add_node(self, node: WorkerController) -> None:
        self._running[node] = []
        self._stretch[node] = deque()

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        self._index[node] = {nodeid: index for index, nodeid in enumerate(collection)}
        self._nodeids[node] = collection
        # A worker whose tests say nothing of themselves runs them all the same.
        self._facts.setdefault(node, [Facts.plain(nodeid) for nodeid in collection])

    def schedule(self) -> None:
        if not self._started:
            self._started = True
            self._share_out()
        for node in self.nodes:
            self._refill(node)

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        self._running[node].remove(self._nodeids[node][item_index])
        self._refill(node)

    def mark_test_pending(self, item: str) -> None:
        self._loose.setdefault(self._backend[item], deque()).appendleft(item)
        for node in self.nodes:
            self._refill(node)

    def remove_pending_tests_from_node(self, node: WorkerController, indices: Sequence[int]) -> None:
        raise NotImplementedError("tests are never taken back from a worker")

    def remove_node(self, node: WorkerController) -> str | None:
        """Forgets a worker; gives the test that it was running if it died in one. The others wait for its successor."""
        running = self._running.pop(node)
        left = [*running[1:], *self._stretch.pop(node)]
        self._loose.setdefault(backend_of(node, self._default), deque()).extend(left)
        self._index.pop(node, None)
        self._expected -= node in self._nodeids
        for other in self.nodes:
            self._refill(other)
        return running[0] if running else None

    # How it is done.

    @property
    def collected(self) -> int:
        """How many different tests there are, over all workers."""
        return len(self._backend)

    @property
    def _waiting(self) -> int:
        return sum(map(len, self._stretch.values())) + sum(map(len, self._loose.values()))

    def _share_out(self) -> None:
        queues: dict[str | None, list[str]] = {}
        for node in self._index:
            for facts in self._facts.get(node, ()):
                if facts.nodeid in self._backend:
                    continue
                self._backend[facts.nodeid] = facts.backend
                if facts.timed:
                    self.timed[facts.nodeid] = facts
                else:
                    queues.setdefault(facts.backend, []).append(facts.nodeid)
        workers = Counter(backend_of(node, self._default) for node in self._index)
        for backend, queue in queues.items():
            nodes = [node for node in self._index if backend_of(node, self._default) == backend]
            if not workers[backend]:
                self._loose[backend] = deque(queue)
                continue
            for position, node in enumerate(nodes):
                start, end = (len(queue) * part // len(nodes) for part in (position, position + 1))
                self._stretch[node].extend(queue[start:end])

    def _next(self, node: WorkerController) -> str | None:
        backend = backend_of(node, self._default)
        if self._stretch[node]:
            return self._stretch[node].popleft()
        for loose in (self._loose.get(backend), self._loose.get(None)):
            if loose:
                return loose.popleft()
        longest = max(self._same_backend(backend), key=lambda other: len(self._stretch[other]), default=node)
        return self._stretch[longest].pop() if self._stretch[longest] else None

    def _same_backend(self, backend: str | None) -> Iterable[WorkerController]:
        return (other for other in self._stretch if backend_of(other, self._default) == backend)

    def _refill(self, node: WorkerController) -> None:
        if node.shutting_down or not self._started or node not in self._index:
            return
        while len(self._running[node]) < IN_FLIGHT:
            nodeid = self._next(node)
            if nodeid is None:
                node.shutdown()
                return
            self._running[node].append(nodeid)
            node.send_runtest_some([self._index[node][nodeid]])
