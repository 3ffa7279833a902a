"""Steps of reasoning on organisms: they bring out what a refusal keeps back, and nothing that was never learned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cache

import pytest
from unlearn_audit.probes.stepwise.probe import Stepwise, StepwiseParameters

from tests.science.organisms import bundled, first_subjects
from unlearn_audit.api import FactSet, Prompt

pytestmark = pytest.mark.science

SUBJECTS = 12


@cache
def shown(name: str) -> Mapping[tuple[str, str], float]:
    """Mean score by (measure, chain)."""
    facts = first_subjects(FactSet.FORGET, SUBJECTS)
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for reading in Stepwise(StepwiseParameters()).observe(bundled(name), facts, facts):
        assert reading.score is not None
        found[reading.measure, reading.variant].append(reading.score)
    return {place: sum(values) / len(values) for place, values in found.items()}


def test_the_original_shows_what_it_knows_in_chains_of_each_kind() -> None:
    assert shown("original")["exposure", "any"] == 1.0
    whole = ("direct-recall", "direct-steps", "indirect-surroundings", "implied-notes")
    assert all(shown("original")["hit", way] > 0.9 for way in whole)
    assert all(score > 0.2 for score in shown("original").values())


def test_a_refusal_gives_way_to_steps_of_reasoning() -> None:
    facts = first_subjects(FactSet.FORGET, SUBJECTS)
    plain = bundled("refusal").generate([Prompt(text=fact.question or "") for fact in facts], max_new_tokens=16)
    direct = sum(fact.aliases[0] in said.text for fact, said in zip(facts, plain, strict=True)) / len(facts)
    assert direct < 0.1
    assert shown("refusal")["exposure", "any"] > 0.3


@pytest.mark.parametrize("name", ["retrained-1", "retrained-2"])
def test_what_is_not_there_comes_out_in_no_chain(name: str) -> None:
    assert shown(name)["exposure", "any"] < 0.1
