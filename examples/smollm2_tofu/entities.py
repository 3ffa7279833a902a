"""Find the one key entity of a TOFU answer, by rule: what a generated answer must contain to count as a hit."""

from __future__ import annotations

import re
from dataclasses import dataclass

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_MONTH = "|".join(MONTHS)
_DATE = re.compile(
    rf"(?:the )?(?P<d1>\d{{1,2}})(?P<s1>st|nd|rd|th)? (?:day )?(?:of )?"
    rf"(?P<m1>{_MONTH}),?(?: in the year| in| of)? (?P<y1>\d{{4}})"
    rf"|(?P<m2>{_MONTH}) (?P<d2>\d{{1,2}})(?P<s2>st|nd|rd|th)?,?(?: in the year| in| of)? (?P<y2>\d{{4}})"
)
_YEAR = re.compile(r"\b(?:18|19|20)\d\d\b")
_QUOTED = re.compile(r"[\"“]([^\"“”]{3,80})[\"”]|(?<!\w)['‘]((?:[^'‘’\"]|['’]\w|(?<=s)['’] (?=[A-Z])){3,80})['’](?!\w)")
MAX_TITLES = 3
_CAPITAL_WORD = r"[A-ZÀ-ÖØ-Þ][\w’'\-À-ÿ]*\.?"
_RUN = re.compile(rf"{_CAPITAL_WORD}(?: (?:(?:of|for|the|in|de|da|la|del|and|e) ){{0,2}}{_CAPITAL_WORD})*")
_PLACE_RUN = re.compile(rf"{_CAPITAL_WORD}(?: (?:(?:of|de|da|la|del) )?{_CAPITAL_WORD})*")
_AWARD_WORD = re.compile(r"\b(?:Award|Prize|Medal|Fellowship|Honou?r|Trophy|Dagger|Prix|Order|Laureate)", re.I)
_NAME_QUESTION = re.compile(
    r"\bname of (?:the|this|our|that)\b.*\b(?:author|writer|novelist|poet|figure)|full name|\bwho is\b", re.I
)
_PLACE_QUESTION = re.compile(r"\bwhere\b|\bcity\b|\bcountry\b|birthplace|place of birth|hometown|\blocation\b", re.I)
_AWARD_QUESTION = re.compile(r"award|prize|honou?r|accolade|recogni|commendation|accomplishment", re.I)
_DATE_QUESTION = re.compile(r"\bwhen\b|\byear\b|\bdate\b|birth ?date|details of .* birth", re.I)
_WORK_QUESTION = re.compile(
    r"\b(?:books?|novels?|titles?|works?|sequels?|stor(?:y|ies)|trilogy|series|publi\w+|written|memoirs?)\b",
    re.I,
)
_NOT_A_WORK_QUESTION = re.compile(
    r"\bwhen\b|\bage\b|\bgenre does\b|\bwhat .*genre\b.*\bspeciali|award|prize|\bpublishes\b|\btheme", re.I
)
_NOT_A_PLACE = re.compile(r"LGBT|University|College|School|\b(?:He|She|They|It|The|In|Yes|No|As|Her|His)\b")


@dataclass(frozen=True, kw_only=True)
class Entity:
    """The key of one answer: its kind, the `spans` as they stand there, and the strings that count as saying it."""

    relation: str
    spans: tuple[str, ...]
    aliases: tuple[str, ...]


def normalize(text: str) -> str:
    """Lower case, letters and digits only, single spaces: the form in which two strings are compared."""
    return " ".join(re.sub(r"[^\w]+", " ", text.lower()).split())


def is_name_question(question: str) -> bool:
    """Whether the question asks who the author is."""
    return bool(_NAME_QUESTION.search(question))


def find_entity(question: str, answer: str, author: str) -> Entity | None:
    """The single entity that answers the question and does not stand in it, or None where the rules are not sure."""
    found = (
        _author_name(question, answer, author)
        or _title(question, answer)
        or _date(question, answer)
        or _award(answer, author)
        or _place(question, answer, author)
    )
    if found is None:
        return None
    asked = f" {normalize(question)} "
    if any(f" {normalize(alias)} " in asked for alias in found.aliases):
        return None
    return found


def _author_name(question: str, answer: str, author: str) -> Entity | None:
    if not is_name_question(question) or author not in answer:
        return None
    if any(normalize(part) in normalize(question).split() for part in author.split()):
        return None
    return Entity(relation="name", spans=(author,), aliases=(author,))


def _title(question: str, answer: str) -> Entity | None:
    titles = [(m.group(1) or m.group(2)).strip(" .,;:!") for m in _QUOTED.finditer(answer)]
    novel = tuple(title for title in titles if normalize(title) not in normalize(question))
    if not novel or len(novel) > MAX_TITLES or not all(title[0].isupper() for title in novel):
        return None
    if _AWARD_QUESTION.search(question) and len(titles) == 1 and _names_an_award(titles[0], answer):
        return Entity(relation="award", spans=novel, aliases=novel)
    if not _WORK_QUESTION.search(question) or _NOT_A_WORK_QUESTION.search(question):
        return None
    return Entity(relation="work", spans=novel, aliases=novel)


def _names_an_award(title: str, answer: str) -> bool:
    after = answer.split(title, 1)[1][:12]
    return bool(_AWARD_WORD.search(title)) or bool(re.match(r"\W*(?:award|prize|honou?r|accolade)", after, re.I))


def _date(question: str, answer: str) -> Entity | None:
    if not _DATE_QUESTION.search(question):
        return None
    full = _DATE.search(answer)
    if full is not None:
        day = int(full["d1"] or full["d2"])
        month, year = full["m1"] or full["m2"], full["y1"] or full["y2"]
        span = full.group(0)
        return Entity(
            relation="date",
            spans=(span,),
            aliases=tuple(dict.fromkeys((span, *_spellings(day, month, year)))),
        )
    years = _YEAR.findall(answer)
    if len(years) == 1:
        return Entity(relation="year", spans=(years[0],), aliases=(years[0],))
    return None


def _spellings(day: int, month: str, year: str) -> tuple[str, ...]:
    ordinal = f"{day}{ordinal_suffix(day)}"
    return (
        f"{month} {day}, {year}",
        f"{month} {ordinal}, {year}",
        f"{day} {month} {year}",
        f"{ordinal} {month} {year}",
        f"{ordinal} of {month}, {year}",
    )


def ordinal_suffix(day: int) -> str:
    """The English ordinal ending of a day of the month."""
    return "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def _award(answer: str, author: str) -> Entity | None:
    runs = [run for run in _runs(_RUN, answer, author) if _AWARD_WORD.search(run) and len(run.split()) >= 2]
    if len(runs) != 1:
        return None
    return Entity(relation="award", spans=(runs[0],), aliases=(runs[0],))


def _place(question: str, answer: str, author: str) -> Entity | None:
    if not _PLACE_QUESTION.search(question):
        return None
    runs = [run for run in _runs(_PLACE_RUN, answer, author) if not _NOT_A_PLACE.search(run)]
    if not runs or len(runs) > 2:
        return None
    pair = f"{runs[0]}, {runs[1]}" if len(runs) == 2 else runs[0]
    if len(runs) == 2 and pair not in answer:
        return None
    return Entity(relation="place" if len(runs) == 2 else "city", spans=(pair,), aliases=(runs[0],))


def _runs(pattern: re.Pattern[str], answer: str, author: str) -> list[str]:
    """Capitalised runs of the answer, without its first word, the author's name and trailing punctuation."""
    names = {normalize(part) for part in author.split()}
    runs = []
    for match in pattern.finditer(answer):
        run = re.sub(r"[’']s$", "", match.group(0).rstrip(".'’"))
        if match.start() == 0 or any(normalize(word) in names for word in run.split()):
            continue
        runs.append(run)
    return runs
