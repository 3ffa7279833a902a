"""Answers that any text may hold count only beyond what always saying the commonest of them would show."""

from __future__ import annotations

from dataclasses import replace

import pytest
from unlearn_audit.probes.recall import Recall, RecallParameters

from tests.probes.test_probes import FakeModel
from unlearn_audit.api import Fact
from unlearn_audit.facts.load import chance_levels

YES_OR_NO = [
    Fact(
        id=f"f{number}",
        subject=f"Ada{number} Mann{number}",
        relation="married",
        question=f"Was Ada{number} Mann{number} married?",
        answer="Yes" if number % 3 else "No",
    )
    for number in range(60)
]


def beyond_chance(says: str | None, facts: list[Fact]) -> float:
    """What a model shows of the facts beyond the best constant answer, on average; None tells the truth."""
    told = {fact.question: fact.answer for fact in facts}
    model = FakeModel(says=lambda question: says or str(told[question]))
    levels = chance_levels(facts)
    readings = [one for one in Recall(RecallParameters()).observe(model, facts, facts) if one.measure == "hit"]
    return sum((one.score or 0.0) - levels[one.fact_id] for one in readings) / len(readings)


@pytest.mark.parametrize("relation", ["married", None])
@pytest.mark.parametrize("says", ["Yes.", "No.", "Yes, she was.", "I cannot say."])
def test_a_model_that_says_the_same_to_all_shows_nothing_beyond_chance(says, relation):
    assert beyond_chance(says, [replace(fact, relation=relation) for fact in YES_OR_NO]) <= 1e-9


def test_one_that_knows_does():
    assert beyond_chance(None, YES_OR_NO) == pytest.approx(1 / 3, abs=0.01)
