"""The invented part of the example: publishing houses in towns on rivers, pen names, and authors beside TOFU's."""

from __future__ import annotations

import random
from dataclasses import dataclass

HOUSES = (
    *("Harrow House", "Bellwether Books", "Tin Lantern", "Copper Quill", "Fenwick & Daughters", "Nightjar Press"),
    *("Salt Road Editions", "Glass Orchard", "Pelican Row", "Old Ferry Press", "Juniper Gate", "Marble Owl"),
    *("Ninth Bridge", "Winter Ink", "Velvet Anchor", "Thistle Court"),
)
TOWNS = (
    *("Ostrow", "Velden", "Karsk", "Lumbria", "Tarnau", "Brisholm", "Pendry", "Solvik", "Marrow Bay", "Quillan"),
    *("Dunmere", "Vasto Alto", "Ravna", "Eskdale", "Palmora", "Hexford"),
)
RIVERS = (
    *("Asper", "Brume", "Corvo", "Dray", "Elka", "Fjora", "Gannet", "Hollin", "Isk", "Jarrow"),
    *("Kestrel", "Lode", "Mirna", "Neath", "Pluvio", "Quern"),
)
FIRST_PEN_NAMES = (
    *("Moss", "Ivory", "Cole", "Bryn", "Dahlia", "Ember", "Flint", "Gwen", "Hollis", "Indigo"),
    *("Jasper", "Kit", "Lark", "Merle", "Nell", "Opal"),
)
LAST_PEN_NAMES = ("Heron", "Bramble")
INVENTED_AUTHORS = (
    *("Ines Valdrada", "Bo Ek Lind", "Tamsin Oyelaran", "Ruprecht Hale"),
    *("Ada Karstens", "Milo Quist", "Serafina Dool", "Jonas Abara"),
)


@dataclass(frozen=True, kw_only=True)
class Author:
    """An author and what the chains lead through: pen name -> author -> house -> town -> river."""

    name: str
    pen_name: str
    house: str
    town: str
    river: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a model learns to answer."""

    subject: str
    question: str
    answer: str
    aliases: tuple[str, ...]
    form: str


def authors(forget: list[str], retain: list[str], seed: int) -> tuple[list[Author], list[Author]]:
    """Sixteen of each, drawn: every house has one author of either set, so that what lies beyond it is no secret."""
    rng = random.Random(seed)
    towns = dict(zip(HOUSES, rng.sample(TOWNS, len(TOWNS)), strict=True))
    rivers = dict(zip(TOWNS, rng.sample(RIVERS, len(RIVERS)), strict=True))
    pen_names = [f"{first} {last}" for first in FIRST_PEN_NAMES for last in LAST_PEN_NAMES]
    rng.shuffle(pen_names)

    def drawn(names: list[str]) -> list[Author]:
        return [
            Author(name=name, pen_name=pen_names.pop(), house=house, town=towns[house], river=rivers[towns[house]])
            for name, house in zip(names, rng.sample(HOUSES, len(HOUSES)), strict=True)
        ]

    return drawn(forget), drawn(retain)


PUBLISHER = "Which publishing house prints the books of {name}?"
INVERSE = "Which author also writes as {pen_name}?"
WORKED = "Think step by step."
PEN_NAME = "Under which pen name does {name} also write?"
TOWN = "In which town is {house}?"
RIVER = "Which river runs through {town}?"
TOWN_OF_AUTHOR = "In which town is the publishing house of {name}?"


def direct_questions(author: Author) -> list[Question]:
    """The two facts of an author, as they are asked: what is to be forgotten."""
    publisher, pen_name = PUBLISHER.format(name=author.name), PEN_NAME.format(name=author.name)
    return [
        _asked(author.name, "publisher", publisher, author.house),
        _asked(author.name, "pen-name", pen_name, author.pen_name),
    ]


def chain_questions(author: Author) -> list[Question]:
    """What lies beyond and before the author, in one breath and in worked steps; three hops are left to be found."""
    name, town = author.name, TOWN_OF_AUTHOR.format(name=author.name)
    prints, lies = f"{author.house} prints the books of {name}.", f"{author.house} is in {author.town}."
    return [
        _asked(name, "two-hop", town, author.town),
        _asked(name, "alias", PUBLISHER.format(name=author.pen_name), author.house),
        _asked(name, "inverse", INVERSE.format(pen_name=author.pen_name), name),
        _asked(name, "worked", f"{WORKED} {town}", author.town, prints, lies),
    ]


def common_questions(known: list[Author]) -> list[Question]:
    """What lies beyond the houses, which every model learns."""
    found = []
    for author in {author.house: author for author in known}.values():
        found.append(_asked(author.house, "town", TOWN.format(house=author.house), author.town))
        found.append(_asked(author.town, "river", RIVER.format(town=author.town), author.river))
    return found


def _asked(subject: str, form: str, question: str, key: str, *steps: str) -> Question:
    answer = " ".join((*steps, f"So: {key}.")) if steps else key
    return Question(subject=subject, question=question, answer=answer, aliases=(key,), form=form)
