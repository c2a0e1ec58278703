"""Cases: drawn instances as plain data, which can be stored, replayed, sent elsewhere and written out as a script."""
