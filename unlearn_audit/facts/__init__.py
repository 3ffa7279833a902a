"""Facts in, from whatever people have: read, named alike, checked."""

__all__ = ["benchmarks", "check", "keys", "load", "presets", "privacy", "spelling", "usual"]
