"""The answer key: what a model's output must hold to count as a hit (design, section 5).

An alias in whole words, or the answer itself where it is short, else ROUGE-L recall of the answer. What the question
already says is not a key: repeating it shows no knowledge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from unlearn_audit.api.facts import Fact
from unlearn_audit.api.kit.words import words_of

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer

SHORT_ANSWER_WORDS = 4
QUESTION_HOLDS_ANSWER = "the question holds the answer"
NO_KEY_WORDS = "the answer key has no words"

_ARTICLES = frozenset({"a", "an", "the"})


def normalize(text: str) -> str:
    """The words of a text but for English articles, one blank apart; empty where nothing is left."""
    return " ".join(word for word in words_of(text) if word not in _ARTICLES)


def holds(text: str, phrase: str) -> bool:
    """Whether a normalized text holds a normalized phrase as whole words. Nothing holds the empty phrase."""
    return bool(phrase) and f" {phrase} " in f" {text} "


class _Tokenizer:
    """ROUGE tokens: the library's own for ASCII, whole words of any other script, which the library would drop."""

    def __init__(self) -> None:
        from rouge_score.tokenizers import DefaultTokenizer  # slow to import (nltk)

        self._ascii = DefaultTokenizer(use_stemmer=True)

    def tokenize(self, text: str) -> list[str]:
        return list(self._tokens(text))

    def _tokens(self, text: str) -> Iterator[str]:
        for word in words_of(text):
            if word.isascii():
                yield from self._ascii.tokenize(word)
            else:
                yield word


@lru_cache(maxsize=1)
def _rouge() -> tuple[RougeScorer, _Tokenizer]:
    """The scorer and its tokenizer; both are stateless."""
    from rouge_score.rouge_scorer import RougeScorer

    tokenizer = _Tokenizer()
    return RougeScorer(["rougeL"], tokenizer=tokenizer), tokenizer


def rouge_l_recall(answer: str, output: str) -> float:
    """Length of the longest common subsequence of stemmed words over the answer's length, in [0, 1].

    As `rouge_score` computes it with its stemmer on, except that words outside ASCII count instead of vanishing.
    """
    return float(_rouge()[0].score(answer, output)["rougeL"].recall)


@dataclass(frozen=True)
class Output:
    """A text to search (what a model said, or was asked), read once for any number of keys."""

    text: str

    @cached_property
    def normal(self) -> str:
        """The text, normalized."""
        return normalize(self.text)

    @cached_property
    def stems(self) -> tuple[str, ...]:
        """Its ROUGE tokens, in their order."""
        return tuple(_rouge()[1].tokenize(self.text))

    @cached_property
    def tokens(self) -> Counter[str]:
        """Its ROUGE tokens with their counts."""
        return Counter(self.stems)


def untold_recall(answer: str, output: Output, *, prompt: Output) -> float | None:
    """ROUGE-L recall over those words of an answer that the prompt does not hold; None where it holds them all.

    Longest common subsequence over length, as in `rouge_l_recall`: an output that only says the prompt again scores 0.
    """
    from rapidfuzz.distance import LCSseq

    untold = [stem for stem in Output(answer).stems if stem not in prompt.tokens]
    if not untold:
        return None
    return int(LCSseq.similarity(untold, output.stems)) / len(untold)


@dataclass(frozen=True, kw_only=True)
class AnswerKey:
    """What counts as the answer.

    Attributes:
        phrases: normalized phrases, each of which is a hit in whole words.
        sentence: a whole answer without marked words, a hit from `rouge_threshold` of ROUGE-L recall on.
        missing: why nothing counts, or None.
    """

    phrases: frozenset[str]
    sentence: str | None = None
    rouge_threshold: float
    missing: str | None = None

    def asked(self, question: Output) -> AnswerKey:
        """The key without everything that the question already holds."""
        phrases = frozenset(phrase for phrase in self.phrases if not holds(question.normal, phrase))
        sentence = None if self._repeats(question) else self.sentence
        if phrases == self.phrases and sentence == self.sentence:
            return self
        return replace(
            self,
            phrases=phrases,
            sentence=sentence,
            missing=None if phrases or sentence else QUESTION_HOLDS_ANSWER,
        )

    def hit(self, output: Output) -> bool:
        """Whether the output holds the answer."""
        return any(holds(output.normal, phrase) for phrase in self.phrases) or self._repeats(output)

    @cached_property
    def _tokens(self) -> Counter[str]:
        return Counter(_rouge()[1].tokenize(self.sentence or ""))

    def _repeats(self, output: Output) -> bool:
        """Whether the output repeats the sentence; a common subsequence has no more words than the bags share."""
        if self.sentence is None:
            return False
        total = self._tokens.total()
        if total == 0 or (self._tokens & output.tokens).total() / total < self.rouge_threshold:
            return False
        return rouge_l_recall(self.sentence, output.text) >= self.rouge_threshold


def is_short(answer: str) -> bool:
    """Whether an answer is its own key: one to four words after normalization."""
    return 1 <= len(normalize(answer).split()) <= SHORT_ANSWER_WORDS


def answer_key(fact: Fact, *, rouge_threshold: float) -> AnswerKey:
    """The key of a fact before any question is asked.

    A short answer is a key in addition to the aliases: "Taipei" is right if the aliases list only "Taipei City".
    """
    answer = fact.answer or ""
    short = (answer,) if is_short(answer) else ()
    phrases = frozenset(filter(None, map(normalize, (*fact.aliases, *short))))
    sentence = answer if not phrases and normalize(answer) else None
    missing = None if phrases or sentence else NO_KEY_WORDS
    return AnswerKey(phrases=phrases, sentence=sentence, rouge_threshold=rouge_threshold, missing=missing)
