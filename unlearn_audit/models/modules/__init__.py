"""What is done with a model's module tree as such: copies of it, and the count of what goes through it."""

__all__ = ["forks", "meter", "tally"]
