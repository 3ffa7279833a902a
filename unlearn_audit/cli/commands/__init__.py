"""One module a command."""

__all__ = ["compare", "doctor", "gate", "graph", "init", "list_plugins", "merge", "plan", "run", "verify"]
