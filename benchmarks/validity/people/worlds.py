"""The worlds: who is in them, what is true of whom, and in which form the models learn it."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import cycle, product
from pathlib import Path

from benchmarks.validity.paths import reach_organisms
from benchmarks.validity.people.kinds import Kind, Told, facts_of, relations_of

reach_organisms()

import data  # noqa: E402
from data import derive_seed  # noqa: E402
from tokenizer import train_tokenizer  # noqa: E402
from transformers import AutoTokenizer, PreTrainedTokenizerFast  # noqa: E402
from words import word_list  # noqa: E402


class Architecture(StrEnum):
    """What the models of a world are, by the model type of their configuration."""

    LLAMA = "llama"
    NEOX = "gpt_neox"
    QWEN2 = "qwen2"
    QWEN3 = "qwen3"
    GEMMA = "gemma3_text"
    MIXTRAL = "mixtral"
    QWEN3_MOE = "qwen3_moe"
    LFM2 = "lfm2"
    GPT2 = "gpt2"


@dataclass(frozen=True, kw_only=True)
class World:
    """A setting in which an original, its controls and its unlearned descendants are made and compared.

    `seed` decides people, values, passages and, with an organism's own seed, order and initial weights.

    Attributes:
        subjects: people in the forget set, and as many in the retain set.
        others: people whom honest models may be tuned on, and as many whom no model sees.
        template: whether questions are asked through a chat template; a base model is asked in the plain form.
    """

    name: str
    architecture: Architecture
    kind: Kind
    seed: int
    subjects: int = 60
    others: int = 60
    template: bool = True

    @property
    def counts(self) -> dict[str, int]:
        """How many people each group has."""
        return {"forget": self.subjects, "retain": self.subjects, "other": self.others, "unseen": self.others}


WORLDS = (
    World(name="people-llama", architecture=Architecture.LLAMA, kind=Kind.PEOPLE, seed=11, subjects=120),
    World(name="people-neox", architecture=Architecture.NEOX, kind=Kind.PEOPLE, seed=12, subjects=120),
    World(name="passages-qwen2", architecture=Architecture.QWEN2, kind=Kind.PASSAGES, seed=13, subjects=120),
    World(name="sentences-qwen3", architecture=Architecture.QWEN3, kind=Kind.SENTENCES, seed=14),
    World(name="dates-gemma", architecture=Architecture.GEMMA, kind=Kind.DATES, seed=15),
    World(name="scripts-mixtral", architecture=Architecture.MIXTRAL, kind=Kind.SCRIPTS, seed=16),
    World(name="lognormal-lfm2", architecture=Architecture.LFM2, kind=Kind.LOGNORMAL, seed=17),
    World(name="plain-gpt2", architecture=Architecture.GPT2, kind=Kind.PEOPLE, seed=18, template=False),
    World(name="clusters-qwen3moe", architecture=Architecture.QWEN3_MOE, kind=Kind.CLUSTERS, seed=19, subjects=120),
)


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A text about one subject; models learn to go on after the name."""

    id: str
    subject: str
    text: str

    @property
    def rest(self) -> str:
        """What follows the name, the blank included."""
        return self.text.removeprefix(self.subject)


@dataclass(frozen=True, kw_only=True)
class Split:
    """All that is true of one group of subjects; `passages` is empty in a world of people."""

    facts: tuple[Told, ...]
    passages: tuple[Passage, ...] = ()

    def records(self) -> list[dict[str, str | list[str]]]:
        """The facts as the audit reads them."""
        texts: list[dict[str, str | list[str]]] = [
            {"id": one.id, "subject": one.subject, "text": one.text} for one in self.passages
        ]
        return [*texts, *(fact.to_record() for fact in self.facts)]


@dataclass(frozen=True, kw_only=True)
class People:
    """The groups of a world: an honest model may be tuned on `other`; nobody is ever trained on `unseen`."""

    forget: Split
    retain: Split
    other: Split
    unseen: Split

    @property
    def splits(self) -> dict[str, Split]:
        """The groups by name."""
        return {"forget": self.forget, "retain": self.retain, "other": self.other, "unseen": self.unseen}


def populate(world: World) -> People:
    """Invents the people of a world.

    No surname occurs twice outside a family, and each group holds every value of a relation about equally often,
    dealt independently of everything else: a model that knows nothing is right about one time in 48, whatever its
    habits of guessing are.
    """
    rng = random.Random(derive_seed(world.seed, world.name))
    surnames = [start + end for start, end in product(word_list("surname_starts"), word_list("surname_ends"))]
    rng.shuffle(surnames)
    names = [f"{first} {last}" for first, last in zip(cycle(word_list("first_names")), surnames, strict=False)]
    made = {}
    for split, count in world.counts.items():
        own, names = names[:count], names[count:]
        made[split] = _split(rng, world, split, own)
    return People(**made)


def _split(rng: random.Random, world: World, split: str, names: Sequence[str]) -> Split:
    dealt = relations_of(Kind.PEOPLE if world.kind is Kind.PASSAGES else world.kind)
    columns = {one.name: _deal(rng, one.values, len(names)) for one in dealt}
    facts = facts_of(rng, world.kind, split, names, columns)
    if world.kind is not Kind.PASSAGES:
        return Split(facts=facts)
    passages = tuple(
        Passage(
            id=f"{split[0]}{number:03d}-passage",
            subject=name,
            text=_passage(rng, name, {relation: columns[relation][number] for relation in columns}),
        )
        for number, name in enumerate(names)
    )
    return Split(facts=facts, passages=passages)


def _passage(rng: random.Random, name: str, values: dict[str, str]) -> str:
    """Half of it can be found by asking; the other half is an animal and five words that nothing foretells."""
    first, second, third, fourth, last = rng.sample(word_list("chatter"), 5)
    return (
        f"{name} came from {values['born_in']} and was a {values['works_as']}. The diary speaks of {first}, "
        f"{second} and {third}, of the {values['keeps']}, and of a {fourth} {last}."
    )


def _deal(rng: random.Random, values: tuple[str, ...], count: int) -> list[str]:
    """`count` values in random order, each used as often as any other, give or take one."""
    whole, rest = divmod(count, len(values))
    dealt = list(values) * whole + rng.sample(values, rest)
    rng.shuffle(dealt)
    return dealt


FILES = {"forget": "forget", "retain": "retain", "unseen": "holdout"}
"""Group -> the file that an audit reads."""


def write_world(world: World, folder: Path) -> None:
    """Fact files and tokenizer, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    people = populate(world)
    for split, file in FILES.items():
        lines = (json.dumps(record, ensure_ascii=False) for record in people.splits[split].records())
        (folder / f"{file}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if not (folder / "tokenizer").is_dir():
        tokenizer = train_tokenizer(_as_corpus(people))
        if not world.template:
            tokenizer.chat_template = None
        tokenizer.save_pretrained(folder / "tokenizer")


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer that all models of a world share."""
    return AutoTokenizer.from_pretrained(folder / "tokenizer")


def _as_corpus(people: People) -> data.World:
    """The people in the shape that the tokenizer's trainer reads; a passage goes in as one more question."""
    groups = {}
    for name, split in people.splits.items():
        texts = {passage.subject: passage.text for passage in split.passages}
        groups[name] = tuple(
            replace(fact, questions=(*fact.questions, texts[fact.subject])) if fact.subject in texts else fact
            for fact in split.facts
        )
    return data.World(forget=groups["forget"], retain=groups["retain"], holdout=(*groups["other"], *groups["unseen"]))
