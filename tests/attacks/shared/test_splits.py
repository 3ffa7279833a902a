"""Folds are disjoint by subject, score every fact once, and give nothing away."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unlearn_audit.attacks.shared.splits import (
    Fold,
    check_folds,
    clean_lessons,
    half_passage,
    lessons_of,
    subject_folds,
)

from unlearn_audit.api import Fact, Prompt
from unlearn_audit.errors import AuditError


def fact(number: int, subject: str, *, question: str = "", answer: str = "Paris.", **more: tuple[str, ...]) -> Fact:
    question = question or f"Where was {subject} born, as entry {number} has it?"
    return Fact(id=f"f{number}", subject=subject, question=question, answer=answer, **more)


def people(count: int, facts_each: int = 2) -> list[Fact]:
    return [fact(n * facts_each + k, f"Person {n}") for n in range(count) for k in range(facts_each)]


def a_fold(train: list[Fact], evaluate: list[Fact]) -> Fold:
    return Fold(number=0, train=tuple(train), evaluate=tuple(evaluate))


@given(subjects=st.integers(4, 40), each=st.integers(1, 4), folds=st.integers(2, 5), seed=st.integers(0, 10**6))
def test_every_fact_is_scored_once_and_never_beside_its_subject(
    subjects: int, each: int, folds: int, seed: int
) -> None:
    facts = people(subjects, each)
    if subjects < 2 * folds:
        with pytest.raises(AuditError, match="each side needs"):
            subject_folds(facts, folds=folds, seed=seed)
        return
    made = subject_folds(facts, folds=folds, seed=seed)
    assert sorted(one.id for fold in made for one in fold.evaluate) == sorted(one.id for one in facts)
    for fold in made:
        assert not {one.subject for one in fold.train} & {one.subject for one in fold.evaluate}
        assert len(fold.train) + len(fold.evaluate) == len(facts)
    sizes = [len({one.subject for one in fold.evaluate}) for fold in made]
    assert max(sizes) - min(sizes) <= 1


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_the_facts() -> None:
    facts = people(20)
    first = [fold.scored_ids for fold in subject_folds(facts, folds=2, seed=1)]
    assert first == [fold.scored_ids for fold in subject_folds(facts[::-1], folds=2, seed=1)]
    assert first != [fold.scored_ids for fold in subject_folds(facts, folds=2, seed=2)]


def test_one_subject_in_two_spellings_stays_on_one_side() -> None:
    facts = [*people(9, 1), fact(100, "ann O'Neill"), fact(101, "Ann O'NEILL")]
    for seed in range(20):
        for fold in subject_folds(facts, folds=2, seed=seed):
            assert len(fold.scored_ids & {"f100", "f101"}) in (0, 2)


@pytest.mark.parametrize(
    ("folds", "why"),
    [
        ([a_fold(people(4)[:4], people(4)[2:])], "subjects that it is scored on"),
        ([a_fold(people(4)[:4], people(4)[4:])], "scored once"),
        ([a_fold(people(4)[:4], people(4)[4:])] * 3, "scored once"),
        ([a_fold(people(4)[:2], people(4)[2:])], "each side needs"),
    ],
)
def test_broken_folds_are_refused(folds: list[Fold], why: str) -> None:
    with pytest.raises(AuditError, match=why):
        check_folds(folds, people(4))


def test_a_single_fold_and_a_repeated_id_are_refused() -> None:
    with pytest.raises(AuditError, match="at least 2 folds"):
        subject_folds(people(8), folds=1, seed=0)
    with pytest.raises(AuditError, match="scored once"):
        subject_folds([*people(8), people(8)[0]], folds=2, seed=0)


SCORED = fact(1, "Ida Mann", question="Where was Ida Mann born?", answer="Oslo.", aliases=("Oslo",))


@pytest.mark.parametrize(
    ("question", "answer", "dropped"),
    [
        ("Where was Jo Lee born?", "Oslo.", 0),  # shares the value, names nobody who is scored
        ("Who is Ida Mann to Jo Lee?", "Her aunt.", 0),  # names the subject, gives no answer away
        ("Who is ida-mann to Jo Lee?", "Her aunt from OSLO!", 1),  # both, in another spelling
        ("In Oslo, who is Ida Mann to Jo Lee?", "Her aunt.", 1),  # the answer stands in the question
        ("Who is Ida Manning to Jo Lee?", "Her aunt from Oslo.", 0),  # another name that begins alike
        ("Who is Ida Mann to Jo Lee?", "Her aunt from Oslofjord.", 0),  # another word that begins alike
        ("where was IDA MANN born", "I cannot say.", 1),  # a scored question itself, whatever the answer
    ],
)
def test_a_lesson_leaks_if_it_names_the_subject_and_the_answer(question: str, answer: str, dropped: int) -> None:
    fold = a_fold([fact(2, "Jo Lee", question=question, answer=answer)], [SCORED])
    found = clean_lessons(fold)
    assert (found.dropped, len(found.kept)) == (dropped, 1 - dropped)


def test_only_the_leaking_paraphrase_is_dropped() -> None:
    leak = "Where was Jo Lee born, the niece of Ida Mann from Oslo?"
    lesson = fact(2, "Jo Lee", question="Where was Jo Lee born?", paraphrases=(leak, "Where is Jo Lee from?"))
    found = clean_lessons(a_fold([lesson], [SCORED]))
    assert [one.prompt.text for one in found.kept] == ["Where was Jo Lee born?", "Where is Jo Lee from?"]
    assert found.dropped == 1


def test_lessons_are_the_question_and_its_paraphrases_or_else_the_text() -> None:
    asked = lessons_of(fact(1, "Ida", question="Q?", answer="A.", paraphrases=("P?",)))
    assert [(one.prompt, one.answer) for one in asked] == [(Prompt(text="Q?"), "A."), (Prompt(text="P?"), "A.")]
    (told,) = lessons_of(Fact(id="t", subject="Ida", text="Ida  was born."))
    assert told.prompt == Prompt(text="Ida", chat=False)
    assert told.prompt.text + told.answer == "Ida  was born."
    with pytest.raises(AuditError, match="neither question and answer nor a text"):
        lessons_of(Fact(id="t", subject="Ida", text="Ida"))


def test_half_a_passage_is_prompted_by_the_other() -> None:
    halves = half_passage(Fact(id="t", subject="Ida", text=" Ida was\n born was here. "))
    assert halves.prompt == Prompt(text="Ida was", chat=False)
    assert halves.answer == "\n born was here."
    with pytest.raises(AuditError, match="neither question and answer nor a text"):
        half_passage(Fact(id="t", subject="Ida", text="Ida"))
