"""The tables that others publish, measured on a model by their definitions: they decide nothing here."""

__all__ = ["measure"]
