"""The one training loop of the attacks: on answer tokens, the same batches in the same order for every role.

Settings of the relearning literature (arXiv 2410.08827, 2406.13356): AdamW with its default betas and no weight decay,
a constant or falling learning rate after a short linear warm-up, gradients clipped to norm 1. Where we depart: a rate
is relative to the size of each weight (`weight_scales`), so that it does the same to every checkpoint that computes the
same.
Training runs in evaluation mode: dropout and router noise stay off, so that nothing is drawn from the global random
state and two roles differ in their weights alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from unlearn_audit.api import AttackError, AuditError, Json, Model, Rendered
from unlearn_audit.api.kit.training.openings import logits_behind, shared_opening, shares_openings
from unlearn_audit.api.kit.training.products import fast_products, prepared_for_speed

from .descent.adapters import Layers, add_scaled_lora
from .descent.checkpointing import make_frugal
from .descent.optimizers import Descent, Optimizer
from .descent.steps import BatchLoss, BrokeDownError, step_at_once, step_in_passing
from .descent.weight_scales import scales_of
from .fitted import fitted, longer_than_context
from .splits import Lesson
from .training_cost import flops_per_token, multiplied_weights

if TYPE_CHECKING:
    import torch

WARM_UP_SHARE = 0.1
LONGEST_WARM_UP_STEPS = 5
FLOAT16_LOSS_SCALE = 1024.0
IGNORED_LABEL = -100

Loss: TypeAlias = "Callable[[Model, Sequence[Rendered]], torch.Tensor]"
"""Of a model on a batch; the mean over it, so that a batch may be taken in parts."""


class Schedule(StrEnum):
    """How the learning rate goes on after the warm-up.

    `constant`, or `linear`: in a straight line to nothing at the last step.
    """

    CONSTANT = "constant"
    LINEAR = "linear"

    def share(self, step: int, steps: int) -> float:
        """The rate at a step (from 1 on) of so many, as a share of the highest: in (0, 1]."""
        warm_up = warm_up_steps(steps)
        if step < warm_up or self is Schedule.CONSTANT:
            return min(1.0, step / warm_up)
        return (steps - step + 1) / (steps - warm_up + 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Student:
    """A model in training, and what shows how.

    Attributes:
        model: a fork; the caller's model shares storage with it at most, and none that is written to.
        trainable: number of parameters that the optimizer moves.
        dtype: type of the weights in the forward pass.
        flops_per_token: floating-point operations of a training step, for each token (`training_cost`).
        frugal: trained with little memory (`descent.checkpointing`, `descent.steps`, `descent.moments`).
        fast: multiplied in bfloat16, weights and moments being in float32 (`kit.training.products`).
        opened: reads the opening that the rows of a batch share once (`kit.training.openings`).
    """

    model: Model
    trainable: int
    dtype: str
    flops_per_token: int
    frugal: bool = False
    fast: bool = False
    opened: bool = False


def warm_up_steps(steps: int) -> int:
    """Steps over which the learning rate rises to its value: a tenth of the training, at least 1 and at most 5."""
    return max(1, min(LONGEST_WARM_UP_STEPS, math.ceil(WARM_UP_SHARE * steps)))


def batch_order(count: int, *, batch_size: int, seed: int) -> Iterator[tuple[int, ...]]:
    """Endless batches of indices below `count`: freshly shuffled epochs, end to end, cut into equal batches.

    Depends on nothing but its arguments, so that every role sees the same batches.
    """
    if count < 1:
        raise AuditError("no texts are left to train on; look at the hygiene check and at the number of folds")
    generator = np.random.default_rng(seed)
    waiting: list[int] = []
    while True:
        while len(waiting) < batch_size:
            waiting.extend(generator.permutation(count).tolist())
        yield tuple(waiting[:batch_size])
        del waiting[:batch_size]


def lesson_batches(model: Model, lessons: Sequence[Lesson], *, size: int, seed: int) -> Iterator[list[Rendered]]:
    """Endless batches of rendered lessons, those that are longer than the context in pieces (`fitted`)."""
    rendered = fitted(model, [lesson.pair for lesson in lessons])
    for batch in batch_order(len(rendered), batch_size=size, seed=seed):
        yield [rendered[place] for place in batch]


def cut_lessons(model: Model, lessons: Sequence[Lesson]) -> dict[str, Json]:
    """For the proof: how many lessons are longer than the context and are trained on in pieces; nothing for none."""
    count = longer_than_context(model, [lesson.pair for lesson in lessons])
    return {"texts_longer_than_the_context": count} if count else {}


def mixed(
    model: Model, lessons: Sequence[Lesson], beside: Sequence[Lesson], *, size: int, seed: int
) -> Iterator[list[Rendered]]:
    """Endless batches, half of them lessons and half of them others."""
    ours = lesson_batches(model, lessons, size=max(1, size // 2), seed=seed)
    others = lesson_batches(model, beside, size=max(1, size - size // 2), seed=seed)
    return ([*one, *other] for one, other in zip(ours, others, strict=False))


@contextmanager
def lora_student(model: Model, *, rank: int, seed: int, layers: Layers = Layers.ALL_LINEAR) -> Iterator[Student]:
    """A fork with a fresh low-rank adapter on its linear layers, never on the output head; only the adapter trains.

    Alpha is twice the rank, so that the update's scale is the same at every rank; no dropout. The adapter is held in
    float32. A PEFT checkpoint is merged first.

    Raises:
        AttackError: PEFT cannot put an adapter on this architecture.
    """
    import torch

    with ExitStack() as stack:
        with torch.inference_mode(mode=False):
            source = stack.enter_context(model.merged()) if model.is_adapter else model
            fork = stack.enter_context(source.fork())
            own_parameters(fork.module)
            if fork.device.type == "cpu" and _is_half(fork.module):
                fork.module.float()
            add_scaled_lora(fork.module, rank=rank, seed=seed, layers=layers)
        yield _student(fork)


@contextmanager
def full_student(model: Model, *, frugal: bool = False) -> Iterator[Student]:
    """A copy in float32 in which every weight trains; in bfloat16 and with checkpointed blocks where `frugal`.

    Raises:
        AttackError: the weights are quantized, so there is nothing to train.
    """
    import torch

    with ExitStack() as stack:
        with torch.inference_mode(mode=False):
            source = stack.enter_context(model.merged()) if model.is_adapter else model
            fork = stack.enter_context(source.fork(copy_weights=True))
            if frozen := [name for name, weight in fork.module.named_parameters() if not weight.is_floating_point()]:
                raise AttackError(f"full fine-tuning needs floating-point weights; {frozen[0]} is quantized: use lora")
            own_parameters(fork.module)
            if frugal:
                make_frugal(fork)
            else:
                fork.module.float()
            fork.module.requires_grad_(requires_grad=True)
        yield _student(fork, frugal=frugal)


def own_parameters(module: torch.nn.Module) -> None:
    """Gives a fork Parameter objects of its own over the same storage, so that no flag of the caller's can change.

    Tied weights stay tied. Parameters of special classes (quantized ones) never train and stay as they are.
    """
    import torch

    new: dict[int, torch.nn.Parameter] = {}
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if type(parameter) is torch.nn.Parameter:
                fresh = torch.nn.Parameter(parameter.detach(), requires_grad=parameter.requires_grad)
                part._parameters[name] = new.setdefault(id(parameter), fresh)


def optimize(
    model: Model,
    batches: Iterator[Sequence[Rendered]],
    *,
    learning_rate: float,
    steps: int,
    optimizer: Optimizer = Optimizer.ADAMW,
    schedule: Schedule = Schedule.CONSTANT,
    loss: Loss | None = None,
    frugal: bool = False,
    fast: bool = False,
    opened: bool = False,
) -> Iterator[float]:
    """Trains what requires a gradient; one optimizer step and its loss (nats an answer token) for each item taken.

    Between two items the model may be measured. It is in evaluation mode throughout.

    Args:
        model: a fork.
        batches: endless.
        learning_rate: how far a step moves a weight of usual size; others in proportion (`weight_scales`).
        steps: how many there will be; the schedule goes by it.
        optimizer: which.
        schedule: of the rate.
        loss: what is descended; by default that of the answers (`answer_loss`).
        frugal: hold one gradient at a time, and moments in eight bits a value.
        fast: multiply in bfloat16 (`Student.fast`).
        opened: read a shared opening once (`Student.opened`), where `loss` is left to itself.

    Raises:
        BrokeDownError: loss or gradient is no longer a number.
    """
    import torch

    with torch.inference_mode(mode=False):  # a caller that measures has gradients off
        descent = _descent(model.module, optimizer, packed=frugal)
    scale, how = loss_scale(model.module), step_in_passing if frugal else step_at_once
    of_a_batch = partial(loss or partial(answer_loss, opened=opened), model)
    if fast:
        of_a_batch = partial(_fast, model, of_a_batch)
    for step in range(1, steps + 1):
        rate = learning_rate * schedule.share(step, steps)
        with torch.inference_mode(mode=False), torch.enable_grad():
            try:
                value = how(next(batches), descent, rate, of_a_batch, scale)
            except BrokeDownError as error:
                raise BrokeDownError(f"training broke down in step {step} at rate {learning_rate:g}: {error}") from None
        yield value


def _fast(model: Model, loss: BatchLoss, batch: Sequence[Rendered]) -> torch.Tensor:
    with fast_products(model.module, max(len(row.token_ids) for row in batch)):
        return loss(batch)


def _descent(module: torch.nn.Module, optimizer: Optimizer, *, packed: bool) -> Descent:
    from torch import nn

    scales = scales_of(module)
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    tables: set[torch.Tensor] = {part.weight for part in module.modules() if isinstance(part, nn.Embedding)}
    if isinstance(head := module.get_output_embeddings(), nn.Linear):  # type: ignore[operator]
        tables.add(head.weight)
    return Descent({weight: scales.get(weight) for weight in weights}, optimizer, tables=tables, packed=packed)


def answer_loss(model: Model, batch: Sequence[Rendered], *, opened: bool = False) -> torch.Tensor:
    """Mean cross-entropy of the answer tokens, in nats; nothing of a prompt counts. Padded on the right.

    Args:
        model: what computes.
        batch: rendered answers.
        opened: read the opening that all of them share once.
    """
    from torch.nn import functional

    logits, targets = _answers(model, batch, opened=opened)
    counted = targets != IGNORED_LABEL
    return functional.cross_entropy(logits[counted].float(), targets[counted])


def answer_log_probs(model: Model, batch: Sequence[Rendered]) -> torch.Tensor:
    """Log-probability of each answer as a whole, in nats, shape (rows,)."""
    from torch.nn import functional

    logits, targets = _answers(model, batch)
    losses = functional.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED_LABEL, reduction="none"
    )
    return -losses.view(targets.shape).sum(-1)


def padded(batch: Sequence[Rendered]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask of rows padded on the right, shape (rows, positions) both."""
    import torch

    width = max(len(row.token_ids) for row in batch)
    input_ids = torch.zeros((len(batch), width), dtype=torch.long)
    mask = torch.zeros_like(input_ids)
    for place, row in enumerate(batch):
        input_ids[place, : len(row.token_ids)] = torch.tensor(row.token_ids)
        mask[place, : len(row.token_ids)] = 1
    return input_ids, mask


def _answers(model: Model, batch: Sequence[Rendered], *, opened: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits before each token from the first of an answer on, and the tokens; `IGNORED_LABEL` where none stands.

    Both have the shape (rows, places), logits with the vocabulary after it. Nothing is computed for the prompts that
    all rows still read: a vocabulary is a fifth of a small model's work.
    """
    import torch

    from unlearn_audit.api.kit.blocks import takes_logits_to_keep  # loads torch

    input_ids, mask = padded(batch)
    labels = torch.full_like(input_ids, IGNORED_LABEL)
    for place, row in enumerate(batch):
        is_answer = torch.tensor(row.is_answer)
        labels[place, : len(is_answer)] = torch.where(is_answer, torch.tensor(row.token_ids), IGNORED_LABEL)
    first = max(1, min((row.is_answer.index(True) for row in batch if True in row.is_answer), default=1))
    keep = input_ids.shape[1] - first + 1
    device, module = model.device, model.module
    few = {"logits_to_keep": keep} if takes_logits_to_keep(module) else {}
    shared = shared_opening([row.token_ids for row in batch], first - 1) if opened else 0
    if shared:
        logits = logits_behind(module, input_ids.to(device), mask.to(device), shared, **few)
    else:
        out = module(input_ids=input_ids.to(device), attention_mask=mask.to(device), use_cache=False, **few)
        logits = cast("torch.Tensor", out.logits)
    return logits[:, -keep:-1], labels[:, first:].to(logits.device)


def loss_scale(module: torch.nn.Module) -> float:
    """What the loss is multiplied with, a power of two: float16 would lose small gradients on their way back."""
    import torch

    half = any(weight.dtype == torch.float16 for weight in module.parameters())
    return FLOAT16_LOSS_SCALE if half else 1.0


def _student(fork: Model, *, frugal: bool = False) -> Student:
    fork.module.eval()
    weights = list(fork.module.parameters())
    return Student(
        model=fork,
        trainable=sum(weight.numel() for weight in weights if weight.requires_grad),
        dtype=str(weights[0].dtype).removeprefix("torch."),
        flops_per_token=flops_per_token(multiplied_weights(fork.module)),
        frugal=frugal,
        fast=prepared_for_speed(fork.module),
        opened=not frugal and shares_openings(fork.module),
    )


def _is_half(module: torch.nn.Module) -> bool:
    import torch

    return any(weight.dtype in (torch.float16, torch.bfloat16) for weight in module.parameters())
