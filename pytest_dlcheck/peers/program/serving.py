"""Answers one request after another, until there are no more."""

import gc
import platform
from typing import Any, BinaryIO, Callable, Dict, Iterator, Optional

from generations import Generation, present
from running import Runner
from wire import PROTOCOL, End, receive, send

__all__ = ["serve"]


class Server:
    """The kinds of requests, a method each; what one yields is sent at once, and so not lost if what follows crashes."""

    def __init__(self) -> None:
        self._generation: Optional[Generation] = None
        self._runner: Optional[Runner] = None

    def _loaded(self) -> Generation:
        """The framework is imported when it is first needed."""
        if self._generation is None:
            self._generation = present()
            gc.collect()
            if hasattr(gc, "freeze"):  # Python 3.7
                gc.freeze()
        return self._generation

    def echo(self, value: Any) -> Iterator[Any]:
        """What it was given."""
        yield value

    def versions(self, value: Any) -> Iterator[Any]:
        """Which product this is: imports the framework."""
        found = self._loaded()
        yield {
            "python": platform.python_version(),
            "generation": found.name,
            "backend": found.backend,
            "keras": found.version,
        }

    def cases(self, value: Any) -> Iterator[Any]:
        """What each case of a list gives."""
        if self._runner is None:
            self._runner = Runner(self._loaded())
        for item in value:
            yield self._runner.answer(item)


def serve(source: BinaryIO, answers: BinaryIO) -> None:
    """Says hello and answers until the source ends.

    Args:
        source: of messages `{"id": ..., "kind": ..., "value": ...}`.
        answers: to which goes, for each, every part as `{"id", "part", "value"}`, then `{"id", "done"}` or `{"id", "error"}`.
    """
    server = Server()
    kinds: Dict[str, Callable[..., Any]] = {"echo": server.echo, "versions": server.versions, "cases": server.cases}
    send(answers, {"hello": PROTOCOL, "python": platform.python_version()})
    while True:
        message = receive(source)
        if message is End:
            return
        number, kind = message["id"], message["kind"]
        if kind not in kinds:
            send(answers, {"id": number, "error": "there is no request %r, only %s" % (kind, ", ".join(sorted(kinds)))})
            continue
        count = 0
        try:
            for part in kinds[kind](message["value"]):
                send(answers, {"id": number, "part": count, "value": part})
                count += 1
        except Exception as error:
            send(answers, {"id": number, "error": "%s: %s" % (type(error).__name__, error)})
        else:
            send(answers, {"id": number, "done": count})
