"""The forms that offer the answer, for the facts of a pool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field, field_validator

from unlearn_audit.api import Fact, Measure, Parameters, Reading, ScoreKind
from unlearn_audit.api.kit.asking import (
    NO_QUESTION,
)
from unlearn_audit.api.kit.statements import Statement, form_texts, statement_of

from .ballots import (
    REVERSE,
    Ballot,
    Chosen,
    multiple_choice,
    narrowed,
    odd_one_out,
    reverse,
    reversed_fact,
    shortened,
    true_false,
)
from .choosing import ChoiceParameters, chooser_of

CLOZE = "cloze"

CHOICE = Measure(name="choice", kind=ScoreKind.SOFT)


class StatementParameters(Parameters):
    """How facts become statements and options; shared with `jailbreaks`."""

    statements: dict[str, str] = Field(
        default_factory=dict,
        description="By relation, a sentence with {subject} and {answer}; made by rules if not given.",
    )
    options: int = Field(4, ge=3, le=26, description="Options of a choice, including the right one.")
    reverse_options: int = Field(8, ge=3, description="Subjects of the reverse form, including the right one.")
    minimum_twins: int = Field(19, ge=1, description="Fewest other answers of the relation for a twin score.")

    @field_validator("statements")
    @classmethod
    def _have_both_places(cls, statements: dict[str, str]) -> dict[str, str]:
        for relation, sentence in statements.items():
            if sentence.count("{subject}") < 1 or sentence.count("{answer}") != 1:
                raise ValueError(f"expected {{subject}}, and {{answer}} once, in the statement of {relation!r}")
        return statements


class Options:
    """The forms that offer the answer, for the facts of a pool."""

    def __init__(self, parameters: StatementParameters, pool: Sequence[Fact], *, rouge_threshold: float) -> None:
        self._own = parameters
        self._prompt = form_texts().prompts[REVERSE]
        drawn = ChoiceParameters(
            # Drawn from enough twins, however few are shown.
            options=max(parameters.options, parameters.reverse_options, parameters.minimum_twins + 1),
            minimum_twins=parameters.minimum_twins,
            rouge_threshold=rouge_threshold,
        )
        turned = [self._turned(fact, statement_of(fact, parameters.statements)) for fact in pool]
        self._answers = chooser_of(drawn, tuple(shortened(fact) for fact in pool))
        self._subjects = chooser_of(drawn, tuple(fact for fact in turned if isinstance(fact, Fact)))

    def _turned(self, fact: Fact, statement: Statement | str) -> Fact | str:
        return reversed_fact(fact, statement, self._prompt)

    def multiple_choice(self, fact: Fact) -> Ballot:
        """The question with its lettered options."""
        return multiple_choice(narrowed(self._answers.choice(shortened(fact)), self._own.options))

    def ballots(self, fact: Fact, statement: Statement | str) -> Iterator[Ballot]:
        """All four forms of a fact."""
        choice = narrowed(self._answers.choice(shortened(fact)), self._own.options)
        stated = choice.missing if choice.missing == NO_QUESTION else statement
        yield multiple_choice(choice)
        yield true_false(choice, stated)
        yield self._reverse(fact, stated)
        yield odd_one_out(choice, stated)

    def _reverse(self, fact: Fact, statement: Statement | str) -> Ballot:
        turned = self._turned(fact, statement)
        if isinstance(turned, str):
            return Ballot(fact=fact, variant=REVERSE, missing=turned)
        return reverse(narrowed(self._subjects.choice(turned), self._own.reverse_options))


def choice_reading(one: Chosen) -> Reading:
    """A `choice` of one form."""
    return Reading(
        fact_id=one.fact_id,
        measure=CHOICE.name,
        variant=one.variant,
        score=one.score,
        twin_score=one.twin_score,
        missing=one.missing,
    )
