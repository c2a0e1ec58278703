"""`python -m pytest_dlcheck.records.recorder`: the process of a product that answers what it does.

Each line of its standard input is a request in JSON, each line of its answer, on what was its standard output, the reply. It
imports NumPy, the framework and the light part of this package; Python 3.10 and later.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["main"]


class Recorder:
    """Answers requests; the backend is loaded with the first one."""

    def __init__(self) -> None:
        self._backend: Any = None

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The reply to one request: `product`, `parameters` or `case`."""
        found: dict[str, Any] = getattr(self, f"_{request['do']}")(request)
        return found

    def _product(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Loads the backend, and says which versions it is."""
        import platform

        import numpy as np

        from pytest_dlcheck.backends import create
        from pytest_dlcheck.devices import kinds_by_name

        backend = self._backend = create(str(request["backend"]), kinds_by_name(()))
        backend.load()
        return {
            "backend": backend.name,
            backend.name: str(backend.framework.__version__),
            "keras": str(backend.keras.__version__),
            "numpy": str(np.__version__),
            "python": platform.python_version(),
            "machine": platform.machine(),
            "os": f"{platform.system()} {platform.release()}",
        }

    def _parameters(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of these subjects, or why there is no such subject."""
        from pytest_dlcheck.records.observing import parameters_of
        from pytest_dlcheck.subjects.operations import find

        found: dict[str, Any] = {}
        for subject in request["subjects"]:
            kind = find(self._backend.keras, subject.removeprefix("keras."))
            found[subject] = {"missing": f"no {subject}"} if kind is None else {"parameters": parameters_of(kind)}
        return found

    def _case(self, request: Mapping[str, Any]) -> dict[str, Any]:
        from pytest_dlcheck.cases.case import revive
        from pytest_dlcheck.records.observing import observe_layer
        from pytest_dlcheck.records.observing_functions import observe_operation

        gradients = bool(request["gradients"])
        self._backend.make_room()
        with self._backend.quick():
            if "operation" in request:
                number, seed = request["variant"], request["seed"]
                return observe_operation(request["operation"], number, seed, self._backend, gradients=gradients)
            return observe_layer(revive(request["case"]), self._backend, gradients=gradients)


def main() -> None:
    # What the framework prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    recorder = Recorder()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply: dict[str, Any] = {"reply": recorder.answer(request)}
        except Exception as error:  # noqa: BLE001 - whoever asked must hear of it, and the next request may go well
            reply = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
            if request["do"] == "case":
                import traceback

                reply["traceback"] = traceback.format_exc(limit=-6)
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(reply), file=answers, flush=True)


if __name__ == "__main__":
    main()
