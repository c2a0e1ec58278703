"""The host's side of peers, against programs that answer well and badly; no framework is needed."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

import pytest_dlcheck.peers.program
from pytest_dlcheck.environments import Environment
from pytest_dlcheck.peers.errors import PeerError
from pytest_dlcheck.peers.host import PROGRAM, Peer
from pytest_dlcheck.peers.process import Limits
from pytest_dlcheck.peers.program.wire import End, WireError, packed, receive, send

# A peer that does what the kind of a request says.
FAKE = f"""
import os, sys, time
sys.path.insert(0, {str(PROGRAM)!r})
from wire import PROTOCOL, End, receive, send
mode = os.environ.get("MODE", "")
source, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
if mode == "dies":
    sys.exit("no such library")
if mode == "hangs":
    time.sleep(600)
if mode == "prints":
    answers.write(b"Welcome to this Python!" + bytes(100))
    answers.flush()
if mode == "old":
    send(answers, {{"hello": 0}})
send(answers, {{"hello": PROTOCOL}})
while True:
    message = receive(source)
    if message is End:
        break
    number, kind, value = message["id"], message["kind"], message["value"]
    if kind == "echo":
        send(answers, {{"id": number, "part": 0, "value": value}})
    elif kind == "pid":
        send(answers, {{"id": number, "part": 0, "value": os.getpid()}})
    elif kind == "crash":
        send(answers, {{"id": number, "part": 0, "value": "before"}})
        print("about to abort", file=sys.stderr, flush=True)
        os.abort()
    elif kind == "exit":
        os._exit(7)
    elif kind == "sleep":
        time.sleep(value)
        send(answers, {{"id": number, "part": 0, "value": "late"}})
    elif kind == "garbage":
        answers.write(b"Hello, world, from below Python\\n")
        answers.flush()
        time.sleep(600)
    elif kind == "no answer":
        send(answers, "what")
    elif kind == "wrong part":
        send(answers, {{"id": number, "part": 3, "value": 0}})
    elif kind == "unknown request":
        send(answers, {{"id": 10**6, "part": 0, "value": 0}})
        send(answers, {{"id": number, "part": 0, "value": "mine"}})
    elif kind == "half":
        answers.write(b"dlc1\\x10")
        answers.flush()
        os._exit(1)
    elif kind == "flood":
        for _ in range(value):
            os.write(2, b"x" * 99 + b"\\n")
        send(answers, {{"id": number, "part": 0, "value": "flooded"}})
    send(answers, {{"id": number, "done": 1}})
"""

Make = Callable[..., Peer]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes a peer of the fake program, in a mode."""
    monkeypatch.setenv("DLCHECK_CACHE", str(tmp_path / "cache"))
    program = tmp_path / "fake.py"
    program.write_text(FAKE)
    made: list[Peer] = []

    def make(mode: str = "", **limits: Any) -> Peer:
        environment = Environment("fake", Path(sys.executable), variables=MappingProxyType({"MODE": mode}))
        made.append(Peer(environment, program=program, limits=Limits(**{"start_s": 30, "answer_s": 30, **limits})))
        return made[-1]

    yield make
    for peer in made:
        peer.close()


def fails(peer: Peer, kind: str, value: Any = None, timeout_s: float | None = None) -> PeerError:
    with pytest.raises(PeerError) as raised:
        peer.ask(kind, value, timeout_s)
    assert "\n" not in str(raised.value)
    return raised.value


# The wire.


def through(value: Any) -> Any:
    return receive(io.BytesIO(b"".join(packed(value))))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.arange(6).reshape(2, 3).T,
        np.array(3.5),
        np.zeros((0, 2), np.int64),
        np.array([True, False]),
        np.array([1 + 2j]),
        np.array([np.nan, np.inf], np.float16),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_arrive_as_they_were(array: np.ndarray) -> None:
    found = through({"a": [array, 1], "b": None})["a"][0]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)
    assert found.flags.writeable


def test_texts_and_plain_values_arrive() -> None:
    found = through(
        {"texts": np.array([["a", "ü"]], dtype=object), "number": np.float32(0.5), "pair": (1, "x"), "nan": float("nan")}
    )
    assert found["texts"].tolist() == [["a", "ü"]]
    assert found["number"] == 0.5
    assert found["pair"] == [1, "x"]
    assert found["nan"] != found["nan"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: b"Traceback (most recent call last)", "is no beginning of a message"),
        (lambda data: data[:-1], "ends in the middle"),
        (lambda data: data[:7], "ends in the middle"),
        (lambda data: data.replace(b'"<f4"', b'"|O8"'), "cannot be read"),
        (lambda data: data.replace(b"[2, 3]", b"[9, 9]"), "cannot be read"),
        (lambda data: data.replace(b"[2, 3]", b"[1, 3]"), "bytes too many"),
        (lambda data: data.replace(b'"$array": 0', b'"$array": 9'), "cannot be read"),
        (lambda data: data.replace(b'"value"', b'"vaule"'), "cannot be read"),
        (lambda data: data[:4] + b"\xff\xff\xff\xff" + data[8:], "is too long"),
    ],
)
def test_what_is_no_message(change: Callable[[bytes], bytes], said: str) -> None:
    data = b"".join(packed([np.zeros((2, 3), np.float32)]))
    assert change(data) != data
    with pytest.raises(WireError, match=said):
        receive(io.BytesIO(change(data)))


def test_the_end_and_what_cannot_be_sent() -> None:
    assert receive(io.BytesIO()) is End
    with pytest.raises(TypeError):
        send(io.BytesIO(), {"object": object()})
    with pytest.raises(TypeError, match="cannot be sent"):
        packed(np.array(["2020-01-01"], dtype="datetime64[D]"))


# A peer that behaves.


def test_started_once_and_asked_often(fake: Make) -> None:
    peer = fake()
    first = peer.ask("pid")
    assert peer.ask("pid") == first
    assert peer.ask("echo", {"x": np.eye(2)})[0]["x"].tolist() == [[1, 0], [0, 1]]
    assert peer.starts == 1


def test_several_requests_in_flight(fake: Make) -> None:
    peer = fake()
    big = np.zeros(2**18)
    numbers = [peer.submit("echo", [index, big]) for index in range(20)]
    assert [next(iter(peer.parts(number)))[0] for number in reversed(numbers)] == list(reversed(range(20)))


# And those that do not.


@pytest.mark.parametrize(
    ("mode", "kind", "said"),
    [
        ("dies", "start", "has ended at its start with status 1: no such library"),
        ("hangs", "start", "did not start within 2 s"),
        ("prints", "garbage", "wrote to its answers what is none: b'Welcome to this '"),
        ("old", "malformed", "begins with {'hello': 0} instead of hello 1"),
    ],
)
def test_one_that_never_is_ready(fake: Make, mode: str, kind: str, said: str) -> None:
    peer = fake(mode, start_s=2 if mode == "hangs" else 30)
    error = fails(peer, "echo")
    assert (error.kind, said in str(error)) == (kind, True), str(error)
    assert str(fails(peer, "echo")) == str(error)
    assert peer.starts == 1, "what does not come up is not started again and again"


def test_an_interpreter_that_is_gone(tmp_path: Path) -> None:
    peer = Peer(Environment("gone", tmp_path / "python"), log=tmp_path / "log")
    assert "peer gone does not start: No such file" in str(fails(peer, "echo"))


def test_a_crash_says_how_and_the_next_request_starts_anew(fake: Make) -> None:
    peer = fake()
    request = peer.parts(peer.submit("crash"))
    assert next(request) == "before", "what it answered before is not lost"
    with pytest.raises(PeerError, match="peer fake has ended by signal SIGABRT: about to abort") as raised:
        next(request)
    assert raised.value.kind == "crash"
    assert "about to abort" in Path(raised.value.log).read_text()
    assert peer.ask("echo", 1) == [1]
    assert "has ended with status 7" in str(fails(peer, "exit"))
    assert peer.ask("echo", 2) == [2]
    assert peer.starts == 3


def test_what_was_in_flight_is_lost_with_a_crash(fake: Make) -> None:
    peer = fake()
    doomed, behind = peer.submit("exit"), peer.submit("echo", 1)
    for number in (doomed, behind):
        with pytest.raises(PeerError, match="status 7"):
            list(peer.parts(number))
    assert peer.ask("echo", 1) == [1]


def test_restarts_are_limited(fake: Make) -> None:
    peer = fake(restarts=2)
    for _ in range(3):
        assert fails(peer, "exit").kind == "crash"
    error = fails(peer, "echo")
    assert error.kind == "given up"
    assert "was started 3 times and ended each time" in str(error)


def test_one_that_hangs_is_ended(fake: Make) -> None:
    peer = fake()
    pid = peer.ask("pid")[0]
    error = fails(peer, "sleep", 600, timeout_s=0.3)
    assert error.kind == "timeout"
    assert "did not answer within 0.3 s" in str(error)
    assert not Path(f"/proc/{pid}").exists()
    assert peer.ask("echo", 1) == [1]


def test_an_answer_that_nobody_waits_for_is_dropped(fake: Make) -> None:
    assert fake().ask("unknown request") == ["mine"]


@pytest.mark.parametrize(
    ("request_kind", "kind", "said"),
    [
        ("garbage", "garbage", "wrote to its answers what is none: b'Hello, world, fr'"),
        ("no answer", "malformed", "answered with something that belongs to no request: what"),
        ("wrong part", "malformed", "and part 0 was due"),
        ("half", "crash", "has ended with status 1"),
    ],
)
def test_answers_that_are_none(fake: Make, request_kind: str, kind: str, said: str) -> None:
    peer = fake()
    error = fails(peer, request_kind)
    assert (error.kind, said in str(error)) == (kind, True), str(error)
    assert peer.ask("echo", 1) == [1], "a new one answers"


def test_one_that_floods_its_log_does_not_fill_the_disk(fake: Make) -> None:
    peer = fake(log=20_000)
    assert peer.ask("flood", 50_000) == ["flooded"]
    peer.close()
    logs = list(peer._log_path().parent.glob("fake-*"))
    assert logs
    assert 0 < sum(each.stat().st_size for each in logs) <= 20_000 + 2 * 65_536


# The program itself, as far as it goes without a framework.


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Peer]]:
    monkeypatch.setenv("DLCHECK_CACHE", str(tmp_path / "cache"))
    made: list[Peer] = []

    def make(python: str = sys.executable, **limits: Any) -> Peer:
        made.append(Peer(Environment("real", Path(python)), limits=Limits(**limits)))
        return made[-1]

    yield make
    for peer in made:
        peer.close()


def test_the_program_echoes_and_refuses(real: Callable[..., Peer]) -> None:
    peer = real()
    assert peer.ask("echo", {"a": [1, None]}) == [{"a": [1, None]}]
    error = fails(peer, "sing")
    assert error.kind == "refused"
    assert "there is no request 'sing', only cases, echo, versions" in str(error)
    assert peer.ask("echo", 1) == [1]
    assert peer.starts == 1, "a refusal is no crash"


def test_the_program_ends_with_its_host(tmp_path: Path) -> None:
    host = f"""
import os, sys
from pathlib import Path
from pytest_dlcheck.environments import Environment
from pytest_dlcheck.peers.host import Peer
peer = Peer(Environment("orphan", Path(sys.executable)), log=Path({str(tmp_path / "log")!r}))
peer.ask("echo")
print(peer._process.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    said = subprocess.run([sys.executable, "-c", host], capture_output=True, text=True, check=False, timeout=60)
    pid = int(said.stdout)
    end = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert not Path(f"/proc/{pid}").exists()


def test_the_memory_limit_holds(real: Callable[..., Peer]) -> None:
    peer = real(memory=300 * 2**20)
    error = fails(peer, "echo", np.zeros(2**28, np.int8))
    assert error.kind in {"crash", "refused"}
    assert peer.ask("echo", 1) == [1]


@pytest.mark.parametrize("file", sorted(PROGRAM.glob("*.py")), ids=lambda file: file.name)
def test_the_program_is_old_python_and_imports_nothing_of_ours(file: Path) -> None:
    import ast

    assert pytest_dlcheck.peers.program.__file__ is not None
    tree = ast.parse(file.read_text(), feature_version=(3, 6))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    mine = {each.stem for each in PROGRAM.glob("*.py")}
    allowed = mine | {"numpy", *sys.stdlib_module_names}
    assert imported <= allowed, imported - allowed
    assert "__future__" not in imported, "annotations of Python 3.7"
