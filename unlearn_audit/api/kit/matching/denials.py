"""Whether a mention is meant: not where the sentence denies it, asks for it, or says that nothing is known."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import regex

from unlearn_audit.api.kit.matching.affixes import script_of
from unlearn_audit.api.kit.matching.folding import fold
from unlearn_audit.api.kit.matching.languages import languages, pattern
from unlearn_audit.api.kit.matching.lists import is_candidate
from unlearn_audit.api.kit.matching.reading import Mention, Reading
from unlearn_audit.api.kit.matching.tables import tables

_END = regex.compile(
    r"(?<!\b[\p{L}])(?<!\b(?:[Dd]r|[Mm]rs?|[Ss]t|[Pp]rof|[Mm]s|[Jj]r|[Nn]o|vs))\.(?=\s|$)|[!?。！？؟।॥։።…\n]|\.{2,}|(?<=\p{Ll})\.(?=\p{Lu})|;(?=\s|$)"
)
_CLAUSE = regex.compile(r"[:;,،、，；：()«»\"“”–—]|\s-\s")
_APOSTROPHE = regex.compile(r"(?<=\w)['’ʼ`](?=\w)")
_GOES_ON = regex.compile(
    r"\s*(?:and\s+|so\s+)?(?:(?:she|he|it|they|this|that|her|his|the|i|we|maybe|perhaps|possibly|probably|likely|instead|born)\b|s(?:ie|he)\b|er\b|es\b|elle\b|il\b|ella\b|lei\b|ela\b|он[аио]?\b|ze\b|hon\b|han\b|hun\b)"
)
_ASKING = regex.compile(
    r"^\W*(?:is|was|are|were|did|does|do|has|have|had|could|can|would|will|who|what|where|when|which|why|how|whose|ist|war|hat|wo|wer|was|est|etait|fue|nacio|onde|dove)\b"
)
_QUESTION_WORD = regex.compile(
    r"(?:吗|嗎|(?:です|ます|でした|ました|だろう|でしょう)か|니까|ไหม|มั้ย|หรือไม่|หรือเปล่า|ບໍ|ບໍ່|ឬ(?:ទេ|អត់)|(?:သ|ပါ)?လား)$"
)
"""What ends a question in a script of few or no blanks, with its mark or without."""

_ASKS_WITH_MARK = regex.compile(r"(?:か|까|까요|나요|가요|니|呢|么)$")
_GLUED = regex.compile(r"(?:ല്ല|அல்ல|ಅಲ್ಲ|కాదు)$")
_GUESSES = regex.compile(
    r"\b(?:perhaps|maybe|possibly|probably|i (?:think|believe|guess)|vielleicht|peut-etre|"
    r"quizas?|tal vez|forse|talvez|misschien|kanske|"
    r"moze|belki|может быть|возможно|наверное|ισωσ)\b"
)
_LEAD_IN = regex.compile(
    r"^\W*(?:(?:the\s+)?(?:correct\s+)?answer(?:\s+is)?\W+|she said\s+"
    r"|(?:that|this|it|the (?:claim|statement|sentence)) is\s+)?"
)
"""What may stand before a yes or a no."""

_TAG_WORDS = 3
_DENIES_BEHIND = frozenset(
    {
        "Devanagari",
        "Bengali",
        "Tamil",
        "Telugu",
        "Kannada",
        "Malayalam",
        "Gujarati",
        "Gurmukhi",
        "Sinhala",
        "Han",
        "Hangul",
    }
)
"""Scripts of languages in which a denial follows what it denies, so that it does not reach over a comma."""


def meant(reading: Reading, mention: Mention) -> bool:
    """Whether a mention is said of the subject, as far as its sentence shows."""
    start, end, asks = _sentence(reading.text, mention.start, mention.end)
    before, after = _plain(reading.text[start : mention.start]), _plain(reading.text[mention.end : end])
    tail = reading.text[mention.end : end].rstrip(" \"'」』”")
    if _QUESTION_WORD.search(tail) or (asks and _ASKS_WITH_MARK.search(tail)):
        return False
    if asks and (_is_question(before, after) or _is_answered_no(reading, end)):
        return False
    if is_candidate(reading, mention, start, end):
        return False
    after = _glued_denial(reading, mention) + after
    return not (_denied_before(before, reading.spoken) or _denied_after(after, reading.spoken))


def _glued_denial(reading: Reading, mention: Mention) -> str:
    """The denial that is written onto the mention itself: Malayalam "കൊച്ചിയിലല്ല"."""
    said = fold(reading.text[mention.start : mention.end])
    found = _GLUED.search(said) if not said.isascii() else None
    return f"{found[0]} " if found else ""


def _sentence(text: str, start: int, end: int) -> tuple[int, int, bool]:
    """Where the sentence of a mention begins and ends, and whether it asks."""
    first, last, asks = 0, len(text), False
    for found in _ends(text):
        if found.end() <= start:
            first = found.end()
        elif found.start() >= end:
            greek = found[0] == ";" and script_of(fold(text[first : found.start()])) == "Greek"
            last, asks = found.start(), greek or found[0][:1] in "?？؟"
            break
    if not asks and "՞" in text[first:last]:
        asks = True
    return first, last, asks


@lru_cache(maxsize=4096)
def _ends(text: str) -> tuple[regex.Match[str], ...]:
    return tuple(_END.finditer(text))


def _plain(text: str) -> str:
    return _APOSTROPHE.sub("", fold(text)) if not text.isascii() or "'" in text or "`" in text else text.casefold()


def _is_question(before: str, after: str) -> bool:
    """Whether a sentence with a question mark asks, and is no answer in doubt ("Lyon?", "Perhaps Lyon?")."""
    words = f"{before} {after}".split()
    if _ASKING.search(before):
        return True
    if _GUESSES.search(before):  # "I think it was Lyon?"
        return False
    return len(words) >= _TAG_WORDS or sum(len(word) > 2 for word in words) >= 2


def _is_answered_no(reading: Reading, end: int) -> bool:
    """Whether a no follows a question: "Paris? No, Rome."."""
    words = fold(reading.text[end:]).strip(" ?？؟\n\"'").split(maxsplit=1)
    first = words[0].strip(" ,.!;:—–-") if words else ""
    return any(first in languages()[name].no for name in reading.spoken)


def _denied_before(before: str, spoken: tuple[str, ...]) -> bool:
    cues = pattern(spoken, "before")
    phrases = pattern(spoken, "before_phrases")
    found = [*(cues.finditer(before) if cues else ()), *(phrases.finditer(before) if phrases else ())]
    if not found:
        return False
    harmless = pattern(spoken, "harmless")
    spared = [one.span() for one in harmless.finditer(before)] if harmless else []
    contrast = pattern(spoken, "contrast")
    for cue in found:
        if any(low <= cue.start() < high for low, high in spared):
            continue
        rest = before[cue.end() :]
        if contrast is not None and contrast.search(_APOSTROPHE.sub(" ", rest)):
            continue
        if not _is_closed(before[: cue.start()], rest):
            return True
    return False


def _is_closed(head: str, rest: str) -> bool:
    """Whether the clause of a denial has ended before the mention."""
    for mark in _CLAUSE.finditer(rest):
        between, behind = rest[: mark.start()], rest[mark.end() :]
        if not between.strip():  # "No, Lyon": a word of its own
            if not head.strip(" ,\"'“«") or head.rstrip()[-1:] in ",:;" or not head.isascii():
                return True
            continue
        if mark[0] in ":;()–—" or mark[0].strip() == "-":
            return True
        opened = head.split()[:1]
        if opened and opened[0] in tables().subordinate and not _CLAUSE.search(head):
            return True
        if not head.strip() and len(between.split()) <= _TAG_WORDS:  # "Not Rome, Lyon"
            return True
        if _GOES_ON.match(behind):
            return True
        if mark[0] in "،、，；：" or script_of(between) in _DENIES_BEHIND:
            return True
    return False


def _denied_after(after: str, spoken: tuple[str, ...]) -> bool:
    cues = pattern(spoken, "after")
    if cues is None or not after.strip():
        return False
    contrast = pattern(spoken, "contrast")
    clause = _first_clause(after)
    if contrast is not None and (stop := contrast.search(clause)):
        clause = clause[: stop.start()] if stop.start() > 12 or stop[0].isascii() else clause
    return any(cues.search(part) for part in _views(clause, after))


def _first_clause(after: str) -> str:
    """What follows up to the end of the clause; a comma right behind the mention opens a clause about it."""
    mark = _CLAUSE.search(after)
    return after if mark is None else after[: mark.start()]


def _views(clause: str, after: str) -> Iterator[str]:
    yield clause
    if after[:1] in ",:(–—-" or after[:2].strip()[:1] in ":(–—-,":
        yield after[:60]


def unsure(reading: Reading) -> bool:
    """Whether a text says that nothing is known, or that nothing will be said."""
    cues = pattern(reading.spoken, "unsure")
    return cues is not None and cues.search(fold(reading.text)) is not None


def polar_class(text: str, spoken: tuple[str, ...]) -> str | None:
    """Whether a text is a yes or a no, and nothing else; None where it is neither."""
    word = fold(text).strip(" .,!。！")
    for field in ("yes", "no"):
        if any(word in getattr(languages()[name], field) for name in spoken):
            return field
    return None


def says(reading: Reading, field: str) -> bool:
    """Whether a text answers with a yes or a no, and does not take it back."""
    words = [word for name in reading.spoken for word in getattr(languages()[name], field)]
    other = [word for name in reading.spoken for word in getattr(languages()[name], "no" if field == "yes" else "yes")]
    text = _LEAD_IN.sub("", fold(reading.text))
    return _begins(text, words, other) and not unsure(reading)


def _begins(text: str, words: list[str], other: list[str]) -> bool:
    def longest(options: list[str]) -> int:
        held = [word for word in options if text.startswith(word) and _ends_word(text[len(word) :], word)]
        return max(map(len, held), default=0)

    return longest(words) > longest(other)


def _ends_word(rest: str, word: str) -> bool:
    if not rest:
        return True
    if word[-1].isascii() or not rest[0].isalpha():
        return regex.match(r"\s*[\p{P}\n]|\s*$", rest) is not None or (
            regex.match(r"\s+(?:she|he|it|they|of course|indeed|i|we|ma.?am|sir)\b", rest) is not None
        )
    return regex.match(r"[。，、！\s]", rest) is not None
