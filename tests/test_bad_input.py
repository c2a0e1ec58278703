"""Bad input ends in one clear line and a non-zero exit, without a traceback and before anything runs."""

from __future__ import annotations

import os

import pytest

from conftest import Runs

TESTS = """
    def test_a(backend, device): pass
"""


@pytest.fixture
def three(runs: Runs) -> Runs:
    runs.fake_backends("tensorflow", "jax", "torch")
    runs.pytester.makepyfile(TESTS)
    return runs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dl-backend=jaxx"], "--dl-backend: unknown backend 'jaxx'; there are tensorflow, jax, torch, numpy, and all"),
        (["--dl-backend=jax,,torch"], "--dl-backend: 'jax,,torch' has an empty name in it"),
        (["--dl-backend=jax,jax"], "--dl-backend: jax is named twice"),
        (["--dl-backend=all,jax"], "--dl-backend: 'all' goes alone"),
        (["--dl-device=npu"], "--dl-device: unknown device 'npu'; there are cpu, gpu, tpu, all, and auto"),
        (["--dl-device=gpu:x"], "'gpu:x' names no device: write a kind like 'gpu', or a kind and an index like 'gpu:1'"),
        (["--dl-device=cpu,cpu:0"], "--dl-device: 'cpu,cpu:0' names a device twice"),
        (["--dl-device=all,cpu"], "--dl-device: 'all' goes alone"),
        (["--dl-seed=x"], "--dl-seed: 'x' is not an integer"),
        (["--dl-seed=-1"], "--dl-seed: -1 is not between 0 and 2147483647"),
        (["--dl-cpu-devices=0"], "--dl-cpu-devices: 0 is not between 1 and 64"),
        (["--dl-require=gpu"], "--dl-require gpu contradicts --dl-device, which leaves it out: add it there"),
        (["--dl-require=torch", "--dl-backend=jax"], "--dl-require: backend 'torch' is not part of this run"),
        (["--dl-require=fpga"], "--dl-require: 'fpga' is neither a backend (*) nor a device (cpu, gpu, tpu)"),
        (["--dl-report=test_bad"], "--dl-report: cannot write to test_bad: *"),
        (["--dl-report=/proc/dlcheck"], "--dl-report: cannot write to /proc/dlcheck: *"),
        (
            ["--dl-backend=jax,torch", "--dist=loadfile"],
            "--dist loadfile cannot be combined with several backends: each test goes to a worker of its own backend",
        ),
        (
            ["--dl-backend=jax,torch", "-n2", "--tx=popen"],
            "-n and --tx contradict each other: -n starts workers here, --tx says where",
        ),
        (
            ["--dl-backend=jax,torch", "-pno:xdist"],
            "several backends need pytest-xdist, which is switched off: drop '-p no:xdist', or name one backend",
        ),
        (
            ["--dl-subject=keras.layers.Dens"],
            "--dl-subject: no test of keras.layers.Dens among those collected; there are none that name a subject",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_one_line_and_usage_error(three: Runs, arguments: list[str], message: str) -> None:
    (three.pytester.path / "test_bad").write_text("a file, no folder")
    result = three(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in result.errlines if line.strip()]
    assert len(lines) == 1, lines
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize("options", [["--dl-backend=jax,torch"], ["--dl-backend=jax"], ["--dl-backend=jax", "-n2"]])
def test_a_subject_that_no_test_has(three: Runs, options: list[str]) -> None:
    three.pytester.makepyfile(
        """
        import pytest
        @pytest.mark.dl_subject("layers.Dense")
        def test_a(backend): pass
        """
    )
    result = three(*options, "--dl-subject=layers.Dens")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    # Two workers may both have noticed; one line of them is the error of the run.
    result.stderr.fnmatch_lines(["ERROR: --dl-subject: no test of layers.Dens among those collected; there are layers.Dense"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_backend_that_is_not_installed(runs: Runs) -> None:
    runs.fake_backends("jax")
    folder = runs.pytester.path / "fakes"
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hide:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name in ('torch', 'tensorflow'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Hide)\n"
    )
    runs.pytester.makepyfile(TESTS)
    result = runs("--dl-backend=jax,torch")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --dl-backend: backend 'torch' is not installed: pip install 'pytest-dlcheck?torch?'"])


def test_no_backend_at_all_matters_only_to_a_test_that_needs_one(runs: Runs) -> None:
    runs.fake_backends()
    folder = runs.pytester.path / "fakes"
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hide:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name in ('torch', 'tensorflow', 'jax', 'numpy'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Hide)\n"
    )
    runs.pytester.makepyfile(test_plain="def test_plain(): pass", test_needs="def test_needs(backend): pass")
    runs("test_plain.py").assert_outcomes(passed=1)
    result = runs()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: no backend is installed: pip install 'pytest-dlcheck?tensorflow?'"])


def test_keras_backend_names_something_unknown(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    runs.pytester.makepyfile(test_plain="def test_plain(): pass", test_needs="def test_needs(backend): pass")
    runs("test_plain.py").assert_outcomes(passed=1)
    result = runs()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: KERAS_BACKEND: unknown backend 'theano'; there are *"])


@pytest.mark.parametrize("options", [["--dl-backend=jax,torch"], ["--dl-backend=torch"], ["--dl-backend=torch", "-n2"]])
def test_a_backend_whose_import_fails(three: Runs, options: list[str]) -> None:
    (three.pytester.path / "fakes" / "torch.py").write_text("raise OSError('libtorch.so: cannot open shared object file')")
    three.pytester.makepyfile("def test_a(backend): pass\ndef test_b(backend): pass")
    result = three(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = [line for line in [*result.outlines, *result.errlines] if "libtorch.so" in line]
    assert said
    assert "backend 'torch' is installed, but importing it fails: OSError: libtorch.so: cannot open" in said[-1]
    result.stdout.no_fnmatch_line("*Traceback*")


def test_keras_imported_earlier_on_another_backend(three: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    three.pytester.makepyfile(
        """
        import keras
        def test_a(backend): pass
        """
    )
    three.pytester.makeconftest("import os, keras\nos.environ['KERAS_BACKEND'] = 'jax'")
    result = three()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["*Keras already runs on 'torch' in this process, so 'jax' cannot be tested*"])


def test_nothing_selected_is_an_error(three: Runs) -> None:
    result = three("--dl-backend=jax,torch", "-k", "nothing_is_called_this")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["ERROR: dlcheck: no test was selected: look at the paths, at -k and at -m"])


def test_a_run_in_which_everything_is_skipped_is_an_error(three: Runs) -> None:
    three.pytester.makepyfile(
        """
        import pytest
        @pytest.mark.skip(reason="not today")
        def test_a(backend): pass
        """
    )
    result = three("--dl-backend=jax,torch")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["ERROR: dlcheck: nothing ran: all 2 tests were skipped, the first because not today"])


def test_skipped_checks_beside_other_tests_are_none(three: Runs) -> None:
    three.pytester.makepyfile(
        """
        import pytest
        @pytest.mark.skip(reason="not today")
        def test_a(backend): pass
        def test_other(): pass
        """
    )
    assert three("--dl-backend=jax").ret == pytest.ExitCode.OK


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("dl_subject()", "the marker dl_subject takes one string, got dl_subject()"),
        ("dl_property(3)", "the marker dl_property takes one string, got dl_property(3)"),
        ("dl_subject('a', apo='keras')", "the marker dl_subject takes one string, got dl_subject('a', apo='keras')"),
        ("dl_only('jaxx')", "dl_only takes names of backends (tensorflow, jax, torch, numpy), got dl_only('jaxx')"),
        ("dl_only()", "dl_only takes names of backends (tensorflow, jax, torch, numpy), got dl_only()"),
        ("dl_devices(0)", "the marker dl_devices takes one positive integer, got dl_devices(0)"),
        ("dl_trains(1)", "the marker dl_trains takes nothing, got dl_trains(1)"),
    ],
)
def test_markers_are_validated(three: Runs, mark: str, message: str) -> None:
    three.pytester.makepyfile(f"import pytest\n@pytest.mark.{mark}\ndef test_a(backend): pass")
    result = three("--dl-backend=jax")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line.strip()]
    assert line.startswith("ERROR: ")
    assert line.endswith(message)


def test_a_report_that_cannot_be_written_any_more(three: Runs) -> None:
    if os.geteuid() == 0:
        # Root may write anywhere; a folder that has become a file stops it too.
        breaking = "import pathlib, shutil; shutil.rmtree('out'); pathlib.Path('out').write_text('')"
    else:
        breaking = "import os; os.chmod('out', 0o500)"
    three.pytester.makepyfile(f"def test_a(backend):\n    {breaking}")
    result = three("--dl-backend=jax", "--dl-report=out")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["ERROR: dlcheck: the report could not be written to *"])


@pytest.mark.parametrize("text", ["soon", "-3s", "0", "1d", "s"])
def test_a_budget_that_is_no_time(runs: Runs, text: str) -> None:
    runs.fake_backends("numpy")
    result = runs(f"--dl-budget={text}", "--dl-backend", "numpy")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --dl-budget: '{text}' is no time; write 90s, 10m or 2h"])
