"""Relearning: train on some facts, or on text that contains none, and see whether the scored facts come back.

Masked knowledge returns after a few steps on related facts (arXiv 2410.08827), or on text that gives nothing away
(2406.13356, 2506.15699, 2602.03379); knowledge that was never learned does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    Profile,
)
from unlearn_audit.api.extent import Audited

from ..shared.memory import Room, room_for
from ..shared.plants.deep import misdirection_planting, unlikelihood_planting
from ..shared.plants.experts import experts_planting
from ..shared.refusal_plant import refusal_planting
from ..shared.splits import CleanLessons, clean_lessons, subject_folds
from .courses import Course, Syllabus
from .data import Data, benign_lessons
from .own_lessons import drawn
from .parameters import FEWEST_STEPS, PLATEAU_FACTOR, QUICK_GRID, RANKS, REPEATED, Method, RelearningParameters, Variant
from .training import Training

INSTEAD = "trained in bfloat16 instead, with moments in eight bits and one gradient at a time"


class Relearning(Attack[RelearningParameters]):
    """Trains the model for a few steps, and scores facts that it was not trained on.

    Six kinds of data, at the same steps and batches: `in-domain` trains on the facts of some subjects and scores those
    of the others (2410.08827). The other kinds are benign: no text gives away a scored fact, and all facts are scored.
    `same-syntax`: retain facts asked in the forms of the forget set (2602.03379). `topic-high`: text about the forget
    subjects without the answers; `topic-middle`: the same relations of retain subjects, stated instead of asked;
    `topic-low`: words of the topic, without sentences; `out-of-domain`: neutral text, 64 paragraphs from the package
    and then up to 4096 everyday texts made by a grammar.

    The authors of 2406.13356 train on public articles, and on text about their subjects by a language model;
    BLUR (2506.15699) on sets of high, middle and low relevance. **Where we depart**: our texts are made from the facts
    of the audit, unless `texts` names files; every kind is cut to the number of in-domain texts and uses the same
    steps, while BLUR's sets differ in size (2602.03379); facts are split by subject and rotated, so that each is scored
    once, never on a model that saw its subject. Rates go by the size of each weight, so that a checkpoint that is
    written in another way meets the same attack.

    **Rates are doses**, on a grid over two decades. Where the grid is too dear, a training tries each rate for a few
    steps and takes the one at which it learns its own lessons best: an adversary sees that, and no scored fact and no
    plant has a say. Steps double, and the length goes by the number of lessons. The proof of each dose says how many of
    its own lessons the training answers, since which step nine tenths of them, and whether it went on for two more
    doublings (`plateau`); an arm that did not has not shown what it can do. A training that breaks down leaves its
    adversary with the model as it was, and says so.

    Where all weights in float32 do not fit (docs/memory.md), they are trained **frugally**: in bfloat16 with rounding
    at random, moments in eight bits, checkpointed blocks, one gradient at a time; the plan decides, once for all roles.

    `quick`: in-domain, LoRA of rank 16 at the best of three rates, on at most 64 lessons, each of them read twenty
    times in steps of 8 (at least 40 steps), with a look after a quarter, a half and all of them. `standard`: the same
    training at the best of five rates, for 80 steps at least, of LoRA with three seeds and of all weights with one; and
    LoRA once each on same-syntax, topic-high and out-of-domain text. `deep`: all six kinds; LoRA of rank 16 and all
    weights at all five rates, ranks 4 and 128 at the best, with three seeds; once each with attention alone, with
    momentum in place of AdamW (`sgd`) or orthogonalized (`muon`), with half a batch of retain facts (`retain-mix`) and
    with a rate that falls in a straight line (`linear`); at most 256 lessons, four doublings up to 160 to 320 steps of
    16.
    """

    name: ClassVar[str] = "relearning"
    summary: ClassVar[str] = (
        "Fine-tunes on part of the forget set, or on text without its answers, and scores the rest."
    )
    paper: ClassVar[str] = "2410.08827"
    access: ClassVar[Access] = Access.WEIGHTS
    dose_unit: ClassVar[str] = "training steps"
    seeded: ClassVar[bool] = True
    Parameters: ClassVar[type[api.Parameters]] = RelearningParameters

    def __init__(self, parameters: RelearningParameters) -> None:
        super().__init__(parameters)
        self._looked_up: tuple[Audited | None, Room] | None = None

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One arm for each course (data, method, rank, variant, learning rate, fold).

        The plan drops the arms whose name begins with what `out_of_reach` names.
        """
        syllabus = self._syllabus(context)
        return [
            Arm(
                name=course.name,
                settings=course.settings,
                doses=len(course.steps),
                share=1.0 if course.fold is None else 1 / self.parameters.folds,
                training_texts=syllabus.batch_size * syllabus.steps_taken(course),
                repeated=course.main and course.method in REPEATED[context.profile],
            )
            for course in syllabus.courses()
        ]

    def out_of_reach(self, context: AttackContext, *, weight_bytes: int, is_adapter: bool) -> Sequence[OutOfReach]:
        """What the profile skips, what cannot be made, and full fine-tuning if it does not fit the memory.

        `what` is the beginning of the names of the arms that cannot run. What runs in another way begins no name.
        """
        syllabus = self._syllabus(context)
        gaps = syllabus.left_out()
        if Method.FULL not in syllabus.methods:
            return gaps
        room = self._room(context)
        if room.frugal and room.why_not_plain:
            gaps.append(OutOfReach(what="all weights in float32", why=f"{room.why_not_plain}; {INSTEAD}"))
        if room.why_not_at_all:
            full = (course.family for course in syllabus.courses() if course.method is Method.FULL)
            gaps += [OutOfReach(what=family, why=room.why_not_at_all) for family in dict.fromkeys(full)]
        return gaps

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """The model after each number of steps of one arm; at step 0 it is the very model that came in."""
        course = Course.from_settings(arm.settings)
        scored, lessons = self._lessons(course, context)
        if course.steps[0] == 0:
            proof: dict[str, Json] = {"steps": 0, "samples": 0, "tokens": 0, "flops": 0}
            yield Dose(label=f"{course.prefix} step 0", value=0, model=model, fact_ids=scored, proof=proof)
        if course.steps[-1] == 0:
            return

        training = Training(course=course, syllabus=self._syllabus(context), lessons=lessons.kept)
        for step, trained, proof in training.looks(model):
            yield Dose(
                label=f"{course.prefix} step {step}",
                value=step,
                model=trained,
                fact_ids=scored,
                proof=proof,
                shown=tuple(lesson.text for lesson in (*lessons.kept, *training.beside)),
                dropped=lessons.dropped,
            )

    def sparingly(self, profile: Profile) -> Relearning:
        """LoRA on the forget set at the best of three rates, with two looks, by which it shows its plateau."""
        length = FEWEST_STEPS[Profile.STANDARD]
        few = RelearningParameters(
            data=(Data.IN_DOMAIN,),
            methods=(Method.LORA,),
            variants=(Variant.PLAIN,),
            ranks=RANKS[Profile.QUICK],
            steps=(length // PLATEAU_FACTOR, length),
            candidates={Method.LORA: QUICK_GRID[Method.LORA]},
        )
        return Relearning(few)

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """A merged refusal update, the same for every arm."""
        return refusal_planting()

    def plantings(self, arm: Arm, context: AttackContext) -> Sequence[Planting]:
        """The refusal, unlikelihood, but for `quick` misdirection, and in a mixture a refusal in its experts alone."""
        found = [refusal_planting(), unlikelihood_planting()]
        if context.profile is not Profile.QUICK:
            found.append(misdirection_planting())
        if context.audited is not None and context.audited.extent.mixture:
            found.append(experts_planting())
        return found

    def _syllabus(self, context: AttackContext) -> Syllabus:
        return Syllabus(parameters=self.parameters, context=context, frugal=self._room(context).frugal)

    def _room(self, context: AttackContext) -> Room:
        """Whether all weights are trained frugally. Looked up once: free memory is another the next moment."""
        if self._looked_up is None or self._looked_up[0] != context.audited:
            batch = Syllabus(parameters=self.parameters, context=context).largest_batch
            self._looked_up = context.audited, room_for(context.audited, batch, frugal=self.parameters.frugal)
        return self._looked_up[1]

    def _lessons(self, course: Course, context: AttackContext) -> tuple[frozenset[str] | None, CleanLessons]:
        """The facts that are scored (None for all), and what is trained on."""
        most = self._syllabus(context).in_domain_lessons
        if course.fold is not None:
            fold = subject_folds(context.forget, folds=self.parameters.folds, seed=context.seed)[course.fold]
            clean = clean_lessons(fold)
            few = drawn(clean.kept, most, seed=api.derive_seed(context.seed, "lessons", course.fold))
            return fold.scored_ids, CleanLessons(kept=few, dropped=clean.dropped)
        return None, benign_lessons(course.data, context, own=self.parameters.texts, most=most)
