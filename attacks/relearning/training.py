"""One training of relearning: its rate, its steps, and how far it came with its own lessons.

A training without a rate of its own races several: all take the same batches, at each look the one that knows the
lessons best is the attacked model, and two of three drop out, or half of them where none answers its lessons yet. So
the choice has seen as many steps as the dose has: the rate that leads after ten steps is often too high to get anywhere
in eighty.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TypeAlias

from unlearn_audit.api import AttackError, Json, Model, Rendered, derive_seed

from ..shared.descent.adapters import Layers
from ..shared.descent.optimizers import Optimizer
from ..shared.hiding import mean_probability
from ..shared.splits import Lesson, lessons_of
from ..shared.training import (
    Schedule,
    Student,
    cut_lessons,
    full_student,
    lesson_batches,
    lora_student,
    mixed,
    optimize,
)
from ..shared.training_cost import Tally
from .courses import Course, Syllabus
from .data import Data, benign_lessons
from .own_lessons import Exam, Progress, measured_lessons
from .parameters import HALF, SURVIVORS, Method, Variant

OPTIMIZERS = {Variant.SGD: Optimizer.SGD, Variant.MUON: Optimizer.MUON}
Look: TypeAlias = tuple[int, Model, dict[str, Json]]
"""Steps, the model after them, and the proof."""


@dataclass(kw_only=True)
class _Run:
    """One rate of a training, on a student of its own."""

    rate: float
    student: Student
    losses_to_come: Iterator[float]
    tally: Tally
    losses: list[float] = field(default_factory=list)
    progress: Progress = field(default_factory=Progress)

    def go_on(self, step: int, exam: Exam) -> None:
        """Trains up to a step, and notes how well it knows its lessons; it stays where it broke down."""
        if self.progress.broke_down is not None:
            return
        try:
            self.losses.extend(islice(self.losses_to_come, step - len(self.losses)))
            self.progress.note(step, exam(self.student.model))
        except AttackError as error:
            self.progress.broke_down = str(error)

    def tried(self, step: int) -> dict[str, Json]:
        """For the proof, where it drops out."""
        return {"rate": self.rate, "steps": step, "learned": round(self.progress.standing.learned, 4)}


@dataclass(frozen=True, kw_only=True)
class Training:
    """A course on its lessons. The same batches in the same order whatever the model."""

    course: Course
    syllabus: Syllabus
    lessons: tuple[Lesson, ...]

    @cached_property
    def beside(self) -> tuple[Lesson, ...]:
        """Retain lessons that share the batches, without those that give a scored fact away; none but in a mix."""
        if self.course.variant is not Variant.RETAIN_MIX:
            return ()
        most = self.syllabus.in_domain_lessons
        return benign_lessons(Data.SAME_SYNTAX, self.syllabus.context, own={}, most=most).kept

    def looks(self, model: Model) -> Iterator[Look]:
        """The model after each number of steps at which the course is measured; as it was where training broke down."""
        exam, dropped = self._exam(model), list[Json]()
        rates = self._rates(model, exam)
        with ExitStack() as stack:
            runs = [self._begun(stack, model, rate) for rate in rates]
            for step in self._every_look:
                for run in runs:
                    run.go_on(step, exam)
                runs.sort(key=lambda run: (run.progress.worth(self._kept_share), -run.rate), reverse=True)
                best = runs[0]
                left = math.ceil(len(runs) / (SURVIVORS if best.progress.knows else HALF))
                if step in self.course.steps:
                    attacked = best.student.model if best.progress.broke_down is None else model
                    yield step, attacked, self._proof(best, step, dropped)
                dropped += [run.tried(step) for run in runs[left:]]
                runs = runs[:left]

    def _proof(self, run: _Run, step: int, dropped: Sequence[Json]) -> dict[str, Json]:
        return {
            "steps": step,
            "learning_rate": run.rate,
            "losses": [round(loss, 6) for loss in run.losses],
            "trainable_parameters": run.student.trainable,
            "dtype": run.student.dtype,
            **({"frugal": True} if run.student.frugal else {}),
            **({"products": "bfloat16"} if run.student.fast else {}),
            "training_texts": len(self.lessons),
            **cut_lessons(run.student.model, self.lessons),
            **run.progress.to_json(step),
            **({"other_rates": list(dropped)} if dropped else {}),
            **run.tally.cost(run.student.flops_per_token),
        }

    def _begun(self, stack: ExitStack, model: Model, rate: float) -> _Run:
        student, tally = stack.enter_context(self._student(model)), Tally()
        training = optimize(
            student.model,
            tally.counted(self._batches(student.model)),
            learning_rate=rate,
            steps=max(self.syllabus.steps),
            optimizer=OPTIMIZERS.get(self.course.variant, Optimizer.ADAMW),
            schedule=Schedule.LINEAR if self.course.variant is Variant.LINEAR else Schedule.CONSTANT,
            frugal=student.frugal,
            fast=student.fast,
            opened=student.opened,
        )
        return _Run(rate=rate, student=student, losses_to_come=training, tally=tally)

    def _rates(self, model: Model, exam: Exam) -> tuple[float, ...]:
        """The rates that race. Full copies do not fit next to each other: they race one after the other, half-way."""
        if self.course.rate is not None:
            return (self.course.rate,)
        candidates = self.syllabus.candidates(self.course.method)
        if self.course.method is Method.LORA or len(candidates) == 1:
            return candidates
        return (max(candidates, key=lambda rate: (self._worth_alone(model, rate, exam), -rate)),)

    def _worth_alone(self, model: Model, rate: float, exam: Exam) -> tuple[bool, bool, bool, float]:
        every = self._every_look
        with ExitStack() as stack:
            run = self._begun(stack, model, rate)
            run.go_on(every[len(every) // 2], exam)
            return run.progress.worth(self._kept_share)

    def _exam(self, model: Model) -> Exam:
        lessons = measured_lessons(self.lessons, seed=self._seed)
        if self.course.rate is not None or self.course.data in (Data.IN_DOMAIN, Data.SAME_SYNTAX):
            return Exam(lessons=lessons)
        retain = tuple(lessons_of(fact)[0] for fact in self.syllabus.context.retain)
        asked = measured_lessons(retain, seed=self._seed)
        return Exam(lessons=lessons, retain=asked, retained_before=mean_probability(model, asked) if asked else None)

    def _student(self, model: Model) -> AbstractContextManager[Student]:
        course = self.course
        if course.method is Method.FULL:
            return full_student(model, frugal=course.frugal)
        layers = Layers.ATTENTION if course.variant is Variant.ATTENTION_ONLY else Layers.ALL_LINEAR
        seed = derive_seed(self._seed, "adapter", course.rank)
        return lora_student(model, rank=course.rank or 0, seed=seed, layers=layers)

    def _batches(self, model: Model) -> Iterator[list[Rendered]]:
        size, seed = self.syllabus.batch_size, self._seed
        if not self.beside:
            return lesson_batches(model, self.lessons, size=size, seed=seed)
        return mixed(model, self.lessons, self.beside, size=size, seed=seed)

    @property
    def _every_look(self) -> tuple[int, ...]:
        """Steps after which lessons are asked, whether or not facts are scored there."""
        return tuple(step for step in self.syllabus.steps if step > 0)

    @property
    def _kept_share(self) -> float:
        return self.syllabus.parameters.kept_share

    @property
    def _seed(self) -> int:
        """The same in every role, and for every method, rate and variant of a fold."""
        course = self.course
        what = course.data.value if course.fold is None else course.fold
        return derive_seed(self.syllabus.context.seed, "batches", what)
