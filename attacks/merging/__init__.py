"""Attacks on what lies between two sets of weights: the checkpoint's and another model's."""
