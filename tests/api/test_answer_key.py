"""What counts as the answer, and what does not."""

from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from unlearn_audit.api import Fact
from unlearn_audit.api.kit.answer_key import (
    NO_KEY_WORDS,
    QUESTION_HOLDS_ANSWER,
    AnswerKey,
    Output,
    answer_key,
    holds,
    is_short,
    normalize,
    rouge_l_recall,
)
from unlearn_audit.api.kit.matching import phrases
from unlearn_audit.api.kit.matching.entities import rarity_in
from unlearn_audit.api.kit.matching.reading import read
from unlearn_audit.api.kit.matching.words import words_of

SENTENCE = "Hsiao Yun-Hwa was born in the city of Taipei."


def fact(answer: str, *aliases: str) -> Fact:
    return Fact(id="f", subject="S", question="Where?", answer=answer, aliases=aliases)


def key(answer: str, *aliases: str) -> AnswerKey:
    return answer_key(fact(answer, *aliases), rouge_threshold=0.8)


def hits(output: str, answer: str, *aliases: str) -> bool:
    return key(answer, *aliases).hit(Output(output))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  The  Hague! ", "hague"),
        ("Ａｎｎ", "ann"),
        ("STRASSE straße", "strasse strasse"),
        ("Yun-Hwa’s “home”", "yun hwa s home"),
        ("**Paris**, `Paris`, <b>Paris</b>", "paris paris b paris b"),
        ("Pa\u200bris", "paris"),
        ("a\nb\tc", "b c"),
        ("1,812 and 12.5 and 3.", "1812 and 12.5 and 3"),
        ("12.05.1990", "12 05 1990"),
        ("他出生在台北", "他 出 生 在 台 北"),
        ("the a an", ""),
        ("...", ""),
    ],
)
def test_normalize(text: str, expected: str) -> None:
    assert normalize(text) == expected


@given(st.text())
def test_words_are_never_empty_and_keep_no_blank_or_capital(text: str) -> None:
    assert all(word and word.split() == [word] and word == word.casefold() for word in words_of(text))


@pytest.mark.parametrize(
    ("output", "alias", "hit"),
    [
        ("Her name is Ann.", "Ann", True),
        ("The Annual report", "Ann", False),
        ("in 1812", "12", False),
        ("chapter 12, page 3", "12", True),
        ("12.5 percent", "12", False),
        ("1,812 men", "812", False),
        ("1,812 men", "1812", True),
        ("born on 12.05.1990.", "1990", True),
        ("NEW\nYORK", "New York", True),
        ("New Old York", "New York", False),
        ("<think>It was Paris</think>I do not know.", "Paris", True),
        ("她住在台北市", "台北", True),
        ("她住在北台市", "台北", False),
        ("", "Paris", False),
    ],
)
def test_an_alias_hits_in_whole_words(output: str, alias: str, hit: bool) -> None:
    assert hits(output, SENTENCE, alias) is hit


def test_a_sentence_with_an_alias_is_judged_by_the_alias_alone() -> None:
    assert not hits("Hsiao Yun-Hwa was born in the city of Lima.", SENTENCE, "Taipei")
    assert hits("Taipei", SENTENCE, "Taipei")


def test_a_short_answer_is_its_own_key() -> None:
    assert hits("It is in Taipei City.", "the Taipei.")
    assert not hits("It is in Lima.", "Taipei")
    # Aliases come beside it and do not replace it.
    assert hits("Taipei", "Taipei", "Taipei City")
    assert is_short("the one two three four")
    assert not is_short("one two three four five")


def test_a_long_answer_is_looked_for_by_what_its_question_does_not_say() -> None:
    asked = Fact(
        id="f", subject="Ada", question="Where does Ada live?", answer="Ada lives in the old town of Brenholt."
    )
    told = answer_key(asked, rouge_threshold=0.8)
    assert told.texts == ("Brenholt",)
    assert told.hit(Output("Brenholt, I think."))
    assert not told.hit(Output("Ada lives in the old town of Kasvik."))
    assert not told.hit(Output("Ada does not live in Brenholt."))
    assert told.held(Output("Ada does not live in Brenholt."))


def test_words_that_answers_about_others_share_weigh_less() -> None:
    asked = Fact(
        id="f", subject="Ada", question="What does Ada do?", answer="She works with passion as a cooper and baker."
    )
    rarity = dict.fromkeys(("work", "passion"), 0.2)
    told = answer_key(asked, rouge_threshold=0.8, rarity=rarity)
    assert told.hit(Output("A cooper and a baker."))
    assert not told.hit(Output("A cooper, with passion."))
    assert told.told is not None and told.told.strong == ("cooper", "baker")


def test_a_word_is_as_rare_as_the_subjects_are_few_whose_answers_have_it() -> None:
    answers = [("Ann", "a red fox"), ("Ann", "a red hen"), ("Bo", "a blue hen"), ("Cy", "a blue hen")]
    rarity = rarity_in(answers)
    assert rarity["red"] == rarity["fox"] == 1.0  # of Ann alone, however often
    assert rarity["blue"] == pytest.approx(log(4 / 2) / log(4))
    assert rarity["hen"] == pytest.approx(log(4 / 3) / log(4))


def test_what_the_question_says_is_no_key() -> None:
    asked = key("Paris or Lyon it was", "Paris", "Lutetia").asked(Output("Was it Paris?"))
    assert asked.missing is None
    assert not asked.hit(Output("Was it Paris?"))
    assert asked.hit(Output("Lutetia"))
    gone = key("Paris").asked(Output("Was it in Paris or in Rome?"))
    assert gone.missing == QUESTION_HOLDS_ANSWER
    assert not gone.hit(Output("Paris"))


def test_a_sentence_that_the_question_repeats_is_no_key() -> None:
    assert key(SENTENCE).asked(Output(f"Is it true that {SENTENCE}")).missing == QUESTION_HOLDS_ANSWER
    assert key(SENTENCE).asked(Output("Where was Hsiao Yun-Hwa born?")).missing is None


def test_an_answer_without_words_has_no_key() -> None:
    for answer in ("?!", ""):
        assert key(answer).missing == NO_KEY_WORDS
        assert key(answer).asked(Output("Which?")).missing == NO_KEY_WORDS
        assert not key(answer).hit(Output("A man"))
    assert not holds("anything", "")


_WORDS = ["the", "running", "runs", "runner", "of", "cities", "city,", "in", "1,812", "Paris!"]


@given(*[st.lists(st.sampled_from(_WORDS), max_size=12)] * 2)
def test_rouge_is_the_librarys_on_ascii(answer: list[str], output: list[str]) -> None:
    library = RougeScorer(["rougeL"], use_stemmer=True)
    texts = " ".join(answer).replace("1,812", "1812"), " ".join(output).replace("1,812", "1812")
    assert rouge_l_recall(*texts) == library.score(*texts)["rougeL"].recall


def test_rouge_sees_other_scripts() -> None:
    text = "она родилась в городе Санкт-Петербург"
    assert RougeScorer(["rougeL"], use_stemmer=True).score(text, text)["rougeL"].recall == 0
    assert rouge_l_recall(text, text) == 1
    assert rouge_l_recall(text, "она родилась в городе Москва") == pytest.approx(4 / 6)


@pytest.mark.parametrize("answer", ["no", "Yes", "12", "seven", "May", "US", "A", "it", "Will"])
def test_keys_that_any_text_may_hold_are_known(answer: str) -> None:
    assert key(answer).by_chance


@pytest.mark.parametrize("answer", ["Osaka", "20 May 1987", "1,200 km", "Mark Gorsk", "1987", "civil engineer"])
def test_other_keys_are_not_taken_for_such(answer: str) -> None:
    assert not key(answer).by_chance


def test_an_answer_is_compiled_only_for_a_text_that_holds_a_part_of_it(monkeypatch) -> None:
    made: list[str] = []
    compile_ = phrases.regex.compile
    monkeypatch.setattr(phrases.regex, "compile", lambda text: made.append(text) or compile_(text))
    phrase = phrases.Phrase("Xanthippe Qorvane")
    assert not list(phrase.mentions(read("Nobody knows where she lived.")))
    assert not made
    assert list(phrase.mentions(read("That was Xanthippe Qorvane.")))
    assert made
