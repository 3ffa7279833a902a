"""One module a command."""

__all__ = ["compare", "doctor", "facts", "gate", "graph", "init", "list_plugins", "merge", "plan", "run", "verify"]
