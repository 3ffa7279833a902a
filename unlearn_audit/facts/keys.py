"""What an answer is looked for by, told before anything runs: which facts are judged how, and which cannot be.

Reads the facts as the probes will. Texts of answers are for the screen of those who have the facts; what a run keeps
counts them only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from unlearn_audit.api import Fact
from unlearn_audit.api.kit.answer_key import AnswerKey, Output, answer_key, sentences_of
from unlearn_audit.api.kit.asking import is_askable
from unlearn_audit.api.kit.matching.entities import rarity_in
from unlearn_audit.api.kit.printable import listed

MOST_READ = 2000
"""Facts of a large set that are looked at for a remark, evenly spread: keys cost about a millisecond each."""

_MOST_NAMED = 5


class Way(StrEnum):
    """How a fact's answer is looked for."""

    AS_WRITTEN = "as written"
    NAMES = "names in the sentence"
    WORDING = "wording of the sentence"
    NONE = "not at all"


@dataclass(frozen=True, kw_only=True)
class Looked:
    """One fact with what it is looked for by.

    Attributes:
        texts: any of them where it is looked for as written, else all.
        by_chance: ordinary text holds it by chance.
        missing: why it cannot be judged, or None.
    """

    fact: Fact
    way: Way
    texts: tuple[str, ...]
    by_chance: bool
    missing: str | None


def looked_for(facts: Sequence[Fact]) -> Iterator[Looked]:
    """How each fact with a question is judged, in their order."""
    asked = [fact for fact in facts if is_askable(fact)]
    rarity = rarity_in(sentences_of(asked))
    for fact in asked:
        key = answer_key(fact, rouge_threshold=1.0, rarity=rarity).asked(Output(fact.question or ""))
        yield Looked(fact=fact, way=_way(key), texts=key.texts, by_chance=key.by_chance, missing=key.missing)


def _way(key: AnswerKey) -> Way:
    if key.missing is not None:
        return Way.NONE
    if key.told is None:
        return Way.AS_WRITTEN
    return Way.NAMES if key.told.fixed or key.told.names else Way.WORDING


def key_remarks(facts: Sequence[Fact], *, has_control: bool) -> tuple[str, ...]:
    """What the user should know about the answers of a set; without their words.

    Args:
        facts: the set; of a large one, some are looked at.
        has_control: there is a model that was trained without the facts.
    """
    step = max(1, len(facts) // MOST_READ)
    return remarks_on(list(looked_for(facts[::step])), has_control=has_control)


def remarks_on(found: Sequence[Looked], *, has_control: bool) -> tuple[str, ...]:
    """The same, of answers that were looked at already."""
    said = (_chances(found, has_control=has_control), _sentences(found), _unjudged(found))
    return tuple(remark for remark in said if remark)


def _chances(found: Sequence[Looked], *, has_control: bool) -> str | None:
    ids = [one.fact.id for one in found if one.by_chance and one.missing is None]
    if not ids:
        return None
    advice = "" if has_control else ": give --retrained, or a relation to facts that have twins"
    return (
        f"{len(ids)} of {len(found)} facts have an answer that any text may hold by chance (a yes or a no, a small "
        f"number, a letter, an ordinary word), e.g. {listed(ids, _MOST_NAMED)}; a hit of theirs tells something only "
        f"against a control or twins{advice}"
    )


def _sentences(found: Sequence[Looked]) -> str | None:
    ways = Counter(one.way for one in found)
    sentences = ways[Way.NAMES] + ways[Way.WORDING]
    if not sentences:
        return None
    told = f"{sentences} of {len(found)} facts answer in a whole sentence without aliases"
    if not ways[Way.WORDING]:
        return f"{told}; they are judged by the names, numbers and dates in it (`unlearn-audit facts check` shows them)"
    return (
        f"{told}; {ways[Way.WORDING]} of these hold no name, number or date that the question does not say, and are a "
        "hit where enough of their words come back: give them aliases, or use --judge entailment "
        "(`unlearn-audit facts check` shows what is looked for)"
    )


def _unjudged(found: Sequence[Looked]) -> str | None:
    missing = [one for one in found if one.missing is not None]
    if not missing:
        return None
    ids = listed([one.fact.id for one in missing], _MOST_NAMED)
    return f"{len(missing)} of {len(found)} facts cannot be judged by their answer ({missing[0].missing}), e.g. {ids}"
