"""What all sections and formats share: numbers as text, escaping, the blocks of a page."""

__all__ = ["fitting", "numbers", "text", "view", "words"]
