"""One module a section of the report."""

__all__ = [
    "background",
    "comparisons",
    "crosswalk",
    "findings",
    "judge",
    "layers",
    "notes",
    "power",
    "quantizers",
    "recovery_cost",
    "rules",
    "worst_facts",
]
