"""Annexes for regulators: what a text asks for, and where an audit has evidence of it. None of them says "complies"."""

__all__ = ["ai_act", "asked", "evidence", "gdpr", "nist", "section", "texts"]
