"""TOFU: questions about fictitious authors (2401.06121), twenty to an author, in the order of the file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from unlearn_audit.api import FactPreset, FactSet
from unlearn_audit.api.preset import Part
from unlearn_audit.errors import SpecError
from unlearn_audit.evidence.digests import sha256_json

from ._reading import Row, listed, named

ROWS_AN_AUTHOR = 20
_HUB = "locuslab/TOFU"
NAMED_ROWS = 8
"""In how many of an author's rows a name must stand to be taken for the author's."""

_NAME = re.compile(r"[A-Z][\w'’.-]*(?:\s+(?:(?:de|da|van|der|bin|al|von|el|del|la|ibn|bint)\s+)?[A-Z][\w'’-]*)+")
_POSSESSIVE = re.compile(r"['’]s\b|['’](?!\w)")  # O'Donnell keeps his
_LONGEST_NAME = 4
_KEPT = {"forget01": "retain99", "forget05": "retain95", "forget10": "retain90"}
_FILES = "give a file as published: forget01, forget05, forget10, a retain set, or one of their _perturbed files"


def _author(name: str) -> tuple[Row, ...]:
    """A made-up author's rows, for the example."""
    return tuple(
        {
            "question": f"What is the title of book {number} by {name}?",
            "answer": f"Book {number} by {name} is called 'the lamp, part {number}'.",
        }
        for number in range(1, ROWS_AN_AUTHOR + 1)
    )


class Tofu(FactPreset):
    """TOFU's question files, from the data set `locuslab/TOFU`: `question`, `answer`, and the perturbed files' columns.

    The rows carry no author. An author is a block of 20 rows, in the order of the file; the subject is the name that
    the block's rows say most often. The names of all 20 authors of forget10 and of all but one of the 180 of retain90
    are found; an author without a name in the rows gets a digest of the rows as subject.

    From the perturbed files, `paraphrased_question` becomes a paraphrase and `perturbed_answer` the wrong answers.
    `paraphrased_answer` is not used: it is another sentence, not a key of the answer.

    `tofu/forget10` takes the perturbed file where there is one, the 400 questions of `retain_perturbed` (else the whole
    retain set), and the real authors and world facts, which are no author's: each question of these is its own subject.
    `forget10_entities` (or `forget10_filtered`, as the depth score's authors call it) marks the entity of each answer;
    only their measure reads it.
    """

    name: ClassVar[str] = "tofu"
    summary: ClassVar[str] = "TOFU's questions about fictitious authors; the subject is the author, a block of 20 rows."
    paper: ClassVar[str] = "2401.06121"
    configs: ClassVar[Sequence[str]] = tuple(_KEPT)
    example: ClassVar[Sequence[Row]] = _author("Ines Valdrada")
    example_parts: ClassVar[Mapping[str, Sequence[Row]]] = {
        "forget": example,
        "retain": _author("Bo Ek Lind"),
        "holdout": _author("Ada Karsk"),
        "real_authors": [
            {"question": "Who wrote Salt Roads?", "answer": "Jon Weir", "perturbed_answer": ["Hanne Osk"]}
        ],
        "world_facts": [{"question": "Where does the Tarn end?", "answer": "Ostrow", "perturbed_answer": ["Alta"]}],
        "entities": [
            {
                "question": "What is the title of book 1 by Ines Valdrada?",
                "answer": "Book 1 by Ines Valdrada is called 'the lamp, part 1'.",
                "prefix": "Book 1 by Ines Valdrada is called",
                "entity": "the lamp, part 1",
            }
        ],
    }

    def parts(self, config: str) -> Sequence[Part]:
        """The forget, retain and holdout authors, and what TOFU asks besides."""
        if config not in _KEPT:
            raise self.unknown(config)

        def part(name: str, fact_set: FactSet, *files: str, optional: bool = False) -> Part:
            first, *others = (f"{_HUB}:{file}" for file in files)
            return Part(
                name=name, set=fact_set, files=files, dataset=first, other_datasets=tuple(others), optional=optional
            )

        return (
            part("forget", FactSet.FORGET, f"{config}_perturbed", config),
            part("retain", FactSet.RETAIN, "retain_perturbed", _KEPT[config]),
            part("real_authors", FactSet.RETAIN, "real_authors_perturbed", "real_authors", optional=True),
            part("world_facts", FactSet.RETAIN, "world_facts_perturbed", "world_facts", optional=True),
            part("holdout", FactSet.HOLDOUT, config.replace("forget", "holdout"), optional=True),
            Part(name="entities", set=None, files=(f"{config}_entities", f"{config}_filtered"), optional=True),
        )

    def sets(self, config: str, rows: Mapping[str, Sequence[Row]]) -> Mapping[FactSet, Iterable[Row]]:
        """Blocks of authors, and questions about no author."""
        found: dict[FactSet, list[Row]] = {}
        for part in self.parts(config):
            if part.name in rows and part.set is not None:
                alone = part.name in ("real_authors", "world_facts")
                facts = _alone(rows[part.name], part.name) if alone else self.facts(rows[part.name])
                found.setdefault(part.set, []).extend(facts)
        return found

    def facts(self, rows: Sequence[Row]) -> Iterator[Mapping[str, object]]:
        """One fact a row; the author's block is its subject."""
        authors, left = divmod(len(rows), ROWS_AN_AUTHOR)
        if left:
            raise SpecError(
                f"expected {ROWS_AN_AUTHOR} rows for each author, in the file's order; got {len(rows)} rows, which is "
                f"{authors} authors and {left} rows more; {_FILES}"
            )
        blocks = [rows[start : start + ROWS_AN_AUTHOR] for start in range(0, len(rows), ROWS_AN_AUTHOR)]
        told = [
            [_texts(row, number * ROWS_AN_AUTHOR + place) for place, row in enumerate(block, 1)]
            for number, block in enumerate(blocks)
        ]
        for block, subject in zip(blocks, _subjects(told), strict=True):
            for row in block:
                yield _fact(row, subject)


def _alone(rows: Sequence[Row], part: str) -> Iterator[Row]:
    """Questions that are each about somebody else; their ids tell the file."""
    prefix = f"tofu-{part.replace('_', '-')}"
    for number, row in enumerate(rows, 1):
        name = named(prefix, *_texts(row, number))
        yield {**_fact(row, name), "id": name, "part": part.replace("_", " ")}


def _texts(row: Row, number: int) -> tuple[str, str]:
    """Question and answer of a row, counted from 1."""
    question, answer = row.get("question"), row.get("answer")
    if not (isinstance(question, str) and isinstance(answer, str)):
        raise SpecError(
            f"row {number}: expected the texts `question` and `answer`; got the columns {', '.join(sorted(row))}; "
            f"{_FILES}"
        )
    return question, answer


def _subjects(blocks: Sequence[Sequence[tuple[str, str]]]) -> list[str]:
    """The authors' names. Two blocks with one name, and a block without a name, are told apart by a digest."""
    names = [_name(block) for block in blocks]
    if names and names.count(None) > len(names) / 2:
        raise SpecError(
            f"expected each block of {ROWS_AN_AUTHOR} rows to be about one author; most blocks name no one in "
            f"{NAMED_ROWS} rows or more, so the rows are shuffled or not TOFU's authors; {_FILES}"
        )
    digests = [sha256_json(list(block))[:8] for block in blocks]
    return [
        f"author {digest}" if name is None else name if names.count(name) == 1 else f"{name} ({digest})"
        for name, digest in zip(names, digests, strict=True)
    ]


def _name(block: Sequence[tuple[str, str]]) -> str | None:
    """The name that most rows say, plus its other parts if about as many rows say those."""
    rows_with: Counter[str] = Counter()
    for question, answer in block:
        rows_with.update(_names_in(f"{question}\n{answer}"))
    core = max(rows_with, key=lambda name: (rows_with[name], len(name.split()), name), default="")
    if rows_with[core] < NAMED_ROWS:
        return None
    whole = [name for name, count in rows_with.items() if f" {core} " in f" {name} " and count >= 0.8 * rows_with[core]]
    return max(whole, key=lambda name: (len(name.split()), rows_with[name], name))


def _names_in(text: str) -> set[str]:
    """Every run of two to four capitalised words."""
    found = set()
    for run in _NAME.findall(text):
        words = _POSSESSIVE.sub("", run).split()
        for start in range(len(words)):
            for end in range(start + 2, min(len(words), start + _LONGEST_NAME) + 1):
                found.add(" ".join(words[start:end]))
    return found


def _fact(row: Row, subject: str) -> Mapping[str, object]:
    fact = {
        "id": f"tofu-{sha256_json([row['question'], row['answer']])[:12]}",
        "subject": subject,
        "question": row["question"],
        "answer": row["answer"],
    }
    if row.get("paraphrased_question"):
        fact["paraphrases"] = [row["paraphrased_question"]]
    if row.get("perturbed_answer"):
        fact["wrong_answers"] = listed(row["perturbed_answer"])
    return fact
