"""Functions and their gradients as formulas over an array namespace, one file for each kind of function."""
