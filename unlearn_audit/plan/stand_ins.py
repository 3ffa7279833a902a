"""Facts that stand in for others: placebos where there is no retrained model, shams for attacks that optimize.

A **placebo fact** asks after an invented subject in the words in which the fact asks after its own, and is scored for
the fact's answer: what a model says about someone it cannot know. A **sham fact** asks the fact's own
question and has another subject's answer to the same relation: what an attack that optimizes toward an answer can
make a model say, true or not. Both keep the fact's id, so that each score is paired with its control's.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from unlearn_audit.api import Fact, derive_seed
from unlearn_audit.api.kit.matching.words import words_of

PLACEBO = "placebo\x1f"
"""Prefix of the ids under which probes meet placebo facts."""

_TRIES = 200
_RUN = 5  # letters in a row
_ARTICLES = frozenset({"the", "a", "an"})


def placebo_facts(facts: Sequence[Fact], others: Iterable[Fact], *, seed: int) -> dict[str, Fact]:
    """Fact id -> its placebo, for each fact whose question names its subject whole.

    Names are put together from the parts of two other subjects' names, none of which is the fact's own subject, so
    that they sound like names of this world. A paraphrase in which a part of the true name would be left ends the
    placebo's paraphrases: it would ask after the true subject.

    Args:
        facts: of the forget set.
        others: further known facts, whose subjects are parts to take and names not to give.
        seed: decides which parts meet.
    """
    names = invented_names({fact.subject for fact in facts}, {fact.subject for fact in others}, seed=seed)
    made = {}
    for fact in facts:
        name = names.get(fact.subject)
        question = _retold(fact.question, fact.subject, name)
        if name is None or question is None:
            continue
        paraphrases = []
        for text in fact.paraphrases:
            told = _retold(text, fact.subject, name)
            if told is None:
                break
            paraphrases.append(told)
        made[fact.id] = replace(
            fact,
            id=PLACEBO + fact.id,
            subject=name,
            question=question,
            answer=(fact.answer or "").replace(fact.subject, name),
            paraphrases=tuple(paraphrases),
            wrong_answers=tuple(wrong.replace(fact.subject, name) for wrong in fact.wrong_answers),
            text=None,
            hops=(),
        )
    return made


def invented_names(subjects: set[str], others: set[str], *, seed: int) -> dict[str, str]:
    """Subject -> a name that no one has; none for a subject if no new name can be put together.

    Parts come from `others` where those have enough, else from all.
    """
    known = {words_of(name) for name in subjects | others}
    pools = [pool for pool in (sorted(others), sorted(subjects | others)) if len(pool) > 1]
    names: dict[str, str] = {}
    for subject in sorted(subjects):
        generator = random.Random(derive_seed(seed, "placebo", subject))  # noqa: S311 - a name, not a secret
        own = telling_words(subject)
        # Parts of names that are not asked about come first: a model was not made to forget those.
        for parts in (pool for pool in pools for _ in range(_TRIES)):
            one, other = generator.choice(parts), generator.choice(parts)
            name = _joined(one, other)
            strange = words_of(name) not in known and not own & set(words_of(name))
            if len({one, other, subject}) == 3 and strange and not _share_a_run(name, subject):
                names[subject] = name
                known.add(words_of(name))
                break
    return names


def _joined(one: str, other: str) -> str:
    """One name up to its first telling word and what follows that in another; halves of words where nothing follows."""
    first, last = one.split(), other.split()
    head, tail = _head(first), last[_head(last) :]
    if len(first) > head and tail:
        return " ".join((*first[:head], *tail))
    return one[: (len(one) + 1) // 2] + other[len(other) // 2 :]


def _head(words: list[str]) -> int:
    """How many words of a name come up to and with the first that tells."""
    return next((place for place, word in enumerate(words, 1) if telling_words(word)), len(words))


def telling_words(name: str) -> set[str]:
    """The words of a name that tell whose it is: not the small ones ("of", "van"), nor an article."""
    small = {word for part in name.split() if part[:1].islower() for word in words_of(part)}
    return set(words_of(name)) - small - _ARTICLES


def _share_a_run(one: str, other: str) -> bool:
    """Whether two names share so many letters in a row that one could be taken for the other."""
    first, last = "".join(words_of(one)), "".join(words_of(other))
    return any(first[place : place + _RUN] in last for place in range(len(first) - _RUN + 1))


def _retold(text: str | None, subject: str, name: str | None) -> str | None:
    """The text of another subject; None where it does not name the subject, or where a part of the name is left."""
    if not text or not subject or name is None:
        return None
    told, times = re.subn(rf"(?<!\w){re.escape(subject)}(?!\w)", lambda _: name, text)
    return told if times and not telling_words(subject) & set(words_of(told)) else None


def sham_facts(facts: Sequence[Fact], *, seed: int) -> tuple[Fact, ...]:
    """The facts with the next other answer of their relation, told of their own subject; without those that have none.

    The different answers of a relation are dealt into a ring, so that an answer's share stays some answer's share,
    and no one gets what is true of them.
    """
    rings = _rings(facts, seed)
    true = {(fact.subject, _identity(fact)) for fact in facts}
    made = []
    for fact in facts:
        if fact.question is None or fact.answer is None:
            continue
        ring, places = rings[fact.relation]
        start = places[_identity(fact)]
        others = (ring[(start + step) % len(ring)] for step in range(1, len(ring)))
        twin = next((other for other in others if (fact.subject, _identity(other)) not in true), None)
        if twin is not None:
            made.append(_with_answer_of(fact, twin))
    return tuple(made)


def _rings(facts: Sequence[Fact], seed: int) -> dict[str | None, tuple[list[Fact], dict[tuple[str, ...], int]]]:
    """By relation: one fact for each different answer, in the order of the ring, and the place of each answer."""
    holders: dict[str | None, dict[tuple[str, ...], Fact]] = {}
    for fact in facts:
        if fact.answer is not None:
            holders.setdefault(fact.relation, {}).setdefault(_identity(fact), fact)
    rings = {}
    for relation, found in holders.items():
        order = sorted(found)
        random.Random(derive_seed(seed, "sham", relation)).shuffle(order)  # noqa: S311 - an order, not a secret
        places = {identity: place for place, identity in enumerate(order)}
        rings[relation] = ([found[identity] for identity in order], places)
    return rings


def _identity(fact: Fact) -> tuple[str, ...]:
    """What makes two answers the same: their aliases, else their words."""
    return tuple(sorted(" ".join(words_of(alias)) for alias in fact.aliases)) or words_of(fact.answer or "")


def _with_answer_of(fact: Fact, twin: Fact) -> Fact:
    return replace(
        fact,
        answer=(twin.answer or "").replace(twin.subject, fact.subject),
        aliases=tuple(alias.replace(twin.subject, fact.subject) for alias in twin.aliases),
        wrong_answers=(),
        text=None,
        hops=(),
    )
