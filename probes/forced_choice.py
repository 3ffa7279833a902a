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
    Outlook,
    Parameters,
    Probe,
    Reading,
    ScoreKind,
)
from unlearn_audit.api.kit.asking import Pair, score_all, unreadable

from .shared.choosing import (
    NO_MASS,
    Choice,
    ChoiceParameters,
    Chooser,
    chooser_of,
    first_choice,
    option_probabilities,
    weighted_mean,
)

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

    **Options** are answers of other subjects to the same relation; where facts have none, to the same question but for
    the subject's name. Each is told of this subject, who is named in it as in the true answer, and is of the true
    answer's form: it names the subject or not, holds a number or not, is of like length, ends alike. Where whole
    answers give too few, the true answer is taken with the keys (aliases) of others in the place of its own. None is
    true of the subject, stands in the question, or **names another subject**: whole, in part, or in another spelling.
    If the true answer names one itself, or if there are fewer than two such options, the fact has no choice, which the
    plan says. Up to `options` are drawn at random, by the fact's id alone: the same in every role, for any order of the
    facts. The cost is `options` short scored pairs per fact after one shared question.

    **Guessing.** Since a fact's true answer is one draw out of the answers to its relation, as its options are, a model
    that knows nothing of the subject is right once in so many options on average, whatever it likes to say: 3 % with
    the default of 31. Where subjects share answers, always giving the commonest is right more often. The plan has the
    higher of both for each fact (`levels` of the case).

    **Twin scores** exist for at least `minimum_twins` wrong options: the mean over the options *weighted by how many
    other subjects have them* (the truth included, where others share it). Uniform drawing makes each option of a set
    the truth in proportion to its frequency, so a model whose answers do not depend on the subject has equal mean
    score and mean twin score, however uneven the answers. Where no answer is shared this is (1 - score) / K, and
    score - twin score is (h - 1/(K+1)) / (1 - 1/(K+1)) of the design.

    **Wrong answers that are supplied** (TOFU's perturbed ones) are no options: see `wrong-answers`.
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
        chooser = self.chooser(pool)
        choices = [chooser.choice(fact) for fact in facts]
        scores = score_all(model, [pair for choice in choices for pair in choice.pairs])
        for choice in choices:
            yield from _readings(choice, scores)

    def outlook(self, pool: Sequence[Fact]) -> dict[str, Outlook]:
        """How often a guess is right, and which facts have no options."""
        chooser = self.chooser(pool)
        chosen = Outlook.of({fact.id: _seen(chooser.choice(fact)) for fact in pool})
        return {PROBABILITY.name: chosen, TOP1.name: chosen}

    def chooser(self, pool: Sequence[Fact]) -> Chooser:
        """What draws the options of a pool's facts; the same for every model."""
        return chooser_of(self.parameters, tuple(pool))


def _seen(choice: Choice) -> float | str:
    """The level of a choice, or why there is none."""
    return choice.level if choice.level is not None else choice.missing or NO_MASS


def _readings(choice: Choice, scores: Mapping[Pair, AnswerScore]) -> Iterator[Reading]:
    found = [scores[pair] for pair in choice.pairs]
    missing = choice.missing or unreadable(found)
    log_likelihoods = [score.log_likelihood for score in found] if missing is None else []
    probabilities = option_probabilities(log_likelihoods) if missing is None else None
    if probabilities is None:
        reason = missing or NO_MASS
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
