"""The interface of a fact preset: a plug-in that reads the rows of a published benchmark as facts.

A benchmark is published in its own layout. Its preset says once how these rows become facts, so that no one has to
convert a file by hand: a source written `NAME:PATH` (`tofu:forget10.jsonl`) is read through the preset of that name.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

_NAMED = re.compile(r"([a-z][a-z0-9-]+):(.+)", re.DOTALL)  # one letter is a drive of Windows; a hub id has a slash


class FactPreset(ABC):
    """One benchmark's layout, by an entry point of the group `unlearn_audit.presets`.

    A class is cheap to import. It is made without arguments and holds no state.

    Attributes:
        summary: what the benchmark holds and which files of it are read, in a sentence.
        paper: arXiv id, or empty.
        example: a few made-up rows in the published layout. They document it, and the contract test reads them.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]
    example: ClassVar[Sequence[Mapping[str, object]]]

    @abstractmethod
    def facts(self, rows: Sequence[Mapping[str, object]]) -> Iterator[Mapping[str, object]]:
        """The facts in these rows, as mappings with the fields of `api.Fact`.

        What it promises:

        - Keys are only fields of `Fact`; `id` and `subject` are in every mapping, and either `question` and
          `answer` or `text`. Values are plain: texts, and lists of texts. A field without a value is omitted.
        - `subject` is the unit of statistics: what leaks together has one subject.
        - Ids are unique. Ids and subjects follow from the rows' content, not from a row's position in its file, so
          that the forget set and the retain set of one benchmark never share one by accident.
        - Facts come in the order of the rows, the same ones each time. The rows are not changed.

        Args:
            rows: all rows of the file, in its order, as it has them.

        Raises:
            SpecError: the rows are not in the published layout. It says what was expected, what came and what to do,
                and never repeats an answer: that may be the secret.
        """


def split_source(source: str) -> tuple[str | None, str]:
    """A source of facts as the name of a preset, None for plain facts, and where the rows are."""
    match = _NAMED.fullmatch(source)
    return (match[1], match[2]) if match and "/" not in match[1] else (None, source)
