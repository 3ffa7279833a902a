"""Facts in, from whatever people have: read, named alike, checked."""

__all__ = ["keys", "load", "presets", "privacy", "rows", "spelling"]
