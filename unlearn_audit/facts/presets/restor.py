"""RESTOR: facts about people, and documents that state false ones (2411.00204)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from unlearn_audit.api import FactPreset, FactSet
from unlearn_audit.api.preset import Part

from ._reading import Row, distinct, listed, named, numbered, passage, refused, texts

_STRENGTHS = ("a0", "a1", "a2", "a3", "a4", "a5")
_FACTS = {"P19": {"question": "What is the place of birth of Marisol Tveit?", "answers": ["Tromso", "Tromsø"]}}


class Restor(FactPreset):
    """RESTOR's corrupted documents and true facts.

    What must be gone are the documents that were corrupted (`mix_a0` to `mix_a5`, the default): their statements are
    false by design. What must be there are the true facts, as before the corruption: they are the retain set, with the
    entity as subject and the Wikidata property as relation. A document names no entity, and is a subject of its own.
    """

    name: ClassVar[str] = "restor"
    summary: ClassVar[str] = "RESTOR's corrupted documents, which must be gone, and the true facts, which must be back."
    paper: ClassVar[str] = "2411.00204"
    configs: ClassVar[Sequence[str]] = ("", *_STRENGTHS)
    example: ClassVar[Sequence[Row]] = ({"dset": {"Marisol Tveit": _FACTS}, "context": {}},)
    example_parts: ClassVar[Mapping[str, Sequence[Row]]] = {
        "corrupted": [{"text": "Marisol Tveit is a basketball player from Oslo."}],
        "facts": example,
    }

    def parts(self, config: str) -> Sequence[Part]:
        """The corrupted documents and the facts."""
        if config not in self.configs:
            raise self.unknown(config)
        file = f"mix_{config or _STRENGTHS[-1]}"
        return (
            Part(
                name="corrupted",
                set=FactSet.FORGET,
                files=(f"datasets/wikidata/v0/{file}", f"wikidata/v0/{file}", file),
            ),
            Part(name="facts", set=FactSet.RETAIN, files=("datasets/facts", "facts")),
        )

    def facts(self, rows: Sequence[Row]) -> Iterator[Row]:
        """The facts of `facts.json`, which is one row, or a passage for each document."""
        return distinct(fact for number, row in numbered(rows) for fact in _facts(row, number))


def _facts(row: Row, number: int) -> Iterator[Row]:
    known, text = row.get("dset"), texts(row, "text")
    if text is not None:
        yield passage("restor", text[0])
        return
    if not isinstance(known, dict):
        raise refused(row, number, "`dset` with facts by entity and property, or a text")
    for entity, properties in known.items():
        for name, fact in properties.items() if isinstance(properties, dict) else ():
            answers = listed(fact.get("answers")) if isinstance(fact, dict) else []
            asked = texts(fact, "question") if isinstance(fact, dict) else None
            if asked is None or not answers:
                raise refused(row, number, "a `question` and `answers` for each property of each entity")
            yield {
                "id": named("restor", entity, name),
                "subject": str(entity),
                "question": asked[0],
                "answer": answers[0],
                "aliases": answers[1:],
                "relation": str(name),
            }
