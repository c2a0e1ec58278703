"""Makes environments through uv, and through pip where PyTorch is to come in its build for the CPU."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pytest_dlcheck.environments import cache
from pytest_dlcheck.environments.environment import clean_variables
from pytest_dlcheck.environments.pythons import newest_python
from pytest_dlcheck.errors import DlcheckError

__all__ = ["clash", "made"]

# TensorFlow and what it needs are 600 MB to fetch.
TIMEOUT_S = 1800


def made(name: str, requirements: Sequence[str], say: Callable[[str], None] | None = None) -> Path:
    """The interpreter of an environment with these requirements, made if there is none.

    A folder counts as complete once its record is written, which is the last step, and all is done under a lock: what another
    process is making is waited for, what one left half made is made anew.

    Args:
        name: of the environment, for messages.
        requirements: PEP 508; `python` among them chooses the interpreter.
        say: told what takes time; on standard error if None.

    Raises:
        DlcheckError: there is no such Python, no uv, or the requirements cannot be met.
    """
    say = say or (lambda text: print(text, file=sys.stderr, flush=True))  # noqa: T201
    key = cache.key_of(requirements)
    folder = cache.folder_of(key)
    with cache.locked(key, lambda: say(f"environment {name}: another process is making it, waiting")):
        record = cache.read_record(folder)
        if record is None:
            start = time.monotonic()
            say(f"environment {name}: making it of {', '.join(requirements)} (a minute, and 1 to 3 GB, the first time)")
            shutil.rmtree(folder, ignore_errors=True)
            try:
                record = _make(name, requirements, folder)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            cache.write_record(folder, record)
            say(f"environment {name}: made in {time.monotonic() - start:.0f} s")
        cache.used(folder, record, name)
    return _python_of(folder)


def _python_of(folder: Path) -> Path:
    return folder / "venv" / "bin" / "python"


def _make(name: str, requirements: Sequence[str], folder: Path) -> cache.Record:
    parsed = [Requirement(each) for each in requirements]
    wanted = SpecifierSet(",".join(str(each.specifier) for each in parsed if each.name == "python"))
    packages = [text for text, each in zip(requirements, parsed, strict=True) if each.name != "python"]
    base = newest_python(name, wanted)
    uv = _uv(name)
    python = _python_of(folder)
    # uv does not see a wheel of PyTorch for the CPU that pip is told of, and would bring gigabytes of CUDA instead.
    with_pip = any(canonicalize_name(each.name) == "torch" for each in parsed)
    seeded = ["--seed"] if with_pip else []
    _run(name, [uv, "venv", "--quiet", "--no-project", *seeded, "--python", str(base), str(folder / "venv")])
    if with_pip:
        _run(name, [str(python), "-m", "pip", "install", "--quiet", "--no-input", *packages])
    elif packages:
        _run(name, [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *packages])
    frozen = _run(name, [uv, "pip", "freeze", "--quiet", "--python", str(python)])
    now = time.time()
    return cache.Record([], list(requirements), [f"python {base}", *frozen.splitlines()], now, now)


def _uv(name: str) -> str:
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise DlcheckError(f"environment {name}: uv makes environments, and is not installed: pip install uv")
    return found


def _run(name: str, command: Sequence[str]) -> str:
    """What a command prints.

    Raises:
        DlcheckError: it fails; the message is its own, in a line.
    """
    try:
        done = subprocess.run(  # noqa: S603 - uv, or the environment's own pip
            command,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**clean_variables(), "UV_PYTHON_DOWNLOADS": "never"},
        )
    except subprocess.TimeoutExpired:
        raise DlcheckError(
            f"environment {name}: not made within {TIMEOUT_S} s; try again, or use a nearer package index"
        ) from None
    if done.returncode:
        raise DlcheckError(f"environment {name}: {clash(done.stderr)}")
    return done.stdout


def clash(output: str) -> str:
    """In one line, what uv or pip says of requirements that cannot be met."""
    text = " ".join(output.replace("╰─▶", " ").split())
    # uv: "Because tensorflow-cpu==2.15.1 depends on numpy<2 and you require numpy==2.1, we can conclude that ..."
    because = re.search(r"Because (.+?), we can conclude", text) or re.search(r"Because (.+?\.)(?: |$)", text)
    if because is not None:
        return f"the requirements clash: {because[1]}"
    # pip: "Cannot install a and b because these package versions have conflicting dependencies. The conflict is caused by: ..."
    caused = re.search(r"The conflict is caused by: (.+?)(?: To fix this|$)", text)
    if caused is not None:
        return f"the requirements clash: {caused[1]}"
    # Of anything else uv says what and why ("error: ...", "cause: ..."), and pip at the end what it gave up.
    errors = re.findall(r"^\s*error: (.+)$", output, re.IGNORECASE | re.MULTILINE)
    causes = re.findall(r"^\s*cause: (.+)$", output, re.MULTILINE)
    said = [*errors[-1:], *causes[-1:]] or output.strip().splitlines()[-1:] or ["the command failed and said nothing"]
    return ": ".join(" ".join(each.split()) for each in said)
