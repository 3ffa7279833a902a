"""Fresh models of three architectures, and the log-probabilities that every method is made of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.validity.paths import reach_organisms
from benchmarks.validity.worlds import Architecture

reach_organisms()

from chat import IGNORED_LABEL, Batch  # noqa: E402
from transformers import (  # noqa: E402
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

WIDTH, LAYERS, HEADS = 128, 3, 4
INITIAL_DEVIATION = 0.05
"""Of the initial weights; with the usual 0.02 a model this small learns the same facts half as fast."""


def fresh_model(architecture: Architecture, tokenizer: PreTrainedTokenizerFast, seed: int) -> PreTrainedModel:
    """A model of 0.55 M parameters; all linear layers are whole numbers of 64-weight quantization blocks."""
    shared: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
        "initializer_range": INITIAL_DEVIATION,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if architecture is Architecture.NEOX:
            return GPTNeoXForCausalLM(GPTNeoXConfig(**shared, intermediate_size=320))
        gated = {**shared, "intermediate_size": 192, "num_key_value_heads": HEADS}
        if architecture is Architecture.QWEN2:
            return Qwen2ForCausalLM(Qwen2Config(**gated))
        return LlamaForCausalLM(LlamaConfig(**gated))


def answer_logits(model: PreTrainedModel, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """What the model says before each answer token.

    Returns:
        Logits (tokens, vocabulary); the tokens that stand there; the mask (batch, length - 1) of their places.
    """
    hidden_states = base_of(model)(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
    targets = batch.labels[:, 1:]
    mask = targets != IGNORED_LABEL
    head = model.get_output_embeddings()
    return head(hidden_states[:, :-1][mask]), targets[mask], mask


def base_of(model: PreTrainedModel) -> Any:
    """The stack below the output head, within an adapter's wrapper if there is one."""
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    return plain.base_model


def answer_log_probs(model: PreTrainedModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Log-probability of each whole answer and its number of tokens, both (batch,)."""
    logits, targets, mask = answer_logits(model, batch)
    log_probs = torch.zeros(mask.shape)
    log_probs[mask] = -functional.cross_entropy(logits, targets, reduction="none")
    return log_probs.sum(dim=1), mask.sum(dim=1)


def mean_nll(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Mean negative log-likelihood of an answer token, in nats."""
    logits, targets, _ = answer_logits(model, batch)
    return functional.cross_entropy(logits, targets)


def divergence(teacher_logits: Tensor, logits: Tensor) -> Tensor:
    """KL(teacher || student) in nats, mean over tokens."""
    return functional.kl_div(
        functional.log_softmax(logits, dim=-1),
        functional.log_softmax(teacher_logits, dim=-1),
        log_target=True,
        reduction="batchmean",
    )
