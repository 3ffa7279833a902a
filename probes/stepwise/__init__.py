"""The question taken apart into steps."""
