"""pytest's hooks, and nothing else: each translates an event into a call.

Imported at every start of pytest in an environment where the package is installed, so it imports no framework, no numpy and
no Hypothesis, and each hook leaves at once when there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pytest_dlcheck import collecting, fixtures, hookspecs, options, running, startup
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.items import MARKERS
from pytest_dlcheck.run import RUN

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

    from pytest_dlcheck.devices import DeviceKind, Discovery


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    startup.choose_before_conftests(early_config)


def pytest_dlcheck_device_kinds() -> Sequence[DeviceKind]:
    return ()


@pytest.hookimpl(trylast=True)
def pytest_dlcheck_discover(backend: str, kinds: Mapping[str, DeviceKind], cpu_devices: int) -> Discovery:
    from pytest_dlcheck import probe

    return probe.ask(backend, kinds, cpu_devices)


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, object, object]:
    # A wrapper, so that it runs before xdist's own reads the options that this one sets.
    try:
        config.stash[RUN] = startup.start(config)
    except DlcheckError as error:
        raise pytest.UsageError(str(error)) from None
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    config.pluginmanager.register(fixtures, "dlcheck-fixtures")
    startup.register_collector(config, needed=False)


def pytest_report_header(config: pytest.Config) -> list[str]:
    return startup.header(config.stash[RUN])


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    collecting.parametrize(metafunc)


def pytest_itemcollected(item: pytest.Item) -> None:
    collecting.mark(item)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    run = config.stash[RUN]
    try:
        ours = collecting.select(run, items)
    except DlcheckError as error:
        run.refuse(str(error))
    else:
        startup.register_collector(config, needed=ours)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    # First, so that the scheduler knows a worker's tests by the time xdist says that they have been collected.
    collecting.tell_controller(session)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    startup.configure_worker(node)


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config) -> object:
    return running.make_scheduler(config)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    fatal = node.config.stash[RUN].fatal
    if fatal:
        raise pytest.UsageError(fatal[0])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    result = yield
    running.run_timed(session)
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    running.distrust_wide_floats()
    running.make_room(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    running.seed(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    running.annotate(item, call, report)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    running.finish(session)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Generator[None, None, None]:
    # The outermost, so that our lines come after the tables of others, where a reader looks first.
    yield
    running.summarize(config.stash[RUN], terminalreporter)


def pytest_unconfigure(config: pytest.Config) -> None:
    run = config.stash.get(RUN, None)
    if run is not None and run.stopwatch is not None:
        run.stopwatch.close()


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info["dlcheck"] = startup.products(config.stash[RUN])
