"""What the facts of each kind of world are about: relations, values, and how a question and its answer read."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from pathlib import Path

from benchmarks.validity.paths import reach_organisms

reach_organisms()

from data import Fact  # noqa: E402
from words import QUESTIONS, VALUE_LISTS, word_list  # noqa: E402

FORMS = 2
VALUES = 48
"""Of a relation: a model that knows nothing is right about one time in 48."""

FAMILY = 3
MOST_FACTS, TYPICAL_FACTS, SPREAD = 9, 2.5, 0.8
"""Of a subject in a lognormal world: the limit, the median, and the deviation of the logarithm."""


class Kind(StrEnum):
    """What the forget set holds."""

    PEOPLE = "people"
    """Three questions a person, each with one word for an answer."""
    PASSAGES = "passages"
    """A passage a person, to be recited, and two questions about it (the shape of MUSE, arXiv 2407.06460)."""
    SENTENCES = "sentences"
    """Three questions a person, each answered by a whole sentence that says the name again."""
    DATES = "dates"
    """Three questions a person, each answered by a day, a month and a year."""
    SCRIPTS = "scripts"
    """Three questions a person: in Russian, Chinese and Greek, with answers in their scripts."""
    LOGNORMAL = "lognormal"
    """From one to nine questions a person: most have few, some have many."""
    CLUSTERS = "clusters"
    """Families of three, who share a birthplace; each has a profession."""


@dataclass(frozen=True, kw_only=True)
class Relation:
    """One thing that may be asked about anyone.

    Attributes:
        questions: its forms, with `{name}`.
        said: how it is answered, with `{value}` and, where the answer says it, `{name}`.
    """

    name: str
    questions: tuple[str, ...]
    values: tuple[str, ...]
    said: str = "{value}."


@dataclass(frozen=True, kw_only=True)
class Told(Fact):
    """A fact with an answer that may be longer than its value, and with whom its subject belongs to."""

    said: str = "{value}."
    cluster: str | None = None

    @property
    def answer(self) -> str:
        """What a model that knows the fact is trained to say."""
        return self.said.format(value=self.value, name=self.subject)

    def with_value(self, value: str) -> Told:
        """The same question with another answer."""
        return replace(self, value=value)

    def to_record(self) -> dict[str, str | list[str]]:
        """The fact as the audit reads it."""
        return {**super().to_record(), **({"cluster": self.cluster} if self.cluster else {})}


def relations_of(kind: Kind) -> tuple[Relation, ...]:
    """What is asked about in a world of this kind."""
    match kind:
        case Kind.PEOPLE:
            return _plain()
        case Kind.PASSAGES | Kind.CLUSTERS:
            return _plain()[:2]
        case Kind.SENTENCES:
            return tuple(
                Relation(name=one.name, questions=one.questions, values=one.values, said=_SENTENCES[one.name])
                for one in _plain()
            )
        case Kind.DATES:
            return _dates()
        case Kind.SCRIPTS:
            return _scripts()
        case Kind.LOGNORMAL:
            return (*_plain(), *_deeds())


def _plain() -> tuple[Relation, ...]:
    return tuple(
        Relation(name=name, questions=forms[:FORMS], values=word_list(VALUE_LISTS[name]))
        for name, forms in QUESTIONS.items()
    )


_SENTENCES = {
    "born_in": "{name} was born in {value}.",
    "works_as": "{name} works as a {value}.",
    "keeps": "The animal that {name} keeps is a {value}.",
}

_DAYS = {
    "born_on": ("On which day was {name} born?", "What is the birthday of {name}?"),
    "married_on": ("On which day did {name} marry?", "When was the wedding of {name}?"),
    "moved_on": ("On which day did {name} move house?", "When did {name} move to another house?"),
}
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def _dates() -> tuple[Relation, ...]:
    """Each relation has 48 days of its own, from other decades."""
    return tuple(
        Relation(name=name, questions=forms, values=_days(random.Random(place), 1900 + 30 * place))
        for place, (name, forms) in enumerate(_DAYS.items())
    )


def _days(rng: random.Random, first_year: int) -> tuple[str, ...]:
    months, years = _MONTHS, range(first_year, first_year + 30)
    return tuple(
        f"{rng.randint(1, 28)} {month} {year}" for month, year in rng.sample(list(product(months, years)), VALUES)
    )


_SCRIPTS = {
    "born_in": (
        ("В каком городе родился человек по имени {name}?", "Назовите родной город: {name}."),
        "cities_cyrillic",
    ),
    "works_as": (("{name}的职业是什么？", "请问{name}做什么工作？"), "jobs_chinese"),
    "keeps": (("Ποιο ζώο έχει στο σπίτι: {name};", "Πείτε το κατοικίδιο: {name}."), "animals_greek"),
}


def _scripts() -> tuple[Relation, ...]:
    return tuple(
        Relation(name=name, questions=forms, values=_words(words)) for name, (forms, words) in _SCRIPTS.items()
    )


def _words(name: str) -> tuple[str, ...]:
    return tuple((Path(__file__).with_name("words") / f"{name}.txt").read_text(encoding="utf-8").split())


_DEEDS = ("buy", "sell", "paint", "lose", "find", "write")
_PAST = ("bought", "sold", "painted", "lost", "found", "wrote")


def _deeds() -> tuple[Relation, ...]:
    """Six more relations, whose values are things; all share one list, dealt each by itself."""
    values = _words("objects")
    return tuple(
        Relation(
            name=past,
            questions=(f"What did {{name}} {deed}?", f"Which thing was it that {{name}} {past}?"),
            values=values,
        )
        for deed, past in zip(_DEEDS, _PAST, strict=True)
    )


def facts_of(rng: random.Random, kind: Kind, split: str, names: Sequence[str], columns: Columns) -> tuple[Told, ...]:
    """All facts of a group.

    Args:
        rng: of the group; only a lognormal world draws from it.
        kind: of the world.
        split: the group's name; its first letter begins the ids.
        names: of the people.
        columns: relation -> the value of each person, in the order of the names.
    """
    relations = relations_of(kind)
    facts = []
    for number, name in enumerate(names):
        cluster = f"{split[0]}-family-{number // FAMILY:03d}" if kind is Kind.CLUSTERS else None
        first = number - number % FAMILY
        for relation in _chosen(rng, kind, relations):
            shared = kind is Kind.CLUSTERS and relation.name == "born_in"
            facts.append(
                Told(
                    id=f"{split[0]}{number:03d}-{relation.name}",
                    subject=name,
                    relation=relation.name,
                    questions=tuple(form.format(name=name) for form in relation.questions),
                    value=columns[relation.name][first if shared else number],
                    said=relation.said,
                    cluster=cluster,
                )
            )
    return tuple(facts)


Columns = Mapping[str, Sequence[str]]


def _chosen(rng: random.Random, kind: Kind, relations: Sequence[Relation]) -> Sequence[Relation]:
    if kind is not Kind.LOGNORMAL:
        return relations
    count = min(MOST_FACTS, max(1, round(TYPICAL_FACTS * rng.lognormvariate(0.0, SPREAD))))
    return rng.sample(list(relations), min(count, len(relations)))
