"""Positive controls that hide knowledge more deeply than a refusal does."""
