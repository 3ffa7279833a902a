"""Exact tests of counts: does a person, a relation or a list of facts show more than guessing does? Needs no scipy.

Guesses of one person may go together (a name that sounds like its town). Their counts then vary more than coins do:
as a beta-binomial whose correlation is that of the controls' own counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from unlearn_audit.errors import AuditError
from unlearn_audit.statistics.bounds import TOLERANCE, FloatArray

FEW_PEOPLE = 5
ASSUMED_CORRELATION = 0.15
"""Of the guesses of one person, at least, where there are fewer than `FEW_PEOPLE` people to see it from."""

_HALVINGS = 60  # of [0, 1], in search of a probability
_LARGEST_CORRELATION = 0.99


@lru_cache(maxsize=4096)
def upper_rate(hits: float, facts: float, alpha: float) -> float:
    """Upper bound of a rate, one-sided at 1 - alpha (Clopper & Pearson, 1934); 1 where nothing was asked.

    Args:
        hits: in [0, facts]; need not be whole, where facts that go together count for less than one each.
        facts: that were asked.
        alpha: in (0, 1).

    Raises:
        AuditError: more hits than facts, or a negative number.
    """
    if not 0 <= hits <= facts:
        raise AuditError(f"expected between 0 and {facts:g} hits, got {hits:g}")
    low, high = 0.0, 1.0
    if hits >= facts:
        return 1.0
    for _ in range(_HALVINGS):
        rate = (low + high) / 2
        low, high = (low, rate) if _at_most(hits, facts, rate) <= alpha else (rate, high)
    return high


def _at_most(hits: float, facts: float, rate: float) -> float:
    """P(X <= hits) of a binomial, for whole numbers of hits; between them, that of the next smaller sample."""
    whole, size = math.floor(hits), max(math.floor(facts), 1)
    if rate <= 0.0 or rate >= 1.0:
        return 1.0 if rate <= 0.0 or whole >= size else 0.0
    counts = range(min(whole, size) + 1)
    return math.fsum(math.exp(_log_probability(count, size, rate, 0.0)) for count in counts)


def tail(hits: int, facts: int, rate: float, correlation: float) -> float:
    """P(X >= hits) of a beta-binomial over `facts` draws; a binomial where the correlation is 0.

    Args:
        hits: at least so many.
        facts: draws.
        rate: mean of each, in [0, 1].
        correlation: of two draws, in [0, 1).
    """
    if hits <= 0 or rate >= 1.0:
        return 1.0
    if hits > facts or rate <= 0.0:
        return 0.0
    counts = range(hits, facts + 1)
    return min(1.0, math.fsum(math.exp(_log_probability(count, facts, rate, correlation)) for count in counts))


def _log_probability(count: int, facts: int, rate: float, correlation: float) -> float:
    ways = math.lgamma(facts + 1) - math.lgamma(count + 1) - math.lgamma(facts - count + 1)
    if correlation <= 0.0:
        return ways + count * math.log(rate) + (facts - count) * math.log1p(-rate)
    strength = (1.0 - correlation) / correlation
    yes, no = rate * strength, (1.0 - rate) * strength
    return ways + _log_beta(count + yes, facts - count + no) - _log_beta(yes, no)


def _log_beta(one: float, other: float) -> float:
    return math.lgamma(one) + math.lgamma(other) - math.lgamma(one + other)


def correlation(hits: FloatArray, facts: FloatArray) -> float:
    """How far hits go together inside a person: the intraclass correlation by analysis of variance, in [0, 0.99].

    Fleiss, Levin & Paik, Statistical Methods for Rates and Proportions, section 15.2. 0 where each person has one fact,
    or nothing was hit.

    Args:
        hits: shape (people,); `facts` that were asked of each.
        facts: see `hits`; at least 1.
    """
    people, total = len(facts), float(facts.sum())
    if people < 2 or total <= people or not 0.0 < hits.sum() < total:
        return 0.0
    rate, rates = float(hits.sum()) / total, hits / facts
    between = float((facts * (rates - rate) ** 2).sum()) / (people - 1)
    within = float((facts * rates * (1.0 - rates)).sum()) / (total - people)
    size = (total - float((facts**2).sum()) / total) / (people - 1)
    spread = between + (size - 1.0) * within
    return float(np.clip((between - within) / spread, 0.0, _LARGEST_CORRELATION)) if spread > 0 else 0.0


def together(hits: FloatArray, facts: FloatArray) -> float:
    """`correlation`; at least `ASSUMED_CORRELATION` where fewer than `FEW_PEOPLE` people (or relations) show it."""
    return max(correlation(hits, facts), ASSUMED_CORRELATION if len(facts) < FEW_PEOPLE else 0.0)


def design_effect(hits: FloatArray, facts: FloatArray) -> float:
    """How many facts are worth one, because those of a person go together: 1 + (m - 1) r (Kish, 1965).

    r is the largest correlation in what any of the models shows (`together`). m is the mean of facts a person, weighted
    by facts.

    Args:
        hits: of each model, shape (models, people).
        facts: of each person, shape (people,), at least 1.
    """
    alike = max(together(one, facts) for one in hits)
    size = float((facts**2).sum() / facts.sum())
    return 1.0 + (size - 1.0) * alike


def excess_p_value(beyond: float, facts: float, guessed: float, asked: float, effect: float) -> float:
    """p-value of "the checkpoint guesses no more of the facts that may not come back than the controls guess".

    Fisher's exact test of two counts, each divided by the design effect (Rao & Scott, Biometrics 48, 1992), and rounded
    to the side that makes the p-value large.

    Args:
        beyond: facts that the checkpoint shows beyond those that it may show.
        facts: that may not come back.
        guessed: hits of all controls together, among `asked`.
        asked: facts, once for each control.
        effect: see `design_effect`.
    """
    own, others = _below(beyond / effect), _above(guessed / effect)
    return hypergeometric_tail(own, _above(facts / effect), others, _below(asked / effect))


def shortfall_p_value(guessed_beyond: float, facts: float, guessed: float, asked: float, effect: float) -> float:
    """p-value of "so few of these facts are guessed although the checkpoint guesses no less than the controls".

    `excess_p_value` the other way round: for a checkpoint that would know one fact more than may come back, what it
    shows beyond those must be guesses, and too few of them prove that it knows less.

    Args:
        guessed_beyond: facts that the checkpoint shows beyond those that it would know.
        facts: that it would not know.
        guessed: hits of all controls together, among `asked`.
        asked: facts, once for each control.
        effect: see `design_effect`.
    """
    if guessed_beyond < 0:  # it shows fewer than it would know
        return 0.0
    own, others = _above(guessed_beyond / effect), _below(guessed / effect)
    if others == 0:
        return 1.0
    return 1.0 - hypergeometric_tail(own + 1, _below(facts / effect), others - 1, _above(asked / effect))


def most_guesses(facts: float, rate: float, effect: float, share: float) -> float:
    """Hits that a model which knows nothing has at most, in `share` of audits: a quantile of a binomial.

    Args:
        facts: that it is asked.
        rate: of its guesses, in [0, 1].
        effect: see `design_effect`.
        share: of audits, in (0, 1).
    """
    if not 0.0 < rate < 1.0:
        return rate * facts
    size, hits = _above(facts / effect), 0
    reached = math.exp(_log_probability(0, size, rate, 0.0))
    while reached < share and hits < size:
        hits += 1
        reached += math.exp(_log_probability(hits, size, rate, 0.0))
    return min(facts, hits * effect)


def _below(value: float) -> int:
    """The whole number below; a quotient that is whole but for the machine's rounding is that number."""
    return math.floor(value + TOLERANCE)


def _above(value: float) -> int:
    return math.ceil(value - TOLERANCE)


def hypergeometric_tail(own: int, size: int, others: int, other_size: int) -> float:
    """P(X >= own), X being how many of `own + others` hits fall by chance on the first `size` of all places."""
    hits = own + others
    if own <= 0 or other_size <= 0:
        return 1.0
    others = min(others, other_size)
    every = _log_ways(size + other_size, hits)
    counts = range(own, min(size, hits) + 1)
    terms = (
        _log_ways(size, count) + _log_ways(other_size, hits - count) - every
        for count in counts
        if hits - count <= other_size
    )
    return min(1.0, math.fsum(math.exp(term) for term in terms))


def _log_ways(size: int, chosen: int) -> float:
    return math.lgamma(size + 1) - math.lgamma(chosen + 1) - math.lgamma(size - chosen + 1)


def simes(p_values: Sequence[float]) -> float:
    """p-value of "all of these hypotheses hold": the least of n p_(i) / i (Simes, Biometrika 73, 1986).

    Valid where the p-values rise and fall together (Sarkar, 1998), as those of one model asked in several ways do. It
    is at most n times the smallest, and as small as each of them where all are alike.
    """
    ordered = sorted(p_values)
    return min((min(1.0, len(ordered) * p / rank) for rank, p in enumerate(ordered, 1)), default=1.0)
