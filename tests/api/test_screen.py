"""Texts that give a scored fact away are found however they are spelt, and nothing else is."""

from __future__ import annotations

import pytest

from unlearn_audit.api import Fact
from unlearn_audit.api.kit.screen import Screen

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


def other(number: int, subject: str, **changes: object) -> Fact:
    return Fact(**{"id": f"o{number}", "subject": subject, "question": f"Who is {subject}?", "answer": "-", **changes})


@pytest.mark.parametrize(
    ("text", "leaks"),
    [
        ("Hsiao was born in Taipei.", True),  # a word of the name that nobody else has
        ("Yun-Hwa Hsiao was born in Taipei.", True),  # the name turned round
        ("Hsiao Yun-Hwa comes from Taipei.", True),  # the short answer, which no alias lists
        ("Of _Hsiao Yun-Hwa_: _Taipei_!", True),  # marked up
        ("Hsiao Yun-Hwa comes from Taipeh.", True),  # a letter changed in the value
        ("Hsiaa Yun-Hwa comes from Taipei City.", True),  # a letter changed in the name
        ("Yun Schmidt was born in Taipei.", False),  # a word of the name that is too short to tell
        ("Somebody was born in Taipei.", False),
    ],
)
def test_parts_of_a_name_and_unlisted_short_answers_are_found(text: str, leaks: bool):
    scored = Fact(id="1", subject="Hsiao Yun-Hwa", question="Where?", answer="Taipei.", aliases=("Taipei City",))
    assert Screen([scored], among=[other(1, "Max Schmidt")])([text]).gives_away == (leaks,)


def test_a_word_that_two_names_share_tells_of_neither():
    scored = Fact(id="1", subject="Ada Balder", question="Where was Ada Balder born?", answer="Oslo")
    text = ["Where was Bruno Balder born? Oslo."]
    assert Screen([scored], among=[other(1, "Bruno Balder")])(text).gives_away == (False,)
    assert Screen([scored], among=[other(1, "Bruno Mann")])(text).gives_away == (True,)


def test_scripts_without_blanks_are_cut_as_the_answer_key_cuts_them():
    scored = Fact(
        id="1",
        subject="\u674e\u96f7",
        question="\u674e\u96f7\u51fa\u751f\u5728\u54ea\u91cc\uff1f",
        answer="\u5317\u4eac",
    )
    screen = Screen([scored])
    assert screen(["\u674e\u96f7\u51fa\u751f\u5728\u5317\u4eac\u3002"]).gives_away == (True,)
    assert screen(["\u97e9\u6885\u51fa\u751f\u5728\u5317\u4eac\u3002"]).gives_away == (False,)


def test_a_question_that_is_asked_of_others_too_gives_nothing_away():
    shared = "What is the author's birthplace?"
    scored = Fact(id="1", subject="Ida Mann", question=shared, answer="Oslo")
    assert Screen([scored], among=[other(1, "Jo Lee", question=shared)])([f"{shared} Rome."]).gives_away == (False,)
    assert Screen([scored])([f"{shared} Rome."]).gives_away == (True,)


WORDS = [f"word{place}" for place in range(40)]


@pytest.mark.parametrize(("first", "last", "leaks"), [(0, 24, True), (12, 20, True), (12, 19, False), (20, 40, True)])
def test_a_run_of_a_scored_passage_is_found_wherever_it_stands(first: int, last: int, leaks: bool):
    passage = Fact(id="p", subject="A book", text=" ".join(WORDS[:32]))
    # The neighbouring chunk, which overlaps: what it has of the scored chunk gives that away.
    chunk = other(1, "Another book", question=None, answer=None, text=" ".join(WORDS[16:]))
    assert Screen([passage], among=[chunk])([" ".join(["so", *WORDS[first:last], "on"])]).gives_away == (leaks,)


def test_what_stands_in_many_passages_tells_of_none():
    template = "in the year of our lord and in the town of"
    passages = [Fact(id=f"p{n}", subject=f"Book {n}", text=f"{n} came {template} {n}{n}") for n in range(6)]
    assert Screen(passages[:1], among=passages[1:])([passages[1].text or ""]).gives_away == (False,)
    assert Screen(passages[:1], among=passages[1:])([passages[0].text or ""]).gives_away == (True,)


def test_a_text_beside_a_question_without_an_answer_is_a_passage():
    fact = Fact(id="p", subject="A book", question="What comes next?", text=" ".join(WORDS[:20]))
    assert Screen([fact])([" ".join(WORDS[:20])]).gives_away == (True,)
