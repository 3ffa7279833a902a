"""Answers and passages beside the same text with a word exchanged: what cannot come from refusing."""
