"""Comparisons: measures of two or three models together."""
