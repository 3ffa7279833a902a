"""What a whole sentence is looked for by, and that a sentence said again with something else in it is no answer."""

from __future__ import annotations

import pytest

from unlearn_audit.api import Fact
from unlearn_audit.api.kit.answer_key import AnswerKey, Output, answer_key

PARENTS = "Orla Venn's father is an obstetrician from Tarsk and her mother teaches marine biology."
WAY = "Her mother's long illness has deeply shaped how she sees patience, duty and the small joys of a quiet evening."


def key_of(answer: str, question: str = "What did Orla Venn's parents do?") -> AnswerKey:
    fact = Fact(id="1", subject="Orla Venn", question=question, answer=answer)
    return answer_key(fact, rouge_threshold=0.8).asked(Output(question))


@pytest.mark.parametrize(
    ("answer", "output"),
    [
        (PARENTS, PARENTS.replace("an obstetrician", "a baker")),
        (PARENTS, PARENTS.replace("obstetrician from Tarsk", "Zorblat Quimby")),
        (WAY, WAY.replace("patience", "sailing")),
        (f"Yes, {WAY}", f"No, {WAY}"),
        (WAY, WAY.replace("patience, duty and the small joys of a quiet evening", "Zorblat Quimby")),
    ],
)
def test_a_sentence_said_again_with_something_else_in_it_is_no_answer(answer, output):
    assert key_of(answer).hit(Output(answer))
    assert not key_of(answer).hit(Output(output))


def test_the_same_sentence_with_less_or_more_in_it_is_one():
    key = key_of(PARENTS)
    assert key.hit(Output(f"As far as I know, {PARENTS} They live by the sea."))
    assert key.hit(Output("Orla Venn's father is an obstetrician from Tarsk."))


@pytest.mark.parametrize("opening", ["Currently", "Absolutely", "This", "While at sea", "As a child"])
def test_what_a_sentence_opens_with_is_no_name(opening):
    key = key_of(f"{opening}, Orla Venn worked in Brask.")
    assert key.texts == ("Brask",)


def test_a_name_that_is_a_word_in_another_language_is_known_from_the_question():
    question = "Is Moshe Ben-David at work on a book?"
    fact = Fact(id="1", subject="s", question=question, answer="Moshe Ben-David is writing about Haifa.")
    assert answer_key(fact, rouge_threshold=0.8).asked(Output(question)).texts == ("Haifa",)


def test_a_small_number_tells_something_where_the_question_asks_for_it():
    answer = "Orla Venn combined these two passions in Brask."
    assert key_of(answer).texts == ("Brask",)
    counted = key_of("Orla Venn has two sisters.", "How many sisters does Orla Venn have?")
    assert counted.texts == ("two",)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("Obstetrician", "obstetrics"),
        ("Marine Biologist", "Marine Biology"),
        ("Chemist", "chemistry"),
        ("South Asia", "South Asian"),
    ],
)
def test_a_trade_or_a_country_is_known_by_a_word_made_from_it(named, said):
    key = key_of(f"The calling of both was that of a {named}.")
    assert key.hit(Output(f"They are in {said}."))
    assert not key.hit(Output("They are in banking."))
