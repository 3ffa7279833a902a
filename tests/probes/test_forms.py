"""What `forms` gives for models with a rule in them, against values worked out by hand."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unlearn_audit.probes.forms import ANSWER_FIRST, NO_CHOICE, Forms, FormsParameters
from unlearn_audit.probes.shared.ballots import above_chance
from unlearn_audit.probes.shared.exposure import UNASKABLE, exposure

from tests.probes.test_probes import REFUSAL, FakeModel, all_of, mean, only, people, person, score_of
from unlearn_audit.api import AnswerScore, Fact, Generation, Reading
from unlearn_audit.api.kit.asking import CUT_OFF, NO_QUESTION, NOT_A_NUMBER
from unlearn_audit.api.kit.statements import (
    NO_PHRASE,
    NO_STATEMENT,
    Statement,
    form_texts,
    past_tense,
    short_answer,
    statement_of,
    third_person,
)

OPEN = ("question", "cloze", "completion")
OFFERED = ("multiple-choice", "true-false", "reverse", "odd-one-out")


def forms(**parameters: Any) -> Forms:
    return Forms(FormsParameters(**parameters))


def read(model: FakeModel, facts: Sequence[Fact], **parameters: Any) -> list[Reading]:
    return all_of(forms(**parameters), model, facts)


def stated(question: str, subject: str = "Ada King", answer: str = "Rome", **changes: Any) -> str:
    fact = Fact(id="f", subject=subject, question=question, answer=answer, **changes)
    found = statement_of(fact, {})
    return found if isinstance(found, str) else found.with_answer(short_answer(fact) or "")


# --- statements -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Where was Ada King born?", "Ada King was born in Rome."),
        ("Where is Ada King buried?", "Ada King is buried in Rome."),
        ("When was Ada King born?", "Ada King was born on Rome."),
        ("In which city was Ada King born?", "Ada King was born in Rome."),
        ("What is the birthplace of Ada King?", "The birthplace of Ada King is Rome."),
        ("Who was the mother of Ada King?", "The mother of Ada King was Rome."),
        ("What is Ada King's profession?", "Ada King's profession is Rome."),
        ("What does Ada King work as?", "Ada King works as Rome."),
        ("What did Ada King write?", "Ada King wrote Rome."),
        ("Which animal does Ada King keep?", "The animal that Ada King keeps is Rome."),
        ("Which prize did Ada King receive in 1850?", NO_STATEMENT),
        ("Which prize did Ada King receive?", "The prize that Ada King received is Rome."),
        ("Where does Ada King live?", "Ada King lives in Rome."),
        ("Where did Ada King study?", "Ada King studied in Rome."),
        ("Name the city where Ada King was born.", "The city where Ada King was born is Rome."),
        ("Who wrote Ada King?", "Rome wrote Ada King."),
        ("where was ADA KING born", "Ada King was born in Rome."),
        # What no rule can turn round without a guess at grammar.
        ("What does Ada King do?", NO_STATEMENT),
        ("How does Ada King earn a living?", NO_STATEMENT),
        ("What is Ada King known for?", NO_STATEMENT),
        ("Where was she born?", NO_STATEMENT),
        ("Where was Ada Kingsley born?", NO_STATEMENT),
    ],
)
def test_a_question_becomes_a_statement_or_nothing(question: str, expected: str) -> None:
    assert stated(question) == expected


def test_a_paraphrase_is_taken_where_no_rule_fits_the_question() -> None:
    assert (
        stated("Ada King's town?", paraphrases=("Tell me.", "Where was Ada King born?")) == "Ada King was born in Rome."
    )


def test_a_sentence_of_the_facts_own_comes_before_rules_and_a_template_before_all() -> None:
    answer = "Ada King was born in the old city of Rome, in 1815."
    fact = Fact(id="f", subject="Ada King", question="Where was Ada King born?", answer=answer, aliases=("Rome",))
    found = statement_of(fact, {})
    assert isinstance(found, Statement)
    assert found.with_answer("Oslo") == "Ada King was born in the old city of Oslo, in 1815."
    assert found.cloze() == "Ada King was born in the old city of ____, in 1815."
    assert found.opening() == "Ada King was born in the old city of"
    assert found.reverse_cloze("Rome") == "____ was born in the old city of Rome, in 1815."
    passage = replace(fact, answer="Rome.", text="She was tall. It was in Rome that Ada King was born. She left.")
    found = statement_of(passage, {})
    assert isinstance(found, Statement)
    assert found.cloze() == "It was in ____ that Ada King was born."
    assert found.opening() is None
    found = statement_of(replace(passage, relation="born_in"), {"born_in": "{answer} saw {subject} come"})
    assert isinstance(found, Statement)
    assert found.with_answer("Oslo") == "Oslo saw Ada King come."


def test_no_statement_without_a_few_words_to_put_in() -> None:
    long = "She was born in a small village by the sea."
    assert stated("Where was Ada King born?", answer=long) == NO_PHRASE
    assert (
        stated("Where was Ada King born?", answer=long, aliases=("the village",)) == "Ada King was born in the village."
    )
    assert statement_of(Fact(id="f", subject="A", text="A passage."), {}) == NO_PHRASE


def test_a_gap_that_stands_twice_is_no_gap() -> None:
    text = "Ada King of Rome was born in Rome."
    assert stated("Why?", text=text) == NO_STATEMENT


@pytest.mark.parametrize(
    ("verb", "present", "past"),
    [
        *(("keep", "keeps", "kept"), ("study", "studies", "studied"), ("teach", "teaches", "taught")),
        *(("go", "goes", "went"), ("have", "has", "had"), ("play", "plays", "played"), ("live", "lives", "lived")),
    ],
)
def test_verbs(verb: str, present: str, past: str) -> None:
    assert (third_person(verb), past_tense(verb)) == (present, past)


def test_every_rule_of_the_data_file_compiles_and_can_be_filled() -> None:
    for rule in form_texts().statements:
        names = set(re.compile(rule.question.replace("{subject}", "S")).groupindex)
        places = set(re.findall(r"{(\w+)}", rule.statement))
        assert {"subject", "answer"} <= places | ({"subject"} if names & {"noun", "rest"} else set())
        assert places <= names | {"subject", "answer", "verb_s", "verb_ed"}
        assert not places & {"verb_s", "verb_ed"} or "verb" in names


def test_a_template_needs_both_places() -> None:
    with pytest.raises(ValueError, match="born_in"):
        FormsParameters(statements={"born_in": "{subject} was born."})


# --- chance ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probability", "options", "expected"),
    [(1.0, 4, 1.0), (0.25, 4, 0.0), (0.1, 4, 0.0), (0.625, 4, 0.5), (0.5, 2, 0.0), (0.75, 2, 0.5), (1 / 3, 3, 0.0)],
)
def test_chance_is_taken_off(probability: float, options: int, expected: float) -> None:
    assert above_chance(probability, options) == pytest.approx(expected)


def options_of(text: str) -> dict[str, str]:
    """Letter -> option of a lettered prompt."""
    return dict(re.findall(r"^([A-Z])\. (.*)$", text, re.MULTILINE))


Rule = Callable[[str, str], AnswerScore]


def offered(rule: Rule, facts: Sequence[Fact], **parameters: Any) -> dict[str, dict[str, Reading]]:
    readings = read(FakeModel(scores=rule), facts, **parameters)
    return {form: only(readings, "choice", form) for form in OFFERED} | {"all": only(readings, "recognition", "all")}


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(-9, 0), min_size=6, max_size=6))
def test_leaning_to_a_letter_or_a_word_scores_nothing(leanings: list[float]) -> None:
    """P depends on the letter, the word or the place alone, whatever the option says: exactly chance."""
    by_answer = dict(zip(["A", "B", "C", "D", "True", "False"], leanings, strict=True))
    found = offered(lambda _, answer: score_of(by_answer.get(answer, -1.0)), people(24)[:24])
    for form in (*OFFERED, "all"):
        assert [one.score for one in found[form].values()] == pytest.approx([0.0] * 24, abs=1e-9), form
        assert [one.twin_score for one in found[form].values()] == pytest.approx([0.0] * 24, abs=1e-9), form


def knowing(facts: Sequence[Fact]) -> Rule:
    """Knows who was born where, in every form, and answers with certainty."""
    truth = {fact.subject: fact.answer or "" for fact in facts}

    def right(text: str) -> bool:
        words = set(re.findall(r"\w+", text))
        return any(subject in words and city in words for subject, city in truth.items())

    def rule(text: str, answer: str) -> AnswerScore:
        if answer in ("True", "False"):
            return score_of(-0.01 if right(text) == (answer == "True") else -40.0)
        if (options := options_of(text)) and answer in options:
            asked = text.replace(options[answer], "") if "?" in text else ""
            question = asked.partition("\n")[0]
            return score_of(-0.01 if right(f"{question} {options[answer]}") else -40.0)
        return score_of(-0.01 if right(f"{text} {answer}") else -40.0)

    return rule


def test_a_model_that_knows_scores_1_and_its_twins_score_0() -> None:
    facts = people(24)
    found = offered(knowing(facts), facts)
    for form in (*OFFERED, "all"):
        assert [one.score for one in found[form].values()] == pytest.approx([1.0] * 24, abs=1e-6), form
        assert [one.twin_score for one in found[form].values()] == pytest.approx([0.0] * 24, abs=1e-6), form


def test_multiple_choice_by_hand() -> None:
    """Right in every turn with odds 3 : 1 : 1 : 1, on top of a leaning of 2 : 1 to the first letter.

    Truth first: 6 / (6 + 3) = 2/3. Truth elsewhere (three turns): 3 / (2 + 3 + 1 + 1) = 3/7. Mean (2/3 + 9/7) / 4.
    """
    facts = people(24)
    truth = {fact.question: fact.answer for fact in facts}

    def rule(text: str, answer: str) -> AnswerScore:
        options = options_of(text)
        if not text.startswith("Where") or answer not in options:
            return score_of(-1.0)
        weight = (3.0 if options[answer] == truth[text.partition("\n")[0]] else 1.0) * (2.0 if answer == "A" else 1.0)
        return score_of(math.log(weight) - 5.0)

    probability = (2 / 3 + 9 / 7) / 4
    found = offered(rule, facts)["multiple-choice"]
    assert found["f0"].score == pytest.approx((probability - 0.25) / 0.75)
    assert found["f0"].twin_score == 0.0


def test_true_or_false_by_hand() -> None:
    """Odds of truth 6, of the others 2 each: 6 / 12 = 1/2, and (1/2 - 1/4) / (3/4) = 1/3. "True" alone is no credit."""
    facts = people(24)

    def rule(text: str, answer: str) -> AnswerScore:
        right = any(f"{fact.subject} was born in {fact.answer}." in text for fact in facts)
        odds = 6.0 if right else 2.0
        return score_of(math.log(odds if answer == "True" else 1.0) - 3.0)

    found = offered(rule, facts)["true-false"]
    assert [one.score for one in found.values()] == pytest.approx([1 / 3] * 24)


def test_guessing_by_the_option_alone_scores_what_twins_score() -> None:
    """A liking for some cities, whoever is asked after: equal means, though above 0."""
    facts = [person(number, f"City{number % 30}") for number in range(90)]

    def rule(text: str, answer: str) -> AnswerScore:
        told = options_of(text).get(answer, text)
        number = int(match[1]) if (match := re.search(r"City(\d+)", told)) else 0
        return score_of(-0.1 * (number % 5) if answer != "False" else -1.0)

    found = offered(rule, facts)
    for form in ("multiple-choice", "true-false", "odd-one-out"):
        scores = mean([one.score for one in found[form].values()])
        assert scores > 0.005, form
        assert mean([one.twin_score for one in found[form].values()]) == pytest.approx(scores, rel=0.25), form


def test_subjects_of_one_answer_are_never_options_for_one_another() -> None:
    facts = [person(number, f"City{number % 30}") for number in range(60)]
    asked: dict[str, set[str]] = {}

    def rule(text: str, answer: str) -> AnswerScore:
        if answer.startswith("Subject"):
            asked.setdefault(text, set()).add(answer)
        return score_of(-1.0)

    found = offered(rule, facts, reverse_options=20)["reverse"]
    assert len(asked) == 30
    for options in asked.values():
        shared = {int(option.removeprefix("Subject")) % 30 for option in options}
        assert len(options) >= 20
        assert len(shared) >= 19
    assert {one.twin_score for one in found.values()} == {0.0}


def test_a_model_without_numbers_is_missing() -> None:
    found = offered(lambda *_: score_of(math.nan), people(24))
    for form in (*OFFERED, "all"):
        assert {one.missing for one in found[form].values()} == {NOT_A_NUMBER}
    certain = offered(lambda _, answer: score_of(-math.inf if answer == "False" else -1.0), people(24))
    assert {one.missing for one in certain["true-false"].values()} == {NOT_A_NUMBER}


# --- open forms -----------------------------------------------------------------------------------------------------


def test_what_is_kept_back_in_the_question_comes_out_in_another_form() -> None:
    facts = people(24)
    model = FakeModel(says=lambda text: REFUSAL if text.endswith("?") else "City3 and City5")
    readings = read(model, facts)
    assert mean([one.score for one in only(readings, "hit", "question").values()]) == 0.0
    for form in ("cloze", "completion"):
        hits = only(readings, "hit", form)
        assert [key for key, one in hits.items() if one.score] == ["f3", "f5"]
        assert hits["f0"].twin_score == pytest.approx(2 / 23)
        assert hits["f3"].twin_score == pytest.approx(1 / 23)
    exposed = only(readings, "exposure", "any")
    assert [key for key, one in exposed.items() if one.score] == ["f3", "f5"]
    assert mean([one.score for one in exposed.values()]) == pytest.approx(2 / 24)
    assert mean([one.twin_score for one in exposed.values()]) == pytest.approx(2 / 24)


def test_exposure_counts_twins_over_all_ways_at_once() -> None:
    facts = people(24)
    said = {"Where": "City1", "Fill": "City2", "Subje": "City2 or City4"}
    readings = read(FakeModel(says=lambda text: said[text[:5].strip()]), facts)
    exposed = only(readings, "exposure", "any")
    assert exposed["f0"].twin_score == pytest.approx(3 / 23)
    assert (exposed["f4"].score, exposed["f4"].twin_score) == (1.0, pytest.approx(2 / 23))


def test_the_questions_share_their_batch_and_the_completions_are_short() -> None:
    facts = people(24)
    model = FakeModel()
    read(model, facts)
    assert [call for call in model.calls if call[0] == "generate"] == [("generate", 48), ("generate", 24)]
    # Question of 6 words + answer of 1 + 8 to spare; a completion restates nothing.
    assert model.limits == {6 + 1 + 8, 1 + 8}
    assert len([call for call in model.calls if call[0] == "score"]) == 1


def test_forms_that_cannot_be_made_are_missing_with_the_reason() -> None:
    odd = Fact(id="odd", subject="Subject99", question="Subject99's town?", answer="City99", relation="born_in")
    first = Fact(id="first", subject="Subject98", question="Who wrote Subject98?", answer="City98", relation="born_in")
    passage = Fact(id="text", subject="A book", text="It was the best of times.")
    alone = Fact(id="alone", subject="Someone", question="Where was Someone born?", answer="Bonn", relation="alone")
    facts = [*people(24), odd, first, passage, alone]
    readings = read(FakeModel(says=lambda _: "City99"), facts)
    why = {(one.fact_id, one.measure, one.variant): one.missing for one in readings}
    assert len(why) == len(readings) == 9 * len(facts)
    for form in ("cloze", "completion"):
        assert why["odd", "hit", form] == NO_STATEMENT
    for form in ("true-false", "odd-one-out", "reverse"):
        assert why["odd", "choice", form] == NO_STATEMENT
    assert why["odd", "choice", "multiple-choice"] is None
    assert why["first", "hit", "cloze"] is None
    assert why["first", "hit", "completion"] == ANSWER_FIRST
    assert {why["text", "hit", form] for form in OPEN} == {NO_QUESTION}
    assert (why["text", "exposure", "any"], why["text", "recognition", "all"]) == (UNASKABLE, NO_CHOICE)
    assert why["alone", "choice", "multiple-choice"] == "fewer than 2 wrong options of the same form"
    # A form that is missing is no 0 in the summaries.
    assert only(readings, "exposure", "any")["odd"].score == 1.0
    assert only(readings, "recognition", "all")["odd"].score == 0.0


@pytest.mark.parametrize(
    ("hits", "expected"),
    [
        ((0.0, 1.0), (1.0, None)),
        ((0.0, 0.0), (0.0, None)),
        ((None, 1.0), (1.0, None)),
        ((None, 0.0), (None, CUT_OFF)),
        ((), (None, UNASKABLE)),
    ],
)
def test_exposure(hits: tuple[float | None, ...], expected: tuple[float | None, str | None]) -> None:
    assert exposure(hits) == expected


def test_an_answer_still_being_thought_of_is_no_0() -> None:
    def says(text: str) -> Generation | str:
        return Generation(text="<think>hm", finished=False, new_tokens=9) if text.endswith("?") else REFUSAL

    readings = read(FakeModel(says=says), people(24))
    assert {one.missing for one in only(readings, "hit", "question").values()} == {CUT_OFF}
    assert {one.missing for one in only(readings, "exposure", "any").values()} == {CUT_OFF}


def test_only_the_summaries_gate() -> None:
    assert [measure.name for measure in Forms.measures if measure.gates] == ["exposure", "recognition"]
