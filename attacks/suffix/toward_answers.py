"""Adversarial suffix toward the answers themselves: stronger, able to bring forth anything, and so held to a sham."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from unlearn_audit import api
from unlearn_audit.api import AttackContext, Fact, Json, Model

from .attack import GradientSuffix
from .openings import answer_of
from .parameters import SuffixParameters


class SuffixAnswer(GradientSuffix[SuffixParameters]):
    """Searches for a text beside the question under which the model gives the true answer.

    The scopes, search and hygiene are those of `suffix`; the target is the answer of each question that the text is
    searched on. In `within-query` that is the very answer that is scored; in `cross-query` and `cross-target` those of
    the subject's other facts and of other subjects.

    Such a search can bring any answer out of a model that never knew it. So every arm runs once more toward the
    answers of other subjects (sham), and what counts is how much further the true ones come; the attack is handed one
    or the other and cannot tell. A text that spells an answer that is scored, as words or as letters in a row, with a
    letter off or without, is refused during the search.

    Where we depart: as `suffix`, and in the sham, which the authors do not have. Profiles spend what `suffix` spends.
    """

    name: ClassVar[str] = "suffix-answer"
    summary: ClassVar[str] = "Searches by gradient for a text that brings the true answer; held to a sham."
    paper: ClassVar[str] = "2408.10682"
    toward_answers: ClassVar[bool] = True
    Parameters: ClassVar[type[api.Parameters]] = SuffixParameters

    def targets(
        self, model: Model, facts: Sequence[Fact], context: AttackContext
    ) -> tuple[Mapping[str, str], Mapping[str, Json]]:
        """The answers as the facts have them."""
        return {fact.id: answer_of(fact) for fact in facts}, {"objective": "answer"}
