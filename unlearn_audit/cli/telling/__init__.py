"""What a person or a pipeline is told while a run goes on."""

__all__ = ["event_log", "github", "progress"]
