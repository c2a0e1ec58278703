"""One file per framework: the derivatives that it computes."""

from __future__ import annotations

import importlib

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.gradients.autodiff.base import Autodiff

__all__ = ["autodiff_of"]


def autodiff_of(backend: Backend) -> Autodiff:
    """The derivatives of a backend's framework.

    Raises:
        DlcheckError: it computes none.
    """
    if not backend.trains:
        raise DlcheckError(f"backend {backend.name!r} computes no gradients: choose tensorflow, jax or torch")
    found: Autodiff = importlib.import_module(f"pytest_dlcheck.gradients.autodiff.{backend.name}_autodiff").AUTODIFF(backend)
    return found
