"""The peer's program: `PYTHON path/to/program MEMORY_BYTES FILE_BYTES`, with messages on its standard input and output."""

import os
import resource
import sys
import threading
import time


def limit(kind: int, wanted: int) -> None:
    """Lowers one of the process's limits, as far as it may; 0 leaves it."""
    hard = resource.getrlimit(kind)[1]
    if wanted:
        resource.setrlimit(kind, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def end_with(parent: int) -> None:
    """Ends this process when its host is gone, even in the middle of a computation that does not end."""
    while os.getppid() == parent:
        time.sleep(2)
    os._exit(1)


def main() -> None:
    memory, files = int(sys.argv[1]), int(sys.argv[2])
    # Not the address space: frameworks reserve more of it than they ever use.
    limit(resource.RLIMIT_DATA, memory)
    limit(resource.RLIMIT_FSIZE, files)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    source = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    # Whatever prints, in Python or below it, goes to the log.
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    from serving import serve

    serve(source, answers)


if __name__ == "__main__":
    main()
