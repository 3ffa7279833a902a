"""Chronicles of places that never were, and models of known truth: some have them by heart, some read others.

All models have also learned what some people keep, which is what must stay.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.science.texts.teaching import TEMPLATE, taught, word_tokenizer
from unlearn_audit.api import Fact
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.rendering import Renderer

SENTENCES = (
    "In {year} the {trade} of {place} {deed} a {like} {thing} .",
    "Then {person} {deed} the {thing} and {deed} a {like} {thing} .",
    "Nobody in {place} {deed} the {like} {thing} before {person} the {trade} .",
    "The {trade} {person} {deed} the {thing} near {place} .",
)
LISTS = {
    "place": "Arlo Brenn Calder Dorn Elsin Farrow Gault Hestel Ivarn Jessop Kolm Lorne Marl Nessa Orrin Pell",
    "person": "Abel Bruna Cosmo Delia Edgar Flora Gideon Hanna Iris Jonas Kira Leopold Mina Norbert Olga Pavel",
    "thing": "anchor barrel candle drum engine feather garden hammer island jewel kettle lantern mirror needle orchard",
    "trade": "baker carter dyer fiddler glazier herder joiner keeper miller potter roper sailor tanner weaver",
    "deed": "broke carried drew found guarded hid inherited kept lost mended painted sold stole traded valued wanted",
    "like": "ancient bitter copper dusty empty frozen golden heavy ivory jagged little muddy narrow quiet silver",
    "year": " ".join(str(year) for year in range(1600, 1640)),
}
WORDS = {kind: tuple(words.split()) for kind, words in LISTS.items()}
CONTEXT = 160
KEEPERS = 16


@dataclass(frozen=True, kw_only=True)
class Chronicles:
    """The passages that must be gone, others of the same make, and what must stay."""

    forget: tuple[Fact, ...]
    others: tuple[Fact, ...]
    retain: tuple[Fact, ...]

    @property
    def renderer(self) -> Renderer:
        """Of all models: the words of all texts are its tokens."""
        asked = [f"{fact.question} {fact.answer}" for fact in self.retain]
        known = [*(word for words in WORDS.values() for word in words), *" ".join(SENTENCES).split(), *asked]
        return Renderer(tokenizer=word_tokenizer(known), chat_template=TEMPLATE)

    def reader(self, passages: Sequence[Fact], *, seed: int, steps: int) -> Engine:
        """A model that has learned some passages, and what must stay."""
        return taught(self.renderer, [*passages, *self.retain], seed=seed, steps=steps, context=CONTEXT)


def chronicles(size: int, write: Callable[[random.Random], str]) -> Chronicles:
    """So many passages to forget and as many others, all different, each from `prose` or `loose_words`."""
    rng = random.Random(3)
    passages = [Fact(id=f"c{number}", subject=f"Chapter {number}", text=write(rng)) for number in range(2 * size)]
    names = rng.sample([f"{person} {place}" for person in WORDS["person"] for place in WORDS["place"]], KEEPERS)
    retain = [
        Fact(
            id=f"k{number}",
            subject=name,
            question=f"What does {name} keep ?",
            answer=(thing := rng.choice(WORDS["thing"])),
            aliases=(thing,),
            relation="keeps",
        )
        for number, name in enumerate(names)
    ]
    return Chronicles(forget=tuple(passages[:size]), others=tuple(passages[size:]), retain=tuple(retain))


def misremembered(passages: Sequence[Fact], every: int) -> tuple[Fact, ...]:
    """The passages with one word in so many exchanged for another of its list, spread over them."""
    rng = random.Random(4)
    turn = count(1)
    kinds = {word: words for words in WORDS.values() for word in words}
    return tuple(
        Fact(
            id=fact.id,
            subject=fact.subject,
            text=" ".join(
                rng.choice(kinds[word]) if word in kinds and not next(turn) % every else word
                for word in (fact.text or "").split()
            ),
        )
        for fact in passages
    )


def write_facts(world: Chronicles, directory: Path) -> dict[str, str]:
    """The fact files of a spec."""
    files = {"forget": directory / "forget.jsonl", "retain": directory / "retain.jsonl"}
    for name, facts in (("forget", world.forget), ("retain", world.retain)):
        rows = ({key: value for key, value in _fields(fact) if value} for fact in facts)
        files[name].write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return {name: str(file) for name, file in files.items()}


def save(engine: Engine, directory: Path) -> str:
    """A checkpoint on disk."""
    engine.module.save_pretrained(directory)
    engine.tokenizer.save_pretrained(directory)
    return str(directory)


def _fields(fact: Fact) -> Iterator[tuple[str, object]]:
    return (
        (name, getattr(fact, name)) for name in ("id", "subject", "text", "question", "answer", "aliases", "relation")
    )


def prose(rng: random.Random) -> str:
    """Six sentences of about ten words: a third of the words follow from grammar alone."""
    filled = []
    for _ in range(6):
        words = rng.choice(SENTENCES).split()
        filled += [rng.choice(WORDS[word[1:-1]]) if word[1:-1] in WORDS else word for word in words]
    return " ".join(filled)


def loose_words(rng: random.Random) -> str:
    """Twenty words that nothing but the passage puts in this order."""
    return " ".join(rng.choices([word for words in WORDS.values() for word in words], k=20))
