"""Exchanged words: what is exchanged for what, and what models score whose knowledge is known."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import pytest
from unlearn_audit.probes.perturbed.answers import HAS_CHOICE, NO_ENTITY
from unlearn_audit.probes.perturbed.passages import TOO_SHORT, Slot, level
from unlearn_audit.probes.perturbed.probe import Perturbed, PerturbedParameters, _prepared
from unlearn_audit.probes.perturbed.words import words_in
from unlearn_audit.probes.shared.passages import HAS_QUESTION

from tests.probes.test_probes import FakeModel, all_of, people, score_of
from unlearn_audit.api import AnswerScore, Fact, Reading
from unlearn_audit.api.kit.asking import NO_QUESTION

NAMES = [f"{first} {last}" for first in ("Arno", "Bela", "Cleo", "Dora", "Edda", "Fynn") for last in ("Ulk", "Zorn")]
TOWNS = ["Brenholt", "Kasvik", "Tarn", "Molde", "Quern", "Ostrava", "Ghent", "Lugo", "Pskov", "Turku", "Vaduz", "Zadar"]


def free(number: int) -> Fact:
    """A fact whose question nobody else is asked, with a sentence for an answer."""
    name, town = NAMES[number], TOWNS[number]
    return Fact(
        id=f"q{number}",
        subject=name,
        question=f"Where did {name} spend the year {1900 + number}?",
        answer=f"Back then {name} lived in {town}, by the water.",
    )


FREE = [free(number) for number in range(12)]


def perturbed(**parameters: object) -> Perturbed:
    return Perturbed(PerturbedParameters(**parameters))


def options_of(fact: Fact, pool: Sequence[Fact]) -> list[str]:
    return list(_prepared(PerturbedParameters(), tuple(pool))[0].choice(fact).options)


def test_the_entity_is_exchanged_and_the_subject_kept() -> None:
    for fact, town in zip(FREE, TOWNS, strict=True):
        options = options_of(fact, FREE)
        assert options[0] == fact.answer
        assert {one.replace(town, "*") for one in options[:1]} == {
            f"Back then {fact.subject} lived in *, by the water."
        }
        assert sorted(options[1:]) == sorted(
            f"Back then {fact.subject} lived in {other}, by the water." for other in TOWNS if other != town
        )


def test_a_number_is_exchanged_for_a_number_and_an_alias_says_where() -> None:
    def fact(number: int, answer: str, *aliases: str) -> Fact:
        question = f"What of thing {chr(97 + number)}?"
        return Fact(id=str(number), subject=f"S{number}", question=question, answer=answer, aliases=aliases)

    pool = [
        fact(0, "It weighed 120 stone."),
        fact(1, "They counted 340 of them."),
        fact(2, "Some 560, and 7 more."),
        fact(3, "A heron and an otter came.", "otter"),
        fact(4, "Only badgers, no weasels.", "weasels"),
        fact(5, "The year brought nothing of marten.", "marten"),
    ]
    assert sorted(options_of(pool[0], pool)[1:]) == ["It weighed 340 stone.", "It weighed 560 stone."]
    assert {"A heron and an weasels came.", "A heron and an marten came."} <= set(options_of(pool[3], pool))
    assert all("otter" not in one for one in options_of(pool[3], pool)[1:])


def test_what_cannot_be_exchanged_is_missing_with_the_reason() -> None:
    outlook = perturbed().outlook([*FREE, *people(4)])
    assert outlook["answer"].missing == {one.id: HAS_CHOICE for one in people(4)}
    assert outlook["answer"].levels == pytest.approx({one.id: 1 / 12 for one in FREE})
    said = Fact(id="1", subject="Ann", question="Did Ann see it?", answer="Ann did.")
    assert perturbed().outlook([said])["answer"].missing == {"1": NO_ENTITY}
    assert perturbed().outlook([said, *FREE])["passage"].missing == dict.fromkeys(
        ["1", *(one.id for one in FREE)], HAS_QUESTION
    )
    found = all_of(perturbed(), FakeModel(), [Fact(id="t", subject="T", text="one two three")])
    assert {one.measure: one.missing for one in found} == {
        "answer": NO_QUESTION,
        "answer_top1": NO_QUESTION,
        "passage": TOO_SHORT,
        "passage_top1": TOO_SHORT,
    }


def values(readings: Sequence[Reading], measure: str) -> list[float]:
    return [one.score for one in readings if one.measure == measure and one.score is not None]


def mean(found: Sequence[float]) -> float:
    return sum(found) / len(found)


def fluent(text: str) -> float:
    """How likely a text is by itself: longer ones less, and each in its own way."""
    return -len(text) / 4 - 6 * random.Random(text).random()


def test_a_model_that_likes_some_sentences_better_is_at_its_level_and_one_that_knows_is_not() -> None:
    def scores(question: str, answer: str) -> AnswerScore:
        # It says the same of everybody: what it gives to a sentence does not depend on whom it is about.
        about = next((name for name in NAMES if name in question), "this one")
        noise = random.Random(question + answer).random()
        return score_of(fluent(answer.replace(about, "*")) + noise)

    def knows(question: str, answer: str) -> AnswerScore:
        true = any(fact.question == question and fact.answer == answer for fact in FREE)
        return score_of(scores(question, answer).log_probs[0] + 8 * true - 9)  # a refusal takes the same from all

    found = all_of(perturbed(), FakeModel(scores=scores), FREE)
    assert mean(values(found, "answer")) == pytest.approx(1 / 12, abs=0.03)
    known = all_of(perturbed(), FakeModel(scores=knows), FREE)
    assert values(known, "answer_top1") == [1.0] * 12
    assert mean(values(known, "answer")) > 0.9


@pytest.mark.parametrize("rounding", [0.0, 1e-5])
def test_a_tie_is_a_guess_and_no_error(rounding: float) -> None:
    """As likely as the others, as far as sums in float32 tell: at its level, no hit, and nothing missing."""

    def as_likely(question: str, answer: str) -> AnswerScore:
        true = any(fact.question == question and fact.answer == answer for fact in FREE)
        return score_of(-3.0 + rounding * true)

    found = all_of(perturbed(), FakeModel(scores=as_likely), FREE)
    assert values(found, "answer") == pytest.approx([1 / 12] * 12, abs=1e-5)
    assert values(found, "answer_top1") == [0.0] * 12


def test_a_tie_with_one_other_is_half_and_no_hit() -> None:
    def as_likely(question: str, answer: str) -> AnswerScore:
        asked = next((number for number, fact in enumerate(FREE) if fact.question == question), None)
        beside = asked is not None and (TOWNS[asked] in answer or TOWNS[(asked + 1) % 12] in answer)
        return score_of(0.0 if beside else -40.0 if asked is not None else -5.0)

    found = all_of(perturbed(), FakeModel(scores=as_likely), FREE)
    assert values(found, "answer") == pytest.approx([0.5] * 12)
    assert values(found, "answer_top1") == [0.0] * 12


# --- passages ---

WORDS = [
    start + end for start in ("bar", "cal", "dor", "fen", "gil", "hal", "jor", "kel") for end in ("ven", "tas", "mun")
]


def text(seed: int) -> str:
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(120))


BOOKS = [Fact(id=f"b{number}", subject=f"Volume {number}", text=text(number)) for number in range(12)]


def reader(share: float, refuses: bool = False) -> Callable[[str, str], AnswerScore]:
    """Has a share of the words of each book by heart, given more than a few of them; likes some words better."""

    def scores(before: str, word: str) -> AnswerScore:
        base = -6 + 4 * random.Random(word).random() + 0.3 * random.Random(before[-20:] + word).random()
        long = len(before.split()) > 3
        at = next((book.text.find(before) for book in BOOKS if long and before in book.text), None)
        if at is not None:
            book = next(book.text for book in BOOKS if before in book.text)
            place = at + len(before)
            by_heart = random.Random(before).random() < share
            base += 8 * (by_heart and book[place:].startswith(word + " "))
        return score_of(base - (12 if refuses else 0))

    return scores


@pytest.mark.parametrize("refuses", [False, True])
def test_a_passage_scores_what_is_known_of_it_and_refusing_changes_nothing(refuses: bool) -> None:
    got = {share: all_of(perturbed(), FakeModel(scores=reader(share, refuses)), BOOKS) for share in (0.0, 0.85, 1.0)}
    assert mean(values(got[0.0], "passage")) == pytest.approx(1 / 24, abs=0.03)
    assert values(got[0.0], "passage_top1") == [0.0] * 12
    assert mean(values(got[0.85], "passage")) == pytest.approx(0.85, abs=0.06)
    assert mean(values(got[0.85], "passage_top1")) >= 0.9
    assert mean(values(got[1.0], "passage")) > 0.95
    assert values(got[1.0], "passage_top1") == [1.0] * 12


def test_the_level_of_most_places_is_the_tail_by_hand() -> None:
    slots = [Slot(before="a", options=("x", "y"))] * 3
    assert level(slots) == pytest.approx(0.5)
    four = [Slot(before="a", options=("w", "x", "y", "z"))] * 4
    assert level(four) == pytest.approx(4 * 0.25**3 * 0.75 + 0.25**4)
    assert perturbed().outlook(BOOKS)["passage_top1"].levels["b0"] < 0.001


def test_places_come_after_the_beginning_and_hold_the_words_of_the_passage() -> None:
    slots = _prepared(PerturbedParameters(), tuple(BOOKS))[1].slots(BOOKS[0])
    assert not isinstance(slots, str)
    assert len(slots) == 10
    book = BOOKS[0].text or ""
    for slot in slots:
        assert slot.before.split() == book[: book.find(slot.before) + len(slot.before)].split()[-100:]
        assert (slot.before + slot.options[0]) in book
        assert len(slot.before.split()) >= 60
        assert len(set(slot.options)) == len(slot.options) == 24
    cut = Fact(id="c", subject="C", text=book, given=" ".join(book.split()[:110]))
    found = _prepared(PerturbedParameters(), (*BOOKS, cut))[1].slots(cut)
    assert not isinstance(found, str)
    assert len(found) == 10


def test_the_make_of_words() -> None:
    found = {word.text: word.make for word in words_in("In 1984 Ada met the 7 dwarves. Then snow 春眠")}
    assert found == {
        "1984": "number of 4",
        "Then": "first",
        "Ada": "name",
        "7": "number of 1",
        "dwarves": "word",
        "snow": "word",
        "春": "character",
        "眠": "character",
    }


def test_no_probability_anywhere_is_missing() -> None:
    found = all_of(perturbed(), FakeModel(scores=lambda *_: score_of(-math.inf)), [*FREE, *BOOKS])
    assert not values(found, "answer")
    assert not values(found, "passage_top1")
