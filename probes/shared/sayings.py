"""The answers of a pool without whom they are about: what was said of one subject can be told of another."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from unlearn_audit.api import Fact
from unlearn_audit.api.kit.answer_key import is_short, normalize
from unlearn_audit.api.kit.asking import is_askable

from .naming import filled, gaps_of, masked, name_words, with_gap

_STOPS = ".!?。！？؟।"
_ARTICLE = re.compile(r"\b(a|an)\s+$", re.IGNORECASE)
_NUMBER = re.compile(r"(?<!\w)\d")
_SLACK = 2  # words by which lengths may differ beyond their ratio


@dataclass(frozen=True, kw_only=True)
class Saying:
    """One answer.

    Attributes:
        text: with gaps for its subject (`naming.masked`).
        subject: whose it was.
        aliases: as the fact has them.
        key: the words that are the answer proper, where they are known and do not name the subject.
        around: what stands before and after the key, where the answer holds it once.
    """

    text: str
    subject: str
    aliases: tuple[str, ...] = ()
    key: str | None = None
    around: tuple[str, str] | None = None

    @cached_property
    def phrases(self) -> frozenset[str]:
        """All that names the answer, normalized."""
        return frozenset(filter(None, map(normalize, (*self.aliases, self.text))))

    @cached_property
    def identity(self) -> frozenset[str]:
        """What makes two answers the same, however the sentence around them runs."""
        return frozenset(filter(None, map(normalize, self.aliases))) or frozenset({normalize(self.text)})

    @cached_property
    def gaps(self) -> tuple[str, ...]:
        """The ways in which it names its subject."""
        return gaps_of(self.text)

    @cached_property
    def length(self) -> int:
        """In words."""
        return len(normalize(self.text).split())

    def told_of(self, other: Saying) -> str:
        """The same said of another's subject, named as that is named there, with the same stop at the end."""
        text = with_gap(self.text, other.gaps[0]) if len(other.gaps) == 1 else self.text
        return _stopped(filled(text, other.subject, len(name_words(self.subject))), other.text)

    def put_into(self, other: Saying) -> str | None:
        """Another's sentence with this key in the place of its own."""
        if self.key is None or other.around is None or other.key is None:
            return None
        before, after = other.around
        article = _ARTICLE.search(before)
        if article is not None and _fits(article[1], other.key):
            before = before[: article.start(1)] + _article(article[1], self.key) + before[article.end(1) :]
        return before + self.key + after


def alike(one: Saying, other: Saying) -> bool:
    """Whether two answers are of one form: in naming their subject, in holding a number, and in length."""
    shorter, longer = sorted((one.length, other.length))
    return (
        bool(one.gaps) == bool(other.gaps)
        and bool(_NUMBER.search(one.text)) == bool(_NUMBER.search(other.text))
        and longer <= 2 * shorter + _SLACK
    )


@dataclass
class Kind:
    """All sayings that are one answer: in its spellings, and by how many facts of each subject."""

    sayings: list[Saying] = field(default_factory=list)
    holders: Counter[str] = field(default_factory=Counter)

    def held_by_others(self, subject: str) -> int:
        """Facts of other subjects with this answer."""
        return self.holders.total() - self.holders[subject]


class Sayings:
    """The answers of a pool by relation, each once, in an order that does not depend on the pool's."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        found: dict[str, dict[frozenset[str], Kind]] = defaultdict(dict)
        for fact in facts:
            if not is_askable(fact) or fact.relation is None:
                continue
            saying = saying_of(fact)
            kind = found[fact.relation].setdefault(saying.identity, Kind())
            kind.sayings.append(saying)
            kind.holders[normalize(fact.subject)] += 1
        self._kinds: dict[str, list[Kind]] = {}
        self._by_phrase: dict[str, dict[str, list[int]]] = {}
        self._alone: Counter[tuple[str, ...]] = Counter()
        for relation, kinds in found.items():
            ordered = [kind for _, kind in sorted(kinds.items(), key=lambda one: sorted(one[0]))]
            by_phrase: dict[str, list[int]] = defaultdict(list)
            for place, kind in enumerate(ordered):
                kind.sayings.sort(key=lambda one: (one.text, one.subject, one.aliases))
                for phrase in {phrase for one in kind.sayings for phrase in one.phrases}:
                    by_phrase[phrase].append(place)
            self._kinds[relation] = ordered
            for kind in ordered:
                if len(kind.holders) == 1:
                    self._alone[relation, *kind.holders] += 1
            self._by_phrase[relation] = by_phrase

    def kinds(self, relation: str) -> list[Kind]:
        """The different answers to one relation."""
        return self._kinds.get(relation, [])

    def held_alone(self, relation: str, subject: str) -> int:
        """How many answers to one relation nobody has but this subject."""
        return self._alone[relation, subject]

    def sharing(self, relation: str, saying: Saying) -> Iterator[Kind]:
        """The answers to one relation that have a phrase in common with this one."""
        by_phrase = self._by_phrase.get(relation, {})
        places = {place for phrase in saying.phrases for place in by_phrase.get(phrase, ())}
        return (self._kinds[relation][place] for place in sorted(places))


def saying_of(fact: Fact) -> Saying:
    """A fact's answer without its subject."""
    answer = (fact.answer or "").strip()
    text = masked(answer, fact.subject)
    key, around = _key_in(answer, fact)
    if key is None and is_short(answer) and not gaps_of(text):
        key = answer.rstrip(_STOPS)
    return Saying(text=text, subject=fact.subject, aliases=fact.aliases, key=key, around=around)


def _key_in(answer: str, fact: Fact) -> tuple[str | None, tuple[str, str] | None]:
    """The first alias, or the longest that the answer holds once, with what stands around it there."""
    named = [alias.strip() for alias in fact.aliases if alias.strip() and not gaps_of(masked(alias, fact.subject))]
    for alias in sorted(named, key=len, reverse=True):
        found = list(re.finditer(rf"(?<!\w){re.escape(alias)}(?!\w)", answer, re.IGNORECASE))
        if len(found) == 1:
            (one,) = found
            return one.group(), (answer[: one.start()], answer[one.end() :])
    return (named[0] if named else None), None


def _stopped(text: str, like: str) -> str:
    bare = text.rstrip().rstrip(_STOPS)
    end = like.rstrip()[len(like.rstrip().rstrip(_STOPS)) :]
    return bare + end


def _fits(article: str, word: str) -> bool:
    return _article(article, word).casefold() == article.casefold()


def _article(article: str, word: str) -> str:
    """The article in the form that a word needs, in the case in which it stood."""
    right = "an" if word[:1].casefold() in "aeiou" else "a"
    return right.capitalize() if article[0].isupper() else right
