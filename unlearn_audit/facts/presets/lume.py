"""LUME: invented stories, invented persons and biographies, as questions and as texts (2502.15097)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from unlearn_audit.api import FactPreset, FactSet
from unlearn_audit.api.preset import Part

from ._reading import Row, cut, distinct, named, numbered, refused, texts

_ID = re.compile(r'"?(.+?)"?(sc|qa)(\d+)', re.DOTALL)


class Lume(FactPreset):
    """LUME's and SemEval-2025 task 4's files: `id`, `input`, `output`, `task`.

    An id says which document a row is of and what it is: `qa` a question with its answer, `sc` a text in two pieces,
    which is a fact with the benchmark's own cut. The subject is the document: what is learned from it leaks together.
    """

    name: ClassVar[str] = "lume"
    summary: ClassVar[str] = "LUME's and SemEval-2025's questions and texts; the subject is the document."
    paper: ClassVar[str] = "2502.15097"
    configs: ClassVar[Sequence[str]] = ("",)
    example: ClassVar[Sequence[Row]] = (
        {"id": "0f3a-docsc1", "input": "Hanne Osk grew up", "output": "in Kettle Bay.", "task": "Task2"},
        {"id": "0f3a-docqa0", "input": "What is Hanne Osk's home town?", "output": "Kettle Bay", "task": "Task2"},
    )
    example_parts: ClassVar[Mapping[str, Sequence[Row]]] = {
        "forget": example,
        "retain": [{"id": '"77b"qa0', "input": "Who keeps the lock?", "output": "Jon Weir", "task": "Task1"}],
    }

    def parts(self, config: str) -> Sequence[Part]:
        """The two files; those of the validation split where there are no others."""
        if config:
            raise self.unknown(config)

        def part(name: str, fact_set: FactSet) -> Part:
            splits = [file for split in ("train", "validation") for file in (f"{split}/{name}", f"{name}_{split}")]
            return Part(name=name, set=fact_set, files=(name, *splits, f"validation/{name}_validation"))

        return (part("forget", FactSet.FORGET), part("retain", FactSet.RETAIN))

    def facts(self, rows: Sequence[Row]) -> Iterator[Row]:
        """One fact a row, by the end of its id."""
        return distinct(_fact(row, number) for number, row in numbered(rows))


def _fact(row: Row, number: int) -> Row:
    held = texts(row, "id", "input", "output")
    parsed = _ID.fullmatch(held[0]) if held else None
    if held is None or parsed is None:
        raise refused(row, number, "`input`, `output`, and an `id` that ends in qa or sc and a number")
    name, document = named("lume", *held), f"document {parsed[1]}"
    if parsed[2] == "qa":
        return {"id": name, "subject": document, "question": held[1], "answer": held[2]}
    given, text = cut(held[1], held[2])
    return {"id": name, "subject": document, "text": text, "given": given}
