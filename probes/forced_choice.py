"""Forced choice: among plausible answers, does the model favor the true one, even if it says none?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from unlearn_audit.api import (
    Access,
    AnswerScore,
    Fact,
    Measure,
    Model,
    Parameters,
    Probe,
    Reading,
    ScoreKind,
)
from unlearn_audit.api.kit.asking import Pair, score_all, unreadable
from unlearn_audit.api.kit.twins import Twins

from .shared.choosing import Choice, ChoiceParameters, Chooser, first_choice, option_probabilities, weighted_mean

PROBABILITY = Measure(name="probability", kind=ScoreKind.SOFT, gates=True)
TOP1 = Measure(name="top1", kind=ScoreKind.HIT)
VARIANT = "question"


class ForcedChoiceParameters(ChoiceParameters):
    """Parameters of `forced-choice`."""


class ForcedChoice(Probe[ForcedChoiceParameters]):
    r"""P(true answer | one of the options is said), and whether the true answer comes first.

    - `probability`: exp(l_0) / sum_i exp(l_i), with l_i the *summed* log-likelihood of option i after the question.
    - `top1`: 1 if the true answer has strictly the highest l; a tie is not a hit.

    Options are scored by likelihood as in GPT-3 (2005.14165, section 2.4), but by the sum, while they normalize by
    length. By the chain rule the sum is the required probability, and only the sum makes refusing pointless: a model
    that first moves the mass 1 - c to "I do not know" multiplies every option by the same c, which cancels. Divided by
    their lengths, short options would carry log c whole and long ones a part of it, so that refusing would reorder
    them; and sentences that differ in one name would look alike. The price of the sum, a bias to short options,
    affects truth and twins alike.

    **Options.** Twins, if there are enough: answers of other subjects to the same relation, different from all
    that is true of this subject, not named in the question, and without the other's name. Else the fact's own wrong
    answers (for a relation with few answers, or none given); else the available twins; else, for a fact without a
    relation, answers of all other subjects. They are drawn by a hash of fact id and answer: the same in every role, for
    any order of the facts. The cost is `options` short scored pairs per fact after one shared question.

    **Twin scores** exist only for at least `minimum_twins` twins: supplied wrong answers are not exchangeable with the
    truth: a language model prefers true-sounding ones. Distinct answers are drawn uniformly, and the twin score is
    the mean over the options *weighted by how many other subjects have them* (the truth included, where others share
    it). Uniform drawing makes each option of a set the truth in proportion to its frequency, so a model whose answers
    do not depend on the subject has equal mean score and mean twin score, however uneven the answers. Where no answer
    is shared this is (1 - score) / K, and score - twin score is (h - 1/(K+1)) / (1 - 1/(K+1)) of the design.
    """

    name: ClassVar[str] = "forced-choice"
    summary: ClassVar[str] = "Compares the likelihood of the true answer with that of other subjects' answers."
    paper: ClassVar[str] = "2005.14165"
    access: ClassVar[Access] = Access.LOGITS
    measures: ClassVar[tuple[Measure, ...]] = (PROBABILITY, TOP1)
    under_attacks: ClassVar[bool] = True
    refusal_proof: ClassVar[bool] = True
    Parameters: ClassVar[type[Parameters]] = ForcedChoiceParameters

    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """Two readings a fact, for the question alone."""
        twins = Twins(pool, rouge_threshold=self.parameters.rouge_threshold)
        choices = [self.choice(fact, twins) for fact in facts]
        scores = score_all(model, [pair for choice in choices for pair in choice.pairs])
        for choice in choices:
            yield from _readings(choice, scores)

    def choice(self, fact: Fact, twins: Twins) -> Choice:
        """The options of one fact; the same for every model."""
        return Chooser(self.parameters).choice(fact, twins)


def _readings(choice: Choice, scores: Mapping[Pair, AnswerScore]) -> Iterator[Reading]:
    found = [scores[pair] for pair in choice.pairs]
    missing = choice.missing or unreadable(found)
    log_likelihoods = [score.log_likelihood for score in found] if missing is None else []
    probabilities = option_probabilities(log_likelihoods) if missing is None else None
    if probabilities is None:
        reason = missing or "every option has probability 0"
        for measure in (PROBABILITY, TOP1):
            yield Reading(fact_id=choice.fact.id, measure=measure.name, variant=VARIANT, score=None, missing=reason)
        return
    for measure, values in ((PROBABILITY, probabilities), (TOP1, first_choice(log_likelihoods))):
        yield Reading(
            fact_id=choice.fact.id,
            measure=measure.name,
            variant=VARIANT,
            score=values[0],
            twin_score=None if choice.weights is None else weighted_mean(values, choice.weights),
        )
