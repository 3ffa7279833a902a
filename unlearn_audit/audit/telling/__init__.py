"""What a person is told while a run goes on: how far it is, what it has found, how long it has still to go."""

__all__ = ["course", "libraries", "progress", "streams"]
