"""The measures that others publish, by their definitions and under names that tell their variants apart."""

__all__ = ["aggregates", "letters", "membership", "memorization", "muse", "rwku", "texts", "truth"]
