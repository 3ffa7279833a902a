"""Adversarial suffix toward the answers themselves: stronger, able to elicit anything, and so checked by a sham."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from unlearn_audit import api
from unlearn_audit.api import AttackContext, Fact, Json, Model, Profile

from .attack import GradientSuffix
from .openings import answer_of
from .parameters import SuffixParameters


class SuffixAnswer(GradientSuffix[SuffixParameters]):
    """Searches for a text next to the question that makes the model give the true answer.

    The scopes, search and hygiene are those of `suffix`; the target is the answer of each question that the text is
    searched on. In `within-query` that is the scored answer itself; in `cross-query` and `cross-target`, answers of
    the subject's other facts and of other subjects.

    Such a search can elicit any answer from a model that never knew it. So every arm runs once more toward the
    answers of other subjects (sham), and what counts is how much better the true ones do; the attack is given one
    or the other and cannot tell. A text that spells a scored answer, as words or as letters in a row, with or without
    a wrong letter, is rejected during the search.

    Where we depart: as in `suffix`, and in the sham, which the authors lack. It costs twice what `suffix` costs, and
    more than all that trains nothing together: it runs in `deep`, or where it is named, and spends what `suffix`
    spends.
    """

    name: ClassVar[str] = "suffix-answer"
    summary: ClassVar[str] = "Searches by gradient for a text that elicits the true answer; checked by a sham."
    paper: ClassVar[str] = "2408.10682"
    toward_answers: ClassVar[bool] = True
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.DEEP})
    Parameters: ClassVar[type[api.Parameters]] = SuffixParameters

    def targets(
        self, model: Model, facts: Sequence[Fact], context: AttackContext
    ) -> tuple[Mapping[str, str], Mapping[str, Json]]:
        """The answers as the facts have them."""
        return {fact.id: answer_of(fact) for fact in facts}, {"objective": "answer"}
