"""What the documentation says is so."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_dlcheck.cli import parser_of_commands
from pytest_dlcheck.items import MARKERS
from pytest_dlcheck.models.documented import DOCUMENTED
from pytest_dlcheck.models.spec import ModelSpec
from pytest_dlcheck.properties.verdict import VERDICTS

Needs = Callable[..., None]

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = {path.name: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


MAIN_JOB, TESTS = (line.strip() for line in blocks(README, "sh")[:2])


def test_ci_runs_the_command_of_the_readme() -> None:
    assert TESTS in (ROOT / ".ci" / "run").read_text().splitlines()


def test_ci_and_the_nightly_do_the_main_job() -> None:
    job = MAIN_JOB.split("&& ")[-1].partition("--dl-report report")[0].strip()
    assert f"{job} --dl-report" in (ROOT / ".ci" / "run").read_text()
    assert MAIN_JOB.split("&& ")[-1] in (ROOT / ".github" / "workflows" / "nightly.yml").read_text()


def commands_of(text: str) -> list[list[str]]:
    """Every `dlcheck` that stands in a text, as a shell would give it its words."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        for command in re.split(r"&&|;", line):
            words = shlex.split(command.strip().removeprefix("- run: ").removeprefix("run: "), comments=True)
            while words and words[0] not in ("dlcheck", ".venv/bin/dlcheck"):
                words = words[1:]
            if words:
                found.append(list(itertools.takewhile(lambda each: each not in ("|", ">", ">>"), words[1:])))
    return found


@pytest.mark.parametrize("source", ["nightly.yml", "history.md"])
def test_every_dlcheck_command_is_one_that_there_is(source: str) -> None:
    if source == "nightly.yml":
        text = "\n".join(
            line for line in (ROOT / ".github" / "workflows" / source).read_text().splitlines() if ".venv/bin/dlcheck " in line
        )
    else:
        text = "\n".join(blocks(PAGES[source], "sh"))
    found = commands_of(text)
    assert len(found) >= 5
    for command in found:
        parser_of_commands().parse_args(command)


@pytest.mark.parametrize("command", [MAIN_JOB, TESTS])
def test_a_command_sets_everything_up(command: str) -> None:
    assert command.startswith("python3.11 -m venv .venv && .venv/bin/pip install ")
    assert "\n" not in command


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_links_lead_somewhere(page: str) -> None:
    folder = ROOT if page == "README.md" else ROOT / "docs"
    text = README if page == "README.md" else PAGES[page]
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text) if not target.startswith("http")]
    assert not [target for target in targets if target and not (folder / target).exists()]


@pytest.mark.parametrize("spec", DOCUMENTED, ids=lambda spec: spec.name)
def test_the_models_page_states_each_model(spec: ModelSpec) -> None:
    row = next(line for line in PAGES["models.md"].splitlines() if line.startswith(f"| `{spec.name}` |"))
    assert f"| {spec.parameters:,} |" in row
    assert row.endswith(f"| {spec.batch_size}, {spec.epochs} |")
    assert spec.optimizer.lower() in row.lower()
    levels = [line for line in PAGES["models.md"].splitlines() if line.startswith(f"| `{spec.name}`")]
    stated = re.search(r"\| [≥≤] (\S+) \|", levels[1])
    assert stated is not None
    assert float(stated[1]) == spec.level.bound


def test_the_usage_page_has_every_option_and_marker(pytester: pytest.Pytester) -> None:
    text = pytester.runpytest_subprocess("--help").stdout.str()
    options = sorted(set(re.findall(r"^  (--dl-[a-z-]+)", text, flags=re.MULTILINE)))
    assert len(options) >= 8
    assert not [option for option in options if f"| `{option} " not in PAGES["usage.md"]]
    assert not [marker for marker in MARKERS if f"| `{re.split('[(:]', marker)[0]}" not in PAGES["usage.md"]]


def test_the_report_page_has_every_verdict() -> None:
    assert not [verdict for verdict in VERDICTS if f"`{verdict}`" not in PAGES["report.md"]]


def test_the_readme_s_test_runs(pytester: pytest.Pytester, needs: Needs) -> None:
    needs("torch")
    example = next(block for block in blocks(README, "python") if "def test_dense_is_a_matrix_product" in block)
    pytester.makepyfile(test_mine=example)
    result = pytester.runpytest_subprocess("--dl-backend", "torch,numpy", "-v", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines_random(
        ["*PASSED*test_dense_is_a_matrix_product[[]torch-cpu]*", "*PASSED*test_dense_is_a_matrix_product[[]numpy-cpu]*"]
    )
    result.assert_outcomes(passed=2)


def test_the_workload_of_the_benchmarking_page_is_measured(pytester: pytest.Pytester, needs: Needs) -> None:
    needs("torch")
    workload = next(block for block in blocks(PAGES["benchmarking.md"], "python") if "def small_model" in block)
    test = next(block for block in blocks(README, "python") if "def test_speed" in block)
    package = pytester.mkpydir("mypackage")
    (package / "workloads.py").write_text(workload)
    pytester.makepyfile(test_speed=test)
    pytester.syspathinsert()
    result = pytester.runpytest_subprocess("--dl-backend", "torch", "--benchmark-disable", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)


def test_the_device_kind_of_the_usage_page_exists(pytester: pytest.Pytester, needs: Needs) -> None:
    needs("torch")
    pytester.makeconftest(next(block for block in blocks(PAGES["usage.md"], "python") if "DeviceKind" in block))
    pytester.makepyfile("def test_it(device): pass")
    result = pytester.runpytest_subprocess("--dl-backend", "torch", "--dl-device", "xpu", "-rs", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["*SKIPPED*torch finds no xpu*"])
