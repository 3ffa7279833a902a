"""Which facts an attack may train on and which it is scored on: disjoint by subject, checked, free of leaks.

A recovery attack that is scored on what it trained on measures memorisation. Here the subjects of the forget set are
dealt into folds; each fold trains on the other folds' subjects and is scored on its own, so that every fact is scored
exactly once over all folds (relearning of disjoint facts: arXiv 2410.08827).
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from unlearn_audit.api import AuditError, Fact, Prompt, derive_seed

FEWEST_SUBJECTS = 2
_WORD = re.compile(r"\w+", re.UNICODE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """One rotation: the facts that are trained on and the facts that are scored. No subject is on both sides."""

    number: int
    train: tuple[Fact, ...]
    evaluate: tuple[Fact, ...]

    @property
    def scored_ids(self) -> frozenset[str]:
        """Ids of the facts that are scored in this fold."""
        return frozenset(fact.id for fact in self.evaluate)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """One text to train on: the loss counts `answer` and nothing of `prompt`."""

    prompt: Prompt
    answer: str

    @property
    def text(self) -> str:
        """Everything that the model reads."""
        return f"{self.prompt.text} {self.answer}"


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanLessons:
    """The lessons that may be used, and how many were dropped because they give away what is scored."""

    kept: tuple[Lesson, ...]
    dropped: int


def words_of(text: str) -> str:
    """The words of a text in one spelling (NFKC, case folded, punctuation gone), with a blank around each.

    The blanks at both ends make `in` a search for whole words.
    """
    return f" {' '.join(_WORD.findall(unicodedata.normalize('NFKC', text).casefold()))} "


def subject_folds(facts: Sequence[Fact], *, folds: int, seed: int) -> tuple[Fold, ...]:
    """Deals the subjects into `folds` groups of equal size, give or take one; fold k is scored on group k.

    Subjects that differ in nothing but case and punctuation count as one. The order of `facts` does not matter for
    who is where.

    Raises:
        AuditError: fewer than two subjects on one side of a fold, a repeated fact id, or fewer than two folds.
    """
    if folds < 2:
        raise AuditError(
            f"relearning needs at least 2 folds so that no fact is scored where it was trained on: {folds}"
        )
    subjects = sorted({_subject_key(fact) for fact in facts})
    random.Random(derive_seed(seed, "folds")).shuffle(subjects)  # noqa: S311 - a split, not a secret
    group_of = {subject: place % folds for place, subject in enumerate(subjects)}
    result = tuple(
        Fold(
            number=number,
            train=tuple(fact for fact in facts if group_of[_subject_key(fact)] != number),
            evaluate=tuple(fact for fact in facts if group_of[_subject_key(fact)] == number),
        )
        for number in range(folds)
    )
    check_folds(result, facts)
    return result


def check_folds(folds: Sequence[Fold], facts: Sequence[Fact]) -> None:
    """Checks what the statistics rest on, whoever made the folds.

    Raises:
        AuditError: a subject on both sides, a fact not scored exactly once, or too few subjects on a side.
    """
    for fold in folds:
        trained = {_subject_key(fact) for fact in fold.train}
        scored = {_subject_key(fact) for fact in fold.evaluate}
        if shared := trained & scored:
            raise AuditError(f"fold {fold.number} trains on {len(shared)} subjects that it is scored on")
        if min(len(trained), len(scored)) < FEWEST_SUBJECTS:
            raise AuditError(
                f"fold {fold.number} has {len(trained)} subjects to train on and {len(scored)} to score; each side "
                f"needs {FEWEST_SUBJECTS}: give more subjects, or fewer folds"
            )
    times = Counter(fact.id for fold in folds for fact in fold.evaluate)
    wrong = [fact.id for fact in facts if times[fact.id] != 1]
    if wrong or len(times) != len(facts):
        raise AuditError(f"every fact must be scored once over all folds; not so for {len(wrong)}, first {wrong[:1]}")


def lessons_of(fact: Fact) -> tuple[Lesson, ...]:
    """The ways in which a fact is taught: its question and each paraphrase, or its text where it has no question.

    A text is taught as a continuation of its first word.
    """
    if fact.question is not None and fact.answer is not None:
        return tuple(
            Lesson(prompt=Prompt(text=question), answer=fact.answer) for question in (fact.question, *fact.paraphrases)
        )
    text = (fact.text or "").strip()
    first = text.split(maxsplit=1)[0] if text else ""
    if first == text:
        raise AuditError(f"fact {fact.id} has neither question and answer nor a text of two words or more")
    return (Lesson(prompt=Prompt(text=first, chat=False), answer=text[len(first) :]),)


def clean_lessons(fold: Fold, *, leak_share: float) -> CleanLessons:
    """The lessons of the training side without those that state a fact of the scored side.

    Values are shared among subjects (two people are born in one town), so an answer alone gives nothing away. A lesson
    leaks if it asks a scored fact's own question, or if it names a scored fact's subject *and* holds its answer: an
    alias in whole words; or, for an answer without aliases, at least `leak_share` of the answer's words in any order
    (stricter than an ordered match).
    """
    questions = {words_of(text) for fact in fold.evaluate for text in (fact.question, *fact.paraphrases) if text}
    by_subject: dict[str, list[Fact]] = {}
    for fact in fold.evaluate:
        by_subject.setdefault(_subject_key(fact), []).append(fact)
    lessons = [lesson for fact in fold.train for lesson in lessons_of(fact)]
    kept = tuple(
        lesson
        for lesson in lessons
        if words_of(lesson.prompt.text) not in questions
        and not _states_any(words_of(lesson.text), by_subject, leak_share=leak_share)
    )
    return CleanLessons(kept=kept, dropped=len(lessons) - len(kept))


def _states_any(words: str, by_subject: dict[str, list[Fact]], *, leak_share: float) -> bool:
    return any(
        _holds_answer(words, fact, leak_share=leak_share)
        for subject, facts in by_subject.items()
        if subject in words
        for fact in facts
    )


def _holds_answer(words: str, fact: Fact, *, leak_share: float) -> bool:
    if fact.aliases:
        return any(words_of(alias) in words for alias in fact.aliases if words_of(alias).strip())
    wanted = Counter(words_of(fact.answer or fact.text or "").split())
    found = wanted & Counter(words.split())
    return bool(wanted) and found.total() >= leak_share * wanted.total()


def _subject_key(fact: Fact) -> str:
    key = words_of(fact.subject)
    return key if key.strip() else fact.subject
