"""Which facts an attack may train on and which it is scored on: disjoint by subject, checked, free of leaks.

A recovery attack that is scored on what it trained on measures memorization. Here the subjects of the forget set are
dealt into folds; each fold trains on the other folds' subjects and is scored on its own, so that every fact is scored
exactly once over all folds (relearning of disjoint facts: arXiv 2410.08827).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from unlearn_audit.api import AuditError, Fact, Prompt, Screen, derive_seed, words_of

FEWEST_SUBJECTS = 2
MOST_SUBJECTS = 32


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
    def pair(self) -> tuple[Prompt, str]:
        """Prompt and answer."""
        return self.prompt, self.answer

    @property
    def text(self) -> str:
        """Everything that the model reads."""
        return f"{self.prompt.text} {self.answer}"


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanLessons:
    """The lessons that may be used, and how many were dropped because they give away what is scored."""

    kept: tuple[Lesson, ...]
    dropped: int


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
    """Checks what the statistics rest on, however the folds were made.

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
    if len((fact.text or "").split()) < 2:
        raise AuditError(f"fact {fact.id} has neither question and answer nor a text of two words or more")
    return (passage_lesson(fact.text or ""),)


def passage_lesson(text: str) -> Lesson:
    """A text of two words or more, taught as a continuation of its first word."""
    text = text.strip()
    first = text.split(maxsplit=1)[0]
    return Lesson(prompt=Prompt(text=first, chat=False), answer=text[len(first) :])


def half_passage(fact: Fact) -> Lesson:
    """The second half of a passage's words, prompted by the first."""
    text = (fact.text or "").strip()
    words = text.split()
    if len(words) < 2:
        raise AuditError(f"fact {fact.id} has neither question and answer nor a text of two words or more")
    cut = 0
    for word in words[: len(words) // 2]:
        cut = text.index(word, cut) + len(word)
    return Lesson(prompt=Prompt(text=text[:cut], chat=False), answer=text[cut:])


def clean_lessons(fold: Fold) -> CleanLessons:
    """The lessons of the training side without those that give away a fact of the scored side (`api.Screen`)."""
    lessons = [lesson for fact in fold.train for lesson in lessons_of(fact)]
    found = Screen(fold.evaluate, among=fold.train)([lesson.text for lesson in lessons])
    kept = tuple(lesson for lesson, leaks in zip(lessons, found.gives_away, strict=True) if not leaks)
    return CleanLessons(kept=kept, dropped=found.dropped)


def sample_subjects(facts: Sequence[Fact], *, seed: int, most: int = MOST_SUBJECTS) -> tuple[Fact, ...]:
    """The facts of at most `most` subjects, drawn once."""
    subjects = sorted({fact.subject for fact in facts})
    random.Random(derive_seed(seed, "subjects for rates")).shuffle(subjects)  # noqa: S311 - a sample, not a secret
    chosen = set(subjects[:most])
    return tuple(fact for fact in facts if fact.subject in chosen)


def _subject_key(fact: Fact) -> str:
    return " ".join(words_of(fact.subject)) or fact.subject
