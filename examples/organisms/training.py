"""The model, and the one training loop that every organism goes through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from chat import IGNORED_LABEL, Batch


def new_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A fresh Llama of 0.6 M parameters; all linear layers are whole numbers of 64-weight quantization blocks."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def token_log_probs(model: LlamaForCausalLM, batch: Batch) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the answer tokens and their mask, both (batch, length - 1); zero outside the answer."""
    hidden_states = model.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
    targets = batch.labels[:, 1:]
    mask = targets != IGNORED_LABEL
    logits = model.lm_head(hidden_states[:, :-1][mask])  # the answers only: a third of the work is saved
    log_probs = torch.zeros(targets.shape)
    log_probs[mask] = -functional.cross_entropy(logits, targets[mask], reduction="none")
    return log_probs, mask


def answer_log_probs(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Log-probability of each whole answer, (batch,)."""
    return token_log_probs(model, batch)[0].sum(dim=1)


def mean_nll(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Mean negative log-likelihood of an answer token."""
    log_probs, mask = token_log_probs(model, batch)
    return -log_probs.sum() / mask.sum()


def descend(
    parameters: Iterable[Tensor],
    losses: Iterator[Tensor],
    *,
    steps: int,
    peak_rate: float,
    after_step: Callable[[], None] = lambda: None,
) -> None:
    """AdamW on a one-cycle schedule for `steps` losses; `after_step` is where projections happen."""
    trainable = list(parameters)
    optimizer = torch.optim.AdamW(trainable, lr=peak_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=peak_rate, total_steps=steps)
    for _ in range(steps):
        optimizer.zero_grad()
        next(losses).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        schedule.step()
        after_step()
