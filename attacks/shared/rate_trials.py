"""Which learning rates relearning uses: chosen on a plant made from the original, never on the checkpoint under audit.

A rate picked on the audited checkpoint would be one more maximum that the control never had. Each candidate trains a
refusal plant on one half of a sample of subjects; the best is the one that brings back most of the other half, among
those that leave the retain answers of the original standing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from unlearn_audit.api import AttackError, AuditError, Fact, Json, Model, derive_seed

from .hiding import mean_probability
from .splits import Fold, Lesson, lessons_of
from .training import Student, lesson_batches, optimize

MOST_SUBJECTS = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What one candidate rate did to the plant.

    Attributes:
        recovered: mean probability of the answers of subjects it was not trained on, None where training broke down.
        retained: the same of retain answers, None without retain facts or where training broke down.
        keeps: it leaves enough of the retain answers.
    """

    rate: float
    recovered: float | None
    retained: float | None
    keeps: bool
    error: str | None = None

    @property
    def worth(self) -> float:
        """What the choice maximizes; a rate that wrecks the retain answers is worth nothing."""
        return self.recovered if self.keeps and self.recovered is not None else 0.0

    def to_json(self) -> dict[str, Json]:
        """The trial as it stands in the trace."""
        return {
            "rate": self.rate,
            "recovered": self.recovered,
            "retained": self.retained,
            "keeps": self.keeps,
            "error": self.error,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Trials:
    """How the candidates are tried: on which fold, for how long, and what must be left of the retain answers."""

    fold: Fold
    lessons: tuple[Lesson, ...]
    retain: tuple[Lesson, ...]
    retained_before: float | None
    kept_share: float
    steps: int
    batch_size: int
    seed: int

    def run(
        self, plant: Model, candidates: Sequence[float], student: Callable[[Model], AbstractContextManager[Student]]
    ) -> Iterator[Trial]:
        """One trial a candidate, each from the same plant, on the same batches."""
        for rate in candidates:
            with student(plant) as pupil:
                yield self._try(pupil, rate)

    def _try(self, pupil: Student, rate: float) -> Trial:
        batches = lesson_batches(pupil.model, self.lessons, size=self.batch_size, seed=self.seed)
        asked = [lessons_of(fact)[0] for fact in self.fold.evaluate]
        try:
            for _ in optimize(pupil.model, batches, learning_rate=rate, steps=self.steps):
                pass
            recovered = mean_probability(pupil.model, asked)
            retained = mean_probability(pupil.model, self.retain) if self.retain else None
        except AttackError as error:
            return Trial(rate=rate, recovered=None, retained=None, keeps=False, error=str(error))
        return Trial(rate=rate, recovered=recovered, retained=retained, keeps=self._keeps(retained))

    def _keeps(self, retained: float | None) -> bool:
        if retained is None or self.retained_before is None:
            return True
        return retained >= self.kept_share * self.retained_before


def choose_rates(trials: Sequence[Trial], slots: int) -> tuple[float, ...]:
    """The best rate, or the `slots` neighbours on the grid around it that are worth most; rising.

    Where no candidate keeps the retain answers, the one that recovers most stands in for the best: an adversary may
    not care, and a model that the attack breaks shows nothing.

    Raises:
        AuditError: fewer candidates than slots, or no candidate that trained at all.
    """
    grid = sorted(trials, key=lambda trial: trial.rate)
    trained = [trial for trial in grid if trial.recovered is not None]
    if len(grid) < slots or not trained:
        raise AuditError(
            f"{slots} learning rates wanted from {len(grid)} candidates, of which {len(trained)} trained without "
            f"breaking down; give other `candidates`, or the `learning_rates` themselves"
        )
    best = max(trained, key=lambda trial: (trial.keeps, trial.recovered, -trial.rate))
    at = grid.index(best)
    starts = range(max(0, at - slots + 1), min(at, len(grid) - slots) + 1)
    start = max(starts, key=lambda start: (sum(trial.worth for trial in grid[start : start + slots]), -start))
    return tuple(trial.rate for trial in grid[start : start + slots])


def sample_subjects(facts: Sequence[Fact], *, seed: int, most: int = MOST_SUBJECTS) -> tuple[Fact, ...]:
    """The facts of at most `most` subjects, drawn once; choosing a rate needs no more."""
    subjects = sorted({fact.subject for fact in facts})
    random.Random(derive_seed(seed, "subjects for rates")).shuffle(subjects)  # noqa: S311 - a sample, not a secret
    chosen = set(subjects[:most])
    return tuple(fact for fact in facts if fact.subject in chosen)
