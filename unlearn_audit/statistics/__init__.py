"""Bounds, tests and group estimates: arrays in, numbers out. Knows no model and no fact."""

__all__ = ["agreement", "bounds", "counts", "finite", "groups", "pass_rates", "published"]
