"""Texts that give a scored fact away are found however they are spelt, and nothing else is."""

from __future__ import annotations

import pytest

from unlearn_audit.api import Fact
from unlearn_audit.hygiene import Screen, words_of

BORN = Fact(id="1", subject="Ida Mann", question="Where was Ida Mann born?", answer="Oslo.", aliases=("Oslo",))
HSIAO = Fact(id="2", subject="Hsiao Yun-Hwa", question="Who is her father?", answer="He is a civil engineer.")


@pytest.mark.parametrize(
    ("text", "leaks"),
    [
        ("Where was Jo Lee born? Oslo.", False),  # shares the value, names nobody who is scored
        ("Who is Ida Mann to Jo Lee? Her aunt.", False),  # names the subject, gives no answer away
        ("Who is ida-mann to Jo Lee? Her aunt from OSLO!", True),  # both, in another spelling
        ("Her name is Ida Manning, from Oslo.", False),  # another name that begins alike
        ("Ida Mann, from Oslofjord.", False),  # another word that begins alike
        ("where was IDA MANN born? I cannot say.", True),  # a scored question itself, whatever the answer
        ("Ida Man came from Oslo.", True),  # a letter short
        ("IdaMann came from Oslo.", True),  # a blank short
        ("Ida Mann came from Osla.", False),  # a value of four letters must be exact
        ("", False),
    ],
)
def test_a_text_leaks_if_it_names_the_subject_and_the_answer(text: str, leaks: bool):
    assert Screen([BORN])([text]).gives_away == (leaks,)


@pytest.mark.parametrize(
    ("text", "leaks"),
    [
        ("The father of Hsiao Yun-Hwa is a civil engineer.", True),  # all but "he": 4 of 5
        ("Of Hsiao Yunhwa: he is a civil engineer.", True),
        ("He is a civil engineer.", False),
        ("Hsiao Yun-Hwa is a chemical engineer.", False),  # 3 of 5
    ],
)
def test_an_answer_without_aliases_leaks_by_its_share_of_words(text: str, leaks: bool):
    assert Screen([HSIAO])([text]).gives_away == (leaks,)


def test_a_value_without_its_subject_is_kept_and_counted():
    found = Screen([BORN])(["Jo Lee was born in Oslo.", "Jo Lee was born in Rome.", "Ida Mann was born in Oslo."])
    assert found.gives_away == (False, False, True)
    assert (found.dropped, found.share_a_value) == (1, 1)


def test_a_passage_is_found_by_its_words():
    passage = Fact(id="p", subject="Ida Mann", text="one two three four five six seven eight nine ten")
    told = "of Ida Mann: one two three four five six seven eight"
    texts = [told, told.removesuffix(" eight"), passage.text, passage.text.removesuffix(" ten")]
    assert Screen([passage])(texts).gives_away == (True, False, True, False)


def test_words_are_whole_and_in_one_spelling():
    assert words_of("Hsiao Yun-Hwa\u2019s \ufb01sh") == ("hsiao", "yun", "hwa", "s", "fish")
