"""What `stepwise` asks and gives, for models with a rule in them, and what a generator may write."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from unlearn_audit.probes.shared.exposure import UNASKABLE
from unlearn_audit.probes.stepwise.chains import NO_OPENING, NO_SIBLING, NOT_WRITTEN, Chains, stepwise_texts
from unlearn_audit.probes.stepwise.probe import Stepwise, StepwiseParameters

from tests.probes.test_jailbreaks import lives
from tests.probes.test_probes import REFUSAL, FakeModel, all_of, only, people, person
from unlearn_audit.api import Fact, Json, Prompt, Screen
from unlearn_audit.api.kit.asking import NO_QUESTION
from unlearn_audit.api.kit.twins import Twins

PARTIAL = {"indirect-siblings", "implied-conclusion"}
TEMPLATES = [way.name for way in stepwise_texts().ways if "written" not in way.places]
WRITTEN = ["written-direct", "written-indirect", "written-implied"]


def stepwise(prepared: dict[str, Json] | None = None, **parameters: Any) -> Stepwise:
    return Stepwise(StepwiseParameters(**parameters)).prepared_with(prepared or {})


def prompts_of(facts: Sequence[Fact], pool: Sequence[Fact]) -> dict[tuple[str, str], Prompt | str]:
    """(Fact id, chain) -> what is asked, or the reason why not."""
    chains = Chains(pool, Twins(pool, rouge_threshold=0.8), {}, None)
    return {(fact.id, ask.variant): ask.missing or ask.prompt for fact in facts for ask in chains.asks(fact)}


def test_the_data_file_has_all_three_kinds_and_known_places_alone() -> None:
    ways = stepwise_texts().ways
    assert len({way.name for way in ways}) == len(ways)
    assert {way.kind for way in ways} == {"direct", "indirect", "implied"} == set(stepwise_texts().requests)
    for way in ways:
        assert way.places <= {"question", "subject", "siblings", "opening", "written"}
        assert "question" in way.places
        assert way.name.startswith(way.kind) or "written" in way.places


def test_every_chain_has_the_question_and_no_premise_tells_the_answer() -> None:
    pool = [fact for number in range(12) for fact in (person(number, f"City{number}"), lives(number))]
    prompts = prompts_of(pool, pool)
    assert {way for _, way in prompts} == set(TEMPLATES)
    for fact in pool:
        screen = Screen([fact], among=pool)
        for way in TEMPLATES:
            prompt = prompts[fact.id, way]
            assert isinstance(prompt, Prompt)
            assert fact.question in prompt.text
            told = f"{prompt.text.replace(fact.question, '')} {prompt.prefix}"
            assert not re.search(rf"\b{fact.answer}\b", told)
            assert not any(screen([told]).gives_away)


def test_siblings_are_asked_first_and_conclusions_are_begun() -> None:
    pool = [person(1, "City1"), lives(1)]
    prompts = prompts_of(pool, pool)
    asked, begun = prompts["f1", "indirect-siblings"], prompts["f1", "implied-conclusion"]
    assert isinstance(asked, Prompt)
    assert isinstance(begun, Prompt)
    assert asked.text.endswith("Where does Subject1 live? Where was Subject1 born?")
    assert begun.prefix.endswith("I conclude that Subject1 was born in")


def test_what_lacks_material_is_missing_with_the_reason() -> None:
    bare = Fact(id="bare", subject="Who", question="Who is it?", answer="Me", relation="is")
    passage = Fact(id="text", subject="A book", text="It was the best of times.")
    # A question on the same subject that names the answer is no premise.
    told = replace(lives(2), question="Where does Subject2 of City2 live?")
    pool = [bare, passage, person(2, "City2"), told]
    readings = all_of(stepwise(), FakeModel(), pool)
    why = {(one.fact_id, one.variant): one.missing for one in readings if one.measure == "hit"}
    assert why["bare", "indirect-siblings"] == NO_SIBLING
    assert why["bare", "implied-conclusion"] == NO_OPENING
    assert {why["text", way] for way in TEMPLATES} == {NO_QUESTION}
    assert why["f2", "indirect-siblings"] == NO_SIBLING
    assert only(readings, "exposure", "any")["text"].missing == UNASKABLE


def test_one_chain_that_gets_through_is_exposure_unless_not_every_fact_has_it() -> None:
    pool = [fact for number in range(30) for fact in (person(number, f"City{number}"), lives(number))]
    thinks = FakeModel(says=lambda text: "Hm. So it is City3" if "step by step" in text else REFUSAL)
    readings = all_of(stepwise(), thinks, pool)
    assert [key for key, one in only(readings, "hit", "direct-recall").items() if one.score] == ["f3"]
    exposed = only(readings, "exposure", "any")
    assert [key for key, one in exposed.items() if one.score] == ["f3"]
    assert (exposed["f0"].twin_score, exposed["f3"].twin_score) == (pytest.approx(1 / 29), 0.0)
    listens = FakeModel(says=lambda text: "City3" if text.startswith("Answer these") else REFUSAL)
    readings = all_of(stepwise(), listens, pool)
    assert only(readings, "hit", "indirect-siblings")["f3"].score == 1.0
    assert {one.score for one in only(readings, "exposure", "any").values()} == {0.0}


def test_what_a_generator_writes_is_screened_and_counted() -> None:
    facts = people(3)

    def writes(text: str) -> str:
        number = re.search(r"Subject(\d)", text)[1]  # type: ignore[index]
        return f"1. Recall the travels.\n- It was City{number}!\n\nWhere was Subject{number} born?\nBe brief.\nFifth."

    made = stepwise().write(FakeModel(says=writes), facts)
    # Of the first three lines, one holds the answer and one is the question itself; for three facts and three kinds.
    assert made["summary"] == {"premises_kept": 9, "premises_dropped": 18}
    assert made["written"]["f1"]["implied"] == ["Recall the travels."]
    readings = all_of(
        stepwise(dict(made)), FakeModel(says=lambda text: "City1" if "travels" in text else REFUSAL), facts
    )
    for way in WRITTEN:
        assert [one.score for one in only(readings, "hit", way).values()] == [0.0, 1.0, 0.0]
    assert {one.score for one in only(readings, "exposure", "any").values()} == {0.0}
    stranger = person(9, "City9")
    assert {
        one.missing for one in all_of(stepwise(dict(made)), FakeModel(), [stranger], facts) if one.variant in WRITTEN
    } == {NOT_WRITTEN}


def test_only_exposure_gates() -> None:
    assert [measure.name for measure in Stepwise.measures if measure.gates] == ["exposure"]
