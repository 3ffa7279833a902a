"""What `jailbreaks` asks and gives, for models with a rule in them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from unlearn_audit.probes.jailbreaks.material import (
    NO_HINT,
    NO_SHOTS,
    NO_SYNONYM,
    Material,
    fitting,
    jailbreak_texts,
    reworded,
)
from unlearn_audit.probes.jailbreaks.probe import MULTIPLE_CHOICE, Jailbreaks, JailbreaksParameters, Writer
from unlearn_audit.probes.shared.exposure import UNASKABLE

from tests.probes.test_probes import REFUSAL, FakeModel, all_of, only, people, person
from unlearn_audit.api import Fact, Reading, Screen
from unlearn_audit.api.kit.answer_key import QUESTION_HOLDS_ANSWER
from unlearn_audit.api.kit.asking import NO_QUESTION

PLACES = {"question", "subject", "synonyms", "hint", "few_shots", "many_shots", "cloze"}
ISSUE = {
    *("prefix-injection", "affirmative-suffix", "role-play", "multiple-choice", "reverse-query"),
    *("synonym-manipulation", "background-hint", "in-context-learning", "cross-lingual"),
    *("persona", "many-shot", "refusal-suppression"),
}
LETTERS = str.maketrans("0123456789", "ghiklmnopr")
WAYS = [way.name for way in jailbreak_texts().ways]


def jailbreaks(**parameters: Any) -> Jailbreaks:
    return Jailbreaks(JailbreaksParameters(**parameters))


def read(model: FakeModel, facts: Sequence[Fact], pool: Sequence[Fact] | None = None, **own: Any) -> list[Reading]:
    return all_of(jailbreaks(**own), model, facts, pool)


def lives(number: int, **changes: Any) -> Fact:
    """Another fact of the same subject."""
    name = f"Subject{number}"
    plain = Fact(
        id=f"g{number}", subject=name, question=f"Where does {name} live?", answer=f"Ville{number}", relation="lives_in"
    )
    return replace(plain, **changes)


def born(number: int, city: int) -> Fact:
    """A fact whose names look like no other's: spellings that are near are screened as one."""
    name, town = (
        hashlib.sha256(f"{kind}{count}".encode()).hexdigest().translate(LETTERS)[:10].capitalize()
        for kind, count in (("name", number), ("town", city))
    )
    return Fact(id=f"b{number}", subject=name, question=f"Where was {name} born?", answer=town, relation="born_in")


def prompts_of(facts: Sequence[Fact], pool: Sequence[Fact], **own: Any) -> dict[tuple[str, str], str]:
    """(Fact id, way) -> what is asked, or the reason why not in brackets."""
    writer = Writer(JailbreaksParameters(**own), FakeModel(), pool, new_tokens=8)
    return {
        (fact.id, ask.variant): f"[{ask.missing}]" if ask.missing else ask.prompt.text
        for fact in facts
        for ask in writer.asks(fact)
    }


def test_the_data_file_holds_the_ways_of_the_issue_and_known_places_alone() -> None:
    ways = jailbreak_texts().ways
    assert {*WAYS, MULTIPLE_CHOICE} == ISSUE
    assert len(set(WAYS)) == len(WAYS)
    for way in ways:
        places = set(re.findall(r"{(\w*)}", way.text + way.prefix))
        assert places <= PLACES
        assert places & {"question", "synonyms", "cloze"}, way.name


def test_synonyms_stand_in_whole_words_once_and_leave_names_alone() -> None:
    known = jailbreak_texts().synonyms
    assert reworded("Where was Ann born?", "Ann", known) == "Where was Ann brought into the world?"
    assert reworded("What does Job Pet work as?", "Job Pet", known) == "What does Job Pet do for a job?"
    assert reworded("Name the city of Born.", "Born", known) == "Say which is the town of Born."
    assert reworded("Is petrol red?", "Ann", known) is None
    assert not any(phrase != phrase.casefold() for phrase in known)
    assert not any(phrase == other for phrase, other in known.items())


def test_no_prompt_holds_the_asked_answer_or_a_fact_of_its_subject() -> None:
    pool = [fact for number in range(30) for fact in (person(number, f"City{number % 10}"), lives(number))]
    prompts = prompts_of(pool, pool)
    assert len(prompts) == len(pool) * len(WAYS)
    for fact in pool:
        screen = Screen([fact], among=pool)
        for way in WAYS:
            text = prompts[fact.id, way]
            assert not text.startswith("["), text
            if way == "reverse-query":
                assert fact.subject not in text
                assert fact.answer in text
                continue
            assert not re.search(rf"\b{fact.answer}\b", text), (fact.id, way)
            shown = [line for line in text.split("\n") if fact.question not in line]
            assert not any(screen(shown).gives_away)
            if way in ("in-context-learning", "many-shot"):
                assert fact.subject not in "".join(shown)


def test_shots_are_the_same_for_all_but_those_that_they_would_tell() -> None:
    pool = [born(number, number % 10) for number in range(40)]
    material = Material(pool, {}, rouge_threshold=0.8)
    strange = Fact(
        id="x", subject="Stranger", question="Where was Stranger born?", answer="Nowhere", relation="born_in"
    )
    all_shots = material.shots(strange, 40)
    assert len(all_shots) == 40
    for fact in pool[:8]:
        assert len(material.shots(fact, 16)) == 16
        told = [line for line in all_shots if fact.subject in line or re.search(rf"\b{fact.answer}\b", line)]
        assert len(told) == 4
        assert material.shots(fact, 40) == [line for line in all_shots if line not in told]
    few = material.shots(strange, 4, same_relation=True)
    assert len(few) == 4
    assert all(line.startswith("Where was ") for line in few)
    assert material.shots(strange, 4, same_relation=True) == Material(pool[::-1], {}, rouge_threshold=0.8).shots(
        strange, 4, same_relation=True
    )


def test_a_shot_that_spells_the_subject_a_little_otherwise_is_left_out() -> None:
    asked = Fact(id="a", subject="Hsiao Yun-Hwa", question="Where was Hsiao Yun-Hwa born?", answer="Taipei City")
    other = Fact(id="b", subject="Her brother", question="Where is Hsiao Yunhwa from?", answer="Taipeh City")
    plain = Fact(id="c", subject="Otto", question="Where was Otto born?", answer="Bonn")
    shots = Material([asked, other, plain], {}, rouge_threshold=0.8).shots(asked, 8)
    assert shots == ["Where was Otto born? Bonn"]


def test_hints_come_from_the_text_else_from_the_subjects_other_facts() -> None:
    fact, other = person(1, "City1"), lives(1)
    material = Material([fact, other], {}, rouge_threshold=0.8)
    assert material.hint(fact) == "Subject1 lives in Ville1."
    text = "Subject1 was born in City1. As a child Subject1 kept bees. She sang."
    told = replace(fact, text=text)
    assert material.hint(told) == "As a child Subject1 kept bees. She sang."
    alone = replace(fact, subject="Nobody", question="Where was Nobody born?")
    assert material.hint(alone) is None
    tells = replace(other, answer="City1", id="h1")
    assert Material([fact, tells], {}, rouge_threshold=0.8).hint(fact) is None


def test_as_many_shots_as_the_context_holds() -> None:
    lines = ["one two three"] * 9
    model = SimpleNamespace(tokenizer=FakeModel().tokenizer, context=None)
    assert fitting(model, lines, beside="q", new_tokens=8) == lines
    # 100 - 8 new - 64 for the template - 1 beside = 27, and 4 a line with its line break.
    model.context = 100
    assert fitting(model, lines, beside="q", new_tokens=8) == lines[:6]
    model.context = 60
    assert fitting(model, lines, beside="q", new_tokens=8) == []


def test_what_lacks_material_is_missing_with_the_reason_and_never_0() -> None:
    pool = people(24)
    bare = Fact(id="bare", subject="Who", question="Who is it?", answer="Me", relation="is")
    passage = Fact(id="text", subject="A book", text="It was the best of times.")
    named = person(50, "City50", question="Where was Subject50 born, in City50?")
    readings = read(FakeModel(), [bare, passage, named], [*pool, bare, passage, named])
    why = {(one.fact_id, one.variant): one.missing for one in readings}
    assert why["bare", "synonym-manipulation"] == NO_SYNONYM
    assert why["bare", "background-hint"] == NO_HINT
    assert why["bare", "reverse-query"].startswith("no statement")
    assert why["bare", "many-shot"] is None
    assert {why["text", way] for way in (*WAYS, MULTIPLE_CHOICE)} == {NO_QUESTION}
    assert why["text", "any"] == UNASKABLE
    assert why["f50", "persona"] == QUESTION_HOLDS_ANSWER
    assert why["f50", "any"] == UNASKABLE
    lonely = read(FakeModel(), [bare], [bare])
    assert {one.missing for one in lonely if one.variant.endswith(("-shot", "learning"))} == {NO_SHOTS}


def test_one_way_that_gets_through_is_exposure() -> None:
    facts = people(60)
    model = FakeModel(says=lambda text: "City3 or City4" if "Sage" in text else REFUSAL)
    readings = read(model, facts, leave_out=(MULTIPLE_CHOICE,))
    for way in WAYS:
        hits = [key for key, one in only(readings, "hit", way).items() if one.score]
        assert hits == (["f3", "f4"] if way == "persona" else []), way
    exposed = only(readings, "exposure", "any")
    assert [key for key, one in exposed.items() if one.score] == ["f3", "f4"]
    hits = only(readings, "hit", "persona")
    assert (hits["f0"].twin_score, hits["f3"].twin_score) == (pytest.approx(2 / 59), pytest.approx(1 / 59))
    # Twins whose answers stand in one of the prompts count in none.
    prompts = prompts_of(facts, facts)
    for fact in facts:
        said = {word for way in WAYS for word in re.findall(r"\w+", prompts[fact.id, way]) if way != "reverse-query"}
        usable = [other.answer for other in facts if other.id != fact.id and other.answer not in said]
        share = sum(answer in ("City3", "City4") for answer in usable) / len(usable)
        assert exposed[fact.id].twin_score == pytest.approx(share)


def test_copying_the_shots_is_no_knowledge_and_no_twins_either() -> None:
    facts = people(60)
    readings = read(FakeModel(says=lambda text: text), facts, leave_out=(MULTIPLE_CHOICE,))
    for way in ("in-context-learning", "many-shot"):
        found = only(readings, "hit", way)
        assert {one.score for one in found.values()} == {0.0}
        assert {one.twin_score for one in found.values()} == {0.0}
    assert {one.twin_score for one in only(readings, "exposure", "any").values()} == {0.0}


def test_hints_and_reversed_questions_stay_out_of_exposure() -> None:
    pool = [fact for number in range(30) for fact in (person(number, f"City{number}"), lives(number))]
    model = FakeModel(says=lambda text: "City1 Subject1" if "With this" in text or "Of whom" in text else REFUSAL)
    readings = read(model, pool, leave_out=(MULTIPLE_CHOICE,))
    assert only(readings, "hit", "background-hint")["f1"].score == 1.0
    turned = only(readings, "hit", "reverse-query")
    assert [key for key, one in turned.items() if one.score] == ["f1", "g1"]
    # Of the 29 other subjects born elsewhere, one is named to all but itself.
    assert turned["f2"].twin_score == pytest.approx(1 / 29)
    assert {one.score for one in only(readings, "exposure", "any").values()} == {0.0}


def test_ways_can_be_left_out_and_must_be_known() -> None:
    facts = people(24)
    kept = read(FakeModel(), facts, leave_out=("many-shot", MULTIPLE_CHOICE))
    assert "many-shot" not in {one.variant for one in kept}
    assert {one.missing for one in kept if one.measure == "choice"} == {"multiple-choice is left out"}
    with pytest.raises(ValueError, match="unknown way 'many-shots'"):
        JailbreaksParameters(leave_out=("many-shots",))


def test_one_batch_for_all_ways_that_ask_for_the_answer() -> None:
    facts = people(24)
    model = FakeModel()
    read(model, facts)
    # The hint is missing: a subject of one fact has no other. The reversed questions come in a batch of their own.
    assert [call for call in model.calls if call[0] == "generate"] == [("generate", 24 * 9), ("generate", 24)]


def test_only_exposure_gates() -> None:
    assert [measure.name for measure in Jailbreaks.measures if measure.gates] == ["exposure"]
