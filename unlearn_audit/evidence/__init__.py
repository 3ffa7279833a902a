"""The run directory: observations and records on disk, whole or absent, each with its digest."""

__all__ = ["agreement", "digests", "files", "manifest", "old_names", "records", "store"]
