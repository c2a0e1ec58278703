"""What many runs found, kept in one SQLite file: verdicts, measurements with their samples, changes and alerts."""
