"""A fact told as a line of text, for shots and for what a prompt tells."""

from __future__ import annotations

from unlearn_audit.api import Fact


def shot(fact: Fact) -> str:
    """A question with its answer, on one line."""
    return " ".join(f"{fact.question} {fact.answer}".split())
