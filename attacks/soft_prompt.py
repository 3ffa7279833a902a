"""Soft prompt: free input embeddings, trained on some subjects, that make a model answer about others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, cast

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
    NotApplicableError,
    Planting,
    Profile,
    Rendered,
)

from .shared.fitted import fitted
from .shared.refusal_plant import refusal_planting
from .shared.splits import Fold, Lesson, clean_lessons, subject_folds
from .shared.training import answer_loss, cut_lessons, lesson_batches, loss_scale

if TYPE_CHECKING:
    import torch

START = "!"
STEPS = {Profile.QUICK: (60,), Profile.STANDARD: (10, 30, 100), Profile.DEEP: (10, 30, 100, 300)}
STEP_SIZES = {Profile.QUICK: (0.6,), Profile.STANDARD: (0.1, 0.3), Profile.DEEP: (0.03, 0.1, 0.3, 0.6)}
LENGTH = {Profile.QUICK: 4, Profile.STANDARD: 20, Profile.DEEP: 20}


class SoftPromptParameters(api.Parameters):
    """What the adversary may spend. None follows the profile."""

    steps: tuple[PositiveInt, ...] | None = Field(None, min_length=1, description="Doses: descent steps, rising.")
    step_sizes: tuple[PositiveFloat, ...] | None = Field(
        None,
        min_length=1,
        description="Change of each number per step, in root mean squares of the model's own input embeddings.",
    )
    length: PositiveInt | None = Field(None, description="Number of free embeddings in the prompt.")
    batch_size: PositiveInt = Field(8, description="Texts per step.")
    folds: int = Field(2, ge=2, description="Groups of subjects; each is scored once, by a prompt trained on the rest.")

    @model_validator(mode="after")
    def _rising(self) -> SoftPromptParameters:
        for name in ("steps", "step_sizes"):
            values = getattr(self, name)
            if values is not None and sorted(set(values)) != list(values):
                raise ValueError(f"{name}: expected rising values, each once, got {values}")
        return self


class SoftPrompt(Attack[SoftPromptParameters]):
    """Puts free embeddings between each prompt and its answer, and trains them toward the answers of some subjects.

    The weights stay unchanged. One soft prompt serves all questions: it is trained on the subjects of the relearn
    split and scored on the others, with subjects dealt into folds and rotated. As in the authors' code they start
    as copies of `!`, come after the question, and move by signed gradient descent on the cross-entropy of the answer
    (20 of them over 100 steps in `standard`).

    Where we depart: the authors also optimize one prompt for each question toward its own answer, which can elicit any
    text from any model (2502.15836); ours never sees a scored subject, and runs once more toward twin answers (sham).
    Their step is 0.001 whatever the model; ours is a share of the root mean square of the model's own input
    embeddings, so that it means the same in every architecture. The authors also read answers from intermediate
    layers; here the probes ask the whole model. Batches, steps, step sizes and seeds are the same for every role.

    Profiles, for each of 2 folds: `quick` trains 4 embeddings for 60 steps of size 0.6; `standard` 20 for 100 steps of
    size 0.1 and again of 0.3, scored after 10, 30 and 100; `deep` 20 for 300 steps of four sizes.
    """

    name: ClassVar[str] = "soft-prompt"
    summary: ClassVar[str] = "Trains free input embeddings on part of the forget set and scores the rest."
    paper: ClassVar[str] = "2402.09063"
    access: ClassVar[Access] = Access.WEIGHTS
    toward_answers: ClassVar[bool] = True
    Parameters: ClassVar[type[api.Parameters]] = SoftPromptParameters

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One arm for each step size and fold."""
        steps = self._steps(context)
        return [
            Arm(
                name=f"step-size{slot} fold{fold}",
                settings={"step_size": size, "fold": fold},
                doses=len(steps),
                share=1 / self.parameters.folds,
                training_texts=self.parameters.batch_size * max(steps),
            )
            for slot, size in enumerate(self.parameters.step_sizes or STEP_SIZES[context.profile])
            for fold in range(self.parameters.folds)
        ]

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """A merged refusal update, the same for every arm."""
        return refusal_planting()

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """The model behind the soft prompt after each number of steps."""
        size, number = cast("float", arm.settings["step_size"]), cast("int", arm.settings["fold"])
        fold: Fold = subject_folds(context.forget, folds=self.parameters.folds, seed=context.seed)[number]
        lessons = clean_lessons(fold)
        steps = self._steps(context)
        length = self.parameters.length or LENGTH[context.profile]
        step = size * typical_size(model, lessons.kept)
        with model.with_soft_prompt(starting_rows(model, length)) as fork:
            seed = api.derive_seed(context.seed, "batches", number)
            batches = lesson_batches(fork, lessons.kept, size=self.parameters.batch_size, seed=seed)
            descent = descend(fork, batches, step=step)
            losses: list[float] = []
            cut = cut_lessons(fork, lessons.kept)
            for most in steps:
                losses += islice(descent, most - len(losses))
                yield Dose(
                    label=f"{length} rows size {size:g} step {most}",
                    value=most,
                    model=fork,
                    fact_ids=fold.scored_ids,
                    proof={**_proof(fork, losses, step, lessons.kept), **cut},
                    shown=tuple(lesson.text for lesson in lessons.kept),
                    dropped=lessons.dropped,
                )

    def _steps(self, context: AttackContext) -> tuple[int, ...]:
        return self.parameters.steps or STEPS[context.profile]


def starting_rows(model: Model, length: int) -> torch.Tensor:
    """`length` copies of the input embedding of `!`, as it leaves the embedding layer; shape (length, width)."""
    ids = model.tokenizer.encode(START, add_special_tokens=False)
    if not ids:
        raise AttackError(f"the tokenizer has no token for {START!r}, with which a soft prompt begins")
    return embedded(model, ids[-1:]).repeat(length, 1)


def typical_size(model: Model, lessons: Sequence[Lesson]) -> float:
    """Root mean square of the input embeddings of the tokens that stand in the lessons, each token once.

    Raises:
        AttackError: there are no lessons, or it is 0 or no number, so that no step can be measured by it.
    """
    if not lessons:
        raise AttackError("no texts are left to train on; look at the hygiene check and at the number of folds")
    ids = {token for row in fitted(model, [lesson.pair for lesson in lessons]) for token in row.token_ids}
    size = float(embedded(model, sorted(ids)).double().pow(2).mean().sqrt())
    if not (math.isfinite(size) and size > 0):
        raise AttackError(f"expected input embeddings with a positive root mean square, got {size}")
    return size


def embedded(model: Model, token_ids: Sequence[int]) -> torch.Tensor:
    """What the input embedding gives for some tokens: float32, shape (tokens, width)."""
    import torch

    find = getattr(model.module, "get_input_embeddings", None)
    table = None if find is None else find()
    if table is None:
        raise NotApplicableError(
            f"{type(model.module).__name__} names no input embedding that a soft prompt could stand in"
        )
    with torch.inference_mode(mode=False), torch.no_grad():
        rows = table(torch.tensor(token_ids, device=model.device))
    return cast("torch.Tensor", rows).float()


def descend(fork: Model, batches: Iterator[Sequence[Rendered]], *, step: float) -> Iterator[float]:
    """Signed gradient descent on the soft rows of a fork, without end; gives the loss before each step, in nats.

    Raises:
        AttackError: the loss or its gradient is not a number.
    """
    import torch

    fork.module.requires_grad_(requires_grad=False)
    soft = soft_rows(fork).requires_grad_()
    scale = loss_scale(fork.module)
    for number, batch in enumerate(batches, start=1):
        with torch.inference_mode(mode=False), torch.enable_grad():
            loss = answer_loss(fork, batch)
            (gradient,) = torch.autograd.grad(loss * scale, [soft])
            value = float(loss.detach())
            if not (math.isfinite(value) and bool(torch.isfinite(gradient).all())):
                raise AttackError(f"the soft prompt broke down in step {number}: loss {value}; try smaller step_sizes")
            soft.data.sub_(gradient.sign(), alpha=step)
        yield value


def soft_rows(fork: Model) -> torch.nn.Parameter:
    """The free rows of a fork with a soft prompt, shape (length, width)."""
    return cast("torch.nn.Parameter", cast("Any", fork.module).get_input_embeddings().soft)


def _proof(fork: Model, losses: Sequence[float], step: float, lessons: Sequence[Lesson]) -> dict[str, Json]:
    rows = soft_rows(fork).detach()
    return {
        "steps": len(losses),
        "step": step,
        "losses": [round(loss, 6) for loss in losses],
        "rows": len(rows),
        "mean_row_norm": float(rows.norm(dim=1).mean()),
        "training_texts": len(lessons),
    }
