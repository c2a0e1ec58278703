"""Errors that end in one line for the person who runs the tests."""

from __future__ import annotations

__all__ = ["BackendError", "DeviceMismatch", "DeviceMissing", "DlcheckError"]


class DlcheckError(Exception):
    """Something is wrong with what was asked for or with this machine; the message says what, and what to do."""


class BackendError(DlcheckError):
    """A backend is installed and cannot be used."""


class DeviceMissing(DlcheckError):
    """A device was asked for that the backend does not find."""


class DeviceMismatch(AssertionError):
    """A value lies elsewhere than on the device that it was to be computed on."""
