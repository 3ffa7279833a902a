"""One module a section of the report, and what those share that go finding by finding."""

__all__ = [
    "background",
    "by_finding",
    "comparisons",
    "costs",
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
