"""Fresh models of every architecture, and the log-probabilities that every method is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.validity.paths import reach_organisms
from benchmarks.validity.people.worlds import Architecture

reach_organisms()

from chat import IGNORED_LABEL, Batch  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast  # noqa: E402

WIDTH, LAYERS, HEADS = 128, 3, 4
INITIAL_DEVIATION = 0.05
"""Of the initial weights; with the usual 0.02 a model this small learns the same facts half as fast."""

_GATED = {"intermediate_size": 192, "num_key_value_heads": HEADS}
_OWN: Mapping[Architecture, Mapping[str, Any]] = {
    Architecture.LLAMA: _GATED,
    Architecture.QWEN2: _GATED,
    Architecture.NEOX: {"intermediate_size": 320},
    Architecture.QWEN3: {**_GATED, "head_dim": 32},
    Architecture.GEMMA: {**_GATED, "head_dim": 32, "query_pre_attn_scalar": 32, "num_key_value_heads": 2},
    Architecture.MIXTRAL: {**_GATED, "intermediate_size": 128, "num_local_experts": 4, "num_experts_per_tok": 2},
    Architecture.QWEN3_MOE: {
        **_GATED,
        "head_dim": 32,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 128,
    },
    Architecture.LFM2: {**_GATED, "layer_types": ["conv", "full_attention", "conv"]},
    Architecture.GPT2: {"n_inner": 320, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
}
"""What a configuration needs beside the usual sizes."""


def fresh_model(architecture: Architecture, tokenizer: PreTrainedTokenizerFast, seed: int) -> PreTrainedModel:
    """A model of half a million to a million parameters; linear layers are whole numbers of 64-weight blocks."""
    config = AutoConfig.for_model(
        architecture.value,
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=INITIAL_DEVIATION,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **_OWN[architecture],
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


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


def blocks_of(model: PreTrainedModel) -> Any:
    """The blocks, first to last."""
    base = base_of(model)
    return base.h if hasattr(base, "h") else base.layers


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
