"""Wrong answers that come with the facts: is the truth more likely than they are?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import fsum
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
    Profile,
    Prompt,
    Reading,
    ScoreKind,
)
from unlearn_audit.api.kit.asking import NO_QUESTION, is_askable, score_all, unreadable

from ..shared.choosing import NO_MASS, Choice, ChoiceParameters, calibrated, chooser_of, option_probabilities

TRUTH_RATIO = Measure(name="truth_ratio", kind=ScoreKind.SOFT)
SUPPLIED = Measure(name="supplied", kind=ScoreKind.SOFT)
VARIANT = "question"


class WrongAnswersParameters(ChoiceParameters):
    """Parameters of `wrong-answers`."""


class WrongAnswers(Probe[WrongAnswersParameters]):
    """The truth among the wrong answers that its fact brings along (TOFU's perturbed ones). Decides nothing.

    - `truth_ratio`: 1 / (1 + R) with R = mean over wrong answers of P(wrong | question) ** (1 / tokens), over the same
      of the true answer (2401.06121, section 2.2.2, R_truth). The mean is arithmetic, as printed; the true answer is
      the fact's own, while the authors take a paraphrase of it; and R falls as knowledge grows, hence 1 / (1 + R).
    - `supplied`: P(true answer | one of them is said), where the fact has no options that are true of others
      (`forced-choice`). Log-likelihoods are taken relative to those after the question asked of "this one"
      (2104.08315), which removes what an answer owes to its wording alone, and not what it owes to the subject's name.

    Wrong answers that are supplied are not exchangeable with the truth: a language model tells them from it by their
    style. What they show means something only where a control is near its level, which no probe can see. So they are
    asked of the model as it is, and not at every dose, where they would cost more than all that decides.
    """

    name: ClassVar[str] = "wrong-answers"
    summary: ClassVar[str] = "Compares the likelihood of the true answer with that of wrong ones that are supplied."
    paper: ClassVar[str] = "2401.06121"
    access: ClassVar[Access] = Access.LOGITS
    measures: ClassVar[tuple[Measure, ...]] = (TRUTH_RATIO, SUPPLIED)
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[Parameters]] = WrongAnswersParameters

    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """Two readings a fact, for the question alone."""
        chooser = chooser_of(self.parameters, tuple(pool))
        choices = [chooser.supplied(fact) for fact in facts]
        ratios = [
            (Prompt(text=fact.question or ""), answer)
            for fact in facts
            if is_askable(fact)
            for answer in (fact.answer or "", *_wrong_answers(fact))
        ]
        scores = score_all(model, [*ratios, *(pair for one in choices for pair in (*one.pairs, *one.neutral_pairs))])
        for fact, choice in zip(facts, choices, strict=True):
            yield _ratio(fact, scores)
            yield _among_them(choice, scores)

    def outlook(self, pool: Sequence[Fact]) -> dict[str, Outlook]:
        """How often a guess is right, and which facts have no wrong answers."""
        chooser = chooser_of(self.parameters, tuple(pool))
        found = {fact.id: chooser.supplied(fact) for fact in pool}
        levels = {fact: one.missing or NO_MASS if one.level is None else one.level for fact, one in found.items()}
        return {SUPPLIED.name: Outlook.of(levels)}


def _wrong_answers(fact: Fact) -> list[str]:
    return [wrong for wrong in fact.wrong_answers if wrong.strip()]


def _ratio(fact: Fact, scores: Mapping[tuple[Prompt, str], AnswerScore]) -> Reading:
    if not is_askable(fact):
        return _reading(fact, TRUTH_RATIO, None, NO_QUESTION)
    prompt = Prompt(text=fact.question or "")
    wrong = [scores[prompt, answer] for answer in _wrong_answers(fact)]
    return _reading(fact, TRUTH_RATIO, *truth_ratio(scores[prompt, fact.answer or ""], wrong))


def _among_them(choice: Choice, scores: Mapping[tuple[Prompt, str], AnswerScore]) -> Reading:
    values, missing = calibrated(choice, scores)
    probabilities = None if missing else option_probabilities(values)
    score = None if probabilities is None else probabilities[0]
    return _reading(choice.fact, SUPPLIED, score, missing or NO_MASS)


def truth_ratio(true: AnswerScore, wrong: Sequence[AnswerScore]) -> tuple[float | None, str | None]:
    """1 / (1 + R_truth) in [0, 1], or None and why; 0.5 where the truth is as probable as a wrong answer."""
    if not wrong:
        return None, "the fact has no wrong answers"
    if why := unreadable((true, *wrong)):
        return None, why
    mean_wrong = fsum(score.probability for score in wrong) / len(wrong)
    total = true.probability + mean_wrong
    # 1 / (1 + wrong / true) without a division by a true answer of probability 0.
    return (true.probability / total, None) if total > 0 else (None, "every answer has probability 0")


def _reading(fact: Fact, measure: Measure, score: float | None, missing: str | None) -> Reading:
    """A reading; `missing` counts only where there is no score."""
    why = missing if score is None else None
    return Reading(fact_id=fact.id, measure=measure.name, variant=VARIANT, score=score, missing=why)
