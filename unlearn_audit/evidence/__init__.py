"""The run directory: observations and records on disk, whole or absent, each with its digest."""

__all__ = [
    "agreement",
    "arrays",
    "costs",
    "digests",
    "directory",
    "files",
    "manifest",
    "observations",
    "old_names",
    "published",
    "records",
    "seal",
    "soundness",
    "store",
]
