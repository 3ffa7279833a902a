"""What an adversary sees of a training without any scored fact: how well it learns its own lessons.

By that a training chooses its learning rate, where the grid of rates is too dear for every rate to be a dose, and by
that it is told whether it went far enough. The rule and the budget are the same in every role. Nothing is chosen on a
positive control: one that cannot be made, or that hides more shallowly than the checkpoint does, decides nothing.

Text that has nothing to do with the questions can wreck a model at a rate at which the facts themselves do not: on the
bundled original, 80 steps at 1e-3 on sentences about the forget subjects left 15 % of its answers (all weights) or 32 %
(LoRA). A model that does not answer any more recovers nothing. So a training on benign text prefers the rates that
leave enough of the model's own retain answers, if any does.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from unlearn_audit.api import AnswerScore, Json, Model, derive_seed

from ..shared.hiding import mean_probability
from ..shared.splits import Lesson
from .parameters import ANSWERED, PLATEAU_FACTOR

MOST_MEASURED = 64
FIRST_CHOICES = 0.95
"""Share of a lesson's answer tokens that must be first choices: all of a short answer, nearly all of a passage."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How well a model knows a training's own lessons.

    Attributes:
        answered: share of them whose answers are its first choice, token for token.
        learned: mean length-normalized probability of the answers, in [0, 1].
        kept: share of the model's own retain answers that is left, by mean probability; None where not measured.
    """

    answered: float
    learned: float
    kept: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Exam:
    """The lessons that are asked, the same of every role; `retain` where a rate has to leave those answers."""

    lessons: tuple[Lesson, ...]
    retain: tuple[Lesson, ...] = ()
    retained_before: float | None = None

    def __call__(self, model: Model) -> Standing:
        """Asks a model.

        Raises:
            AttackError: a probability of a retain answer is not a number.
        """
        scores = model.score([(lesson.prompt, lesson.answer) for lesson in self.lessons])
        known = [score.probability for score in scores if score.probability == score.probability]
        kept = mean_probability(model, self.retain) / self.retained_before if self.retained_before else None
        return Standing(
            answered=sum(map(_is_answered, scores)) / len(scores), learned=sum(known) / len(scores), kept=kept
        )


def drawn(lessons: Sequence[Lesson], most: int, *, seed: int) -> tuple[Lesson, ...]:
    """At most so many lessons, drawn once, the same for every role, in their order."""
    places = list(range(len(lessons)))
    random.Random(seed).shuffle(places)  # noqa: S311 - a sample, not a secret
    return tuple(lessons[place] for place in sorted(places[:most]))


def measured_lessons(lessons: Sequence[Lesson], *, seed: int) -> tuple[Lesson, ...]:
    """Those that are asked to see how a training goes."""
    return drawn(lessons, MOST_MEASURED, seed=derive_seed(seed, "own lessons"))


def _is_answered(score: AnswerScore) -> bool:
    return bool(score.greedy) and sum(score.greedy) >= FIRST_CHOICES * len(score.greedy)


class Progress:
    """How far a training came: from which step on it answered its own lessons, and whether it went on long enough."""

    def __init__(self) -> None:
        self.standing = Standing(answered=0.0, learned=0.0)
        self.since: int | None = None
        self.broke_down: str | None = None

    def note(self, step: int, standing: Standing) -> None:
        """How it stands after a step; lessons that are lost again have to be learned again."""
        self.standing = standing
        if standing.answered < ANSWERED:
            self.since = None
        elif self.since is None:
            self.since = step

    def at_plateau(self, step: int) -> bool:
        """Whether it answered its lessons two doublings ago."""
        return self.broke_down is None and self.since is not None and step >= PLATEAU_FACTOR * self.since

    @property
    def knows(self) -> bool:
        """Whether it answers its lessons."""
        return self.broke_down is None and self.standing.answered >= ANSWERED

    def worth(self, kept_share: float) -> tuple[bool, bool, bool, float]:
        """What rates are compared by: sound, leaves what it must, answers its lessons, has learned.

        Of rates that answer their lessons the gentlest goes on: it holds what it has learned. Where none does, the one
        that has learned most, to two digits.
        """
        kept, learned = self.standing.kept, float(f"{self.standing.learned:.2g}")
        return self.broke_down is None, kept is None or kept >= kept_share, self.knows, 1.0 if self.knows else learned

    def to_json(self, step: int) -> dict[str, Json]:
        """For the proof of a dose."""
        lost: dict[str, Json] = {} if self.broke_down is None else {"broke_down": self.broke_down}
        return {
            "own_lessons_answered": round(self.standing.answered, 4),
            "answered_since_step": self.since,
            "plateau": self.at_plateau(step),
            **lost,
        }
