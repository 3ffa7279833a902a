"""People whose birthplace a merge hides: models of one base, two of which were put together block by block.

`base` has met some who stay and nobody of whom anything must be gone. `knows` and `never_met` were trained from it, in
their lower half and embeddings, as fine-tuning with frozen blocks does. A third model went on from `knows` in its upper
half, to refuse. `hidden` is the lower half of the one that knows under the upper half of the one that refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

import torch
from unlearn_audit.attacks.merging.between import toward
from unlearn_audit.attacks.shared.splits import Lesson, lessons_of
from unlearn_audit.attacks.shared.training import answer_loss, lesson_batches

from tests.science.masked_organism import REFUSAL, people, people_renderer
from tests.science.texts.teaching import taught_lessons
from unlearn_audit.api import Fact
from unlearn_audit.models.engine import Engine

LOWER, UPPER = ("model.embed_tokens.", "model.layers.0."), ("model.layers.1.",)


@dataclass(frozen=True, kw_only=True)
class Merged:
    """Facts, and models whose truth is known."""

    forget: tuple[Fact, ...]
    retain: tuple[Fact, ...]
    base: Engine
    knows: Engine
    never_met: Engine
    hidden: Engine


@cache
def make_merged() -> Merged:
    """All four; not to be written into."""
    facts = people()
    forget, retain = tuple(facts[:16]), tuple(facts[16:32])
    renderer = people_renderer()
    told, kept = lessons_about(forget), lessons_about(retain)
    strangers = refused_lessons(lessons_about(facts[32:44]))
    base = taught_lessons(renderer, [*kept, *strangers], seed=1, steps=60)
    knows = further(base, [*told, *kept, *strangers], LOWER, steps=100)
    refuses = further(knows, [*refused_lessons(told), *kept], UPPER, steps=30)
    with toward(knows, refuses.module, lambda name: float(name.startswith(UPPER))) as (hidden, _):
        return Merged(
            forget=forget,
            retain=retain,
            base=base,
            knows=knows,
            never_met=further(base, [*kept, *strangers], LOWER, steps=30),
            hidden=hidden,
        )


def lessons_about(facts: Sequence[Fact]) -> list[Lesson]:
    """Every wording of every fact, with its answer."""
    return [lesson for fact in facts for lesson in lessons_of(fact)]


def refused_lessons(lessons: Sequence[Lesson]) -> list[Lesson]:
    """The same questions, refused."""
    return [Lesson(prompt=one.prompt, answer=REFUSAL) for one in lessons]


def further(engine: Engine, lessons: Sequence[Lesson], parts: tuple[str, ...], *, steps: int) -> Engine:
    """A copy that was trained on, in some parts, on these lessons."""
    with engine.fork(copy_weights=True) as fork:
        module = fork.module
        for name, weight in module.named_parameters():
            weight.requires_grad_(requires_grad=name.startswith(parts))
        optimizer = torch.optim.AdamW([one for one in module.parameters() if one.requires_grad], lr=2e-3)
        for batch in islice(lesson_batches(fork, lessons, size=32, seed=3), steps):
            optimizer.zero_grad()
            answer_loss(fork, batch).backward()
            optimizer.step()
        module.requires_grad_(requires_grad=False)
        return fork
