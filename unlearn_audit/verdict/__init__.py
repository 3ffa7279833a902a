"""Evidence + case + policy -> outcome: a pure function, without torch."""

__all__ = [
    "changes",
    "conclude",
    "decide",
    "findings",
    "outcome",
    "phrases",
    "policy",
    "reach",
    "result",
    "several",
    "wording",
]
