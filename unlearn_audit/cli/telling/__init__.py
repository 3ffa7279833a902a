"""What a pipeline is told of a run, and what is shown of facts and of published figures."""

__all__ = ["event_log", "github"]
