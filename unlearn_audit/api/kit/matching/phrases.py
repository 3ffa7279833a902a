"""A phrase looked for in a text: in whole words, whatever joins, inflects or abbreviates them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import islice

import regex

from unlearn_audit.api.kit.matching.affixes import closes, exchanged, opens, probes_of, script_of, with_affixes
from unlearn_audit.api.kit.matching.folding import fold, spellings
from unlearn_audit.api.kit.matching.languages import ENGLISH
from unlearn_audit.api.kit.matching.numbers.numerals import digits_of, ordinal_spellings, words_for
from unlearn_audit.api.kit.matching.reading import EDGE, Mention, Reading, Run, Token, pieces
from unlearn_audit.api.kit.matching.tables import tables

_AND = regex.compile(r"\s*&\s*")
_SAME_NAME = regex.compile(r"[-‐‑]")
_BREAK = regex.compile(r"[.!?。！？]\s|[;:]|\n\s*\n")

_DAYS = frozenset(["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"])
"""Names that English does put into the plural."""

_SIGNS = {
    "+": ("positive", "plus"),
    "-": ("negative", "minus"),
    "−": ("negative", "minus"),
    "#": ("sharp",),
    "♯": ("sharp",),
}
"""How the sign behind a letter is spoken: "AB+", "F#"."""

_SEASONS = ("spring", "summer", "autumn", "fall", "winter")
_LONG_NUMBER = 8
_ROMAN = regex.compile(r"[IVX]{1,6}")
MOST_FORMS = 24
_GLUED_LETTERS = 5
"""Letters from which a phrase of one word may be written in two: "Yun Sol" is "Yunsol", "us a" is not "USA"."""


@lru_cache(maxsize=1)
def _alike() -> dict[str, tuple[str, ...]]:
    return {word: group for group in tables().alike for word in group}


@dataclass(frozen=True, kw_only=True)
class _Form:
    """One way to write a phrase.

    Attributes:
        words: for each word, the spellings that count.
        surface: the words as they were written.
    """

    words: tuple[tuple[str, ...], ...]
    surface: tuple[str, ...]

    @property
    def letters(self) -> int:
        return sum(len(one[0]) for one in self.words)


@dataclass(frozen=True)
class _Sought:
    """A form that is looked for in texts in certain languages, with parts of which each text must hold one."""

    form: _Form
    spoken: tuple[str, ...]
    probes: tuple[str, ...]

    @cached_property
    def pattern(self) -> regex.Pattern[str]:
        """It as an expression over edged letters; most phrases meet no text that needs it."""
        return regex.compile(_expression(self.form, self.spoken))


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """How a phrase is looked for in texts in certain languages; a text without any of the probes does not hold it."""

    forms: tuple[_Sought, ...]
    name: tuple[str, ...] | None
    probes: tuple[str, ...]


@dataclass(frozen=True)
class Phrase:
    """A phrase that counts as the answer."""

    text: str

    def mentions(self, reading: Reading) -> Iterator[Mention]:
        """Where a text holds it."""
        plans = self.__dict__.setdefault("_plans", {})
        plan = plans.get(reading.spoken)
        if plan is None:
            plan = plans[reading.spoken] = _plan(self.text, reading.spoken)
        letters = reading.letters
        for probe in plan.probes:
            if probe in letters:
                return _mentions(plan, reading)
        return iter(())


def _plan(text: str, spoken: tuple[str, ...]) -> _Plan:
    forms, name = _sought(text, spoken), _name_words(text)
    probes = [probe for sought in forms for probe in sought.probes] + ([name[-1]] if name else [])
    return _Plan(forms=forms, name=name, probes=tuple(dict.fromkeys(probes)))


def _mentions(plan: _Plan, reading: Reading) -> Iterator[Mention]:
    for sought in plan.forms:
        for run in reading.runs:
            if any(probe in run.letters for probe in sought.probes):
                yield from _in_run(sought, run, reading)
    if plan.name is not None:
        yield from _as_initials(plan.name, reading)


def _in_run(sought: _Sought, run: Run, reading: Reading) -> Iterator[Mention]:
    for found in sought.pattern.finditer(run.edged, overlapped=True):
        first, last = run.token_at(found.start()), run.token_at(found.end() - 1)
        start, end = reading.tokens[first].start, reading.tokens[last].end
        if reading.tokens[first].kind == "unspaced" and first == last:
            end = min(end, start + found.end() - run.starts[first])
        mention = Mention(start=start, end=end, first=first, last=last)
        inner = _own_edges(found, run)
        if _joined(sought.form, mention, inner, reading) and _is_whole(sought.form, mention, reading):
            yield mention


def _own_edges(found: regex.Match[str], run: Run) -> frozenset[int]:
    """The tokens that begin where a word of the phrase begins."""
    groups = range(2, (found.re.groups or 0) + 1)
    return frozenset(run.token_at(found.start(one)) for one in groups if found.start(one) in run.starts)


def _joined(form: _Form, mention: Mention, own: frozenset[int], reading: Reading) -> bool:
    """Whether what stands between the tokens may stand inside the phrase."""
    for token in range(mention.first + 1, mention.last + 1):
        gap = reading.between(token)
        if token in own:
            letter = reading.tokens[token]
            if (
                "," in gap and len(letter.text) == 1 and reading.text[letter.end : letter.end + 1] != "."
            ):  # "hepatitis, a disease" is not "Hepatitis A"
                return False
            if gap in (":", " : ") and letter.kind == reading.tokens[token - 1].kind == "number":  # "3:2"
                continue
            if _BREAK.search(gap) and not (gap.startswith(".") and len(reading.tokens[token - 1].text) <= 3):
                return False
        elif (
            gap == ". " and len(reading.tokens[token - 1].text) <= 2 and reading.tokens[token].text.isupper()
        ):  # "Ph. D."
            continue
        elif any(map(str.isspace, gap)) or any(mark in gap for mark in ",;:!?"):
            digits = form.words[0][0].isdecimal()
            syllables = script_of(form.words[0][0]) == "Hangul"
            long = form.letters >= (7 if digits else 3 if syllables else _GLUED_LETTERS)
            unspaced = reading.tokens[token].kind == "unspaced"
            if not (long or unspaced) or any(mark in gap for mark in ",;:!?\n"):
                return False
    return True


def _is_whole(form: _Form, mention: Mention, reading: Reading) -> bool:
    """Whether a mention is the phrase and no part of another name, and is written as a name where it must be."""
    tokens = reading.tokens
    before = tokens[mention.first - 1] if mention.first else None
    after = tokens[mention.last + 1] if mention.last + 1 < len(tokens) else None
    if _is_longer_abbreviation(mention, reading) or _is_cut_from_a_word(mention, reading):
        return False
    named = form.surface[0][:1].isupper()
    if named and before and _SAME_NAME.fullmatch(reading.between(mention.first)) and before.text[:1].isupper():
        return False
    if named and after and _SAME_NAME.fullmatch(reading.between(mention.last + 1)) and after.text[:1].isupper():
        return False
    bigger = before is not None and before.text[:1].isupper() and fold(before.text) in tables().bigger
    if named and bigger and not reading.between(mention.first).strip(" ."):
        return False
    return _is_cased(form, mention, reading)


def _is_cut_from_a_word(mention: Mention, reading: Reading) -> bool:
    """Whether the letter before and the mention's first are a word: "京都" is not in "东京都", however it is cut."""
    tokens = reading.tokens
    if not mention.first or tokens[mention.first].kind != "unspaced" or reading.between(mention.first):
        return False
    before = tokens[mention.first - 1].text
    return len(before) == 1 and script_of(before) == "Han" and len(pieces(before + tokens[mention.first].text[0])) == 1


def _is_longer_abbreviation(mention: Mention, reading: Reading) -> bool:
    """Whether single letters with points go on: "U.S." is not in "U.S.S.R."."""
    pairs = ((mention.first - 1, mention.first), (mention.last, mention.last + 1))
    return any(
        left >= 0 and right < len(reading.tokens)
        and len(reading.tokens[left].text) == len(reading.tokens[right].text) == 1
        and reading.between(right) == "." and reading.tokens[right].text.isupper()
        for left, right in pairs
    )  # fmt: skip


def _is_cased(form: _Form, mention: Mention, reading: Reading) -> bool:
    said = reading.text[mention.start : mention.end]
    if len(form.surface) == 1 and form.surface[0][:1].isupper() and form.words[0][0].isascii():
        word = form.words[0][0]
        if said[:1].isupper() and fold(said) == f"{word}s" and reading.spoken == (ENGLISH,) and word not in _DAYS:
            return False
        if len(word) == 1 or word in tables().ordinary:
            return _as_a_name(form.surface[0], mention, reading)
        plural = fold(said) != word and said[:1].isupper() and reading.spoken == (ENGLISH,) and word not in _DAYS
        return not plural or fold(said) not in exchanged(word, (ENGLISH,)) or not fold(said).isalpha()
    return True


def _as_a_name(surface: str, mention: Mention, reading: Reading) -> bool:
    """Whether a word of ordinary text stands as a name: with its capitals, and not because a sentence begins."""
    said = reading.text[mention.start : mention.end]
    if surface.isupper() and len(surface) > 1:
        return (said.replace(".", "").isupper() and reading.text != reading.text.upper()) or len(reading.tokens) == 1
    if not said[:1].isupper():
        return len(reading.tokens) == mention.last - mention.first + 1
    following = reading.tokens[mention.last + 1] if mention.last + 1 < len(reading.tokens) else None
    if len(surface) == 1:
        goes_on = following is not None and reading.between(mention.last + 1) == " " and following.text[:1].islower()
        return not (goes_on and surface in "AI") or (following is not None and following.text in ("is", "was"))
    if reading.text.isupper():
        return len(reading.tokens) == 1
    begins = (
        mention.first == 0
        or bool(_BREAK.search(reading.between(mention.first) + " "))
        or "\n" in reading.between(mention.first)
    )
    goes_on = following is not None and reading.between(mention.last + 1) == " " and following.text[:1].islower()
    return not (begins and goes_on) or (following is not None and following.text in ("is", "was", "and", "or"))


@lru_cache(maxsize=16_384)
def _sought(text: str, spoken: tuple[str, ...]) -> tuple[_Sought, ...]:
    """What is looked for in texts in these languages."""
    return tuple(_Sought(form=form, spoken=spoken, probes=_probes(form, spoken)) for form in _forms(text))


def _probes(form: _Form, spoken: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(probe for word in form.words[0] for probe in probes_of(word, spoken)))


def _expression(form: _Form, spoken: tuple[str, ...]) -> str:
    last = len(form.words) - 1
    names = len(form.words) > 1
    groups = []
    for place, words in enumerate(form.words):
        changes = (
            last == place
            and not ordinal_spellings(form.words[-1][0])
            and not (names and form.surface[place][:1].isupper() and spoken == (ENGLISH,))
        )
        written = dict.fromkeys(with_affixes(word, spoken, last=changes, letters=form.letters) for word in words)
        groups.append(f"({'|'.join(written)})")
    return opens(form.words[0][0]) + f"{EDGE}?".join(groups) + closes(form.words[-1][0])


@lru_cache(maxsize=16_384)
def _forms(text: str) -> tuple[_Form, ...]:
    """The ways to write a phrase."""
    tokens = Reading(_AND.sub(" and ", text)).tokens
    if not tokens:
        return ()
    ways = (*_wholes(tokens), *_turned(text), *_spoken(tokens))
    forms = [variant for one in ways for variant in _left_out(one)]
    kept = {form.words: form for form in forms if form.words}
    return tuple(islice(kept.values(), MOST_FORMS))


def _turned(text: str) -> Iterator[_Form]:
    """A name with its last part first: "Lopez, Maria", "van der Meer, Edith"."""
    tokens = Reading(text).tokens
    last = len(tokens) - 1
    while last > 1 and tokens[last - 1].text in tables().links:
        last -= 1
    if last > 0 and _name_words(" ".join(token.text for token in (*tokens[:last], tokens[-1]))) is not None:
        own = _form(tokens)
        yield _Form(words=own.words[last:] + own.words[:last], surface=own.surface[last:] + own.surface[:last])


def _spoken(tokens: Sequence[Token]) -> Iterator[_Form]:
    """A phrase as it is read aloud: "Henry the Eighth" for "Henry VIII", "AB positive" for "AB+"."""
    own, last = _form(tokens), tokens[-1].text
    if len(tokens) > 1 and last.isupper() and _ROMAN.fullmatch(last):
        the = (("the",), *own.words[-1:])
        yield _Form(words=own.words[:-1] + the, surface=(*own.surface[:-1], "the", last))
    if len(tokens) == 2 and all(token.text.isdecimal() for token in tokens):  # "from 1914 to 1918"
        yield _Form(
            words=(own.words[0], ("to", "until", "till", "through", "bis"), own.words[1]),
            surface=(own.surface[0], "to", own.surface[1]),
        )
    if len(tokens) == 2 and own.words[0][0] in _SEASONS and own.words[1][0].isdecimal():  # "the spring of 1999"
        yield _Form(words=(own.words[0], ("of",), own.words[1]), surface=(own.surface[0], "of", own.surface[1]))
    if own.words[0][0][:1] == "+" and own.letters >= _LONG_NUMBER:  # the sign of a telephone number may be left out
        bare = tuple(word.removeprefix("+") for word in own.words[0])
        yield _Form(words=(bare, *own.words[1:]), surface=(own.surface[0].removeprefix("+"), *own.surface[1:]))
    if len(last) > 1 and last[:-1].isalpha() and last[:-1].isupper():
        rest = tuple((word,) for word in (last[:-1].lower(),))
        for word in _SIGNS.get(last[-1], ()):
            yield _Form(words=own.words[:-1] + rest + ((word,),), surface=(*own.surface[:-1], last[:-1], word))


def _form(tokens: Sequence[Token]) -> _Form:
    reading = [Reading(token.text) for token in tokens]
    folds = ["".join(one.folds) or fold(token.text) for one, token in zip(reading, tokens, strict=True)]
    several = len(tokens) > 1
    words = tuple(
        tuple(
            dict.fromkeys(
                (
                    plain,
                    *spellings(token.text),
                    *(_alike().get(plain, ()) if several else ()),
                    *(_number(plain) if several else ordinal_spellings(plain)),
                )
            )
        )
        if token.kind == "word"
        else tuple(
            dict.fromkeys((plain, *(_alike().get(plain, ()) + _number(plain) if several else ordinal_spellings(plain))))
        )
        for plain, token in zip(folds, tokens, strict=True)
    )
    return _Form(words=words, surface=tuple(token.text for token in tokens))


@lru_cache(maxsize=4096)
def _number(word: str) -> tuple[str, ...]:
    """A small number in the other way of writing it: "12" and "twelve"."""
    if word.isdecimal() and len(word) <= 3:
        return tuple("".join(Reading(one).folds) for one in words_for(int(word), ENGLISH))
    value = digits_of(word)
    return ordinal_spellings(word) if value is None else (str(value),)


def _wholes(tokens: Sequence[Token]) -> Iterator[_Form]:
    """A phrase as it is, and with what stands for its beginning ("Ph.D.", "United States")."""
    own = _form(tokens)
    yield own
    folds = [one[0] for one in own.words]
    for group in tables().whole:
        for phrase in group:
            size = next((at for at in range(1, len(folds) + 1) if "".join(folds[:at]) == phrase.replace(" ", "")), 0)
            if size and (size == len(folds) or folds[size] in ("in", "of")) and _is_short_form(tokens[:size], phrase):
                rest = _form(tokens[size:]) if size < len(tokens) else _Form(words=(), surface=())
                for other in group:
                    words = tuple((word,) for word in other.split())
                    surface = tuple(word.upper() if len(word) < 3 else word for word in other.split())
                    yield _merged(_Form(words=words + rest.words, surface=surface + rest.surface))


def _is_short_form(tokens: Sequence[Token], phrase: str) -> bool:
    """Whether letters stand for the phrase, and are no word that happens to be spelt so ("ma", "us")."""
    return " " not in phrase or len(phrase.split()[0]) > 2 or all(token.text[:1].isupper() for token in tokens)


def _merged(form: _Form) -> _Form:
    """Single letters of an abbreviation as one word: "u s a" is looked for as "usa", however it is joined."""
    size = next((at for at, word in enumerate(form.words) if len(word[0]) > 3), len(form.words))
    if size < 2:
        return form
    glued = "".join(word[0] for word in form.words[:size])
    return _Form(words=((glued,), *form.words[size:]), surface=(glued.upper(), *form.surface[size:]))


def _left_out(form: _Form) -> Iterator[_Form]:
    """A phrase, and without an article, a title or a degree that is no part of it."""
    known = tables()
    yield form
    first = form.words[0][0]
    rest = replace(form, words=form.words[1:], surface=form.surface[1:])
    if rest.words and first in known.articles and rest.letters >= 3:
        grammar = form.surface[0].islower() and not (len(rest.words) == 1 and rest.words[0][0] in known.ordinary)
        if grammar or (first in ("the", "a", "an") and len(rest.words) >= 2):
            yield rest
    if len(rest.words) >= 1 and first in known.titles and rest.surface[0][:1].isupper():
        yield from _left_out(rest)
    for size in (1, 2):
        end = "".join(word[0] for word in form.words[-size:])
        if (
            len(form.words) >= size + 2
            and end in known.degrees
            and form.surface[-1].isupper() | (end in ("phd", "msc"))
        ):
            yield replace(form, words=form.words[:-size], surface=form.surface[:-size])
    if "and" in [word[0] for word in form.words[1:-1]]:
        kept = [at for at, word in enumerate(form.words) if word[0] != "and"]
        yield _Form(words=tuple(form.words[at] for at in kept), surface=tuple(form.surface[at] for at in kept))


def _as_initials(own: tuple[str, ...], reading: Reading) -> Iterator[Mention]:
    """Where a name stands with other initials: "J. F. Kennedy" and "John Kennedy" for "John F. Kennedy"."""
    *given, last = own
    for place, word in enumerate(reading.folds):
        if word != last or not place:
            continue
        for size in range(min(len(given) + 2, place), 0, -1):
            said = reading.tokens[place - size : place]
            if _abbreviates(given, [fold(token.text) for token in said]) and _is_one_name(reading, place - size, place):
                yield Mention(start=said[0].start, end=reading.tokens[place].end, first=place - size, last=place)
                break


@lru_cache(maxsize=16_384)
def _name_words(text: str) -> tuple[str, ...] | None:
    """The words of a name of several words, folded; None where it is none."""
    tokens = Reading(text).tokens
    words = [token for token in tokens if fold(token.text) not in tables().titles]
    if not 2 <= len(words) <= 5 or script_of(fold(words[-1].text)) not in ("Latin", "Cyrillic", "Greek", "Armenian"):
        return None
    named = all(token.kind == "word" and token.text[:1].isupper() for token in words)
    first = fold(words[0].text)
    if not named or len(words[-1].text) < 3 or first in tables().articles or first in tables().bigger:
        return None
    return tuple(fold(token.text) for token in words)


def _abbreviates(given: Sequence[str], said: Sequence[str]) -> bool:
    """Whether given names are others with initials in their place; initials in the middle may be left out."""
    if not any(len(one) == 1 for one in (*given, *said)):
        return False
    if len(said) > len(given):
        return False
    if len(said) < len(given):
        dropped = [one for one in given[1:] if len(one) == 1]
        kept = [given[0], *(one for one in given[1:] if len(one) > 1)]
        return bool(dropped) and len(kept) == len(said) and _abbreviates_each(kept, said)
    return _abbreviates_each(given, said)


def _abbreviates_each(given: Sequence[str], said: Sequence[str]) -> bool:
    pairs = zip(given, said, strict=True)
    return all(one == two or (1 in (len(one), len(two)) and one[0] == two[0]) for one, two in pairs)


def _is_one_name(reading: Reading, first: int, last: int) -> bool:
    gaps = (reading.between(token).strip() for token in range(first + 1, last + 1))
    return all(gap in ("", ".", "-") for gap in gaps) and all(
        token.text[:1].isupper() for token in reading.tokens[first : last + 1]
    )
