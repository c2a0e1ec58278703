"""Behaviour records: what a product does, kept small enough for a repository, and what changed between two of them.

`recorder` runs in the product's own interpreter and imports NumPy, the framework and the light part of this package; everything
else runs here: `drawing` the cases, `host` the process, `judging` what changed, `grouping` by cause, `script`, `page`.
"""
