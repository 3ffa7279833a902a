"""Benign text is near what was forgotten in a stated way, gives no scored fact away, and comes in equal amounts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError
from unlearn_audit.attacks.relearning.data import Data, OwnText, benign_lessons
from unlearn_audit.attacks.relearning.parameters import RelearningParameters
from unlearn_audit.attacks.shared.splits import Lesson, passage_lesson

from unlearn_audit.api import AttackContext, Fact, Hop, Profile, Prompt, Screen, words_of
from unlearn_audit.errors import AttackError

TOWNS = ("Oslo", "Lima", "Bern", "Riga")
BENIGN = [kind for kind in Data if kind is not Data.IN_DOMAIN]


def person(name: str, town: str, **more: object) -> Fact:
    fact = Fact(
        id=name,
        subject=name,
        question=f"Where was {name} born?",
        answer=f"{town}.",
        aliases=(town,),
        paraphrases=(f"Name the town where {name} was born.",),
        relation="born_in",
    )
    return replace(fact, **more)


FORGET = tuple(person(f"Person{n} Forget{n}", TOWNS[n % 4]) for n in range(8))
RETAIN = tuple(person(f"Other{n} Retain{n}", TOWNS[n % 4]) for n in range(8))
PASSAGES = tuple(
    Fact(id=f"p{n}", subject=f"Chapter {n}", text=f"On day {n} the harbour lay still. Nobody of crew {n} spoke a word.")
    for n in range(8)
)


def context(forget=FORGET, retain=RETAIN, seed=0) -> AttackContext:
    return AttackContext(forget=forget, retain=retain, profile=Profile.QUICK, seed=seed)


def made(kind: Data, most: int = 10_000, own: object = None, **where: object):
    return benign_lessons(kind, context(**where), own=own or {}, most=most)


def texts(kind: Data, **where: object) -> list[str]:
    return [lesson.text for lesson in made(kind, **where).kept]


@pytest.mark.parametrize("kind", BENIGN)
@pytest.mark.parametrize("forget", [FORGET, PASSAGES])
def test_no_text_gives_away_what_is_scored(kind: Data, forget: tuple[Fact, ...]) -> None:
    retain = tuple(replace(fact, id=f"r{fact.id}", subject=f"R {fact.subject}") for fact in forget[4:])
    found = made(kind, forget=forget[:4], retain=(*retain, *RETAIN))
    assert found.kept
    assert not any(Screen(forget[:4])([lesson.text for lesson in found.kept]).gives_away)


@pytest.mark.parametrize("kind", BENIGN)
def test_lessons_are_cut_to_the_number_asked_for_and_their_order_is_the_seeds(kind: Data) -> None:
    whole = made(kind)
    few = made(kind, most=4)
    assert (len(few.kept), few.dropped) == (4, whole.dropped)
    assert few.kept == whole.kept[:4] == made(kind, most=4).kept
    assert len(set(whole.kept)) == len(whole.kept)
    again = made(kind, seed=1)
    assert again.kept != whole.kept
    assert {*again.kept} == {*whole.kept}


def test_the_same_syntax_is_that_of_the_forget_questions_and_those_most_like_them_come_first() -> None:
    apart = person("Other9 Retain9", "Bern", question="Bern is known for whom?", paraphrases=())
    near = person("Other8 Retain8", "Riga", question="Where was Other8 Retain8 baptised?", paraphrases=())
    found = made(Data.SAME_SYNTAX, retain=(apart, near, *RETAIN)).kept
    exact = {Lesson(prompt=Prompt(text=q), answer=f.answer) for f in RETAIN for q in (f.question, *f.paraphrases)}
    assert {*found[: len(exact)]} == exact
    assert [lesson.prompt.text for lesson in found[len(exact) :]] == [near.question, apart.question]


def test_passages_have_the_form_of_passages_and_of_no_question() -> None:
    found = made(Data.SAME_SYNTAX, forget=PASSAGES[:4], retain=(*PASSAGES[4:], *RETAIN)).kept
    assert {*found[:4]} == {passage_lesson(fact.text or "") for fact in PASSAGES[4:]}
    assert all("born" in lesson.prompt.text for lesson in found[4:])


def test_high_is_about_the_forget_subjects_and_the_fullest_texts_come_first() -> None:
    subject = FORGET[0].subject
    told = f"{subject} was born in Oslo. {subject} wrote letters. She was born in Oslo."
    hops = (Hop(question="Which sea is Oslo at?", answer="The Skagerrak."), Hop(question="?", answer=""))
    rich = (replace(FORGET[0], text=told, hops=hops), *FORGET[1:])
    found = made(Data.TOPIC_HIGH, forget=rich)
    assert {lesson.text for lesson in found.kept[:2]} == {
        f"{words_in_order(subject)[0]}  {words_in_order(subject)[1]} wrote letters.",
        "Which sea is Oslo at? The Skagerrak.",
    }
    assert found.dropped == 1  # that she was born there, said of her by name
    assert not any("She was born" in lesson.text for lesson in found.kept)
    assert {lesson.text for lesson in found.kept[2:10]} == {f"{fact.subject}:  born in" for fact in FORGET}
    rest = [lesson.text for lesson in found.kept[10:]]
    assert all(any(name in " ".join(text.split()) for name in (fact.subject for fact in FORGET)) for text in rest)


def words_in_order(text: str) -> list[str]:
    return text.split(maxsplit=1)


def test_the_sentences_of_a_passage_that_is_scored_are_not_trained_on() -> None:
    assert not any("harbour" in text or "crew" in text for text in texts(Data.TOPIC_HIGH, forget=PASSAGES))


def test_middle_is_the_relation_of_retain_subjects_told_and_not_asked() -> None:
    found = texts(
        Data.TOPIC_MIDDLE, retain=(replace(RETAIN[0], text="Other0 was born in Oslo. So was I."), *RETAIN[1:])
    )
    assert {*found[:2]} == {"Other0  was born in Oslo.", "So  was I."}
    assert {*found[2:]} == {f"{fact.subject}:  born in {fact.answer}" for fact in RETAIN}


def test_low_is_words_of_two_subjects_or_more_and_nobodys_name() -> None:
    words = {word for text in texts(Data.TOPIC_LOW) for word in words_of(text)}
    assert words == {"where", "born", "oslo", "lima", "bern", "riga"}
    assert not words & {word for fact in (*FORGET, *RETAIN) for word in words_of(fact.subject)}


def test_out_of_domain_is_the_text_of_the_package() -> None:
    assert len(texts(Data.OUT_OF_DOMAIN)) > 50
    assert any(text.startswith("The  harbour was quiet") for text in texts(Data.OUT_OF_DOMAIN))


def test_nothing_left_is_an_error_that_says_what_to_try() -> None:
    leak = (OwnText(text=f"{FORGET[0].subject} was born in Oslo."),)
    with pytest.raises(AttackError, match=r"no text is left .* topic-high \(1 give away .*texts: \{topic-high: FILE\}"):
        made(Data.TOPIC_HIGH, own={Data.TOPIC_HIGH: leak})
    with pytest.raises(AttackError, match="0 give away"):
        made(Data.SAME_SYNTAX, retain=())


def read(path: Path) -> tuple[OwnText, ...]:
    return RelearningParameters.model_validate({"texts": {"topic-high": str(path)}}).texts[Data.TOPIC_HIGH]


def test_texts_of_the_users_own_are_read_screened_and_stand_in_the_parameters(tmp_path: Path) -> None:
    lines, plain = tmp_path / "own.jsonl", tmp_path / "own.txt"
    lines.write_text('{"text": "An open letter."}\n\n{"question": "Who wrote?", "answer": "A friend."}\n')
    plain.write_text(f"An open letter.\n\n{FORGET[0].subject} was born in Oslo.\n")
    assert [text.lesson.text for text in read(lines)] == ["An  open letter.", "Who wrote? A friend."]
    found = made(Data.TOPIC_HIGH, own={Data.TOPIC_HIGH: read(plain)})
    assert ([lesson.text for lesson in found.kept], found.dropped) == (["An  open letter."], 1)
    before = RelearningParameters.model_validate({"texts": {"topic-high": str(plain)}})
    assert RelearningParameters.model_validate(before.model_dump(mode="json")) == before
    plain.write_text("Another letter.\n")
    after = RelearningParameters.model_validate({"texts": {"topic-high": str(plain)}})
    assert before.model_dump(mode="json") != after.model_dump(mode="json")
    plain.rename(tmp_path / "moved.txt")
    assert after == RelearningParameters.model_validate({"texts": {"topic-high": str(tmp_path / "moved.txt")}})


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("gone.txt", None, "cannot be read .*one text a line"),
        ("empty.txt", "\n \n", "expected at least one text"),
        ("broken.jsonl", '{"text": "Some text."}\n{"text"\n', "line 2: expected JSON"),
        ("odd.jsonl", '{"body": "Some text."}\n', "body"),
        ("short.txt", "word\n", "two words or more"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_fault(
    tmp_path: Path, name: str, content: str | None, why: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValidationError, match=why):
        read(path)
