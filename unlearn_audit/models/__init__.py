"""A reference on disk or in the hub's cache -> a model that can be asked, scored and trained."""

__all__ = [
    "batching",
    "digests",
    "engine",
    "examine",
    "loading",
    "modules",
    "references",
    "rendering",
    "shared_prefix",
    "short_cuts",
    "writing",
]
