"""The command-line options, and the plan that they amount to. Imports nothing heavy."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_dlcheck.backends import BACKENDS, installed
from pytest_dlcheck.devices import DeviceKind, DeviceName, Discovery, kinds_by_name
from pytest_dlcheck.errors import DlcheckError

if TYPE_CHECKING:
    import pytest

__all__ = ["Plan", "add_options", "asked_backends", "install_hint", "plan_run"]

LARGEST_SEED = 2**31 - 1
PROFILES = ("smoke", "default", "nightly")


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("dlcheck", "deep-learning framework checks (pytest-dlcheck)")
    options = (
        (
            "backend",
            "NAMES",
            "Backends to run on, separated by commas: tensorflow, jax, torch, numpy, or 'all' that are installed. "
            "Several run in one invocation, each in worker processes of its own. Default: KERAS_BACKEND, "
            "else the first that is installed.",
        ),
        (
            "device",
            "NAMES",
            "Devices to run on, separated by commas: cpu, gpu, tpu, with an index as in gpu:1; 'all' that are found, "
            "or 'auto': the fastest that each backend finds. What is missing is skipped. Default: cpu.",
        ),
        ("require", "NAMES", "Backends and devices whose absence is an error instead of a skip, separated by commas."),
        ("seed", "N", "Where everything random comes from: an integer, or 'random'. Default: 0."),
        ("report", "DIR", "Write report.json, index.html and summary.md there."),
        ("history", "FILE", "Add this run to a history, as `dlcheck track` does; the file is made if there is none."),
        ("label", "NAME", "Which of several environments this is, where one --dl-history holds several."),
        (
            "budget",
            "TIME",
            "How long drawing cases may take, spread over the subjects: 90s, 10m, 2h. What is cut is said in the report. "
            "Default: as long as the profile takes.",
        ),
        (
            "against",
            "NAME",
            "Another product, for suites/differential: a name in [tool.dlcheck.peers], or one like tf2.18 or keras3.5-jax.",
        ),
        ("cpu-devices", "N", "Let the CPU appear as N devices (tensorflow, jax), for tests of several. Default: 1."),
    )
    group.addoption(
        "--dl-profile",
        dest="dl_profile",
        choices=PROFILES,
        default=None,
        help="How much is run. 'smoke' draws few cases, 'nightly' many, and trains the documented models for as long "
        "as the tutorials do. Default: default.",
    )
    parser.addini("dl_profile", help="The same as --dl-profile.", default=None)
    for name, metavar, text in options:
        dest = f"dl_{name.replace('-', '_')}"
        group.addoption(f"--dl-{name}", dest=dest, metavar=metavar, default=None, help=text)
        parser.addini(dest, help=f"The same as --dl-{name}.", default=None)
    group.addoption(
        "--dl-subject",
        action="append",
        dest="dl_subject",
        metavar="NAME",
        default=None,
        help="Only tests of this subject (repeatable; * and ? match any): models.mnist_cnn3, keras.layers.Conv*.",
    )


class Plan(NamedTuple):
    """What this run is: resolved once, in the controller, and sent to every worker."""

    backends: tuple[str, ...]
    devices: Mapping[str, tuple[DeviceName, ...]]
    """Per backend, in the order of the run."""
    kinds: Mapping[str, DeviceKind]
    seed: int
    profile: str = "default"
    budget_s: float | None = None
    """Seconds in which cases are drawn, on each backend; None for no limit."""
    cpu_devices: int = 1
    chosen: bool = False
    """Whether the backends were asked for, rather than defaulted to."""
    left_out: Mapping[str, str] = MappingProxyType({})
    """What `all` leaves out, with the reason."""
    require: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    report: str | None = None
    history: str | None = None
    label: str = ""
    """Of this environment in the history."""
    against: str | None = None
    """The name of another product, to be compared with."""
    problem: str | None = None
    """Why no test that needs a backend can run; raised once there is one."""

    def dump(self) -> dict[str, Any]:
        """As plain values, for the way to a worker."""
        values = self._asdict()
        values["left_out"] = dict(self.left_out)
        values["devices"] = {backend: [str(device) for device in devices] for backend, devices in self.devices.items()}
        values["kinds"] = {name: dict(kind.platforms) for name, kind in self.kinds.items()}
        return values

    @classmethod
    def load(cls, values: Mapping[str, Any]) -> Plan:
        """What `dump` made."""
        return cls(
            **{
                **values,
                "backends": tuple(values["backends"]),
                "require": tuple(values["require"]),
                "subjects": tuple(values["subjects"]),
                "devices": {b: tuple(DeviceName.parse(d) for d in devices) for b, devices in values["devices"].items()},
                "kinds": {name: DeviceKind(name, platforms) for name, platforms in values["kinds"].items()},
            }
        )


def _value(config: pytest.Config, name: str) -> str | None:
    """What the command line says, else the ini file; None where both are silent."""
    value = config.getoption(name)
    if value is None:
        value = config.getini(name) or None
    return value if value is None else str(value)


def _names(text: str, option: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise DlcheckError(f"{option}: {text!r} has an empty name in it")
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise DlcheckError(f"{option}: {', '.join(sorted(doubled))} is named twice")
    return names


def _integer(text: str, option: str, low: int, high: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise DlcheckError(f"{option}: {text!r} is not an integer") from None
    if not low <= value <= high:
        raise DlcheckError(f"{option}: {value} is not between {low} and {high}")
    return value


def install_hint(backend: str) -> str:
    """The command that brings a backend."""
    return "pip install keras" if backend == "numpy" else f"pip install 'pytest-dlcheck[{backend}]'"


def asked_backends(text: str) -> tuple[list[str], dict[str, str]]:
    """The backends that a `--dl-backend` names, and what `all` leaves out.

    Raises:
        DlcheckError: a name is unknown, or names a backend that is not installed.
    """
    names = _names(text, "--dl-backend")
    if "all" in names:
        if len(names) > 1:
            raise DlcheckError("--dl-backend: 'all' goes alone")
        found = [name for name in BACKENDS if installed(name) and name != "numpy"]
        left_out = {name: "not installed" for name in BACKENDS if name not in found and name != "numpy"}
        if not found:
            raise DlcheckError(f"no backend is installed: {install_hint('tensorflow')}")
        return found, left_out
    for name in names:
        if name not in BACKENDS:
            raise DlcheckError(f"--dl-backend: unknown backend {name!r}; there are {', '.join(BACKENDS)}, and all")
        if not installed(name):
            raise DlcheckError(f"--dl-backend: backend {name!r} is not installed: {install_hint(name)}")
    return names, {}


def _default_backend() -> tuple[list[str], str | None]:
    """One backend when none was asked for, or why there is none; no error, since perhaps no test needs one."""
    name = os.environ.get("KERAS_BACKEND")
    if name:
        try:
            return asked_backends(name)[0], None
        except DlcheckError as error:
            return [], str(error).replace("--dl-backend", "KERAS_BACKEND")
    for name in BACKENDS:
        if installed(name):
            return [name], None
    return [], f"no backend is installed: {install_hint('tensorflow')}"


def _report_folder(text: str) -> str:
    """The folder, made and seen to be writable: nobody wants to learn after an hour that it is not."""
    folder = Path(text).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".dlcheck-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DlcheckError(f"--dl-report: cannot write to {text}: {error.strerror or error}") from None
    return str(folder)


def _history_file(text: str) -> str:
    """The file, made or seen to be a history that can be written to, before an hour is spent on what it is to hold."""
    from pytest_dlcheck.history.store import open_history

    path = Path(text).absolute()
    with open_history(path, write=True):
        return str(path)


class _Discoveries:
    """Asks each backend at most once what it has."""

    def __init__(self, config: pytest.Config, kinds: Mapping[str, DeviceKind], cpu_devices: int) -> None:
        self._config = config
        self._kinds = kinds
        self._cpu_devices = cpu_devices
        self._found: dict[str, Discovery] = {}

    def of(self, backend: str) -> Discovery:
        if backend not in self._found:
            found = self._config.hook.pytest_dlcheck_discover(
                config=self._config, backend=backend, kinds=self._kinds, cpu_devices=self._cpu_devices
            )
            if found.error is not None:
                raise DlcheckError(found.error)
            self._found[backend] = found
        return self._found[backend]


def _devices(
    text: str, backends: Sequence[str], kinds: Mapping[str, DeviceKind], discoveries: _Discoveries
) -> dict[str, tuple[DeviceName, ...]]:
    names = _names(text, "--dl-device")
    if {"all", "auto"} & set(names):
        if len(names) > 1:
            raise DlcheckError(f"--dl-device: {'all' if 'all' in names else 'auto'!r} goes alone")
        found = {backend: discoveries.of(backend).names() for backend in backends}
        if names == ["all"]:
            return {backend: tuple(devices) for backend, devices in found.items()}
        # The kinds are listed from the slowest on; what others add counts as faster than a CPU.
        order = ["cpu", *(kind for kind in kinds if kind not in ("cpu", "gpu", "tpu")), "gpu", "tpu"]
        return {
            backend: (max(devices, key=lambda device: (order.index(device.kind), -device.index)),)
            for backend, devices in found.items()
        }
    devices = [DeviceName.parse(name) for name in names]
    for device in devices:
        if device.kind not in kinds:
            raise DlcheckError(f"--dl-device: unknown device {device.kind!r}; there are {', '.join(kinds)}, all, and auto")
    if len(set(devices)) < len(devices):
        raise DlcheckError(f"--dl-device: {text!r} names a device twice")
    return dict.fromkeys(backends, tuple(devices))


def _check_required(
    require: Sequence[str],
    backends: Sequence[str],
    devices: Mapping[str, Sequence[DeviceName]],
    kinds: Mapping[str, DeviceKind],
    discoveries: _Discoveries,
) -> None:
    for name in require:
        if name in BACKENDS:
            if name not in backends:
                where = "is not part of this run" if installed(name) else f"is not installed: {install_hint(name)}"
                raise DlcheckError(f"--dl-require: backend {name!r} {where}")
            discoveries.of(name)
            continue
        device = DeviceName.parse(name)
        if device.kind not in kinds:
            raise DlcheckError(
                f"--dl-require: {name!r} is neither a backend ({', '.join(BACKENDS)}) nor a device ({', '.join(kinds)})"
            )
        if not any(device in chosen for chosen in devices.values()):
            raise DlcheckError(f"--dl-require {name} contradicts --dl-device, which leaves it out: add it there")
        for backend in backends:
            reason = discoveries.of(backend).why_not(device)
            if reason is not None:
                raise DlcheckError(f"--dl-require: {reason}")


def _seed(text: str) -> int:
    if text == "random":
        return int.from_bytes(os.urandom(4), "big") & LARGEST_SEED
    return _integer(text, "--dl-seed", 0, LARGEST_SEED)


def duration_s(text: str, option: str) -> float:
    """Seconds, from `90`, `90s`, `10m` or `2h`.

    Raises:
        DlcheckError: the option's text is none of these, or zero.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if match is None or not float(match[1]):
        raise DlcheckError(f"{option}: {text!r} is no time; write 90s, 10m or 2h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def _against(config: pytest.Config) -> str | None:
    """The name of a product that there is, or that can be made."""
    name = _value(config, "dl_against")
    if name is not None:
        from pytest_dlcheck.environments.finding import request

        try:
            request(name, config.rootpath)
        except DlcheckError as error:
            raise DlcheckError(f"--dl-against: {error}") from None
    return name


def _profile(name: str) -> str:
    if name not in PROFILES:
        raise DlcheckError(f"--dl-profile: unknown profile {name!r}; there are {', '.join(PROFILES)}")
    return name


def plan_run(config: pytest.Config) -> Plan:
    """Resolves the options of this run.

    Raises:
        DlcheckError: they name something unknown, missing or contradictory.
    """
    kinds = kinds_by_name(kind for kinds in config.hook.pytest_dlcheck_device_kinds(config=config) for kind in kinds)
    asked = _value(config, "dl_backend")
    problem = None
    left_out: Mapping[str, str] = {}
    if asked is None:
        backends, problem = _default_backend()
    else:
        backends, left_out = asked_backends(asked)

    device_text = _value(config, "dl_device") or "cpu"
    named = [DeviceName.parse(name) for name in device_text.split(",") if name.strip().partition(":")[0] == "cpu"]
    cpu_devices = max(
        _integer(_value(config, "dl_cpu_devices") or "1", "--dl-cpu-devices", 1, 64),
        *(device.index + 1 for device in named),
        1,
    )
    discoveries = _Discoveries(config, kinds, cpu_devices)
    devices = _devices(device_text, backends, kinds, discoveries)
    require = tuple(_names(text, "--dl-require")) if (text := _value(config, "dl_require")) else ()
    _check_required(require, backends, devices, kinds, discoveries)

    report, history, label = (_value(config, f"dl_{name}") for name in ("report", "history", "label"))
    if label and not history:
        raise DlcheckError("--dl-label names an environment in a history: give --dl-history FILE too")
    # Only a run writes anything: not --collect-only, and no worker.
    writes = not config.option.collectonly and not hasattr(config, "workerinput")
    return Plan(
        backends=tuple(backends),
        devices=devices,
        kinds=kinds,
        seed=_seed(_value(config, "dl_seed") or "0"),
        profile=_profile(_value(config, "dl_profile") or "default"),
        budget_s=duration_s(budget, "--dl-budget") if (budget := _value(config, "dl_budget")) else None,
        cpu_devices=cpu_devices,
        chosen=asked is not None,
        left_out=left_out,
        require=require,
        subjects=tuple(config.getoption("dl_subject") or ()),
        report=_report_folder(report) if report and writes else None,
        history=_history_file(history) if history and writes else None,
        label=label or "",
        against=_against(config),
        problem=problem,
    )
