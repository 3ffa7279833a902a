"""Latent: a vector added to hidden states, trained on some subjects, that makes a model answer about others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, cast

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from unlearn_audit import api
from unlearn_audit.api import (
    Access,
    Arm,
    Attack,
    AttackContext,
    AttackError,
    Dose,
    Json,
    Model,
    Planting,
    Profile,
    Rendered,
)

from ..shared.refusal_plant import refusal_planting
from ..shared.splits import clean_lessons, subject_folds
from ..shared.training import answer_loss, cut_lessons, lesson_batches, loss_scale

if TYPE_CHECKING:
    import torch

STEPS = {Profile.QUICK: (30,), Profile.STANDARD: (30, 100), Profile.DEEP: (30, 100, 300)}
DEPTHS = {Profile.QUICK: (0.5,), Profile.STANDARD: (0.5,), Profile.DEEP: (0.25, 0.5, 0.75)}
SAMPLE = 16
"""Lessons over which the size of the states is measured."""


class LatentParameters(api.Parameters):
    """What the adversary may spend. None follows the profile."""

    steps: tuple[PositiveInt, ...] | None = Field(None, min_length=1, description="Doses: descent steps, rising.")
    depths: tuple[float, ...] | None = Field(
        None,
        min_length=1,
        description="Where it is added, as a share of the depth: 1 is before the last block.",
    )
    step_size: PositiveFloat = Field(
        0.05, description="Change of each number per step, in root mean squares of the states that it is added to."
    )
    batch_size: PositiveInt = Field(8, description="Texts per step.")
    folds: int = Field(2, ge=2, description="Groups of subjects; each is scored once, by a vector trained on the rest.")

    @model_validator(mode="after")
    def _rising(self) -> LatentParameters:
        api.check_rising("steps", self.steps)
        return self


class Latent(Attack[LatentParameters]):
    """Adds one vector to the hidden states before a block, and trains it toward the answers of some subjects.

    The weights stay unchanged. The vector is added at every position, for all questions alike; it is trained on the
    subjects of the relearn split and scored on the others, with subjects dealt into folds and rotated. It begins at
    zero and moves by signed gradient descent on the cross-entropy of the answer, in steps that go by the size of the
    states, so that a step means the same in every architecture.

    Such a vector can make a model say much, true or not. So every arm runs once more toward the answers of other
    subjects (sham), and what counts is how much better the true ones do.

    Where we depart: the authors of 2408.10682 perturb the states of one sample at its last prompt token, toward the
    beginning of its own answer; ours is one vector for all, and never sees a scored subject. Those of 2505.23270
    perturb activations at random and compare what comes out; ours is trained.

    Blind to: knowledge that no single direction opens.

    `quick` adds a vector at half depth, trained for 30 steps; `standard` for 30 and 100; `deep` also for 300, and at a
    quarter and three quarters. That is the cost of soft prompts of so many steps, without their length.
    """

    name: ClassVar[str] = "latent"
    summary: ClassVar[str] = "Trains a vector, added to hidden states, on part of the forget set and scores the rest."
    paper: ClassVar[str] = "2408.10682"
    access: ClassVar[Access] = Access.WEIGHTS
    dose_unit: ClassVar[str] = "training steps"
    toward_answers: ClassVar[bool] = True
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[api.Parameters]] = LatentParameters

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One arm for each depth and fold."""
        steps = self._steps(context)
        return [
            Arm(
                name=f"depth {depth:g} fold{fold}",
                settings={"depth": depth, "fold": fold},
                doses=len(steps),
                share=1 / self.parameters.folds,
                training_texts=self.parameters.batch_size * max(steps),
            )
            for depth in self.parameters.depths or DEPTHS[context.profile]
            for fold in range(self.parameters.folds)
        ]

    def sparingly(self, profile: Profile) -> Latent:
        """At half depth, for as many steps as `quick` takes."""
        return Latent(LatentParameters(steps=STEPS[Profile.QUICK], depths=DEPTHS[Profile.QUICK]))

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """A merged refusal update, the same for every arm."""
        return refusal_planting()

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """The model with the vector after each number of steps.

        Raises:
            AttackError: nothing is left to train on, or the training broke down.
            NotApplicableError: the model has no blocks between which a vector could be added.
        """
        import torch

        from ..shared.residual_stream import add_before, mean_states, residual_stream

        depth, number = cast("float", arm.settings["depth"]), cast("int", arm.settings["fold"])
        fold = subject_folds(context.forget, folds=self.parameters.folds, seed=context.seed)[number]
        lessons = clean_lessons(fold)
        if not lessons.kept:
            raise AttackError("no texts are left to train on; look at the hygiene check and at the number of folds")
        with ExitStack() as stack:
            with torch.inference_mode(mode=False):
                fork = stack.enter_context(model.fork())
                stream = residual_stream(fork)
                layer = stream.layer_at(depth)
                states = mean_states(fork, stream, [one.prompt for one in lessons.kept[:SAMPLE]], [layer])[0]
                size = float(states.double().pow(2).mean().sqrt())
                vector = torch.zeros(stream.width, device=fork.device, requires_grad=True)
                add_before(stream, layer, vector)
            seed = api.derive_seed(context.seed, "batches", number)
            batches = lesson_batches(fork, lessons.kept, size=self.parameters.batch_size, seed=seed)
            descent = descend(fork, vector, batches, step=self.parameters.step_size * size)
            losses: list[float] = []
            for most in self._steps(context):
                losses += islice(descent, most - len(losses))
                moved = float(vector.detach().norm())
                proof: dict[str, Json] = {"layer": layer, "blocks": len(stream.blocks), "steps": most, "length": moved}
                proof |= {"losses": [round(loss, 6) for loss in losses], "training_texts": len(lessons.kept)}
                yield Dose(
                    label=f"depth {depth:g} step {most}",
                    value=most,
                    model=fork,
                    fact_ids=fold.scored_ids,
                    proof={**proof, "state_size": size, **cut_lessons(fork, lessons.kept)},
                    shown=tuple(lesson.text for lesson in lessons.kept),
                    dropped=lessons.dropped,
                )

    def _steps(self, context: AttackContext) -> tuple[int, ...]:
        return self.parameters.steps or STEPS[context.profile]


def descend(
    fork: Model, vector: torch.Tensor, batches: Iterator[Sequence[Rendered]], *, step: float
) -> Iterator[float]:
    """Signed gradient descent on a vector that a fork's hook adds, without end; gives the loss before each step.

    Losses are means over the answer tokens, in nats.

    Raises:
        AttackError: the loss or its gradient is not a number.
    """
    import torch

    fork.module.requires_grad_(requires_grad=False)
    scale = loss_scale(fork.module)
    for number, batch in enumerate(batches, start=1):
        with torch.inference_mode(mode=False), torch.enable_grad():
            loss = answer_loss(fork, batch)
            (gradient,) = torch.autograd.grad(loss * scale, [vector])
            value = float(loss.detach())
            if not (math.isfinite(value) and bool(torch.isfinite(gradient).all())):
                raise AttackError(f"the vector broke down in step {number}: loss {value}; try a smaller step_size")
            vector.data.sub_(gradient.sign(), alpha=step)
        yield value
