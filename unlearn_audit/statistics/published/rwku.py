"""RWKU's measures of utility and of membership (2406.10890)."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from unlearn_audit.statistics.published.memorization import (
    average_loss,
    min_k_without_minimum,
    standardised,
    zlib_by_mean,
)

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WEIGHTS = {2: 2 / 3, 3: 4 / 3}


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1 if the prediction is one of the answers, without case, punctuation and articles (TriviaQA)."""
    return float(any(_plain(prediction) == _plain(answer) for answer in answers))


def token_f1(prediction: str, answers: Sequence[str]) -> float:
    """F1 of the words in common, best over the answers (TriviaQA), in [0, 1]."""
    return max(_f1(_plain(prediction).split(), _plain(answer).split()) for answer in answers)


def _plain(text: str) -> str:
    kept = "".join(sign for sign in text.lower() if sign not in set(string.punctuation))
    return " ".join(_ARTICLES.sub(" ", kept).split())


def _f1(said: Sequence[str], true: Sequence[str]) -> float:
    if said == true:  # nothing against nothing too
        return 1.0
    shared = sum((Counter(said) & Counter(true)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(said), shared / len(true)
    return 2 * precision * recall / (precision + recall)


def mc1(log_probs: Mapping[str, float], choices: Sequence[str], labels: Sequence[int]) -> float:
    """1 if the first true choice is likelier than every false one (TruthfulQA).

    As likely is not enough, as in RWKU's code. In lm-evaluation-harness it is enough.
    """
    first = log_probs[choices[labels.index(1)]]
    return float(first > max(log_probs[one] for one, label in zip(choices, labels, strict=True) if not label))


def mc2(log_probs: Mapping[str, float], choices: Sequence[str], labels: Sequence[int]) -> float:
    """Share of probability on the true choices (TruthfulQA), in [0, 1]."""
    weights = np.exp(np.array([log_probs[one] for one in choices]))
    true = np.array(labels, dtype=bool)
    return float(np.sum(weights[true]) / np.sum(weights))


def fluency(words: Sequence[str]) -> float:
    """Entropy of bigrams and trigrams in bits, weighted 2/3 and 4/3 and averaged; higher = less repetition."""
    return float(np.mean([weight * _entropy(words, size) for size, weight in _WEIGHTS.items()]))


def _entropy(words: Sequence[str], size: int) -> float:
    counts = Counter(tuple(words[place : place + size]) for place in range(len(words) - size + 1))
    shares = np.array(list(counts.values()), dtype=np.float64)
    shares /= np.sum(shares) if len(shares) else 1.0
    return float(np.sum(-shares * np.log2(shares)))


def membership_scores(
    log_probs: ArrayLike, vocabulary: ArrayLike, text: str, shares: Sequence[float]
) -> dict[str, float]:
    """Scores of one text, all tokens but the first; higher = MORE likely a member, the opposite of all others here.

    Args:
        log_probs: shape (tokens,).
        vocabulary: shape (tokens, vocabulary).
        text: as it was tokenized.
        shares: of the tokens that min-k takes; nan where that is none. RWKU's "mink20" is min-k++ at 0.2.
    """
    deviations = standardised(log_probs, vocabulary)
    return {
        "loss": -average_loss(log_probs),
        "zlib": -zlib_by_mean(log_probs, text),
        **{f"mink_{share}": -min_k_without_minimum(log_probs, share) for share in shares},
        **{f"mink++_{share}": -min_k_without_minimum(deviations, share) for share in shares},
    }


def mean_over_texts(scores: Sequence[float]) -> float:
    """Mean of a score over the texts of a file, as reported; nan if one is nan."""
    return float(np.mean(scores)) if len(scores) else math.nan
