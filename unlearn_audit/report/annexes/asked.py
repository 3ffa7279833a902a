"""A text of a regulator, cut down to what an audit of unlearning can have evidence of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from unlearn_audit.verdict.result import Result


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One thing that a text asks for, summarized and not quoted.

    Attributes:
        source: article or section.
        evidence: what an audit found that bears on it, or that it found nothing.
        sections: titles of the report's sections to read.
    """

    source: str
    asks: str
    evidence: Callable[[Result], str]
    sections: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Text:
    """What is asked for, with the full names of the sources."""

    title: str
    sources: tuple[str, ...]
    asked: tuple[Asked, ...]
