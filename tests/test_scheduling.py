"""The scheduler alone, with workers that only note what they are sent."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from pytest_dlcheck.items import Facts
from pytest_dlcheck.routing import BackendScheduling, worker_backends


class Worker:
    """As much of xdist's WorkerController as a scheduler sees."""

    def __init__(self, name: str, backend: str | None) -> None:
        self.name = name
        self.gateway = SimpleNamespace(spec=SimpleNamespace(env={"KERAS_BACKEND": backend} if backend else {}))
        self.sent: list[int] = []
        self.shutting_down = False

    def __repr__(self) -> str:
        return self.name

    def send_runtest_some(self, indices: list[int]) -> None:
        assert not self.shutting_down, "a test was sent to a worker that had been told to end"
        self.sent += indices

    def shutdown(self) -> None:
        self.shutting_down = True


def items(**counts: int) -> list[Facts]:
    """So many tests per backend, with 'plain' for tests of none and 'timed' for timed ones."""
    made = []
    for name, count in counts.items():
        backend = {"plain": None, "timed": "jax"}.get(name, name)
        made += [Facts(f"t.py::test_{name}{i}", backend, None, None, None, None, name == "timed") for i in range(count)]
    return made


def scheduling(workers: list[Worker], facts: list[Facts], default: str | None = None) -> BackendScheduling:
    """A scheduler whose workers have all collected the same tests."""
    made = BackendScheduling(len(workers), dict.fromkeys(workers, facts), default)
    for worker in workers:
        made.add_node(worker)
    for worker in workers:
        assert not made.collection_is_completed
        made.add_node_collection(worker, [each.nodeid for each in facts])
    assert made.collection_is_completed
    made.schedule()
    return made


def work(made: BackendScheduling, workers: list[Worker], seed: int = 0) -> dict[str, list[str]]:
    """Lets the workers run what they were sent, in a random order among each other; gives who ran what."""
    rng = random.Random(seed)
    ran: dict[str, list[str]] = {worker.name: [] for worker in workers}

    def may_run(worker: Worker) -> bool:
        # A worker starts a test once it knows the next one, or that there is none.
        return len(made._running[worker]) >= (1 if worker.shutting_down or made.tests_finished else 2)

    while ready := [worker for worker in workers if may_run(worker)]:
        worker = rng.choice(ready)
        nodeid = made._running[worker][0]
        ran[worker.name].append(nodeid)
        made.mark_test_complete(worker, made._index[worker][nodeid])
    return ran


@pytest.mark.parametrize("seed", range(20))
def test_every_test_runs_once_on_its_backend(seed: int) -> None:
    facts = items(tensorflow=7, jax=12, torch=1, plain=5)
    workers = [Worker("a", "tensorflow"), Worker("b", "jax"), Worker("c", "torch"), Worker("d", "jax")]
    made = scheduling(workers, facts)

    ran = work(made, workers, seed)

    assert sorted(nodeid for each in ran.values() for nodeid in each) == sorted(each.nodeid for each in facts)
    backend = {each.nodeid: each.backend for each in facts}
    for worker in workers:
        assert {backend[nodeid] for nodeid in ran[worker.name]} <= {worker.gateway.spec.env["KERAS_BACKEND"], None}
    assert made.tests_finished
    assert all(worker.shutting_down for worker in workers)


def test_workers_of_one_backend_get_stretches_of_neighbours() -> None:
    facts = items(jax=20)
    workers = [Worker("a", "jax"), Worker("b", "jax")]
    made = scheduling(workers, facts)

    assert [workers[0].sent, workers[1].sent] == [[0, 1], [10, 11]]
    ran = work(made, workers)
    positions = [[int(nodeid.split("jax")[1]) for nodeid in ran[w.name]] for w in workers]
    assert positions[0][:5] == [0, 1, 2, 3, 4]
    assert positions[1][:5] == [10, 11, 12, 13, 14]


def test_an_idle_worker_takes_over_from_a_busy_one() -> None:
    facts = items(jax=20)
    workers = [Worker("a", "jax"), Worker("b", "jax")]
    made = scheduling(workers, facts)
    # Worker b never gets on; a runs all that b has not begun.
    while made._running[workers[0]]:
        made.mark_test_complete(workers[0], made._index[workers[0]][made._running[workers[0]][0]])
    assert sorted(workers[0].sent) == [*range(10), *range(12, 20)]
    assert workers[1].sent == [10, 11]


def test_a_worker_without_tests_is_told_to_end() -> None:
    workers = [Worker("a", "tensorflow"), Worker("b", "torch")]
    scheduling(workers, items(tensorflow=3))
    assert workers[1].shutting_down


def test_timed_tests_are_left_to_the_controller() -> None:
    facts = items(jax=2, timed=3)
    workers = [Worker("a", "jax")]
    made = scheduling(workers, facts)
    ran = work(made, workers)
    assert ran["a"] == ["t.py::test_jax0", "t.py::test_jax1"]
    assert list(made.timed) == [f"t.py::test_timed{i}" for i in range(3)]
    assert made.collected == 5


def test_what_a_dead_worker_leaves_waits_for_its_successor() -> None:
    facts = items(tensorflow=4, jax=5)
    dead, other = Worker("a", "jax"), Worker("b", "tensorflow")
    made = scheduling([dead, other], facts)

    assert made.remove_node(dead) == "t.py::test_jax0"
    work(made, [other])
    assert not made.tests_finished
    successor = Worker("c", "jax")
    made.add_node(successor)
    made.add_node_collection(successor, [each.nodeid for each in facts])
    assert made.collection_is_completed
    made._facts[successor] = facts
    made.schedule()
    assert work(made, [successor])["c"] == [f"t.py::test_jax{i}" for i in (1, 2, 3, 4)]
    assert made.tests_finished


def test_a_worker_that_dies_before_it_collects_holds_nobody_up() -> None:
    facts = items(jax=2, torch=1)
    alive, dead, successor = Worker("a", "jax"), Worker("b", "torch"), Worker("c", "torch")
    made = BackendScheduling(2, {alive: facts, successor: facts}, None)
    made.add_node(alive)
    made.add_node(dead)
    made.add_node_collection(alive, [each.nodeid for each in facts])
    assert made.remove_node(dead) is None
    assert not made.collection_is_completed
    made.add_node(successor)
    made.add_node_collection(successor, [each.nodeid for each in facts])
    made.schedule()
    ran = work(made, [alive, successor])
    assert ran == {"a": ["t.py::test_jax0", "t.py::test_jax1"], "c": ["t.py::test_torch0"]}


def test_workers_may_collect_in_different_orders() -> None:
    facts = items(jax=2, torch=2)
    a, b = Worker("a", "jax"), Worker("b", "torch")
    made = BackendScheduling(2, {a: facts, b: facts[::-1]}, None)
    for worker, seen in ((a, facts), (b, facts[::-1])):
        made.add_node(worker)
        made.add_node_collection(worker, [each.nodeid for each in seen])
    made.schedule()
    assert sorted(work(made, [a, b])["b"]) == ["t.py::test_torch0", "t.py::test_torch1"]


def test_workers_of_no_particular_backend_run_the_only_one() -> None:
    workers = [Worker("a", None), Worker("b", None)]
    made = scheduling(workers, items(jax=6, plain=2), default="jax")
    assert sum(map(len, work(made, workers).values())) == 8


def test_a_test_that_is_to_run_again_goes_to_its_backend() -> None:
    facts = items(jax=3, torch=3)
    workers = [Worker("a", "jax"), Worker("b", "torch")]
    made = scheduling(workers, facts)
    made.mark_test_complete(workers[1], workers[1].sent[0])
    made.mark_test_pending("t.py::test_torch0")
    ran = work(made, workers)
    assert ran["b"].count("t.py::test_torch0") == 1
    assert not [nodeid for nodeid in ran["a"] if "torch" in nodeid]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (None, ["tensorflow", "jax", "torch"]),
        (1, ["tensorflow", "jax", "torch"]),
        (5, ["tensorflow", "jax", "torch", "tensorflow", "jax"]),
    ],
)
def test_every_backend_gets_a_worker_and_the_first_get_more(count: int | None, expected: list[str]) -> None:
    assert worker_backends(("tensorflow", "jax", "torch"), count) == expected
