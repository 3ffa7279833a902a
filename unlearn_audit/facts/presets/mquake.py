"""MQuAKE: facts that are edited, and the chains of questions that lead through them (2305.14795)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from unlearn_audit.api import FactPreset, FactSet
from unlearn_audit.api.preset import Part

from ._reading import Row, distinct, listed, named, numbered, refused, texts

_FILES = ("MQuAKE-CF-3k-v2", "MQuAKE-CF-3k", "MQuAKE-CF", "MQuAKE-T")
_SPLITS = ("CF3k", "CF9k", "CF6334")
"""What a data set of the hub calls them."""
_CASE = {
    "case_id": 1,
    "requested_rewrite": [
        {
            "prompt": "{} was written by",
            "relation_id": "P50",
            "target_new": {"str": "Hanne Osk", "id": "Q1"},
            "target_true": {"str": "Marisol Tveit", "id": "Q2"},
            "subject": "Salt Roads",
            "question": "Who wrote Salt Roads?",
        }
    ],
    "single_hops": [
        {"question": "Who wrote Salt Roads?", "cloze": "", "answer": "Marisol Tveit", "answer_alias": []},
        {"question": "Where was Marisol Tveit born?", "cloze": "", "answer": "Tromso", "answer_alias": ["Tromsø"]},
    ],
    "orig": {"triples_labeled": [["Salt Roads", "author", "Marisol Tveit"], ["Marisol Tveit", "birthplace", "Tromso"]]},
}


class Mquake(FactPreset):
    """MQuAKE's cases, from `datasets/MQuAKE-CF-3k-v2.json` and its likes.

    The true facts that are to be edited are the forget set: the edit's new value is a wrong answer, and the questions
    that follow in the chain are its hops. Questions of a chain that no case edits are the retain set, except those
    about a subject that an edited fact is about. A fact that stands in several cases is one.
    """

    name: ClassVar[str] = "mquake"
    summary: ClassVar[str] = "MQuAKE's edited facts with the chains of questions that lead through them."
    paper: ClassVar[str] = "2305.14795"
    configs: ClassVar[Sequence[str]] = ("",)
    example: ClassVar[Sequence[Row]] = (_CASE,)
    example_parts: ClassVar[Mapping[str, Sequence[Row]]] = {"cases": example, "kept": example}

    def parts(self, config: str) -> Sequence[Part]:
        """One file of cases, read for both sets."""
        if config:
            raise self.unknown(config)
        files = tuple(f"{folder}{name}" for name in _FILES for folder in ("datasets/", "")) + _SPLITS
        return (
            Part(name="cases", set=FactSet.FORGET, files=files),
            Part(name="kept", set=FactSet.RETAIN, files=files),
        )

    def sets(self, config: str, rows: Mapping[str, Sequence[Row]]) -> Mapping[FactSet, Iterable[Row]]:
        """Edited facts, and the other facts of their chains."""
        cases = rows["cases"]
        forget = list(self.facts(cases))
        subjects = {fact["subject"] for fact in forget}
        asked = {fact["question"] for fact in forget}
        kept = [fact for fact in _others(cases) if fact["subject"] not in subjects and fact["question"] not in asked]
        return {FactSet.FORGET: forget, FactSet.RETAIN: list(distinct(kept))}

    def facts(self, rows: Sequence[Row]) -> Iterator[Row]:
        """The edited facts of the cases."""
        return distinct(fact for number, row in numbered(rows) for fact in _edited(row, number))


def _edited(case: Row, number: int) -> Iterator[Row]:
    edits, hops = case.get("requested_rewrite"), _hops(case)
    if not isinstance(edits, list) or not edits:
        raise refused(case, number, "`requested_rewrite` with the edited facts")
    for edit in edits:
        held = texts(edit, "question", "subject") if isinstance(edit, dict) else None
        true, new = (_target(edit, name) if held else "" for name in ("target_true", "target_new"))
        if held is None or not true:
            raise refused(case, number, "`question`, `subject` and `target_true` in each edit")
        place = next((place for place, hop in enumerate(hops) if hop["question"] == held[0]), None)
        own = listed(hops[place].get("answer_alias")) if place is not None else []
        yield {
            "id": named("mquake", *held),
            "subject": held[1],
            "question": held[0],
            "answer": true,
            "aliases": own,
            "relation": str(edit.get("relation_id", "")) or None,
            "wrong_answers": [new] if new else [],
            "hops": [
                {"question": hop["question"], "answer": hop["answer"]}
                for hop in (hops[place + 1 :] if place is not None else ())
            ],
        }


def _others(cases: Sequence[Row]) -> Iterator[Row]:
    """The questions of all chains with the subjects that the triples name."""
    for case in cases:
        orig = case.get("orig")
        triples = orig.get("triples_labeled") if isinstance(orig, dict) else None
        for hop, triple in zip(_hops(case), triples if isinstance(triples, list) else (), strict=False):
            if isinstance(triple, list) and len(triple) == 3:
                yield {
                    "id": named("mquake", hop["question"], triple[0]),
                    "subject": str(triple[0]),
                    "question": hop["question"],
                    "answer": hop["answer"],
                    "aliases": listed(hop.get("answer_alias")),
                    "relation": str(triple[1]),
                }


def _hops(case: Row) -> list[Row]:
    found = case.get("single_hops")
    hops = found if isinstance(found, list) else []
    told = [(hop, texts(hop, "question", "answer")) for hop in hops if isinstance(hop, dict)]
    return [{**hop, "question": held[0], "answer": held[1]} for hop, held in told if held is not None]


def _target(edit: Row, name: str) -> str:
    target = edit.get(name)
    return str(target.get("str", "")) if isinstance(target, dict) else ""
