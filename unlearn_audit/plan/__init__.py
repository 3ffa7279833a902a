"""Spec -> plan: which jobs run, what is skipped, what the verdict will be about. Loads no model."""

__all__ = [
    "budget",
    "case",
    "findings",
    "forecast",
    "live",
    "make",
    "output_judge",
    "plan",
    "provenance",
    "stand_ins",
    "steps",
]
