"""What a report is made of, before it has a format: sections of paragraphs, lists, tables and figures.

Markdown and HTML print the same page, so that neither omits what the other says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from unlearn_audit.api.terms import Status
from unlearn_audit.verdict.result import Outcome

STATUS_WORDS = {
    Status.PASSED: "passed",
    Status.FAILED: "failed",
    Status.INCONCLUSIVE: "inconclusive",
    Status.NO_POWER: "no power",
    Status.ERROR: "error",
}


@dataclass(frozen=True, slots=True)
class Code:
    """An identifier, a digest or a command, printed as such."""

    text: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number that this package formatted."""

    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A finding's status: a word with a color and a shape."""

    status: Status


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """A place of the matrix: how much is shown, with the color of its status.

    Attributes:
        text: what the checkpoint shows; `beside`: what the controls show, or nothing.
        decides: whether it is of a finding that decides.
    """

    status: Status
    text: str
    beside: str
    decides: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """A name of the tool's, with plain words for it where there are any."""

    name: str
    words: str


Inline: TypeAlias = str | Code | Number | Mark | Tile | Named


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much a report prints; `result.json` has everything.

    Attributes:
        rows: of one dose table.
        entries: of any other table or list, and tables of a kind.
        text: characters of one text from outside.
    """

    rows: int
    entries: int
    text: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Paragraph:
    """A paragraph; its parts follow each other without a space."""

    kind: ClassVar[str] = "paragraph"
    parts: tuple[Inline, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Heading:
    """A heading inside a section, at level 3 or 4."""

    kind: ClassVar[str] = "heading"
    parts: tuple[Inline, ...]
    level: int = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """A list; each item is a run of parts."""

    kind: ClassVar[str] = "listing"
    items: tuple[tuple[Inline, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column's title, with plain words for it; numbers are right-aligned, and a wide column holds sentences."""

    title: str
    words: str = ""
    numeric: bool = False
    wide: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table; `caption` names it for those who hear the page."""

    kind: ClassVar[str] = "table"
    caption: tuple[Inline, ...]
    columns: tuple[Column, ...]
    rows: tuple[tuple[Inline, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class FigureSlot:
    """The place of a figure in formats that show figures; empty if there was nothing to draw."""

    kind: ClassVar[str] = "figure"
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """Detail inside a section, under a line that opens it; open on paper and in formats that cannot fold."""

    kind: ClassVar[str] = "fold"
    title: str
    blocks: tuple[Block, ...]


Block: TypeAlias = Paragraph | Heading | Listing | Table | FigureSlot | Fold


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A part of the page with a heading.

    Attributes:
        id: its anchor.
        folded: detail for those who look for it; a format that can fold shows the heading alone.
        empty: it says that there is nothing to say; a page leaves it out.
    """

    id: str
    title: str
    blocks: tuple[Block, ...]
    folded: bool = False
    empty: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A whole report.

    Attributes:
        headline: the verdict in plain words.
        alarm: what a reader must not miss, whatever the verdict; empty where there is nothing.
        sentence: the verdict in one exact sentence, without the outcome before it.
        subject: what was audited.
        facts: (name, value) pairs that a reader wants next to the outcome.
        steps: what to do next.
        gaps: what the audit does not cover.
    """

    outcome: Outcome
    exit_code: int
    headline: str
    alarm: str
    sentence: str
    subject: str
    facts: tuple[tuple[str, str], ...]
    steps: tuple[str, ...]
    gaps: tuple[str, ...]
    sections: tuple[Section, ...]


def paragraph(*parts: Inline) -> Paragraph:
    """A paragraph of these parts."""
    return Paragraph(parts=parts)


def heading(*parts: Inline, level: int = 3) -> Heading:
    """A heading of these parts."""
    return Heading(parts=parts, level=level)


def text_columns(*titles: str) -> tuple[Column, ...]:
    """Columns of text."""
    return tuple(Column(title=title) for title in titles)


def number_columns(*titles: str) -> tuple[Column, ...]:
    """Columns of numbers."""
    return tuple(Column(title=title, numeric=True) for title in titles)
