"""Keeps an adversarial text from spelling what it will be scored on, and shows it to the runner's own screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from unlearn_audit.api import AttackError, Fact, Screen, words_of

from .search.goals import Found

ROW_LETTERS = 4
"""Letters from which an answer must not stand in a text even across its words; shorter ones count as words."""

SHORT_ANSWER_WORDS = 4
TELLING_SHARED_BY = 3
FUZZY_FROM, LONG_FROM, ALIKE = 5, 9, 88
"""Spellings that `api.Screen` takes for the same: one letter off from 5 letters on, 88 % alike from 9 on."""


class Spells:
    """Says whether a text holds an answer or an alias of some facts, misspelt by a letter or not.

    A whole-sentence answer without aliases is told by its own words: those of four letters or more that its question
    does not hold and that few answers share.
    """

    def __init__(self, facts: Iterable[Fact]) -> None:
        runs = {run for run in _values(tuple(facts)) if run}
        self._rows = sorted({"".join(run) for run in runs if len("".join(run)) >= ROW_LETTERS})
        self._words = {"".join(run) for run in runs}
        self._longest = max((len(run) for run in runs), default=0) + 1
        self._known: dict[str, bool] = {}

    def __call__(self, text: str) -> bool:
        """Whether the text gives one away."""
        words = words_of(text)
        row = "".join(words)
        if any(answer in row for answer in self._rows):
            return True
        return any(
            self._is_alike("".join(words[start : start + size]))
            for size in range(1, min(self._longest, len(words)) + 1)
            for start in range(len(words) - size + 1)
        )

    def _is_alike(self, window: str) -> bool:
        if window not in self._known:
            self._known[window] = window in self._words or any(_alike(window, answer) for answer in self._rows)
        return self._known[window]


def _alike(window: str, answer: str) -> bool:
    from rapidfuzz import fuzz
    from rapidfuzz.distance import Levenshtein

    if len(answer) < FUZZY_FROM:
        return False
    if Levenshtein.distance(window, answer, score_cutoff=1) <= 1:
        return True
    return len(answer) >= LONG_FROM and fuzz.ratio(window, answer) >= ALIKE


def _values(facts: Sequence[Fact]) -> Iterable[tuple[str, ...]]:
    """Runs of words that name an answer; single telling words where it is a sentence, a passage's words in part."""
    shared = Counter(word for fact in facts for word in set(words_of(fact.answer or "")))
    for fact in facts:
        answer = words_of(fact.answer or "")
        yield from map(words_of, fact.aliases)
        if len(answer) <= SHORT_ANSWER_WORDS:
            yield answer
        elif not fact.aliases:
            asked = {*words_of(fact.question or ""), *words_of(fact.subject)}
            for word in set(answer) - asked:
                if len(word) >= ROW_LETTERS and shared[word] <= TELLING_SHARED_BY:
                    yield (word,)


def shown_texts(texts: Sequence[tuple[Fact, str]]) -> tuple[str, ...]:
    """What the runner's screen reads: each subject with the text that its questions get.

    A subject whose very name holds its answer is left out: there the text gives nothing away.
    """
    subjects = list(dict.fromkeys(fact.subject for fact, _ in texts))
    screen = Screen([fact for fact, _ in texts])
    own = {subject for subject, given in zip(subjects, screen(subjects).gives_away, strict=True) if given}
    return tuple(dict.fromkeys(f"{fact.subject} {text}" for fact, text in texts if fact.subject not in own))


def check_scored(found: Sequence[Found]) -> None:
    """Refuses searches that scored no candidate: an unoptimized text would pass for the best of many.

    Raises:
        AttackError: none did.
    """
    if any(one.scored for one in found):
        return
    unstable, refused = sum(one.unstable for one in found), sum(one.refused for one in found)
    raise AttackError(
        f"the search has no candidate: {unstable} were not stable under this tokenizer, {refused} would spell a scored "
        "answer; allow other tokens (`allowed: any`), or another length"
    )
