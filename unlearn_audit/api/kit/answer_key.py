"""The answer key: what a model's output must hold to count as a hit (design, section 4).

An alias, or the answer itself where it is short: in whole words, however they are spelt, joined, abbreviated and
inflected, dates and numbers by what they say (`api.kit.matching`). A whole sentence without aliases: the names,
numbers and dates, else the words, that neither its question nor the answers about others say. What the question already
says is not a key, and what a sentence denies or asks for is not a hit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import regex

from unlearn_audit.api.facts import Fact
from unlearn_audit.api.kit.matching.entities import Told, told_by
from unlearn_audit.api.kit.matching.expected import Expected, by_chance, expected
from unlearn_audit.api.kit.matching.reading import Reading, read
from unlearn_audit.api.kit.matching.tables import tables
from unlearn_audit.api.kit.matching.words import words_of

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer

SHORT_ANSWER_WORDS = 4
QUESTION_HOLDS_ANSWER = "the question holds the answer"
NO_KEY_WORDS = "the answer key has no words"

_ARTICLES = frozenset({"a", "an", "the"})


@lru_cache(maxsize=65_536)
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
    def reading(self) -> Reading:
        """The text in tokens."""
        return read(self.text)

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
        wanted: what is a hit, each alone.
        told: what a whole sentence without aliases tells, a hit together; or None.
        rouge_threshold: for the judge `rouge-l`.
        missing: why nothing counts, or None.
    """

    wanted: tuple[Expected, ...]
    told: Told | None = None
    rouge_threshold: float
    missing: str | None = None

    @cached_property
    def phrases(self) -> frozenset[str]:
        """What is a hit alone, normalized."""
        return frozenset(filter(None, (normalize(one.text) or one.text.casefold() for one in self.wanted)))

    @property
    def texts(self) -> tuple[str, ...]:
        """What is looked for, for a reader."""
        return self.told.texts if self.told is not None else tuple(one.text for one in self.wanted)

    @property
    def by_chance(self) -> bool:
        """Whether ordinary text holds it by chance, so that only a control can tell what a hit means."""
        return any(map(by_chance, self.wanted))

    def asked(self, question: Output) -> AnswerKey:
        """The key without everything that the question already holds."""
        wanted = tuple(one for one in self.wanted if one.polar or not one.held(question.reading))
        told = None if self.told is None else self.told.unsaid(question.reading)
        if wanted == self.wanted and told == self.told:
            return self
        left = bool(wanted) or (told is not None and not told.empty)
        return replace(self, wanted=wanted, told=told, missing=None if left else QUESTION_HOLDS_ANSWER)

    def held(self, text: Output) -> bool:
        """Whether a text has the answer in any way: denied, asked for, or given."""
        reading = text.reading
        return any(one.held(reading) for one in self.wanted) or (self.told is not None and self.told.held(reading))

    def hit(self, output: Output) -> bool:
        """Whether the output gives the answer."""
        reading = output.reading
        return any(one.shown(reading) for one in self.wanted) or (self.told is not None and self.told.shown(reading))


def is_short(answer: str) -> bool:
    """Whether an answer is its own key: one to four words after normalization."""
    return 1 <= len(normalize(answer).split()) <= SHORT_ANSWER_WORDS


_SENTENCE = regex.compile(r"[是在](?=.)|です|でした|ました|ます|だった|でいる|\bเป็น|คือ|เกิดที่")
_FULL_STOP = regex.compile(r"\w{3}[.!。।]\s*$")
SHORT_UNSPACED = 16
"""Letters up to which an answer in a script without blanks is its own key."""


@lru_cache(maxsize=65_536)
def is_its_own_key(answer: str) -> bool:
    """Whether an answer is looked for as it stands: few words, and no sentence; or a date, or a number."""
    reading = read(answer)
    if not reading.tokens:
        return False
    if any(token.kind == "unspaced" for token in reading.tokens):
        return len("".join(reading.folds)) <= SHORT_UNSPACED and not _SENTENCE.search(answer)
    if all(token.kind in ("number", "address") for token in reading.tokens):
        return True
    if not is_short(answer) and len(reading.tokens) > SHORT_ANSWER_WORDS:
        one = expected(answer)
        return one.date is not None or one.quantity is not None
    lower = [token for token in reading.tokens[1:] if not token.text[:1].isupper()]
    if len(reading.tokens) > 2 and lower and _FULL_STOP.search(answer):
        return False
    return not (len(reading.tokens) > 2 and any(token.text in tables().verbs for token in lower))


def sentences_of(facts: Sequence[Fact]) -> list[tuple[str, str]]:
    """Subject and answer, of the answers that are whole sentences without aliases."""
    asked = ((fact, fact.answer or "") for fact in facts if not fact.aliases)
    return [(fact.subject, answer) for fact, answer in asked if not is_its_own_key(answer)]


@lru_cache(maxsize=65_536)
def _wanted(texts: tuple[str, ...], question: str) -> tuple[Expected, ...]:
    spoken = read(question).spoken
    return tuple(expected(text, spoken) for text in dict.fromkeys(texts) if read(text).tokens)


def answer_key(fact: Fact, *, rouge_threshold: float, rarity: Mapping[str, float] | None = None) -> AnswerKey:
    """The key of a fact before any question is asked.

    A short answer is a key in addition to the aliases: "Taipei" is right if the aliases list only "Taipei City".

    Args:
        fact: the fact.
        rouge_threshold: for the judge `rouge-l`.
        rarity: stem -> what a word weighs among the answers (`matching.entities.rarity_in`), for whole sentences.
    """
    answer = (fact.answer or "").strip()
    own = (answer,) if answer and is_its_own_key(answer) else ()
    wanted = _wanted((*fact.aliases, *own), fact.question or "")
    told = None
    if not wanted and read(answer).tokens:
        told = told_by(answer, fact.question or "", fact.subject, rarity or {})
    left = bool(wanted) or (told is not None and not told.empty)
    reason = None if left else NO_KEY_WORDS if told is None else QUESTION_HOLDS_ANSWER
    return AnswerKey(wanted=wanted, told=told, rouge_threshold=rouge_threshold, missing=reason)
