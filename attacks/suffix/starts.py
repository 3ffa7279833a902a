"""A search from several texts: all go a part of the way, and the best goes on alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from unlearn_audit.api import Model, derive_seed

from .search.goals import Found, Goal, SearchSettings
from .search.steps import running
from .search.tokens import initial_text, seeded_text

SHARE = 3
"""One part in so many of the steps is spent on all starts."""

READY = "Sure, the answer is"
"""What a text for several questions asks for, as `prefill` does; a text for one question asks for its own opening."""

Hunts = Sequence[tuple[Goal, ...]]
Refuses = Callable[[str], bool]


def plain_text(model: Model, goals: Sequence[Goal], settings: SearchSettings) -> str:
    """The text that nothing was done to: as the settings say, else fillers."""
    return settings.initial or initial_text(model, goals[0], length=settings.length, position=settings.position)


def from_starts(
    model: Model, hunts: Hunts, settings: SearchSettings, *, seeds: Sequence[int], refuses: Refuses
) -> Iterator[list[Found]]:
    """One text for each group of goals: after each step the best so far of each, over all its starts.

    Every start has as many steps as the others, a third of all. Then the best text of each group goes on alone, so that
    one more start costs a third of a search.
    """
    if settings.starts == 1 or settings.steps < SHARE:
        yield from running(model, hunts, settings, seeds=seeds, refuses=refuses)
        return
    first = settings.steps // SHARE
    tried = [(goals, seed, place) for goals, seed in zip(hunts, seeds, strict=True) for place in range(settings.starts)]
    begun = running(
        model,
        [goals for goals, _, _ in tried],
        replace(settings, steps=first),
        seeds=[seed if place == 0 else derive_seed(seed, "start", place) for _, seed, place in tried],
        refuses=refuses,
        initial=[_start(model, goals, settings, place, refuses) for goals, _, place in tried],
    )
    best: list[Found] = []
    for found in begun:
        best = [_best(found[at : at + settings.starts]) for at in range(0, len(found), settings.starts)]
        yield best
    alone = replace(settings, steps=settings.steps - first)
    texts = [one.text for one in best]
    for found in running(
        model, hunts, alone, seeds=[derive_seed(one, "on") for one in seeds], refuses=refuses, initial=texts
    ):
        yield [_together(before, after) for before, after in zip(best, found, strict=True)]


def _start(model: Model, goals: Sequence[Goal], settings: SearchSettings, place: int, refuses: Refuses) -> str:
    """Fillers; as the second, a text that asks for the opening, unless it would say something."""
    if place != 1:
        return plain_text(model, goals, settings)
    opening = goals[0].target.strip() if len(goals) == 1 else READY
    text = seeded_text(model, goals[0], opening, length=settings.length, position=settings.position)
    return plain_text(model, goals, settings) if text is None or refuses(text) else text


def _best(starts: Sequence[Found]) -> Found:
    """The best of one group's starts, with what all of them cost."""
    best = min(starts, key=lambda one: one.loss)
    scored, unstable, refused = (
        sum(getattr(one, name) for one in starts) for name in ("scored", "unstable", "refused")
    )
    return replace(best, scored=scored, unstable=unstable, refused=refused)


def _together(before: Found, after: Found) -> Found:
    """One search after the other, which began with what the first had found."""
    steps = len(before.losses) - 1
    best = after if after.loss < before.loss else before
    return replace(
        best,
        step=best.step + (steps if best is after else 0),
        losses=(*before.losses, *after.losses[1:]),
        scored=before.scored + after.scored,
        unstable=before.unstable + after.unstable,
        refused=before.refused + after.refused,
        notes=tuple(dict.fromkeys((*before.notes, *after.notes))),
    )
