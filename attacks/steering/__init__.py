"""Vectors added to hidden states: the effect of the subjects' names, and one that is trained."""
