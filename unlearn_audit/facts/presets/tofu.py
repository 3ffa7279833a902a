"""TOFU: questions about fictitious authors (2401.06121), twenty to an author, in the order of the file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from unlearn_audit.api.preset import FactPreset
from unlearn_audit.errors import SpecError
from unlearn_audit.evidence.digests import sha256_json

ROWS_AN_AUTHOR = 20
NAMED_ROWS = 8
"""In how many of an author's rows a name must stand to be taken for the author's."""

Row = Mapping[str, object]

_NAME = re.compile(r"[A-Z][\w'’.-]*(?:\s+(?:(?:de|da|van|der|bin|al|von|el|del|la|ibn|bint)\s+)?[A-Z][\w'’-]*)+")
_POSSESSIVE = re.compile(r"['’]s\b|['’](?!\w)")  # O'Donnell keeps his
_LONGEST_NAME = 4
_FILES = "give a file as published: forget01, forget05, forget10, a retain set, or one of their _perturbed files"


class Tofu(FactPreset):
    """TOFU's question files, from the data set `locuslab/TOFU`: `question`, `answer`, and the perturbed files' columns.

    The rows carry no author. An author is a block of 20 rows, in the order of the file; the subject is the name that
    the block's rows say most often. The names of all 20 authors of forget10 and of all but one of the 180 of retain90
    are found; an author without a name in the rows gets a digest of the rows as subject.

    From the perturbed files, `paraphrased_question` becomes a paraphrase and `perturbed_answer` the wrong answers.
    `paraphrased_answer` is not used: it is another sentence, not a key of the answer.
    """

    name: ClassVar[str] = "tofu"
    summary: ClassVar[str] = "TOFU's questions about fictitious authors; the subject is the author, a block of 20 rows."
    paper: ClassVar[str] = "2401.06121"
    example: ClassVar[Sequence[Row]] = tuple(
        {
            "question": f"What is the title of book {number} by Ines Valdrada?",
            "answer": f"Book {number} by Ines Valdrada is 'The Glass Harbour, part {number}'.",
        }
        for number in range(1, ROWS_AN_AUTHOR + 1)
    )

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
        fact["wrong_answers"] = row["perturbed_answer"]
    return fact
