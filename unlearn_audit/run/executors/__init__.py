"""Where the jobs of a run are done: by workers on this machine or on a Ray cluster, or a part of them by itself."""

__all__ = ["choice", "kinds", "shard", "threads"]
