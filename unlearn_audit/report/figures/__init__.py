"""What the report draws."""

__all__ = ["dose_curves", "forest", "membership_roc", "panels", "svg", "tradeoff"]
