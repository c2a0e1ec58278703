"""Gradients, checked against differences, forward mode, other modes and closed forms, with a verdict that says why."""
