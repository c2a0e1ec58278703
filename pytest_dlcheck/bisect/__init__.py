"""Finds the first of several versions, or commits, that behaves otherwise."""
