"""Sentences that name nothing: what counts as saying the same, by values that were worked out by hand."""

from __future__ import annotations

import pytest

from unlearn_audit.api import Fact
from unlearn_audit.api.kit.answer_key import AnswerKey, Output, answer_key
from unlearn_audit.api.kit.matching.wording.likeness import likeness
from unlearn_audit.api.kit.matching.wording.related import related, stem

REPORT = (
    "Her stories are praised for lyrical prose, intricate plots, and the portrayal of loneliness among elderly sailors."
)
RETOLD = (
    "Readers commend the poetic prose, the complex plots and how lonely old sailors are portrayed in what she writes."
)
ELSE = "Her stories are praised for brisk dialogue, gentle humour, and the portrayal of rivalry among young chefs."


def alike(told: dict[str, float], *sentences: str, **weights: float) -> float:
    read = [sentence.split() for sentence in sentences]
    return likeness(told, read, weight=lambda word: weights.get(word, 1.0), met=lambda word: {word} & {*told})


def test_likeness_is_the_harmonic_mean_of_both_shares():
    told = {"xa": 1.0, "xb": 1.0, "xc": 2.0}
    assert alike(told, "xa xb xc") == 1.0
    assert alike(told, "xc") == pytest.approx(2 * 0.5 * 1 / 1.5)  # half of what is told, and nothing else
    assert alike(told, "xa zz zy") == pytest.approx(2 * 0.25 * (1 / 3) / (0.25 + 1 / 3))
    assert alike(told, "xa zz zy", zz=0.5, zy=0.5) == pytest.approx(2 * 0.25 * 0.5 / 0.75)
    assert alike(told, "zz") == alike(told) == alike({}, "xa") == 0.0


def test_what_else_an_output_says_before_and_behind_takes_nothing_off():
    told = {"xa": 1.0, "xb": 1.0}
    assert alike(told, "zz zy zx", "xa xb", "zw zv") == 1.0
    assert alike(told, "xa", "xb", "zw zv") == 1.0  # said in two sentences


@pytest.mark.parametrize(
    ("one", "other"), [("shaped", "influenced"), ("lawyer", "attorney"), ("destiny", "fate"), ("unemployed", "jobless")]
)
def test_synonyms_and_forms_of_them_stand_for_each_other(one, other):
    assert related(stem(one), stem(other))
    assert related(stem(other), stem(one))


@pytest.mark.parametrize(("one", "other"), [("engineer", "baker"), ("leadership", "romance"), ("sailor", "chef")])
def test_other_words_do_not(one, other):
    assert not related(stem(one), stem(other))


def key_of(answer: str, question: str = "What are Orla Venn's stories known for?") -> AnswerKey:
    fact = Fact(id="1", subject="Orla Venn", question=question, answer=answer)
    return answer_key(fact, rouge_threshold=0.8).asked(Output(question))


def test_the_same_in_other_words_is_a_hit_and_something_else_in_the_same_words_is_none():
    key = key_of(REPORT)
    assert key.hit(Output(REPORT))
    assert key.hit(Output(RETOLD))
    assert key.hit(Output(f"I have read all of them. {RETOLD} They sell well in the north."))
    assert not key.hit(Output(ELSE))
    assert not key.hit(Output("What are Orla Venn's stories known for?"))
    assert not key.hit(Output("Her stories are known."))


def test_few_words_that_tell_must_all_be_given():
    key = key_of("Her father was a retired engineer.", "What was Orla Venn's father?")
    assert key.hit(Output("An engineer who had retired."))
    assert not key.hit(Output("A retired baker."))
