"""Specs of the layers that change images at random, for training."""

from __future__ import annotations

from pytest_dlcheck.subjects.layers import augmentation_color, augmentation_geometry, augmentation_mixing

__all__ = ["SPECS"]

SPECS = (*augmentation_color.SPECS, *augmentation_mixing.SPECS, *augmentation_geometry.SPECS)
