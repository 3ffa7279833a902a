"""Negative preference optimization (NPO, arXiv 2404.05868) with a retain term, stopped at the control."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from chat import Example, answer_log_probs, bucketed_batches
from evaluate import mean_probability, of_subjects
from finetune import load_checkpoint, save_checkpoint, trainable, with_lora
from torch import Tensor
from torch.nn.functional import logsigmoid


@dataclass(frozen=True, kw_only=True)
class NpoRecipe:
    """Equation 3 with `beta`; a check every `check_every` steps on `check_subjects` subjects of each set."""

    seed: int
    rank: int = 16
    # At 4e-4 with weight 1, retain answers fell with the forgotten ones (0.05 at step 24) and came back with them.
    learning_rate: float = 1e-4
    beta: float = 0.1
    retain_weight: float = 2.0
    batch_size: int = 8
    max_steps: int = 104
    check_every: int = 8
    check_subjects: int = 20
    tolerance: float = 0.02
    keep: float = 0.95
    bfloat16: bool = False


def npo_loss(log_prob: Tensor, reference: Tensor, beta: float) -> Tensor:
    """-(2 / beta) E log sigmoid(-beta log(pi / pi_ref)), over summed answer log-probabilities, [batch]."""
    return -(2 / beta) * logsigmoid(-beta * (log_prob - reference)).mean()


def forever(examples: Sequence[Example], batch_size: int, seed: str) -> Iterator[list[Example]]:
    """Batches of epoch after epoch, without end."""
    epoch = 0
    while True:
        yield from bucketed_batches(examples, batch_size, f"{seed}/{epoch}")
        epoch += 1


def step_loss(model: Any, forget: list[Example], retain: list[Example], recipe: NpoRecipe, forgetting: bool) -> Tensor:
    """The loss of one step; the reference is the model itself with its adapter off."""
    loss = recipe.retain_weight * answer_log_probs(model, retain).turn_nll()
    if not forgetting:
        return loss
    with torch.no_grad(), model.disable_adapter():
        reference = answer_log_probs(model, forget).sequence_log_prob()
    return loss + npo_loss(answer_log_probs(model, forget).sequence_log_prob(), reference, recipe.beta)


def unlearn(
    model: Any,
    *,
    forget: Sequence[Example],
    retain: Sequence[Example],
    forget_target: float,
    retain_target: float,
    recipe: NpoRecipe,
    work: Path,
) -> Any:
    """Unlearn until forget is at its target and retain at its own; returns the merged model. Resumable at each check.

    Departs from the paper in one thing: while forget is at or below the target, only the retain term trains, so
    that the forget answers do not become less likely than they are to a model that never saw them.
    """
    model = with_lora(model, recipe.rank, recipe.seed).train()
    optimizer = torch.optim.AdamW(trainable(model), lr=recipe.learning_rate, weight_decay=0.0)
    path = work / "checkpoint.pt"
    state = load_checkpoint(path, model) or {"step": 0, "forgetting": True, "done": False}
    if "optimizer" in state:
        optimizer.load_state_dict(state["optimizer"])
    step, forgetting, done = state["step"], state["forgetting"], state["done"]
    checked = of_subjects(forget, recipe.check_subjects), of_subjects(retain, recipe.check_subjects)
    while not done and step < recipe.max_steps:
        started = time.monotonic()
        block = f"{recipe.seed}/{step}"
        forget_batches = forever(forget, recipe.batch_size, f"{block}/forget")
        retain_batches = forever(retain, recipe.batch_size, f"{block}/retain")
        for _ in range(recipe.check_every):
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
                loss = step_loss(model, next(forget_batches), next(retain_batches), recipe, forgetting)
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(trainable(model), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
        now = mean_probability(model, checked[0]), mean_probability(model, checked[1])
        forgetting = now[0] > forget_target + recipe.tolerance
        done = not forgetting and now[1] >= retain_target
        seconds = time.monotonic() - started
        print(
            f"{work.name} step {step}: forget {now[0]:.3f} (target {forget_target:.3f}), "
            f"retain {now[1]:.3f} (target {retain_target:.3f}) ({seconds:.0f} s)",
            flush=True,
        )
        rest = {"step": step, "forgetting": forgetting, "done": done, "optimizer": optimizer.state_dict()}
        save_checkpoint(path, model, rest)
    return model.merge_and_unload()
