"""Sentences that name nothing: whether a text says what one says, and whether it says it again with something else.

Others take `alike` and `Wording` from `likeness`, and `replaced`.
"""
