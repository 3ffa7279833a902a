"""Bounds, tests and group estimates: arrays in, numbers out. Knows no model and no fact."""

__all__ = ["bounds", "groups", "pass_rates"]
