"""Information hygiene: does a text that an attack trains on, or puts into a prompt, give away what is being scored?

Attacks drop such texts themselves (`api.Screen`), and the runner checks again what each dose says that its model was
shown: a leak of the audit's own making would read as a leak of the checkpoint.

Answers are shared among subjects (two people are born in one town), so an answer alone gives nothing away. A text does
if it asks a scored fact's own question, repeats a run of a scored passage, or mentions a scored subject *and* holds
the answer. A subject is mentioned by its whole name, or by a word of it that no other subject has; names and
answers may be misspelt by a letter ("Hsiao Yunhwa", "Schmitt"), and words are the answer key's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from unlearn_audit.api.kit.matching.words import words_of

if TYPE_CHECKING:
    from unlearn_audit.api.facts import Fact

Run: TypeAlias = tuple[str, ...]

ALIKE = 88
"""Least similarity of two long runs of words, in percent (normalized indel similarity)."""

FUZZY_FROM, LONG_FROM = 5, 9
"""Letters from which a run may be misspelt by one letter, and from which similarity decides; shorter ones are exact."""

LEAK_SHARE = 0.8
"""Share of a scored answer's words that gives it away, where it is a whole sentence without aliases."""

SHORT_ANSWER_WORDS = 4
"""Words up to which an answer is its own key, as in the answer key of the probes."""

PASSAGE_RUN = 8
"""Words in a row that give a passage away, unless they stand in many: passages may be cut from one template."""

SHARED_BY = 3
"""Passages in which a run may stand and still tell of each: chunks of a book overlap."""

_TELLING_LETTERS = 4
_WINDOWS_AT_ONCE = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Screening:
    """What was found in some texts.

    Attributes:
        gives_away: for each text, whether it states a scored fact.
        share_a_value: texts that hold a scored answer without its subject: kept, since every role meets them alike.
    """

    gives_away: tuple[bool, ...]
    share_a_value: int

    @property
    def dropped(self) -> int:
        """How many texts give something away."""
        return sum(self.gives_away)


class Screen:
    """Checks texts against the facts that will be scored.

    Args:
        scored: the facts.
        among: all facts of the set, which tell what is common to many subjects; the scored ones where not given.
    """

    def __init__(self, scored: Iterable[Fact], among: Iterable[Fact] = ()) -> None:
        facts = tuple(scored)
        everyone = tuple({fact.id: fact for fact in (*among, *facts)}.values())
        self._by_subject: dict[Run, list[Fact]] = {}
        for fact in facts:
            self._by_subject.setdefault(words_of(fact.subject), []).append(fact)
        self._subjects = tuple(name for name in sorted(self._by_subject) if name)
        self._of_word = _rare_words(self._subjects, everyone)
        self._questions = _Runs(_own_questions(facts, everyone))
        self._passages = _Runs(_rare_runs(facts, everyone))
        self._values = _Runs(value for fact in facts for value in _values(fact))

    def __call__(self, texts: Sequence[str]) -> Screening:
        """Screens whole texts: a prompt with its answer, a passage, a suffix."""
        spelt = [words_of(text) for text in texts]
        named = _runs_alike(spelt, self._subjects)
        gives_away = tuple(self._states(words, whole) for words, whole in zip(spelt, named, strict=True))
        mentions = sum(not gives and self._values.any_in(words) for words, gives in zip(spelt, gives_away, strict=True))
        return Screening(gives_away=gives_away, share_a_value=mentions)

    def _states(self, words: Run, whole: set[int]) -> bool:
        if self._questions.any_in(words) or self._passages.any_in(words):
            return True
        mentioned = {self._subjects[place] for place in whole} | {
            self._of_word[word] for word in words if word in self._of_word
        }
        return any(_holds_answer(words, fact) for subject in mentioned for fact in self._by_subject[subject])


class _Runs:
    """Runs of words that are looked up in texts, by their lengths."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._by_length: dict[int, set[Run]] = {}
        for run in runs:
            if run:
                self._by_length.setdefault(len(run), set()).add(run)

    def any_in(self, words: Run) -> bool:
        return any(
            words[start : start + length] in runs
            for length, runs in self._by_length.items()
            for start in range(len(words) - length + 1)
        )


def _rare_words(subjects: Iterable[Run], everyone: Iterable[Fact]) -> dict[str, Run]:
    """Word -> the scored subject that it names; words of four letters or more that stand in no other subject's name."""
    owners: dict[str, set[Run]] = {}
    for name in {words_of(fact.subject) for fact in everyone}:
        for word in name:
            owners.setdefault(word, set()).add(name)
    return {
        word: name
        for name in subjects
        for word in name
        if len(word) >= _TELLING_LETTERS and owners.get(word, {name}) == {name}
    }


def _own_questions(facts: Iterable[Fact], everyone: Iterable[Fact]) -> Iterator[Run]:
    """The questions of scored facts that name their subject, or that are asked of no one else."""
    askers: dict[Run, set[str]] = {}
    for fact in everyone:
        for text in (fact.question, *fact.paraphrases):
            askers.setdefault(words_of(text or ""), set()).add(fact.subject)
    for fact in facts:
        for text in (fact.question, *fact.paraphrases):
            run = words_of(text or "")
            if len(askers[run]) == 1 or f" {' '.join(words_of(fact.subject))} " in f" {' '.join(run)} ":
                yield run


def _rare_runs(facts: Iterable[Fact], everyone: Iterable[Fact]) -> Iterator[Run]:
    """Runs of words of scored passages that stand in few passages."""
    counts = Counter(run for fact in everyone for run in set(_passage_runs(fact)))
    yield from (run for fact in facts for run in _passage_runs(fact) if counts[run] <= SHARED_BY)


def _passage_runs(fact: Fact) -> Iterator[Run]:
    """A passage's runs of words; a fact with a question and an answer is not a passage, whatever text it has."""
    if not fact.text or (fact.question and fact.answer):
        return iter(())
    words = words_of(fact.text)
    length = min(PASSAGE_RUN, len(words))
    return (words[start : start + length] for start in range(len(words) - length + 1))


def _values(fact: Fact) -> Iterator[Run]:
    """What names the answer: the aliases, and the answer itself where it is short."""
    yield from map(words_of, fact.aliases)
    answer = words_of(fact.answer or "")
    if len(answer) <= SHORT_ANSWER_WORDS:
        yield answer


def _holds_answer(words: Run, fact: Fact) -> bool:
    values = tuple(value for value in _values(fact) if value)
    if values:
        return bool(_runs_alike([words], values)[0])
    wanted = Counter(words_of(fact.answer or fact.text or ""))
    least = LEAK_SHARE * wanted.total()
    return bool(wanted) and len(words) >= least and (wanted & Counter(words)).total() >= least


def _runs_alike(texts: Sequence[Run], runs: Sequence[Run]) -> list[set[int]]:
    """For each text, the places of the runs of words that it holds, exactly or nearly.

    A run of n words is compared with each n words of a text, and with each n - 1 and n + 1: spellings also differ in
    spacing. Of a run of several words, one must be spelled exactly, or all be written as one: comparing every
    run with every part of every text would take hours.
    """
    found: list[set[int]] = [set() for _ in texts]
    for length in sorted({len(run) for run in runs}):
        places = [place for place, run in enumerate(runs) if len(run) == length]
        known = {word for place in places for word in runs[place]} | {"".join(runs[place]) for place in places}
        holders: dict[str, list[int]] = {}
        for number, words in enumerate(texts):
            for window in {"".join(window) for window in _windows(words, length) if length == 1 or known & {*window}}:
                holders.setdefault(window, []).append(number)
        for window, place in _alike(list(holders), ["".join(runs[place]) for place in places]):
            for number in holders[window]:
                found[number].add(places[place])
    return found


def _windows(words: Run, length: int) -> Iterator[Run]:
    """Runs of about `length` words."""
    for size in range(max(1, length - 1), length + 2):
        for start in range(len(words) - size + 1):
            yield words[start : start + size]


def _alike(windows: Sequence[str], runs: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Pairs of a window and the place of a run that is spelt like it."""
    import numpy as np
    from rapidfuzz import fuzz, process
    from rapidfuzz.distance import Levenshtein

    if not runs:
        return
    letters = np.array([len(run) for run in runs])
    for start in range(0, len(windows), _WINDOWS_AT_ONCE):
        part = windows[start : start + _WINDOWS_AT_ONCE]
        similar = process.cdist(part, runs, scorer=fuzz.ratio, score_cutoff=ALIKE, dtype=np.uint8) >= ALIKE
        apart = process.cdist(part, runs, scorer=Levenshtein.distance, score_cutoff=1, dtype=np.uint8)
        pairs = np.where(letters >= LONG_FROM, similar | (apart <= 1), apart <= (letters >= FUZZY_FROM))
        for row, place in np.argwhere(pairs):
            yield part[row], int(place)
