"""Spec -> plan: which jobs run, what is skipped, what the verdict will be about, and how long it takes."""

__all__ = [
    "budget",
    "case",
    "findings",
    "forecasting",
    "live",
    "make",
    "output_judge",
    "plan",
    "provenance",
    "stand_ins",
    "steps",
]
