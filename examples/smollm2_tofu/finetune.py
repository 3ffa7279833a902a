"""LoRA fine-tuning on answers, resumable at every epoch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from chat import Example, answer_log_probs, bucketed_batches
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the original and the retrained control have in common: everything but the data."""

    epochs: int
    seed: int
    rank: int = 16
    learning_rate: float = 1e-3
    warm_up: float = 0.1
    batch_size: int = 8
    bfloat16: bool = False


def with_lora(model: Any, rank: int, seed: int) -> Any:
    """The model with fresh LoRA weights on all linear layers but the output; the global random state is kept."""
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def trainable(model: Any) -> list[torch.nn.Parameter]:
    """The LoRA weights."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def save_checkpoint(path: Path, model: Any, state: dict[str, Any]) -> None:
    """Adapter and optimizer state; the file appears at once and complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save({"adapter": get_peft_model_state_dict(model), **state}, partial)
    partial.rename(path)


def load_checkpoint(path: Path, model: Any) -> dict[str, Any] | None:
    """Put a saved adapter back into the model and return the rest of the state, or None where nothing is saved."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True)
    set_peft_model_state_dict(model, state.pop("adapter"))
    return state


def finetune(model: Any, examples: Sequence[Example], recipe: Recipe, work: Path) -> Any:
    """Fine-tune with a one-cycle learning rate; returns the merged model. Continues from the last finished epoch."""
    model = with_lora(model, recipe.rank, recipe.seed).train()
    optimizer = torch.optim.AdamW(trainable(model), lr=recipe.learning_rate, weight_decay=0.0)
    per_epoch = -(-len(examples) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=recipe.learning_rate,
        total_steps=recipe.epochs * per_epoch,
        pct_start=recipe.warm_up,
    )
    path = work / "checkpoint.pt"
    state = load_checkpoint(path, model)
    first = 0
    if state is not None:
        first = state["epoch"]
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
    for epoch in range(first, recipe.epochs):
        started = time.monotonic()
        losses = []
        for batch in bucketed_batches(examples, recipe.batch_size, f"{recipe.seed}/{epoch}"):
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
                loss = answer_log_probs(model, batch).turn_nll()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(trainable(model), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        seconds = time.monotonic() - started
        print(
            f"{work.name} epoch {epoch + 1}/{recipe.epochs}: loss {sum(losses) / len(losses):.3f} ({seconds:.0f} s)",
            flush=True,
        )
        save_checkpoint(
            path,
            model,
            {"epoch": epoch + 1, "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()},
        )
    return model.merge_and_unload()
