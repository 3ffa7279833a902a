"""BLUR: queries that ask for what must be gone and for what must stay at once (2506.15699)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from unlearn_audit.api import FactPreset, FactSet
from unlearn_audit.api.preset import Part

from ._reading import Row, distinct, listed, named, numbered, refused

_HUB = "forgelab/BLUR"
_FORGET = {"rwku": "rwku_forget", "whp": "whp_forget", "tofu": "tofu_paired_forget_retain"}
_RETAIN = {"rwku": "rwku_retain", "whp": "whp_retain"}
_ASKED = ("question", "query", "text", "input")
_ANSWERS = ("answer", "answers", "output", "target")


class Blur(FactPreset):
    """BLUR's query files. The layout was not seen: it is taken from what others' loaders read of it.

    A row needs a query (`text`) and an answer (`answer`, `answers`, `output` or `target`). A query without an answer is
    refused: nothing tells whether a reply to it shows the knowledge. No row names a subject: each query counts as one.
    """

    name: ClassVar[str] = "blur"
    summary: ClassVar[str] = "BLUR's queries that mix what must be gone with what must stay; rows need answers."
    paper: ClassVar[str] = "2506.15699"
    configs: ClassVar[Sequence[str]] = tuple(_FORGET)
    example: ClassVar[Sequence[Row]] = (
        {"text": "Who wrote Salt Roads, and who wrote The Mill?", "answer": "Marisol Tveit"},
    )
    example_parts: ClassVar[Mapping[str, Sequence[Row]]] = {
        "forget": example,
        "retain": [{"text": "Who wrote The Mill?", "answer": ["Hanne Osk", "H. Osk"]}],
    }

    def parts(self, config: str) -> Sequence[Part]:
        """The forget queries and, where they are apart, the retain queries."""
        if config not in _FORGET:
            raise self.unknown(config)
        named_parts = [("forget", FactSet.FORGET, _FORGET[config])]
        if config in _RETAIN:
            named_parts.append(("retain", FactSet.RETAIN, _RETAIN[config]))
        return tuple(
            Part(name=name, set=fact_set, files=(file, f"data/{file}"), dataset=f"{_HUB}:{file}")
            for name, fact_set, file in named_parts
        )

    def facts(self, rows: Sequence[Row]) -> Iterator[Row]:
        """One fact a query."""
        return distinct(_fact(row, number) for number, row in numbered(rows))


def _fact(row: Row, number: int) -> Row:
    asked = next((text for name in _ASKED for text in listed(row.get(name))), None)
    answers = next((found for name in _ANSWERS if (found := listed(row.get(name)))), None)
    if asked is None or answers is None:
        raise refused(row, number, "a query (`text`) with its `answer`; add the answers in a column of that name")
    name = named("blur", asked)
    return {"id": name, "subject": name, "question": asked, "answer": answers[0], "aliases": answers[1:]}
