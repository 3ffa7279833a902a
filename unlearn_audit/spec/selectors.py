"""Selectors of findings: `relearning,quantization.*,-suffix,access:prompts`.

Terms are read from left to right; each adds what it names, or with a leading minus removes it. A selector
that starts with a minus starts from everything. A term names an attack, `attack/probe` or `attack/probe.measure`, or
is a glob over these (a dot also works for the slash); `access:TIER` names what needs no more than that access.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

from unlearn_audit.api import Access
from unlearn_audit.evidence.old_names import current

_ACCESS = "access:"
_GLOB = frozenset("*?[")


class Selectable(Protocol):
    """What a selector is about: one attack x one measure of a probe."""

    @property
    def id(self) -> str:
        """`attack/probe.measure`, with what distinguishes it from others of the same measure."""

    @property
    def attack(self) -> str:
        """The attack's name."""

    @property
    def probe(self) -> str:
        """The probe's name."""

    @property
    def measure(self) -> str:
        """The measure's name."""

    @property
    def access(self) -> Access:
        """The least access that it needs."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """One part of a selector."""

    text: str
    takes_away: bool

    @property
    def is_name(self) -> bool:
        """Whether it names something, which must then exist."""
        return not self.takes_away and not self.text.startswith(_ACCESS) and _GLOB.isdisjoint(self.text)

    def names(self, finding: Selectable) -> bool:
        """Whether the term, without its sign, covers the finding."""
        if self.text.startswith(_ACCESS):
            levels = list(Access)
            return levels.index(finding.access) <= levels.index(Access(self.text.removeprefix(_ACCESS)))
        whole = f"{finding.attack}/{finding.probe}.{finding.measure}"
        called = {finding.attack, f"{finding.attack}/{finding.probe}", whole, finding.id}
        return any(
            fnmatchcase(name, current(self.text)) for name in (*called, *(one.replace("/", ".") for one in called))
        )


def terms(selector: str) -> Iterator[Term]:
    """The parts of a selector, in their order."""
    for part in selector.split(","):
        text = part.strip()
        yield Term(text=text.removeprefix("-").strip(), takes_away=text.startswith("-"))


def covers(selector: str, finding: Selectable) -> bool:
    """Whether a selector names a finding."""
    parts = list(terms(selector))
    covered = parts[0].takes_away
    for term in parts:
        if term.names(finding):
            covered = not term.takes_away
    return covered


def check_selector(selector: str) -> str:
    """The selector, if it can be read.

    Raises:
        ValueError: an empty term, or an unknown access level.
    """
    for term in terms(selector):
        if not term.text:
            raise ValueError(f"expected comma-separated names, got {selector!r} with an empty part")
        level = term.text.removeprefix(_ACCESS)
        if term.text.startswith(_ACCESS) and level not in list(Access):
            raise ValueError(f"unknown access {level!r}; choose from {', '.join(Access)}")
    return selector
