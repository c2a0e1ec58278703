"""What runs in a peer, as `PYTHON path/to/program`: on Python 3.6 or newer, with NumPy and a framework only."""
