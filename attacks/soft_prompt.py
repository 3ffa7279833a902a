"""Soft prompt: free input embeddings, trained on some subjects, that make a model answer about others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from statistics import fmean
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
STEPS = {Profile.QUICK: (60,), Profile.STANDARD: (30, 100), Profile.DEEP: (10, 30, 100, 300)}
STEP_SIZES = {Profile.QUICK: (0.6,), Profile.STANDARD: (0.3,), Profile.DEEP: (0.1, 0.3, 0.6)}
STARTS = {Profile.QUICK: 1, Profile.STANDARD: 2, Profile.DEEP: 2}
LATEST = 8
"""Steps over whose losses starts are compared."""
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
    starts: PositiveInt | None = Field(
        None, description="Starts; at each dose the one whose latest training losses are lowest is scored."
    )
    batch_size: PositiveInt = Field(8, description="Texts per step.")
    folds: int = Field(2, ge=2, description="Groups of subjects; each is scored once, by a prompt trained on the rest.")

    @model_validator(mode="after")
    def _rising(self) -> SoftPromptParameters:
        for name in ("steps", "step_sizes"):
            api.check_rising(name, getattr(self, name))
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
    embeddings, so that it means the same in every architecture. Besides copies of `!` we start from drawn tokens, and
    score the start whose latest training losses are the lowest. The authors also read answers from intermediate
    layers; here the probes ask the whole model. Batches, steps, step sizes and seeds are the same for every role.

    Profiles, for each of 2 folds: `quick` trains 4 embeddings for 60 steps of size 0.6 from one start; `standard` 20
    for 100 steps of size 0.3 from two, scored after 30 and 100; `deep` 20 for 300 steps of three sizes from two.
    """

    name: ClassVar[str] = "soft-prompt"
    summary: ClassVar[str] = "Trains free input embeddings on part of the forget set and scores the rest."
    paper: ClassVar[str] = "2402.09063"
    access: ClassVar[Access] = Access.WEIGHTS
    dose_unit: ClassVar[str] = "training steps"
    toward_answers: ClassVar[bool] = True
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
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
                training_texts=self._start_count(context) * self.parameters.batch_size * max(steps),
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
        batch_size, seed = self.parameters.batch_size, api.derive_seed(context.seed, "batches", number)
        with ExitStack() as stack:
            runs = [
                _Run(stack.enter_context(model.with_soft_prompt(rows)), lessons.kept, step, batch_size, seed)
                for rows in self._starts(model, length, context)
            ]
            for most in steps:
                for run in runs:
                    run.go_on(most)
                best = min(runs, key=lambda run: run.latest)
                if best.broke_down is not None:
                    raise best.broke_down
                yield Dose(
                    label=f"{length} rows size {size:g} step {most}",
                    value=most,
                    model=best.fork,
                    fact_ids=fold.scored_ids,
                    proof={
                        **_proof(best.fork, best.losses, step, lessons.kept),
                        "losses_of_starts": [None if run.broke_down else round(run.latest, 6) for run in runs],
                        **cut_lessons(best.fork, lessons.kept),
                    },
                    shown=tuple(lesson.text for lesson in lessons.kept),
                    dropped=lessons.dropped,
                )

    def _starts(self, model: Model, length: int, context: AttackContext) -> Iterator[torch.Tensor]:
        """The rows of each start: copies of `!`, then tokens drawn from the vocabulary."""
        yield starting_rows(model, length)
        for place in range(1, self._start_count(context)):
            yield drawn_rows(model, length, seed=api.derive_seed(context.seed, "start", place))

    def _start_count(self, context: AttackContext) -> int:
        return self.parameters.starts or STARTS[context.profile]

    def _steps(self, context: AttackContext) -> tuple[int, ...]:
        return self.parameters.steps or STEPS[context.profile]


class _Run:
    """One start, on its way down; all take the same batches in the same order."""

    def __init__(self, fork: Model, lessons: Sequence[Lesson], step: float, size: int, seed: int) -> None:
        self.fork = fork
        self.losses: list[float] = []
        self.broke_down: AttackError | None = None
        self._to_come = descend(fork, lesson_batches(fork, lessons, size=size, seed=seed), step=step)

    def go_on(self, most: int) -> None:
        """Up to so many steps, or until it breaks down: then another start may still get there."""
        if self.broke_down is None:
            try:
                self.losses += islice(self._to_come, most - len(self.losses))
            except AttackError as error:
                self.broke_down = error

    @property
    def latest(self) -> float:
        """Mean loss of the last steps, by which starts are compared; inf if it broke down. No scored fact has a say."""
        return math.inf if self.broke_down is not None else fmean(self.losses[-LATEST:])


def drawn_rows(model: Model, length: int, *, seed: int) -> torch.Tensor:
    """Input embeddings of `length` tokens drawn from the vocabulary, none of them special; shape (length, width)."""
    special = set(model.tokenizer.all_special_ids)
    usable = [token for token in range(len(model.tokenizer)) if token not in special]
    return embedded(model, list(islice(api.shuffled(usable, seed, "soft prompt"), length)))


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
