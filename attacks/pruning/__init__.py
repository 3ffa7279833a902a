"""Weights set to zero, by size or by what they do."""
