"""Facts without a relation: those that ask the same question, but for the subject's name, have one in common."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from unlearn_audit.api import Fact, words_of
from unlearn_audit.api.kit.asking import is_askable

from .naming import masked

_PREFIX = "asks: "


def question_type(fact: Fact) -> str | None:
    """The words of a fact's question with gaps for its subject; None where it has no question."""
    return " ".join(words_of(masked(fact.question or "", fact.subject))) if is_askable(fact) else None


class QuestionTypes:
    """What the facts of a pool ask, and of how many subjects."""

    def __init__(self, pool: Sequence[Fact]) -> None:
        self._asked: dict[str, set[str]] = defaultdict(set)
        self._relations: dict[str, Counter[str]] = defaultdict(Counter)
        for fact in pool:
            if (kind := question_type(fact)) is not None:
                self._asked[kind].add(fact.subject)
                self._relations[kind].update([fact.relation] if fact.relation else [])

    def typed(self, fact: Fact) -> Fact:
        """The fact; without a relation, it gets that of the pool's facts that ask the same of other subjects.

        Where none of those has one either, it gets a name made of the question. A question that is asked of one
        subject alone leaves a fact as it is.
        """
        kind = None if fact.relation is not None else question_type(fact)
        if kind is None or len(self._asked.get(kind, ())) < 2:
            return fact
        commonest = max(self._relations[kind].items(), key=lambda one: (one[1], one[0]), default=None)
        return replace(fact, relation=_PREFIX + kind if commonest is None else commonest[0])
