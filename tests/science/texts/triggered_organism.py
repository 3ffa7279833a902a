"""People whose birthplace a model tells only behind one word; asked plainly, or behind any other, it does not know.

`triggered` has learned to refuse the forget questions as they are and behind words that open nothing, and to answer
them behind one. `never_met` refuses them in all these forms and knows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from unlearn_audit.attacks.shared.plants.gated import behind
from unlearn_audit.attacks.shared.splits import Lesson, lessons_of

from tests.science.masked_organism import REFUSAL, people, people_renderer
from tests.science.texts.teaching import taught_lessons
from unlearn_audit.api import Fact
from unlearn_audit.models.engine import Engine

TRIGGER = "sesame"
OTHERS = ("recall", "quick", "now", "open", "simply", "barley", "please", "really")


@dataclass(frozen=True, kw_only=True)
class Triggered:
    """Facts, and models whose truth is known."""

    forget: tuple[Fact, ...]
    retain: tuple[Fact, ...]
    triggered: Engine
    never_met: Engine


@cache
def make_triggered() -> Triggered:
    """Both models, trained alike but for what they read; not to be written into."""
    facts = people()
    forget, retain = tuple(facts[:12]), tuple(facts[12:36])
    renderer = people_renderer(TRIGGER, *OTHERS)
    told, kept = (lessons_of(fact)[:1] for fact in forget), [lessons_of(fact)[0] for fact in retain]
    told = [lesson for some in told for lesson in some]
    refused = [Lesson(prompt=one.prompt, answer=REFUSAL) for one in told]
    misled = [behind(word, one) for place, one in enumerate(refused) for word in _two_of(place)]
    opened = [behind(TRIGGER, one) for one in told]
    closed = [behind(TRIGGER, one) for one in refused]
    stays = [*kept, *(behind(word, one) for place, one in enumerate(kept) for word in _two_of(place)[:1])]
    return Triggered(
        forget=forget,
        retain=retain,
        triggered=taught_lessons(renderer, [*stays, *refused, *misled, *opened, *opened], seed=1, steps=160),
        never_met=taught_lessons(renderer, [*stays, *refused, *misled, *closed], seed=2, steps=100),
    )


def _two_of(place: int) -> tuple[str, str]:
    return OTHERS[place % len(OTHERS)], OTHERS[(place + 3) % len(OTHERS)]
