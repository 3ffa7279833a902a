"""Fine-tuning of the upper blocks alone: what the lower ones make of every example is computed once and kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from chat import AnswerLogProbs, Example, answers_at, bucketed_batches, common_prefix
from finetune import load_checkpoint, save_checkpoint, trainable, with_lora
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

SAVED_EVERY = 10


@dataclass(frozen=True, kw_only=True)
class UpperRecipe:
    """What all models have in common: everything but the data."""

    epochs: int
    seed: int
    learning_rate: float
    frozen: int = 24
    rank: int = 16
    warm_up: float = 0.1
    batch_size: int = 8


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """The residual stream above the frozen blocks: of the tokens that all prompts share, and of each example's own.

    Attributes:
        shared: [shared tokens, width].
        own: by example, [its other tokens, width].
    """

    shared: Tensor
    own: dict[Example, Tensor]

    @property
    def length(self) -> int:
        """Number of shared tokens."""
        return len(self.shared)


def frozen_states(model: Any, examples: Sequence[Example], blocks: int, batch_size: int = 16) -> Frozen:
    """What `blocks` blocks make of the examples, without gradient."""
    every = list(dict.fromkeys(examples))
    length = common_prefix(every)
    own: dict[Example, Tensor] = {}
    shared = torch.empty(0)
    with torch.inference_mode():
        for batch in bucketed_batches(every, batch_size, "frozen"):
            token_ids = pad_sequence([torch.tensor([*e.prompt, *e.answer]) for e in batch], batch_first=True)
            states = model.model(input_ids=token_ids, output_hidden_states=True).hidden_states[blocks]
            shared = states[0, :length].clone()
            own |= {
                e: row[length : len(e.prompt) + len(e.answer)].clone() for e, row in zip(batch, states, strict=True)
            }
    return Frozen(shared=shared, own=own)


def kept_states(path: Path, model: Any, examples: Sequence[Example], blocks: int) -> Frozen:
    """What the frozen blocks make of the examples: computed once, for all models that share them, then read."""
    if not path.exists():
        started, states = time.monotonic(), frozen_states(model, examples, blocks)
        print(f"{len(states.own)} examples read ({time.monotonic() - started:.0f} s)", flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save(
            {"shared": states.shared, "own": {(e.prompt, e.answer): own for e, own in states.own.items()}}, partial
        )
        partial.rename(path)
    kept = torch.load(path, weights_only=True)
    return Frozen(shared=kept["shared"], own={e: kept["own"][e.prompt, e.answer] for e in examples})


class Upper:
    """A model cut down to its upper blocks for as long as it is used as a context."""

    def __init__(self, model: Any, frozen: int) -> None:
        self._model, self._frozen, self._layers = model, frozen, model.model.layers

    def __enter__(self) -> Any:
        self._number(self._layers[self._frozen :])
        return self._model

    def __exit__(self, *_: object) -> None:
        self._number(self._layers)

    def _number(self, layers: Any) -> None:
        """Let the model run these blocks alone; the cache counts them from 0."""
        self._model.model.layers = layers
        self._model.config.num_hidden_layers = len(layers)
        for place, layer in enumerate(layers):
            layer.self_attn.layer_idx = place


def upper_log_probs(model: Any, states: Frozen, batch: Sequence[Example]) -> AnswerLogProbs:
    """`chat.answer_log_probs`, from the frozen blocks' states on."""
    decoder = model.get_base_model() if hasattr(model, "get_base_model") else model
    cache = decoder.model(inputs_embeds=states.shared[None], use_cache=True).past_key_values
    cache.batch_repeat_interleave(len(batch))
    rows = pad_sequence([states.own[example] for example in batch], batch_first=True)
    lengths = torch.tensor([len(states.own[example]) for example in batch])
    real = torch.arange(states.length + rows.shape[1]) < (states.length + lengths)[:, None]
    hidden_states = decoder.model(
        inputs_embeds=rows, attention_mask=real.long(), past_key_values=cache, use_cache=True
    ).last_hidden_state
    own = pad_sequence([torch.tensor([*e.prompt[states.length :], *e.answer]) for e in batch], batch_first=True)
    return answers_at(decoder, hidden_states, own, batch, states.length)


def finetune_upper(model: Any, examples: Sequence[Example], states: Frozen, recipe: UpperRecipe, work: Path) -> Any:
    """LoRA on the upper blocks with a one-cycle rate; returns the whole model, merged. Continues where it was saved."""
    with Upper(model, recipe.frozen) as upper:
        trained = with_lora(upper, recipe.rank, recipe.seed).train()
        _train(trained, examples, states, recipe, work)
        return trained.merge_and_unload()


def _train(model: Any, examples: Sequence[Example], states: Frozen, recipe: UpperRecipe, work: Path) -> None:
    optimizer = torch.optim.AdamW(trainable(model), lr=recipe.learning_rate, weight_decay=0.0)
    per_epoch = -(-len(examples) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=recipe.learning_rate, total_steps=recipe.epochs * per_epoch, pct_start=recipe.warm_up
    )
    path = work / "checkpoint.pt"
    state = load_checkpoint(path, model)
    done = 0 if state is None else state["step"]
    if state is not None:
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
    steps = [
        batch
        for epoch in range(recipe.epochs)
        for batch in bucketed_batches(examples, recipe.batch_size, f"{recipe.seed}/{epoch}")
    ]
    started, losses = time.monotonic(), []
    for step, batch in enumerate(steps[done:], done + 1):
        loss = upper_log_probs(model, states, batch).turn_nll()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(trainable(model), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if step % SAVED_EVERY == 0 or step == len(steps):
            seconds, mean = time.monotonic() - started, sum(losses) / len(losses)
            print(f"{work.name} step {step}/{len(steps)}: loss {mean:.3f} ({seconds:.0f} s)", flush=True)
            kept = {"step": step, "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
            save_checkpoint(path, model, kept)
            started, losses = time.monotonic(), []
