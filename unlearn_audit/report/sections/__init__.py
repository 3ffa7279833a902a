"""One module a section of the report, and what those share that go finding by finding."""

__all__ = [
    "background",
    "by_finding",
    "comparisons",
    "costs",
    "findings",
    "judge",
    "layers",
    "notes",
    "people",
    "power",
    "quantizers",
    "recovery_cost",
    "rules",
    "sealed",
    "summary",
    "worst_facts",
]
