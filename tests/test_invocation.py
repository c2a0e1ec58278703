"""One invocation, several backends: what a pytest user expects of it. The backends are stand-ins that take no time."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from conftest import Runs

THREE = "--dl-backend=tensorflow,jax,torch"

CHECKS = """
    import os, sys
    import pytest

    def test_environment(backend):
        assert os.environ["KERAS_BACKEND"] == backend.name == backend.framework.NAME == backend.keras.backend.backend()

    @pytest.mark.parametrize("n", [1, 2])
    def test_parameters(n, backend):
        assert n

    def test_without_backend():
        assert True
"""


@pytest.fixture
def three(runs: Runs) -> Runs:
    runs.fake_backends("tensorflow", "jax", "torch")
    return runs


def test_each_test_runs_on_each_backend(three: Runs) -> None:
    three.pytester.makepyfile(CHECKS)
    result = three(THREE, "-v")
    result.assert_outcomes(passed=10)
    for name in ("tensorflow", "jax", "torch"):
        result.stdout.fnmatch_lines([f"*PASSED*::test_environment?{name}?*", f"*PASSED*::test_parameters?{name}-2?*"])
    result.stdout.fnmatch_lines(["dlcheck: *backends tensorflow, jax, torch, devices cpu*seed 0*"])


def test_the_controller_imports_no_framework(three: Runs) -> None:
    three.pytester.makepyfile(CHECKS)
    three.pytester.makeconftest(
        """
        import os, sys
        def pytest_unconfigure(config):
            if not hasattr(config, "workerinput"):
                print("IMPORTED", sorted({"tensorflow", "jax", "torch", "keras", "numpy", "hypothesis"} & set(sys.modules)))
        """
    )
    result = three(THREE, "-p", "no:hypothesispytest")
    result.assert_outcomes(passed=10)
    result.stdout.fnmatch_lines(["*IMPORTED []*"])


@pytest.mark.parametrize(("option", "workers"), [("-n4", 4), ("-n1", 3), ("-n=auto", None)])
def test_n_counts_workers_with_at_least_one_per_backend(three: Runs, option: str, workers: int | None) -> None:
    three.pytester.makepyfile(CHECKS)
    result = three(THREE, *option.split("="))
    result.assert_outcomes(passed=10)
    result.stdout.fnmatch_lines([f"{workers} workers *" if workers else "* workers *"])


@pytest.mark.parametrize("option", ["-n0", "--pdb"])
def test_in_one_process_the_first_backend_runs_and_the_others_say_why_not(three: Runs, option: str) -> None:
    three.pytester.makepyfile(CHECKS)
    result = three(THREE, option, "-rs")
    result.assert_outcomes(passed=4, skipped=6)
    result.stdout.fnmatch_lines(["SKIPPED*jax needs a process of its own: -n0 and --pdb run the first backend, tensorflow"])


def test_k_selects_by_backend_and_name(three: Runs) -> None:
    three.pytester.makepyfile(CHECKS)
    three(THREE, "-k", "jax").assert_outcomes(passed=3)
    three(THREE, "-k", "environment and not torch").assert_outcomes(passed=2)


def test_collect_only_lists_every_backend_in_no_time_and_no_process(three: Runs) -> None:
    three.pytester.makepyfile(CHECKS)
    result = three(THREE, "--collect-only", "-q")
    result.stdout.fnmatch_lines(["*::test_parameters?jax-1?", "*::test_environment?torch?", "10 tests collected*"])
    result.stdout.no_fnmatch_line("*workers*")


def test_x_stops_at_the_first_failure(three: Runs) -> None:
    three.pytester.makepyfile(
        """
        import pytest, time
        @pytest.mark.parametrize("n", range(20))
        def test_fails_on_jax(n, backend):
            time.sleep(0.1)
            assert backend.name != "jax"
        """
    )
    result = three(THREE, "-x")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    outcomes = result.parseoutcomes()
    # Each worker may have two more on their way.
    assert 1 <= outcomes["failed"] <= 2
    assert outcomes.get("passed", 0) < 20


def test_lf_runs_what_failed_on_its_backend_only(three: Runs) -> None:
    three.pytester.makepyfile(
        """
        def test_fails_on_jax(backend):
            assert backend.name != "jax"
        def test_passes(backend):
            pass
        """
    )
    three(THREE).assert_outcomes(passed=5, failed=1)
    result = three(THREE, "--lf", "-v")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*FAILED*::test_fails_on_jax?jax?*"])


def test_junitxml_names_every_test(three: Runs) -> None:
    three.pytester.makepyfile(CHECKS)
    three(THREE, "--junitxml=out.xml").assert_outcomes(passed=10)
    cases = ET.parse(three.pytester.path / "out.xml").getroot().iter("testcase")
    names = sorted(case.attrib["name"] for case in cases)
    assert len(names) == 10
    assert {"test_environment[jax]", "test_environment[torch]", "test_environment[tensorflow]"} < set(names)


def test_a_failure_says_how_to_run_it_again(three: Runs) -> None:
    three.pytester.makepyfile("def test_a(backend): assert backend.name != 'jax'")
    result = three(THREE, "--dl-seed=7")
    result.stdout.fnmatch_lines(
        [
            "*- dlcheck -*",
            "backend jax, device not asked for, run seed 7, test seed *",
            "again: pytest '*::test_a?jax?' --dl-backend jax --dl-seed 7",
        ]
    )


def test_a_crash_fails_one_test_and_the_rest_runs_on(three: Runs) -> None:
    three.pytester.makepyfile(
        """
        import os, pytest
        @pytest.mark.parametrize("n", range(6))
        def test_a(n, backend):
            if backend.name == "torch" and n == 2:
                os.abort()
        """
    )
    result = three(THREE, "--dl-report=out")
    result.assert_outcomes(passed=17, failed=1)
    result.stdout.fnmatch_lines(["*crashed while running*test_a?torch-2?*"])
    verdicts = {r["test"]: r["verdict"] for r in json.loads((three.pytester.path / "out/report.json").read_text())["results"]}
    assert list(verdicts.values()).count("crash") == 1
    (crashed,) = [test for test, verdict in verdicts.items() if verdict == "crash"]
    assert crashed.endswith("test_a[torch-2]")


def test_a_backend_that_dies_at_start_ends_the_run(three: Runs) -> None:
    three.pytester.makepyfile(CHECKS)
    three.pytester.makeconftest(
        """
        import os
        if os.environ.get("PYTEST_XDIST_WORKER") and os.environ["KERAS_BACKEND"] == "jax":
            os._exit(3)
        """
    )
    result = three(THREE, timeout=120)
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*maximum crashed workers reached*"])


@pytest.mark.parametrize("option", [(), ("-n0",), ("-n2",)])
def test_one_backend_runs_like_any_pytest(three: Runs, option: tuple[str, ...]) -> None:
    three.pytester.makepyfile(CHECKS)
    three("--dl-backend=torch", *option).assert_outcomes(passed=4)


def test_the_default_is_keras_backend_else_the_first_installed(three: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    three.pytester.makepyfile("def test_a(backend): print('RAN ON', backend.name)")
    three("-s").stdout.fnmatch_lines(["*RAN ON tensorflow*"])
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    three("-s").stdout.fnmatch_lines(["*RAN ON torch*"])
    three("-s", "--dl-backend=jax").stdout.fnmatch_lines(["*RAN ON jax*"])


def test_a_conftest_that_imports_keras_gets_the_chosen_backend(three: Runs) -> None:
    three.pytester.makeconftest("import keras\nWHICH = keras.backend.backend()")
    three.pytester.makepyfile("def test_a(backend): assert backend.keras.backend.backend() == 'jax'")
    three("--dl-backend=jax").assert_outcomes(passed=1)


def test_all_options_can_stand_in_the_ini_file(three: Runs) -> None:
    three.pytester.makepyfile(CHECKS)
    three.pytester.makeini("[pytest]\ndl_backend = jax,torch\ndl_seed = 5\ndl_report = out\n")
    result = three()
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(["dlcheck: *backends jax, torch,*seed 5*"])
    assert (three.pytester.path / "out" / "report.json").exists()


def test_all_leaves_out_what_is_not_installed_and_says_so(three: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    three.pytester.makepyfile(CHECKS)
    # A finder that hides torch wherever it is installed.
    folder = three.pytester.path / "fakes"
    (folder / "torch.py").unlink()
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hide:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Hide)\n"
    )
    result = three("--dl-backend=all")
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(["dlcheck: *backends tensorflow, jax,*", "dlcheck: torch is left out: not installed"])


def test_the_same_seed_draws_the_same_on_every_backend(three: Runs) -> None:
    three.pytester.makepyfile(
        """
        import random
        import pytest
        @pytest.mark.parametrize("n", [1, 2])
        def test_a(n, backend):
            print("DREW", n, random.random())
        """
    )

    def drawn(*options: str) -> list[str]:
        result = three(THREE, "-rP", *options)
        return sorted(line for line in result.outlines if line.startswith("DREW"))

    first, second, other = drawn(), drawn(), drawn("--dl-seed=1")
    assert len(first) == 6
    assert len(set(first)) == 2, "each test draws the same on all three backends, and the two tests draw differently"
    assert first == second
    assert not set(first) & set(other)


def test_users_own_fixtures_of_the_same_names_are_left_alone(runs: Runs) -> None:
    runs.pytester.makepyfile(
        """
        import pytest
        @pytest.fixture
        def backend(): return "my own"
        @pytest.fixture(params=["a", "b"])
        def device(request): return request.param
        def test_mine(backend, device):
            assert backend == "my own" and device in "ab"
        """
    )
    result = runs("-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*::test_mine?a?*"])


def test_subjects_are_selected_by_name_and_pattern(three: Runs) -> None:
    three.pytester.makepyfile(
        """
        import pytest
        @pytest.mark.dl_subject("layers.Dense")
        def test_a(backend): pass
        @pytest.mark.dl_subject("layers.Conv2D")
        def test_b(backend): pass
        def test_c(backend): pass
        """
    )
    three(THREE, "--dl-subject=layers.Dense").assert_outcomes(passed=3)
    three("--dl-backend=jax", "--dl-subject=layers.*").assert_outcomes(passed=2, deselected=1)
    three("--dl-backend=jax", "--dl-subject=layers.D*", "--dl-subject=layers.C*").assert_outcomes(passed=2, deselected=1)


def test_marks_say_where_a_test_exists_and_where_it_cannot_train(three: Runs) -> None:
    three.pytester.makepyfile(
        """
        import pytest
        @pytest.mark.dl_only("jax", "numpy")
        def test_here(backend): assert backend.name in ("jax", "numpy")
        @pytest.mark.dl_trains
        def test_trains(backend): assert backend.trains
        """
    )
    result = three("--dl-backend=tensorflow,jax,numpy", "-rs")
    result.assert_outcomes(passed=4, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*Keras on NumPy only runs forward, and the test trains"])
