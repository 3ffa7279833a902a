"""Sentences that name nothing: whether a text says what one says, and whether it says it again with something else.

Others take `likeness` and `rarity` from `likeness`, the stems and synonyms of `related`, and `replaced`.
"""
