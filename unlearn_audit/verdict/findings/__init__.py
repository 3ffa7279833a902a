"""One finding: its cells, its controls, its bounds, its power."""

__all__ = ["comparisons", "contrasts", "places", "power", "score_tables", "utility", "weigh", "worst_facts"]
