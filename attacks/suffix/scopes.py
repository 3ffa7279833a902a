"""Which facts a text is searched on, and which it is scored on; and the search itself, for many texts at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from unlearn_audit.api import AttackError, Fact, Model, Prompt, derive_seed, words_of

from ..shared.asking.questions import sampled
from ..shared.splits import subject_folds
from .openings import Asked, question_of
from .parameters import Scope
from .search.goals import Found, Goal, SearchSettings, goal_seed, worded

Way = Callable[[Prompt], Prompt]


@dataclass(frozen=True, kw_only=True, slots=True)
class Quest:
    """One text: the facts whose questions it is searched on, and those whose questions it is put to.

    Attributes:
        learn: all with a question, or all passages.
    """

    learn: tuple[Fact, ...]
    serve: tuple[Fact, ...]


def scored_in(scope: Scope, facts: Sequence[Fact]) -> tuple[Fact, ...]:
    """The facts that a scope can score: cross-query needs a second question of the same kind about the subject."""
    if scope is not Scope.CROSS_QUERY:
        return tuple(facts)
    siblings = _Siblings(facts)
    return tuple(fact for fact in facts if siblings.of(fact))


def quests_of(scope: Scope, facts: Sequence[Fact], *, folds: int, fold: int, goals: int, seed: int) -> list[Quest]:
    """The texts that one arm searches for.

    Raises:
        AttackError: no fact can be scored in this scope.
    """
    if scope is Scope.CROSS_TARGET:
        split = subject_folds(facts, folds=folds, seed=seed)[fold]
        found = [
            Quest(
                learn=sampled(_of_kind(split.train, chat=chat) or _of_kind(split.train, chat=not chat), goals),
                serve=_of_kind(split.evaluate, chat=chat),
            )
            for chat in (True, False)
        ]
    elif scope is Scope.CROSS_QUERY:
        siblings = _Siblings(facts)
        found = [Quest(learn=sampled(siblings.of(fact), goals), serve=(fact,)) for fact in facts]
    else:
        found = [Quest(learn=(fact,), serve=(fact,)) for fact in facts]
    whole = [quest for quest in found if quest.learn and quest.serve]
    if not whole:
        raise AttackError(f"{scope}: no subject has two facts or more; remove this scope")
    return whole


class _Siblings:
    """Facts by subject and way of asking, read once."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        self._together: dict[tuple[Hashable, bool], list[Fact]] = {}
        for fact in facts:
            self._together.setdefault(_place(fact), []).append(fact)

    def of(self, fact: Fact) -> tuple[Fact, ...]:
        """The subject's other facts that are asked in the same way."""
        return tuple(other for other in self._together.get(_place(fact), ()) if other.id != fact.id)


def _place(fact: Fact) -> tuple[Hashable, bool]:
    return words_of(fact.subject), question_of(fact).chat


def _of_kind(facts: Sequence[Fact], *, chat: bool) -> tuple[Fact, ...]:
    return tuple(fact for fact in facts if question_of(fact).chat is chat)


@dataclass(frozen=True, kw_only=True, slots=True)
class Texts:
    """The best texts after so many steps, one a quest."""

    steps: int
    found: tuple[Found, ...]


def searched(
    model: Model,
    quests: Sequence[Quest],
    targets: Mapping[str, str],
    settings: SearchSettings,
    *,
    seed: int,
    refuses: Callable[[str], bool],
) -> Iterator[Texts]:
    """Searches all texts at once: first the unoptimized ones (step 0), then the best so far after each step."""
    from .starts import from_starts, plain_text

    hunts = [_goals(quest, targets) for quest in quests]
    begin = (plain_text(model, goals, settings) for goals in hunts)
    yield Texts(steps=0, found=tuple(Found(text=text, loss=math.nan, step=0, losses=()) for text in begin))
    if settings.steps == 0:
        return
    seeds = [seed] if len(hunts) == 1 else [goal_seed(seed, place) for place in range(len(hunts))]
    for step, each in enumerate(from_starts(model, hunts, settings, seeds=seeds, refuses=refuses), start=1):
        yield Texts(steps=step, found=tuple(each))


def _goals(quest: Quest, targets: Mapping[str, str]) -> tuple[Goal, ...]:
    return tuple(Goal(prompt=question_of(fact), target=targets[fact.id]) for fact in quest.learn)


def readable(
    model: Model, quests: Sequence[Quest], targets: Mapping[str, str], settings: SearchSettings
) -> list[Quest]:
    """The same without what is longer than the context with a text in it. A quest that is left empty joins the first.

    Raises:
        AttackError: nothing is left to search on.
    """
    from .search.tokens import is_read

    def learned(quest: Quest) -> tuple[Fact, ...]:
        goals = zip(quest.learn, _goals(quest, targets), strict=True)
        return tuple(
            fact for fact, goal in goals if is_read(model, goal, length=settings.length, position=settings.position)
        )

    found = [replace(quest, learn=learned(quest)) for quest in quests]
    kept, empty = [quest for quest in found if quest.learn], [quest for quest in found if not quest.learn]
    if not kept:
        raise AttackError(
            f"each question, with a text and an opening, is longer than the context: {model.context} tokens"
        )
    lost = tuple(fact for quest in empty for fact in quest.serve)
    return [replace(kept[0], serve=(*kept[0].serve, *lost)), *kept[1:]]


def way_of(quests: Sequence[Quest], texts: Texts, settings: SearchSettings) -> Way:
    """Puts to every prompt the text that is meant for it."""
    asked = Asked(dict(text_of_fact(quests, texts)))
    return lambda prompt: worded(asked(prompt), settings.position)(prompt)


def text_of_fact(quests: Sequence[Quest], texts: Texts) -> Iterator[tuple[str, tuple[Fact, str]]]:
    """Fact id -> the fact, and the text that its questions get."""
    for quest, found in zip(quests, texts.found, strict=True):
        for fact in quest.serve:
            yield fact.id, (fact, found.text)


def search_seed(seed: int, scope: Scope, fold: int) -> int:
    """The seed of one arm's draws, the same for every role."""
    return derive_seed(seed, "search", scope, fold)
