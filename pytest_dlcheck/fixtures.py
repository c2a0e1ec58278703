"""The fixtures. Their names are the public ones; `_dl_backend` and `_dl_device` carry the parameters.

A test that has fixtures of its own called `backend` or `device` does not ask for the underscored ones, and is left alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_dlcheck.collecting import FACTS
from pytest_dlcheck.devices import DeviceName
from pytest_dlcheck.errors import BackendError, DeviceMissing, DlcheckError
from pytest_dlcheck.run import RUN, VERDICTS, Run, Verdicts

if TYPE_CHECKING:
    from pytest_dlcheck.architectures.public import EquivalenceReport
    from pytest_dlcheck.backends.base import Backend
    from pytest_dlcheck.benchmark.measurement import Measurement
    from pytest_dlcheck.differential.product import Product
    from pytest_dlcheck.finding import Finding
    from pytest_dlcheck.gradients.outcome import GradientReport
    from pytest_dlcheck.properties.verdict import Verdict


@pytest.fixture(scope="session", name="_dl_run")
def _run(request: pytest.FixtureRequest) -> Run:
    return request.config.stash[RUN]


@pytest.fixture(scope="session", name="_dl_backend")
def _backend_name(request: pytest.FixtureRequest, _dl_run: Run) -> str:
    # Without a parameter (request.getfixturevalue in a test that is not parametrized) it is this process's backend.
    name = getattr(request, "param", None) or _dl_run.current_backend
    if name is None:
        pytest.fail(_dl_run.plan.problem or "the controller of several backends has none of its own", pytrace=False)
    return str(name)


@pytest.fixture(scope="session", name="_dl_device")
def _device_name(request: pytest.FixtureRequest, _dl_run: Run, _dl_backend: str) -> DeviceName:
    name = getattr(request, "param", None) or _dl_run.plan.devices[_dl_backend][0]
    assert isinstance(name, DeviceName)
    if name not in _dl_run.plan.devices[_dl_backend]:
        chosen = ", ".join(device.id for device in _dl_run.plan.devices[_dl_backend])
        pytest.skip(f"the test needs {name.kind}, and this run is on {chosen} only (--dl-device)")
    return name


@pytest.fixture(scope="session")
def backend(_dl_run: Run, _dl_backend: str) -> Backend:
    """The backend that the test runs on, loaded: `backend.name`, `backend.keras`, `backend.framework`.

    The test runs once per backend of `--dl-backend`.
    """
    loaded = _dl_run.backend(_dl_backend)
    try:
        loaded.load()
    except BackendError as error:
        _dl_run.give_up(str(error))
    return loaded


@pytest.fixture(scope="session")
def dl_compiled_once(request: pytest.FixtureRequest, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Lets the tests that ask for it share what is compiled, with each other and with the next run (on JAX).

    JAX compiles a program anew for each instance of a model, and outside of programs each operation for each shape. What it
    compiled lies in pytest's cache, which `--cache-clear` empties; without that plugin it lies in the run's temporary folder.
    """
    cache = getattr(request.config, "cache", None)
    if cache is not None:
        with contextlib.suppress(OSError):
            backend.keep_compiled(Path(cache.mkdir("dlcheck-compiled")))
            return
    backend.keep_compiled(tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="session")
def dl_keras_3(backend: Backend) -> None:
    """Skips the test where Keras 2 is installed, or TensorFlow's own."""
    from pytest_dlcheck.backends import versions

    installed = versions(backend.name).get("keras", "2 of TensorFlow's own")
    if installed.startswith("2"):
        pytest.skip(f"the test is written for Keras 3, and Keras {installed} is installed")


class Device:
    """The device that a test runs on, in whose scope the test already is.

    Attributes:
        kind: `cpu`, `gpu`, `tpu`, or one that a plugin added.
        index: among those of its kind.
        backend: the backend that it belongs to.
    """

    def __init__(self, name: DeviceName, owner: Backend) -> None:
        self.kind = name.kind
        self.index = name.index
        self.backend = owner
        self._name = name

    def __repr__(self) -> str:
        return f"<device {self._name} of {self.backend.name}>"

    def __str__(self) -> str:
        return str(self._name)

    def scope(self) -> contextlib.AbstractContextManager[object]:
        """Inside, values are created and computed on this device."""
        return self.backend.scope(self._name)

    def put(self, array: Any) -> Any:
        """The framework's own array with these values, on this device."""
        with self.scope():
            return self.backend.put(array)

    def verify(self, value: Any) -> None:
        """Asserts that the value lies on this device: a tensor, a variable, a model, or a nest of them.

        Raises:
            DeviceMismatch: it lies elsewhere, as when TensorFlow silently computes on the CPU.
            TypeError: it is a NumPy array, which lies on no device.
        """
        self.backend.verify(value, self._name)

    def synchronize(self, *values: Any) -> None:
        """Waits until the values have been computed."""
        self.backend.synchronize(*values)


@contextlib.contextmanager
def _entered(run: Run, loaded: Backend, name: DeviceName) -> Iterator[Device]:
    try:
        scope = loaded.activate(name)
    except DeviceMissing as error:
        if {name.id, str(name)} & set(run.plan.require):
            pytest.fail(f"{error}, and --dl-require asks for it", pytrace=False)
        pytest.skip(str(error))
    with scope:
        yield Device(name, loaded)


@pytest.fixture(scope="session")
def device(_dl_run: Run, backend: Backend, _dl_device: DeviceName) -> Iterator[Device]:
    """The device that the test runs on. The test runs once per device of `--dl-device`."""
    with _entered(_dl_run, backend, _dl_device) as entered:
        yield entered


@pytest.fixture(scope="session")
def cpu(device: Device) -> Device:
    """The CPU: for a test of this kind alone."""
    return device


@pytest.fixture(scope="session")
def gpu(device: Device) -> Device:
    """A GPU: for a test of this kind alone."""
    return device


@pytest.fixture(scope="session")
def tpu(device: Device) -> Device:
    """A TPU: for a test of this kind alone."""
    return device


@pytest.fixture
def devices(request: pytest.FixtureRequest, device: Device) -> list[Device]:
    """All devices of the kind that the test runs on.

    With the mark `dl_devices(n)` there are n of them, or the test is skipped.
    """
    owner = device.backend
    found = len(owner.discover().devices[device.kind])
    marker = request.node.get_closest_marker("dl_devices")
    wanted = marker.args[0] if marker is not None else 1
    if found < wanted:
        hint = f"; --dl-cpu-devices {wanted} makes more" if device.kind == "cpu" and owner.name in ("tensorflow", "jax") else ""
        pytest.skip(f"the test needs {wanted} devices of kind {device.kind}, and {owner.name} has {found}{hint}")
    return [Device(DeviceName(device.kind, index), owner) for index in range(found)]


@pytest.fixture(scope="session")
def dl_seed(_dl_run: Run) -> int:
    """The run's seed (`--dl-seed`), from which everything random must come."""
    return _dl_run.plan.seed


@pytest.fixture(scope="session")
def dl_profile(_dl_run: Run) -> str:
    """How much is to be run (`--dl-profile`): `default` or `nightly`."""
    return _dl_run.plan.profile


@pytest.fixture(scope="session")
def dl_share_s(request: pytest.FixtureRequest, _dl_run: Run) -> float | None:
    """One test's share of `--dl-budget` in seconds: the budget spread evenly over the tests that ask for a share."""
    budget = _dl_run.plan.budget_s
    if budget is None:
        return None
    backend = _dl_run.current_backend
    sharing = sum(
        "dl_share_s" in getattr(item, "fixturenames", ()) and item.stash[FACTS].backend in (backend, None)
        for item in request.session.items
    )
    return budget / max(1, sharing)


@pytest.fixture(scope="session")
def dl_against(_dl_run: Run) -> Iterator[Product]:
    """The other product of `--dl-against`, made if it is not there and asked in a process of its own; skips without one."""
    name = _dl_run.plan.against
    if name is None:
        pytest.skip("there is nothing to compare with: --dl-against names another product")
    from pytest_dlcheck.differential.product import Product as Made
    from pytest_dlcheck.environments import find

    try:
        product = Made(find(name, _dl_run.config.rootpath))
        product.said  # noqa: B018 - imports its framework, and so shows whether it can
    except DlcheckError as error:
        _dl_run.give_up(str(error))
    yield product
    product.peer.close()


@pytest.fixture
def check_gradients(device: Device, dl_seed: int) -> Callable[..., GradientReport]:
    """`pytest_dlcheck.check_gradients` on this test's backend and device, its directions drawn from the run's seed.

    `check_gradients(layer, inputs)`, `check_gradients(function, (x, y), order=1)`: raises an assertion error with a table if a
    gradient is wrong, and returns the report otherwise.
    """
    from pytest_dlcheck.gradients.public import check_gradients as check

    return partial(check, backend=device.backend, seed=dl_seed)


@pytest.fixture
def check_models_equivalent(device: Device, dl_seed: int) -> Callable[..., EquivalenceReport]:
    """`pytest_dlcheck.check_models_equivalent` on this test's backend and device, its targets drawn from the run's seed.

    `check_models_equivalent(model_a, model_b, inputs)`: raises an assertion error with a table, and the first layer at which
    the models part, if they are not one function; returns the report otherwise.
    """
    from pytest_dlcheck.architectures.public import check_models_equivalent as check

    return partial(check, backend=device.backend, seed=dl_seed)


@pytest.fixture
def dl_judge(request: pytest.FixtureRequest) -> Callable[[Verdict], None]:
    """Takes a property's verdict: into the report, and, unless it is a harmless one, as the test's failure."""

    def judge(verdict: Verdict) -> None:
        from pytest_dlcheck.properties.verdict import HARMLESS, PASS, RESERVED, PropertyFailed

        if verdict.outcome in RESERVED:
            raise ValueError(f"{verdict.outcome!r} is not for a property to say")
        said = request.node.stash.setdefault(VERDICTS, Verdicts())
        said.messages.append(verdict.message)
        if verdict.outcome != PASS:
            said.outcome = verdict.outcome
        if verdict.outcome not in HARMLESS:
            raise PropertyFailed(verdict)

    return judge


@pytest.fixture
def dl_findings(request: pytest.FixtureRequest) -> Callable[[list[Finding]], None]:
    """Takes what became of several properties in one test: each into the report, and those that do not hold as its failure."""

    def report(findings: list[Finding]) -> None:
        from pytest_dlcheck.properties.verdict import PropertiesFailed

        said = request.node.stash.setdefault(VERDICTS, Verdicts())
        said.findings += [finding.dump() for finding in findings]
        if not findings:
            pytest.fail("no property judged any case", pytrace=False)
        bad = [finding for finding in findings if not finding.is_harmless()]
        if bad:
            raise PropertiesFailed(
                "\n\n".join(f"{each.property} [{each.dtype}, {each.mode}] {each.verdict}: {each.message}" for each in bad)
            )

    return report


@pytest.fixture
def throughput(
    request: pytest.FixtureRequest, _dl_run: Run, _dl_backend: str, _dl_device: DeviceName, benchmark: Any
) -> Callable[..., Measurement]:
    """Measures training speed in a process of its own, nothing else running, and gives the samples to pytest-benchmark.

    `throughput("mnist_mlp")` measures a documented model, `throughput("package.module:function")` what the function returns,
    a `pytest_dlcheck.benchmark.workload.Workload`. `side` says which of the two loops pytest-benchmark is to show: `fit`, or
    `loop`, the training loop written out.
    """
    from pytest_dlcheck.benchmark.bridge import Bridge

    return Bridge(request, _dl_run, _dl_backend, _dl_device, benchmark)
