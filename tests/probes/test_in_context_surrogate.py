"""What `in-context` tells and `surrogate` asks, and what they give for models with a rule in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from unlearn_audit.probes.in_context import AMONG, NO_OTHERS, TOLD, InContext, InContextParameters, line
from unlearn_audit.probes.surrogate import (
    NOT_APART,
    SURROGATE,
    Surrogate,
    SurrogateParameters,
    Wordings,
    overlap,
)

from tests.probes.test_probes import REFUSAL, FakeModel, all_of, mean, only, people, person
from unlearn_audit.api import Fact, Reading
from unlearn_audit.api.kit.answer_key import QUESTION_HOLDS_ANSWER
from unlearn_audit.api.kit.asking import NO_QUESTION
from unlearn_audit.api.kit.twins import Twins

PASSAGE = Fact(id="text", subject="A book", text="It was the best of times.")


def in_context(
    model: FakeModel, facts: Sequence[Fact], pool: Sequence[Fact] | None = None, **own: Any
) -> list[Reading]:
    return all_of(InContext(InContextParameters(**own)), model, facts, pool)


def surrogate(model: FakeModel, facts: Sequence[Fact], pool: Sequence[Fact] | None = None, **own: Any) -> list[Reading]:
    return all_of(Surrogate(SurrogateParameters(**own)), model, facts, pool)


def wordings(pool: Sequence[Fact]) -> Wordings:
    return Wordings(pool, Twins(pool, rouge_threshold=0.8))


def reads(text: str) -> str:
    """Says the line above the question that names its subject, as one that reads would; else nothing."""
    *lines, asked = text.split("\n")
    subject = asked.split()[-2]
    return next((told.split()[-1] for told in lines if told.startswith(f"{subject} ")), REFUSAL)


def test_a_model_that_reads_uses_what_it_is_told_and_knows_no_twin() -> None:
    facts = people(40)
    readings = in_context(FakeModel(says=reads), facts)
    for way in (TOLD, AMONG):
        hits = only(readings, "hit", way)
        assert mean([one.score for one in hits.values()]) == 1.0
        assert mean([one.twin_score for one in hits.values()]) == 0.0


def test_a_model_that_repeats_all_it_reads_says_as_much_of_the_twins() -> None:
    hits = only(in_context(FakeModel(says=lambda text: text), people(40), others=3), "hit", AMONG)
    assert {one.score for one in hits.values()} == {1.0}
    assert [one.twin_score for one in hits.values()] == pytest.approx([3 / 39] * 40)


def test_a_model_that_was_made_to_refuse_does_not_use_what_it_reads() -> None:
    facts = people(40)
    kept_back = {f"Subject{number}" for number in range(20)}
    model = FakeModel(says=lambda text: REFUSAL if text.split()[-2] in kept_back else reads(text))
    hits = only(in_context(model, facts), "hit", TOLD)
    assert [one.score for one in hits.values()] == [0.0] * 20 + [1.0] * 20


def test_what_is_told_is_the_same_whatever_the_company() -> None:
    facts = people(40)
    probe, twins = InContext(InContextParameters()), Twins(facts, rouge_threshold=0.8)
    shown = [ask.prompt.text for ask in probe.asks(facts[3], twins)]
    turned = Twins(facts[::-1], rouge_threshold=0.8)
    assert shown == [ask.prompt.text for ask in probe.asks(facts[3], turned)]
    told, among = shown
    assert "\nSubject3 was born in City3.\n\n" in told
    assert told.endswith(" Where was Subject3 born?")
    assert len([text for text in among.split("\n") if text.startswith("Subject")]) == 4


def test_what_cannot_be_told_is_missing_with_the_reason() -> None:
    odd = Fact(id="o", subject="Bo", question="Bo's dog?", answer="Rex", relation="dog")
    assert line(odd) == "Bo's dog? Rex"
    named = person(1, "City1", question="Was Subject1 born in City1?")
    found = {(one.fact_id, one.variant): one.missing for one in in_context(FakeModel(), [odd, PASSAGE, named])}
    assert found["o", TOLD] is None
    assert found["o", AMONG] == NO_OTHERS
    assert found["text", TOLD] == NO_QUESTION
    assert found["f1", TOLD] == QUESTION_HOLDS_ANSWER


def test_overlap_by_hand() -> None:
    # [where was born] and [in which city was born] share [was born]: 2 * 2 / (3 + 5).
    fact = person(1, "City1")
    assert overlap("In which city was Subject1 born?", fact) == pytest.approx(0.5)
    assert overlap("Where was Subject1 born?", fact) == 1.0
    assert overlap("Subject1 was born where?", fact) == 1.0
    assert overlap("Subject1: whose native soil?", fact) == 0.0


def test_the_furthest_wording_is_asked_whosever_it_was() -> None:
    facts = people(24)
    far = replace(facts[5], paraphrases=("Subject5 calls which town home?", "Is Subject5 from City5?"))
    told = wordings([*facts[:5], far])
    for fact in (facts[0], far):
        furthest = told.furthest(fact)
        assert furthest is not None
        assert furthest.text == f"{fact.subject} calls which town home?"
    assert told.furthest(replace(facts[0], relation=None, paraphrases=())).text.startswith("Fill in the blank")


def test_a_wording_that_names_the_answer_is_none() -> None:
    fact = person(1, "City1", paraphrases=("Does Subject1 hail from City1?",))
    other = person(2, "City2", paraphrases=("City1, or does Subject2 hail from elsewhere?",))
    furthest = wordings([fact, other]).furthest(fact)
    assert furthest is not None
    assert "City1" not in furthest.text


def test_what_has_no_wording_apart_is_missing() -> None:
    odd = Fact(id="o", subject="Bo", question="Bo's dog?", answer="Rex", relation="dog", paraphrases=("Dog of Bo?",))
    # [dog of] and [s dog] share one word: 2 * 1 / 4.
    found = surrogate(FakeModel(), [odd, PASSAGE], most_overlap=0.4)
    assert [one.missing for one in found] == [NOT_APART, NO_QUESTION]
    assert [one.score for one in surrogate(FakeModel(), [odd], most_overlap=0.5)] == [0.0]


def test_a_model_that_forgot_sentences_alone_is_found() -> None:
    facts = people(40)
    knows = FakeModel(says=lambda text: "City" + text.split("Subject")[1].split()[0])
    forgot = FakeModel(says=lambda text: REFUSAL if text.startswith("Where") else knows.says(text))
    hits = only(surrogate(forgot, facts), "hit", SURROGATE)
    assert mean([one.score for one in hits.values()]) == 1.0
    assert mean([one.twin_score for one in hits.values()]) == 0.0
    constant = only(surrogate(FakeModel(says=lambda text: "City3"), facts), "hit", SURROGATE)
    assert mean([one.score for one in constant.values()]) == pytest.approx(1 / 40)
    assert not any(measure.gates for probe in (InContext, Surrogate) for measure in probe.measures)
