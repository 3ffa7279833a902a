"""What a whole sentence tells: the names, numbers and dates in it, else its words, that its question does not hold.

A sentence that answers a question repeats most of it, and the rest is wording: what makes it the answer is what the
question does not say and what the answers about others do not share. An output gives the answer where it names that.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import regex

from unlearn_audit.api.kit.matching.affixes import script_of
from unlearn_audit.api.kit.matching.denials import meant
from unlearn_audit.api.kit.matching.expected import Expected, expected
from unlearn_audit.api.kit.matching.folding import fold
from unlearn_audit.api.kit.matching.languages import languages
from unlearn_audit.api.kit.matching.numbers.dates import dates
from unlearn_audit.api.kit.matching.numbers.quantities import all_quantities
from unlearn_audit.api.kit.matching.reading import Mention, Reading, Token
from unlearn_audit.api.kit.matching.tables import tables
from unlearn_audit.api.kit.matching.wording.likeness import likeness, rarity
from unlearn_audit.api.kit.matching.wording.related import related, related_to, stem
from unlearn_audit.api.kit.matching.wording.replaced import replaced

ENOUGH_NAMES = 2 / 3
"""Share of a sentence's names that must be given, where it has more than `FEW`."""

LIKE = 0.3
"""Likeness from which a text gives a sentence that has no name (`wording.likeness`)."""

FEW = 2
"""As many names or words must all be given."""

STRONG = 0.5
"""A word is strong from this share of the weight of the heaviest on. Where strong words are few and weigh as much as
all others together, they are the answer: "contributes to the geology genre"."""

_COUNTING = regex.compile(
    r"\b(?:how (?:many|old|long|much|often|far)|number|count|combien|wie ?viele?|cuant[oa]s|quant[oie]s?)\b"
)
"""What asks for a number."""

_DERIVED = (
    ("ian", "s"),
    ("ician", "ics"),
    ("ist", "y"),
    ("ist", "istry"),
    ("ist", "ics"),
    ("ist", "ic"),
    ("er", "ing"),
    ("", "ing"),
    ("eer", "eering"),
    ("or", "ing"),
    ("ist", "ism"),
    ("ian", "y"),
    ("ic", "ics"),
    ("er", "y"),
)
"""Endings by which a trade and those who follow it are named."""

_DEMONYMS = ("n", "an", "ian", "ese", "ish", "i", "ic", "s", "es", "en", "is", "al", "er", "r", "ern")


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a sentence tells.

    Attributes:
        sentence: its words, folded.
        unasked: those that its question does not say.
        fixed: dates, numbers and addresses: each must be given.
        names: names and what is written like one.
        words: other words that tell, folded, with their weight.
        asked: the words that its question says, folded.
        rarity: stem -> what a word weighs (`wording.likeness`); 1 where it is not in it.
    """

    sentence: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()
    fixed: tuple[Expected, ...] = ()
    names: tuple[Expected, ...] = ()
    words: Mapping[str, float] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    rarity: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def empty(self) -> bool:
        """Whether nothing is left that an output could give."""
        return not (self.fixed or self.names or self.words)

    @property
    def texts(self) -> tuple[str, ...]:
        """What an output must give, for a reader."""
        strong = tuple(one.text for one in (*self.fixed, *self.names))
        return strong or tuple(self.words)

    def shown(self, reading: Reading) -> bool:
        """Whether a text tells it."""
        if self.empty or not all(_given(one, reading) for one in self.fixed):
            return False
        if self._is_replaced(reading):
            return False
        if self.names:
            given = sum(_given(one, reading) for one in self.names)
            return given == len(self.names) or (len(self.names) > FEW and given >= ENOUGH_NAMES * len(self.names))
        return bool(self.fixed) or self._says_words(reading)

    def held(self, reading: Reading) -> bool:
        """Whether a text has it in any way: denied, asked for, or told."""
        strong = (*self.fixed, *self.names)
        return all(one.held(reading) for one in strong) if strong else bool(self._places(reading))

    def _is_replaced(self, reading: Reading) -> bool:
        if reading.spoken and any(token.kind == "unspaced" for token in reading.tokens):
            return False
        mine, its = {*self.sentence}, _content(reading)

        def tells(word: str) -> bool:
            return word in self.telling or (word == self.sentence[0] and word in ("yes", "no"))

        def is_new(word: str) -> bool:
            telling = word in its and word not in mine and word not in tables().wording
            return telling and self._telling_stems.isdisjoint((stem(word), *related_to(stem(word))))

        return replaced(self.sentence, reading.folds, tells=tells, is_new=is_new)

    @cached_property
    def telling(self) -> frozenset[str]:
        """The words of what it tells, folded, and all others that its question does not say."""
        strong = (word for one in (*self.fixed, *self.names) for word in Reading(one.text).folds)
        return frozenset((*self.words, *self.unasked)) | {word for word in strong if word not in tables().links}

    @cached_property
    def _telling_stems(self) -> frozenset[str]:
        return frozenset(map(stem, self.telling))

    def _says_words(self, reading: Reading) -> bool:
        return any(meant(reading, _mention(reading, at)) for at in self._places(reading))

    def _places(self, reading: Reading) -> list[int]:
        """Where a text has the words, if it says enough of them."""
        found: dict[str, list[int]] = {}
        for other, at in _content(reading).items():
            for word in self._met(other):
                found.setdefault(word, []).append(at)
        strong = self.strong
        enough = all(word in found for word in strong) if strong else self._likeness(reading) >= LIKE
        return sorted({at for word in strong or found for at in found[word]}) if enough else []

    def _met(self, other: str) -> set[str]:
        """Which of its words a word is a form of or stands for."""
        near = {word for word in self._by_beginning.get(other[:2], ()) if akin(word, other)}
        return near | self._by_stem.get(stem(other), set())

    @cached_property
    def _by_stem(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for word in self.words:
            for one in (stem(word), *related_to(stem(word))):
                found.setdefault(one, set()).add(word)
        return found

    @cached_property
    def _by_beginning(self) -> dict[str, list[str]]:
        return _by_beginning(self.words)

    @cached_property
    def _asked_by_beginning(self) -> dict[str, list[str]]:
        return _by_beginning(self.asked)

    @cached_property
    def strong(self) -> tuple[str, ...]:
        """Its few words that weigh as much as all others together; none where there are more of them."""
        least = STRONG * max(self.words.values(), default=0.0)
        heavy = [word for word, own in self.words.items() if own >= least]
        share = sum(self.words[word] for word in heavy) / (sum(self.words.values()) or 1.0)
        return tuple(heavy) if len(heavy) <= FEW and share >= STRONG else ()

    def _likeness(self, reading: Reading) -> float:
        sentences: dict[int, list[str]] = {}
        for word, at in _content(reading).items():
            asked = any(akin(word, other) for other in self._asked_by_beginning.get(word[:2], ()))
            if word not in tables().wording and not asked:
                sentences.setdefault(_sentence_of(reading, at), []).append(word)
        return likeness(self.words, sentences.values(), weight=lambda one: _weight(one, self.rarity), met=self._met)

    def unsaid(self, reading: Reading) -> Told:
        """The same without what a text (a prompt) already says."""
        said = _content(reading)
        return replace(
            self,
            fixed=tuple(one for one in self.fixed if not one.held(reading)),
            names=tuple(one for one in self.names if not one.held(reading)),
            words={word: own for word, own in self.words.items() if not any(akin(word, other) for other in said)},
            asked=self.asked | {*said},
        )


def _weight(word: str, rarity: Mapping[str, float]) -> float:
    return rarity.get(stem(word), 1.0) if rarity else 1.0


def _given(one: Expected, reading: Reading) -> bool:
    if one.shown(reading):
        return True
    words = [token for token in Reading(one.text).tokens if token.text[:1].isupper() or not token.text.isascii()]
    if len(words) < FEW or one.date is not None or any(letter.isdecimal() for letter in one.text):
        return _as_demonym(one.text, reading)
    return all(
        expected(token.text, one.spoken).shown(reading) or _as_demonym(token.text, reading)
        for token in words
        if fold(token.text) not in tables().links
    )


def _as_demonym(name: str, reading: Reading) -> bool:
    """Whether a text names a country or a people by the word made from the other: "Islam", "Islamic"."""
    own = fold(name)
    return len(own) >= 4 and any(
        ((token.text[:1].isupper() and (_is_demonym(own, word) or _alike(own, word))) or _is_derived(own, word))
        and meant(reading, _mention(reading, at))
        for at, (word, token) in enumerate(zip(reading.folds, reading.tokens, strict=True))
    )


def _is_derived(one: str, other: str) -> bool:
    """Whether one names a trade and the other who follows it: "Obstetrician", "obstetrics"."""
    pairs = (*_DERIVED, *((new, own) for own, new in _DERIVED))
    return any(
        one.endswith(own) and len(one) - len(own) >= 4 and other == one[: len(one) - len(own)] + new
        for own, new in pairs
    )


def _is_demonym(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    stem = short[:-1] if short[-1:] in "aeiy" else short
    return len(stem) >= 4 and long.startswith(stem) and long.removeprefix(stem) in (*_DEMONYMS, "", short[-1:])


def akin(one: str, other: str) -> bool:
    """Whether two words are forms of one: the same beginning, of most of both."""
    if one == other:
        return True
    if script_of(one) == "Hangul":  # a syllable a letter: "태어났습니다" and "태어났어요"
        return (
            one[:2] == other[:2]
            and len(one) >= 2 <= len(other)
            and _shared(one, other) >= min(len(one), len(other)) / 2
        )
    if one[:4] != other[:4] or min(len(one), len(other)) < 4:
        return False
    shared = _shared(one, other)
    longest = max(len(one), len(other))
    return shared >= max(4, 0.6 * longest) and longest - shared <= 5


def _alike(one: str, other: str) -> bool:
    """Whether two words are forms of one or stand for each other."""
    return akin(one, other) or related(stem(one), stem(other))


def _by_beginning(words: Iterable[str]) -> dict[str, list[str]]:
    """Words by their first two letters, which all forms of a word share (`akin`)."""
    found: dict[str, list[str]] = {}
    for word in words:
        found.setdefault(word[:2], []).append(word)
    return found


def _shared(one: str, other: str) -> int:
    """Letters that two words begin with in common."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def told_by(answer: str, question: str, subject: str, rarity: Mapping[str, float]) -> Told:
    """What an answer tells beyond its question.

    Args:
        answer: a whole sentence.
        question: what it answers.
        subject: whose name is no news.
        rarity: stem -> what a word weighs (`rarity_in`); 1 where it is not in it.
    """
    reading, asked = Reading(answer), Reading(question)
    if set(_content(Reading(subject))) & set(_content(asked)):  # a name that was not asked with may be the answer
        asked = Reading(f"{question}\n{subject}")
    spoken = asked.spoken
    covered: set[int] = set()
    fixed = list(_fixed(reading, spoken, covered))
    names = list(_names(reading, _content(asked), covered))
    said = _content(asked)
    counts = _COUNTING.search(question.casefold()) is not None
    loose = [] if counts else [one for one in fixed if _is_small_word(one)]  # "these two passions" tell no number
    fixed = [one for one in fixed if one not in loose]
    spared = {word for one in loose for word in Reading(one.text).folds}
    words = {
        word: _weight(word, rarity)
        for word, at in _content(reading).items()
        if (at not in covered or word in spared) and word not in tables().wording
    }
    unasked = tuple(word for word in _content(reading) if not any(akin(word, other) for other in said))
    found = Told(
        sentence=reading.folds,
        unasked=unasked,
        fixed=tuple(fixed),
        names=tuple(expected(name, spoken) for name in names),
        words=words,
        rarity=rarity,
    )
    if found.names:  # "two daughters named Sela and Brit": the names tell
        found = replace(found, fixed=tuple(one for one in found.fixed if not _is_small_word(one)))
    return found.unsaid(asked)


def _is_small_word(one: Expected) -> bool:
    """Whether it is a small number in words."""
    counted = one.quantity is not None and one.quantity.measures is None and one.quantity.values[0] <= 10
    return counted and not any(letter.isdecimal() for letter in one.text)


def _fixed(reading: Reading, spoken: tuple[str, ...], covered: set[int]) -> Iterator[Expected]:
    for date in dates(reading):
        covered.update(range(date.mention.first, date.mention.last + 1))
        yield expected(reading.text[date.mention.start : date.mention.end], spoken)
    for one in all_quantities(reading):
        places = set(range(one.mention.first, one.mention.last + 1))
        if not places & covered and not any(reading.tokens[at].text.lstrip("+-")[:1].isdecimal() for at in places):
            covered.update(places)
            yield expected(reading.text[one.mention.start : one.mention.end], spoken)
    for token_run in _digit_runs(reading, covered):
        first, last = reading.tokens[token_run[0]], reading.tokens[token_run[-1]]
        covered.update(token_run)
        yield expected(reading.text[first.start : last.end], spoken)
    for at, token in enumerate(reading.tokens):
        if token.kind == "address" and at not in covered:
            covered.add(at)
            yield expected(token.text, spoken)


def _digit_runs(reading: Reading, covered: set[int]) -> Iterator[list[int]]:
    """Numbers that stand one behind the other: of a card, a telephone."""
    run: list[int] = []
    for at, token in enumerate(reading.tokens):
        ranked = reading.text[: token.start].endswith("#")  # "#7": the place of a book in its series
        digits = token.kind in ("number", "decade") and at not in covered and not ranked
        joined = run and at == run[-1] + 1 and reading.between(at) in (" ", "-")
        if run and not (digits and joined):
            yield run
            run = []
        if digits:
            run.append(at)
    if run:
        yield run


def _names(reading: Reading, said: Mapping[str, int], covered: set[int]) -> Iterator[str]:
    """Runs of words that are written like names, or of a script without capitals that the question does not hold."""
    run: list[int] = []
    for at in range(len(reading.tokens)):
        joins = bool(run) and at == run[-1] + 1 and reading.between(at) in (" ", "-", "", ". ", "'", "’")
        if at not in covered and joins and reading.folds[at] in tables().links and _is_name(reading, at + 1):
            run.append(at)
            continue
        if run and not (joins and _is_name(reading, at) and at not in covered):
            yield from _as_name(reading, run, said, covered)
            run = []
        if at not in covered and _is_name(reading, at):
            run.append(at)
    if run:
        yield from _as_name(reading, run, said, covered)


def _is_name(reading: Reading, at: int) -> bool:
    if at >= len(reading.tokens):
        return False
    token = reading.tokens[at]
    if token.kind == "unspaced":
        return not _is_function_word(reading.folds[at], reading)
    if not token.text[:1].isupper():
        return any(letter.isupper() for letter in token.text[1:])
    if not _begins(reading, at):
        return True
    following = reading.tokens[at + 1] if at + 1 < len(reading.tokens) else None
    word = reading.folds[at]
    function = _is_function_word(word, reading) or word in tables().wording or word in tables().openings
    function = function or (word.endswith("ly") and word.isascii() and len(word) > 5)  # "Currently, she ..."
    named = following is not None and (
        following.text[:1].isupper() or reading.between(at + 1).strip()[:1] in (",", "(")
    )
    return not function and (following is None or named or reading.folds[at] in reading.folds[at + 1 :])


def _begins(reading: Reading, at: int) -> bool:
    """Whether a token begins a sentence, where a capital says nothing."""
    before = reading.text[: reading.tokens[at].start].rstrip(" \"'“‘«(¿¡")
    return not before or before[-1] in ".!?:;\n।"


def _sentence_of(reading: Reading, at: int) -> int:
    """Which sentence of a text a token stands in, from 0."""
    begun = reading.__dict__.get("_begun")
    if begun is None:
        begun = [place for place in range(1, len(reading.tokens)) if _begins(reading, place)]
        reading.__dict__["_begun"] = begun
    return bisect_right(begun, at)


def _is_function_word(word: str, reading: Reading) -> bool:
    known = any(word in languages()[name].know for name in reading.spoken) or word in tables().function
    return known or (word[0] == "一" and len(word) == 2)  # "一名": an article in all but name


def _as_name(reading: Reading, run: Sequence[int], said: Mapping[str, int], covered: set[int]) -> Iterator[str]:
    """The part of a run of words that is news."""
    news = [at for at in run if not any(_known(reading.folds[at], other) for other in said)]
    news = [at for at in news if reading.folds[at] not in tables().links | tables().wording]
    covered.update(run)
    if news:
        kept = [at for at in run if news[0] <= at <= news[-1]]
        yield reading.text[reading.tokens[kept[0]].start : reading.tokens[kept[-1]].end]


def _known(word: str, said: str) -> bool:
    """Whether a name is one that was said, or made from it."""
    return word == said or _is_demonym(word, said) or (len(word) >= 5 and word.isascii() and akin(word, said))


def _content(reading: Reading) -> dict[str, int]:
    """The words of a text that tell something, folded, with their first place."""
    kept = reading.__dict__.get("_content")
    if kept is None:
        kept = {}
        for at, (word, token) in enumerate(zip(reading.folds, reading.tokens, strict=True)):
            named = token.text[:1].isupper() and not _begins(reading, at)  # "Ben", which Hungarian writes otherwise
            telling = len(word) > 2 or token.kind != "word" or not word.isascii() or token.text[:1].isupper()
            if telling and (named or not (_is_function_word(word, reading) or word in tables().articles)):
                kept.setdefault(word, at)
        reading.__dict__["_content"] = kept
    found: dict[str, int] = kept
    return found


def _mention(reading: Reading, at: int) -> Mention:
    token: Token = reading.tokens[at]
    return Mention(token.start, token.end, at, at)


def rarity_in(answers: Iterable[tuple[str, str]]) -> dict[str, float]:
    """Stem -> what a word weighs among answers, each given by its subject and its text."""
    return rarity((subject, _content(Reading(text))) for subject, text in answers)
