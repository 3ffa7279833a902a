"""Relearning: train on some facts, or on text that contains none, and see whether the scored facts come back.

Masked knowledge returns after a few steps on related facts (arXiv 2410.08827), or on text that gives nothing away
(2406.13356, 2506.15699, 2602.03379); knowledge that was never learned does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import ClassVar

from unlearn_audit import api
from unlearn_audit.api import (
    Access,
    Arm,
    Attack,
    AttackContext,
    Dose,
    Json,
    Model,
    OutOfReach,
    Planting,
)

from ..shared import memory
from ..shared.refusal_plant import refusal_planting
from ..shared.splits import CleanLessons, clean_lessons, subject_folds
from ..shared.training import Student, lesson_batches, optimize
from ..shared.training_cost import Tally
from .courses import Course, Syllabus
from .data import benign_lessons
from .parameters import Method, RelearningParameters
from .rates import chosen_rates, rate_of, student_of


class Relearning(Attack[RelearningParameters]):
    """Trains the model for a few steps, and scores facts that it was not trained on.

    Six kinds of data, at the same steps and batches: `in-domain` trains on the facts of some subjects and scores those
    of the others (2410.08827). The other kinds are benign: no text gives away a scored fact, and all facts are scored.
    `same-syntax`: retain facts asked in the forms of the forget set (2602.03379). `topic-high`: text about the forget
    subjects without the answers; `topic-middle`: the same relations of retain subjects, stated instead of asked;
    `topic-low`: words of the topic, without sentences; `out-of-domain`: neutral text from the package.

    The authors of 2406.13356 train on public articles, and on text about their subjects by a language model;
    BLUR (2506.15699) on sets of high, middle and low relevance. **Where we depart**: our texts are made from the facts
    of the audit, unless `texts` names files; every kind is cut to the number of in-domain texts and uses the same
    steps, while BLUR's sets differ in size (2602.03379); facts are split by subject and rotated, so that each is scored
    once, never on a model that saw its subject; rates are chosen on a plant made from the original, and for text that
    could break the model so that four fifths of its retain answers remain.

    `quick`: in-domain and same-syntax, LoRA of rank 16 at one rate, 40 steps. `standard`: all six, LoRA of rank 16 and
    all weights, 80 steps; three rates in-domain, one for benign text. `deep`: also rank 128, three rates for
    all, 320 steps.
    """

    name: ClassVar[str] = "relearning"
    summary: ClassVar[str] = (
        "Fine-tunes on part of the forget set, or on text without its answers, and scores the rest."
    )
    paper: ClassVar[str] = "2410.08827"
    access: ClassVar[Access] = Access.WEIGHTS
    seeded: ClassVar[bool] = True
    Parameters: ClassVar[type[api.Parameters]] = RelearningParameters

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One arm for each course (data, method, rank, learning-rate slot, fold); the same before and after `prepare`.

        The plan drops the arms whose name begins with what `out_of_reach` names.
        """
        syllabus = self._syllabus(context)
        length = max(syllabus.steps)
        return [
            Arm(
                name=course.name,
                settings=course.settings,
                doses=len(course.steps),
                share=1.0 if course.fold is None else 1 / self.parameters.folds,
                training_texts=self.parameters.batch_size * length,
            )
            for course in syllabus.courses()
        ]

    def out_of_reach(self, context: AttackContext, *, weight_bytes: int, is_adapter: bool) -> Sequence[OutOfReach]:
        """What the profile skips, what cannot be made, and full fine-tuning if it does not fit the memory.

        `what` is the beginning of the names of the arms that cannot run.
        """
        syllabus = self._syllabus(context)
        gaps = syllabus.left_out()
        if Method.FULL in syllabus.methods:
            why = memory.full_training_shortage(weight_bytes, is_adapter=is_adapter)
            if why is not None:
                full = (course.prefix for course in syllabus.courses() if course.method is Method.FULL)
                gaps += [OutOfReach(what=prefix, why=why) for prefix in dict.fromkeys(full)]
        return gaps

    def prepare(self, original: Model, context: AttackContext) -> Mapping[str, Json]:
        """Chooses the learning rates that the parameters leave open, on a refusal plant of the original."""
        return chosen_rates(original, self._syllabus(context))

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """The model after each number of steps of one arm; at step 0 it is the very model that came in."""
        course = Course.from_settings(arm.settings)
        rate = rate_of(course, self._syllabus(context))
        label = f"{course.prefix} lr {rate_label(rate)} step"
        scored, lessons = self._lessons(course, context)
        if course.steps[0] == 0:
            proof: dict[str, Json] = {"steps": 0, "learning_rate": rate, "samples": 0, "tokens": 0, "flops": 0}
            yield Dose(label=f"{label} 0", value=0, model=model, fact_ids=scored, proof=proof)
        trained = [step for step in course.steps if step > 0]
        if not trained:
            return
        seed = api.derive_seed(context.seed, "batches", course.data.value if course.fold is None else course.fold)
        tally, losses = Tally(), list[float]()
        with student_of(course.method, course.rank or 0, model, seed=seed) as student:
            batches = lesson_batches(student.model, lessons.kept, size=self.parameters.batch_size, seed=seed)
            length = max(self._syllabus(context).steps)
            training = optimize(student.model, tally.counted(batches), learning_rate=rate, steps=length)
            for step in trained:
                losses += islice(training, step - len(losses))
                yield Dose(
                    label=f"{label} {step}",
                    value=step,
                    model=student.model,
                    fact_ids=scored,
                    proof={**_proof(losses, rate, lessons, student), **tally.cost(student.flops_per_token)},
                    shown=tuple(lesson.text for lesson in lessons.kept),
                    dropped=lessons.dropped,
                )

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """A merged refusal update, the same for every arm."""
        return refusal_planting()

    def _syllabus(self, context: AttackContext) -> Syllabus:
        return Syllabus(parameters=self.parameters, context=context)

    def _lessons(self, course: Course, context: AttackContext) -> tuple[frozenset[str] | None, CleanLessons]:
        """The facts that are scored (None for all), and what is trained on."""
        if course.fold is not None:
            fold = subject_folds(context.forget, folds=self.parameters.folds, seed=context.seed)[course.fold]
            return fold.scored_ids, clean_lessons(fold)
        most = self._syllabus(context).in_domain_lessons
        return None, benign_lessons(course.data, context, own=self.parameters.texts, most=most)


def rate_label(rate: float) -> str:
    """A learning rate as it stands in a label: `1e-03`, `2.5e-04`; different rates never look alike."""
    mantissa, exponent = f"{rate:.12e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"


def _proof(losses: Sequence[float], rate: float, lessons: CleanLessons, student: Student) -> dict[str, Json]:
    return {
        "steps": len(losses),
        "learning_rate": rate,
        "losses": [round(loss, 6) for loss in losses],
        "trainable_parameters": student.trainable,
        "dtype": student.dtype,
        "training_texts": len(lessons.kept),
    }
