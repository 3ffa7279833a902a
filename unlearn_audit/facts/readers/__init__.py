"""One module for each kind of file that facts come in: each gives rows with their places."""

__all__ = ["lines", "stored", "tables"]
