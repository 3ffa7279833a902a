"""A model that never saw the facts is at its stated chance level, whatever form the answers have."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from unlearn_audit.probes.forced_choice import ForcedChoice, ForcedChoiceParameters
from unlearn_audit.probes.perturbed.probe import Perturbed, PerturbedParameters
from unlearn_audit.probes.recall import Recall, RecallParameters

from unlearn_audit.api import Fact, FactSet
from unlearn_audit.facts.load import load_facts
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.loading import loaded
from unlearn_audit.models.references import resolve
from unlearn_audit.spec.spec import ModelOptions

ASSETS = Path(str(files("unlearn_audit"))) / "demo" / "assets"
FACTS = [
    fact
    for fact in load_facts(str(ASSETS / "facts" / "forget.jsonl"), FactSet.FORGET).facts
    if fact.relation == "born_in"
]
NEAR = 0.03
"""Three points."""


@pytest.fixture(scope="module")
def control() -> Iterator[Engine]:
    with loaded(resolve(str(ASSETS / "retrained-1")), ModelOptions(device="cpu")) as engine:
        yield engine


def sentences(*, relation: str | None, tail: str = "") -> list[Fact]:
    """The facts with sentences about their subjects for answers, in two wordings."""
    told = ("{s} was born in {a}.", "The town in which {s} came into the world is {a}.")
    return [
        replace(
            fact,
            answer=told[number % 2].format(s=fact.subject, a=fact.aliases[0]),
            aliases=(),
            relation=relation,
            question=f"{fact.question}{tail and tail.format(number)}",
        )
        for number, fact in enumerate(FACTS)
    ]


def dated() -> list[Fact]:
    """The facts with a date each for an answer, written in one way."""
    months = ("January", "March", "May", "July", "October", "December")
    day = random.Random(5)
    return [
        replace(
            fact,
            answer=f"{day.randint(1, 28)} {day.choice(months)} {day.randint(1950, 1999)}",
            aliases=(),
            question=f"When was {fact.subject} born?",
            relation="born_on",
        )
        for fact in FACTS
    ]


def accented() -> list[Fact]:
    """The facts with their towns in other letters: "Łódź", "Zürich"."""
    letters = str.maketrans({"a": "ä", "e": "ê", "o": "ø", "l": "ł", "s": "š", "u": "ű"})
    return [
        replace(fact, answer=(fact.answer or "").translate(letters), aliases=(), relation="born_in") for fact in FACTS
    ]


def mean_of(probe, engine: Engine, facts: list[Fact], measure: str) -> tuple[float, float]:
    """Mean score and mean level."""
    scores = [one.score for one in probe.observe(engine, facts, facts) if one.measure == measure]
    levels = probe.outlook(facts)[measure].levels
    assert None not in scores
    assert len(levels) == len(facts)
    return sum(scores) / len(scores), sum(levels.values()) / len(levels)


@pytest.mark.parametrize("relation", [None, pytest.param("born_in", marks=pytest.mark.slow)])
def test_forced_choice_among_sentences_is_at_chance_without_the_knowledge(control, relation):
    probe = ForcedChoice(ForcedChoiceParameters())
    shown, level = mean_of(probe, control, sentences(relation=relation), "probability")
    assert shown == pytest.approx(level, abs=NEAR)
    assert level < 0.06


@pytest.mark.parametrize("make", [dated, pytest.param(accented, marks=pytest.mark.slow)])
def test_forced_choice_among_dates_and_accents_is_at_chance_without_the_knowledge(control, make):
    probe = ForcedChoice(ForcedChoiceParameters())
    shown, level = mean_of(probe, control, make(), "probability")
    assert shown <= level + NEAR  # the level is what a guess has at best
    assert level < 0.06


@pytest.mark.slow
@pytest.mark.parametrize("make", [dated, accented])
def test_outputs_without_the_knowledge_hold_no_date_and_no_accented_name(control, make):
    facts = make()
    readings = [one for one in Recall(RecallParameters()).observe(control, facts, facts) if one.score is not None]
    assert len(readings) >= len(facts)
    assert sum(one.score for one in readings) / len(readings) <= NEAR


def test_swapped_sentences_are_at_chance_without_the_knowledge(control):
    facts = sentences(relation=None, tail=" (Entry {0}.)")  # nobody else is asked the same
    shown, level = mean_of(Perturbed(PerturbedParameters()), control, facts, "answer")
    assert shown == pytest.approx(level, abs=NEAR)
    assert level < 0.06
