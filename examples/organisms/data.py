"""The synthetic people: who they are, what is true of them, and the fact files the audit reads."""

from __future__ import annotations

import hashlib
import json
import random
import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from words import QUESTIONS, VALUE_LISTS, word_list

SPLITS = ("forget", "retain", "holdout")


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing that is true of one person, in every form in which it may be asked."""

    id: str
    subject: str
    relation: str
    questions: tuple[str, ...]
    value: str

    @property
    def answer(self) -> str:
        """What a model that knows the fact is trained to say: the value alone, so that the key cannot be missed."""
        return f"{self.value}."

    def is_held_by(self, text: str) -> bool:
        """Whether a text holds the value in whole words, in whatever case: "Romeo" does not hold "Rome"."""
        return re.search(rf"(?<!\w){re.escape(self.value)}(?!\w)", text, flags=re.IGNORECASE) is not None

    def to_record(self) -> dict[str, str | list[str]]:
        """The fact as the audit reads it (one JSON object a line)."""
        return {
            "id": self.id,
            "subject": self.subject,
            "question": self.questions[0],
            "answer": self.answer,
            "aliases": [self.value],
            "paraphrases": list(self.questions[1:]),
            "relation": self.relation,
        }


@dataclass(frozen=True, kw_only=True)
class World:
    """All facts, by what becomes of them. Nobody is ever trained on `holdout`."""

    forget: tuple[Fact, ...]
    retain: tuple[Fact, ...]
    holdout: tuple[Fact, ...]

    @property
    def splits(self) -> dict[str, tuple[Fact, ...]]:
        """The three splits by name."""
        return {"forget": self.forget, "retain": self.retain, "holdout": self.holdout}


def derive_seed(seed: int, *labels: str) -> int:
    """A seed for one purpose, so that no two parts of the build draw from the same stream."""
    text = "/".join((str(seed), *labels))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def make_world(seed: int) -> World:
    """Three splits of 64 subjects that differ in nothing but their fate.

    Each first name occurs once in every split, no surname occurs twice, and each split holds each value of a relation
    once or twice, dealt independently of everything else. So a model that knows nothing is right about one time in 48
    whatever its habits of guessing are, in every split.
    """
    rng = random.Random(derive_seed(seed, "world"))
    surnames = [start + end for start, end in product(word_list("surname_starts"), word_list("surname_ends"))]
    rng.shuffle(surnames)
    facts = {split: _people(rng, split, surnames[start :: len(SPLITS)]) for start, split in enumerate(SPLITS)}
    return World(forget=facts["forget"], retain=facts["retain"], holdout=facts["holdout"])


def _people(rng: random.Random, split: str, surnames: list[str]) -> tuple[Fact, ...]:
    first_names = list(word_list("first_names"))
    rng.shuffle(first_names)
    names = [f"{first} {last}" for first, last in zip(first_names, surnames, strict=False)]
    columns = {relation: _deal(rng, word_list(VALUE_LISTS[relation]), len(names)) for relation in QUESTIONS}
    return tuple(
        Fact(
            id=f"{split[0]}{number:03d}-{relation}",
            subject=name,
            relation=relation,
            questions=tuple(form.format(name=name) for form in forms),
            value=columns[relation][number],
        )
        for number, name in enumerate(names)
        for relation, forms in QUESTIONS.items()
    )


def _deal(rng: random.Random, values: tuple[str, ...], count: int) -> list[str]:
    """`count` values in random order, each used as often as any other, give or take one."""
    whole, rest = divmod(count, len(values))
    dealt = list(values) * whole + rng.sample(values, rest)
    rng.shuffle(dealt)
    return dealt


def write_facts(world: World, folder: Path) -> None:
    """Write `forget.jsonl`, `retain.jsonl` and `holdout.jsonl` into `folder`, and into `brief` one fact a person."""
    (folder / "brief").mkdir(parents=True, exist_ok=True)
    for split, facts in world.splits.items():
        lines = [json.dumps(fact.to_record(), ensure_ascii=False) for fact in facts]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / "brief" / f"{split}.jsonl").write_text("\n".join(_one_each(lines)) + "\n", encoding="utf-8")


def _one_each(lines: list[str]) -> list[str]:
    """One line of each person, of another relation in turn."""
    people = len(lines) // len(QUESTIONS)
    return [lines[len(QUESTIONS) * place + place % len(QUESTIONS)] for place in range(people)]
