"""One spelling of subjects and ids: what differs only in case, blanks or Unicode form is one."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from unlearn_audit.api import Fact
from unlearn_audit.api.kit.printable import listed

_MOST_NAMED = 5
_TYPED = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-") | dict.fromkeys("\u2018\u2019\u02bc\u2032", "'")
)


@lru_cache(maxsize=65_536)
def folded(text: str) -> str:
    """A name or a question in the spelling that all are compared in.

    Unicode form (compatibility forms too), case, runs of blanks and invisible characters do not count, nor which of the
    hyphens and apostrophes was typed.
    """
    if text.isascii():  # all that is below does nothing to it
        return " ".join(text.casefold().split())
    plain = unicodedata.normalize("NFKC", text).translate(_TYPED)
    visible = "".join(character for character in plain if unicodedata.category(character) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", visible.casefold()).split())


def with_one_spelling(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    """The facts, each subject spelled as most of its facts spell it, in composed form and without stray blanks."""
    spellings: dict[str, Counter[str]] = {}
    for fact in facts:
        spellings.setdefault(folded(fact.subject), Counter())[_tidy(fact.subject)] += 1
    chosen = {key: counts.most_common(1)[0][0] for key, counts in spellings.items()}
    return tuple(
        fact if fact.subject == (name := chosen[folded(fact.subject)]) else replace(fact, subject=name)
        for fact in facts
    )


def remarks(facts: Sequence[Fact], places: Mapping[str, str], source: str, *, published: bool) -> tuple[str, ...]:
    """What a user should know about the rows of a set: by place and id, never by name.

    Args:
        facts: as they were read.
        places: fact id -> its place in the source.
        source: where they came from.
        published: a preset read them: it names the subjects itself, where the benchmark's files do.
    """
    found = (_respelled(facts, places), _repeated(facts), _named_ids(facts), _alone(facts, places, published=published))
    return tuple(f"{source}: {remark}" for remark in found if remark)


def _alone(facts: Sequence[Fact], places: Mapping[str, str], *, published: bool) -> str | None:
    """Questions that nobody said whom they are about: each would count as somebody of its own."""
    alone = [places[fact.id] for fact in facts if fact.question and folded(fact.subject) == folded(fact.id)]
    if not alone:
        return None
    remedy = (
        "the benchmark's files name none; `facts convert` writes them for you to add a `subject`"
        if published
        else "name whom they are about (`subject`), say --subject-rows where they stand in blocks, or read a published "
        "file through its preset (`list presets`)"
    )
    return (
        f"{len(alone)} questions have no subject but their own id, so that each counts as one person and nobody can be "
        f"seen to be back ({listed(alone, _MOST_NAMED)}); {remedy}"
    )


def _respelled(facts: Sequence[Fact], places: Mapping[str, str]) -> str | None:
    first: dict[str, str] = {}
    others: list[str] = []
    several: set[str] = set()
    for fact in facts:
        key = folded(fact.subject)
        if first.setdefault(key, fact.subject) != fact.subject:
            several.add(key)
            others.append(places[fact.id])
    if not several:
        return None
    subjects = f"{len(several)} {'subjects are' if len(several) > 1 else 'subject is'}"
    return (
        f"{subjects} spelled in several ways that differ only in case, blanks or Unicode form, and each counts as one "
        f"subject ({listed(others, _MOST_NAMED)})"
    )


def _repeated(facts: Sequence[Fact]) -> str | None:
    """Questions that stand more than once, and those of them that have other answers each time."""
    rows: dict[str, list[Fact]] = {}
    for fact in facts:
        if fact.question:
            rows.setdefault(folded(fact.question), []).append(fact)
    repeated = [group for group in rows.values() if len(group) > 1]
    contrary = [group for group in repeated if not _agree(group)]
    said = [
        f"{what}: {listed([' and '.join(repr(fact.id) for fact in group[:3]) for group in groups], _MOST_NAMED)}"
        for what, groups in (
            ("the same question with other answers", contrary),
            ("the same question twice", [group for group in repeated if group not in contrary]),
        )
        if groups
    ]
    return f"{'; '.join(said)}; check which row is right, and remove the other" if said else None


def _agree(group: Sequence[Fact]) -> bool:
    """Whether any two rows have an answer in common, by answers and aliases."""
    answers = [{folded(text) for text in (fact.answer or "", *fact.aliases)} for fact in group]
    return all(not one.isdisjoint(other) for place, one in enumerate(answers) for other in answers[place + 1 :])


def _named_ids(facts: Sequence[Fact]) -> str | None:
    told = [fact for fact in facts if folded(fact.subject) != folded(fact.id)]  # or there is no name, see `_alone`
    held = [fact for fact in told if (name := _letters(fact.subject)) and len(name) > 3 and name in _letters(fact.id)]
    if not held:
        return None
    count = f"{len(held)} {'facts' if len(held) > 1 else 'fact'}"
    return f"the ids of {count} hold the name of their subject; ids stand in every result, so give ids that name no one"


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, folded(text)))


def _tidy(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
