"""What is compiled is kept between runs, and taken again only for the very build that compiled it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conftest import need
from pytest_dlcheck import compiled_cache
from pytest_dlcheck.compiled_cache import build_of, folder_in


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "compiler.so").write_bytes(b"built once")
    (folder / "notes.txt").write_text("1")
    return folder


def test_the_same_build_is_recognized(library: Path) -> None:
    before = build_of([library])
    (library / "notes.txt").write_text("2")
    assert build_of([library]) == before


def test_a_build_made_anew_under_the_same_version_is_another(library: Path) -> None:
    before = build_of([library])
    found = (library / "compiler.so").stat()
    (library / "compiler.so").write_bytes(b"made again")
    os.utime(library / "compiler.so", ns=(found.st_atime_ns, found.st_mtime_ns + 1))
    assert build_of([library]) != before


def test_so_is_one_for_other_flags(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = build_of([library])
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    assert build_of([library]) != before


def test_what_grows_too_large_is_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = folder_in(tmp_path / "root", "one")
    (kept / "code").write_bytes(b"0123456789")
    monkeypatch.setattr(compiled_cache, "LARGEST_BYTES", 10)
    assert folder_in(tmp_path / "root", "two").is_dir()
    assert (kept / "code").exists()
    monkeypatch.setattr(compiled_cache, "LARGEST_BYTES", 9)
    assert folder_in(tmp_path / "root", "two").is_dir()
    assert not kept.exists()


TEST = """
import pytest

@pytest.mark.dl_only("jax")
def test_one(backend, dl_compiled_once):
    jax = backend.framework
    assert jax.jit(lambda x: x * 3 + 1)(jax.numpy.arange(7.0))[2] == 7
"""


@pytest.mark.parametrize(("option", "kept"), [("", True), ("-pno:cacheprovider", False)])
def test_it_lies_in_pytest_s_cache(pytester: pytest.Pytester, option: str, kept: bool) -> None:
    need("jax")
    pytester.makepyfile(TEST)
    options = ["--dl-backend", "jax", "-n0", *([option] if option else [])]
    pytester.runpytest_subprocess(*options).assert_outcomes(passed=1)
    found = list((pytester.path / ".pytest_cache").glob("d/dlcheck-compiled/*/*"))
    assert bool(found) is kept
    if kept:
        pytester.runpytest_subprocess("--cache-clear", *options).assert_outcomes(passed=1)
