"""Other products by name: `find("tf2.15", root)` gives an interpreter that has them, made through uv if there is none yet."""

from __future__ import annotations

from pytest_dlcheck.environments.environment import Environment, same_versions
from pytest_dlcheck.environments.finding import configured, find, project_root

__all__ = ["Environment", "configured", "find", "project_root", "same_versions"]
