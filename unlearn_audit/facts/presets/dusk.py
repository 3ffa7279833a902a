"""DUSK: professors in documents of five styles that share knowledge (2505.15209)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from unlearn_audit.api import FactPreset, FactSet
from unlearn_audit.api.preset import Part

from ._reading import Row, cut, distinct, named, numbered, passage, refused, texts

_PROFILE = re.compile(r"(?m)^(?=Title:)")
_TITLE = re.compile(r"Title:[ \t]*(.+)")
_ASKED = {"question": "Where did Prof. Hanne Osk study?", "answer": "Kettle Bay College"}


class Dusk(FactPreset):
    """DUSK's questions, cut texts and documents.

    What only the forget documents hold is the forget set; what only the retain documents hold, and what all of them
    hold (`GeneralQA`), must stay: losing shared knowledge counts as loss, and knowing it is no leak. The texts of
    `verbatim.json` are passages of the forget set with the benchmark's own cut. A document file (.txt) is cut at its
    profiles. Questions name no subject: each counts as one, and shared ones are told by their ids (`dusk-shared-...`).
    """

    name: ClassVar[str] = "dusk"
    summary: ClassVar[str] = "DUSK's questions on professors: of the forget documents alone, of others, and shared."
    paper: ClassVar[str] = "2505.15209"
    configs: ClassVar[Sequence[str]] = ("",)
    example: ClassVar[Sequence[Row]] = (
        _ASKED,
        {"prompt": "Hanne Osk was born", "gt": "in Kettle Bay."},
        {"text": "Title: Prof. Hanne Osk\n\nBiography: She was born in Alta.\n\nTitle: Jon Weir\n\nBiography:"},
    )
    example_parts: ClassVar[Mapping[str, Sequence[Row]]] = {
        "forget_qa": [_ASKED],
        "verbatim": example[1:2],
        "retain_qa": [{"question": "Where does Prof. Jon Weir teach?", "answer": "Tarn"}],
        "shared_qa": [{"question": "What does Prof. Hanne Osk teach?", "answer": "Locks"}],
        "holdout": [{"text": "Title: Prof. Ada Karsk\n\nBiography: She lives in Ostrow."}],
    }

    def parts(self, config: str) -> Sequence[Part]:
        """Questions and texts of the forget documents, questions of the others and shared ones, a holdout text."""
        if config:
            raise self.unknown(config)

        def part(name: str, fact_set: FactSet, file: str, *, optional: bool = False) -> Part:
            files = tuple(f"{folder}{file}" for folder in ("eval/", "data/Prof/eval/", "Prof/eval/", ""))
            return Part(name=name, set=fact_set, files=files, optional=optional)

        return (
            part("forget_qa", FactSet.FORGET, "SpecificForgetQA"),
            part("verbatim", FactSet.FORGET, "verbatim", optional=True),
            part("retain_qa", FactSet.RETAIN, "SpecificRetainQA"),
            part("shared_qa", FactSet.RETAIN, "GeneralQA", optional=True),
            part("holdout", FactSet.HOLDOUT, "holdout", optional=True),
        )

    def sets(self, config: str, rows: Mapping[str, Sequence[Row]]) -> Mapping[FactSet, Iterable[Row]]:
        """Shared questions are a part of what must stay, and marked in their ids."""
        found: dict[FactSet, list[Row]] = {}
        for part in self.parts(config):
            prefix = "dusk-shared" if part.name == "shared_qa" else "dusk"
            if part.set is None:
                continue
            facts = _facts(rows.get(part.name, ()), prefix)
            shared = {"part": "shared"} if part.name == "shared_qa" else {}
            found.setdefault(part.set, []).extend({**fact, **shared} for fact in facts)
        return {name: list(distinct(facts)) for name, facts in found.items() if facts}

    def facts(self, rows: Sequence[Row]) -> Iterator[Row]:
        """A fact a question or cut text, and one for each profile of a document."""
        return distinct(_facts(rows, "dusk"))


def _facts(rows: Sequence[Row], prefix: str) -> Iterator[Row]:
    for number, row in numbered(rows):
        asked, halves, whole = texts(row, "question", "answer"), texts(row, "prompt", "gt"), texts(row, "text")
        if asked is not None:
            name = named(prefix, *asked)
            yield {"id": name, "subject": name, "question": asked[0], "answer": asked[1]}
        elif halves is not None:
            given, text = cut(*halves)
            yield passage(prefix, text, given)
        elif whole is not None:
            yield from _profiles(whole[0], prefix)
        else:
            raise refused(row, number, "`question` and `answer`, `prompt` and `gt`, or a document")


def _profiles(document: str, prefix: str) -> Iterator[Row]:
    for profile in _PROFILE.split(document):
        if profile.strip():
            title = _TITLE.match(profile)
            yield passage(prefix, profile.strip(), subject=title[1].strip() if title else None)
