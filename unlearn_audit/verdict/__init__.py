"""Evidence + case + policy -> outcome: a pure function, without torch."""

__all__ = ["changes", "conclude", "decide", "findings", "outcome", "policy", "reach", "result", "wording"]
