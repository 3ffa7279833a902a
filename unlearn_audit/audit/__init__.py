"""One audit from its spec to its result: plan, run, decide, write; for the command line and for Python.

`hops` is the only place that knows all five hops.
"""

__all__ = ["callback", "harness", "hops", "outlooks", "prospects", "session", "telling"]
