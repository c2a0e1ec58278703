"""The same case here and on another product: observed on both sides, judged by pure functions, shrunk where they differ."""
