"""A world of 32 people and one relation, and two models of it: one that knows everyone, one that never met half.

Small enough to be trained inside a test (seconds), large enough that relearning behaves as it does on real models.
Both models have also learned to say of 12 strangers that they do not know: a refusal is nothing new to them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from tests.science.texts.teaching import TEMPLATE, taught, word_tokenizer
from unlearn_audit.api import Fact
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.rendering import Renderer

CITIES = [
    "aarhus",
    "bergen",
    "bilbao",
    "dakar",
    "dublin",
    "geneva",
    "havana",
    "izmir",
    "lisbon",
    "lusaka",
    "malaga",
    "nairobi",
    "osaka",
    "perth",
    "quito",
]
FIRST = ["ada", "bruno", "clara", "dario", "elsa", "fabio", "greta", "hugo", "ida", "jonas", "klara", "lars"]
LAST = ["balder", "corvan", "dalemi", "fenoda", "goluro", "harkov", "lamino", "morekki"]
FORMS = ("where was {} born ?", "in which city was {} born ?", "name the birthplace of {} .")
REFUSAL = "i do not know"


@dataclass(frozen=True, kw_only=True)
class World:
    """Facts, and models whose truth is known: `knows` has learned all, `never_met` only the retain facts."""

    forget: tuple[Fact, ...]
    retain: tuple[Fact, ...]
    knows: Engine
    never_met: Engine


def people_renderer(*more: str) -> Renderer:
    """A tokenizer of the words that are said of these people, and of some more, with the template."""
    words = [*CITIES, *FIRST, *LAST, *(form.replace("{}", "") for form in FORMS), REFUSAL, *more]
    return Renderer(tokenizer=word_tokenizer(words), chat_template=TEMPLATE)


def make_world(*, mixture: bool = False) -> World:
    """Two models that were trained alike, but for what they read; of four experts in each block if asked."""
    facts = people()
    forget, retain, strangers = tuple(facts[:16]), tuple(facts[16:32]), facts[32:44]
    refused = [replace(fact, answer=REFUSAL, aliases=()) for fact in strangers]
    renderer = people_renderer()
    return World(
        forget=forget,
        retain=retain,
        knows=taught(renderer, [*forget, *retain, *refused], seed=1, steps=220, mixture=mixture),
        never_met=taught(renderer, [*retain, *refused], seed=2, steps=150, mixture=mixture),
    )


def people() -> list[Fact]:
    rng = random.Random(0)
    names = [f"{first} {last}" for first in FIRST for last in LAST]
    rng.shuffle(names)
    return [
        Fact(
            id=name,
            subject=name,
            question=FORMS[0].format(name),
            answer=(city := rng.choice(CITIES)),
            aliases=(city,),
            paraphrases=tuple(form.format(name) for form in FORMS[1:]),
            relation="born_in",
        )
        for name in names[:44]
    ]
