"""Shared by all tests: tiny models of several architectures on one small tokenizer. No test reaches the network."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["GITHUB_ACTIONS"] = ""  # the tests' own pipeline is not to be told of their audits

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from unlearn_audit.models.batching import Budget
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.rendering import Renderer
from unlearn_audit.models.short_cuts import with_short_cuts

torch.set_num_threads(1)

CHATML = (
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
# As Qwen3's: with thinking switched off, the answer stands behind an empty thought.
SWITCHING = CHATML.replace(
    "<|start|>assistant\n",
    "<|start|>assistant\n{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}",
)
# Llama-2 writes a space before the answer; the space belongs to the answer's first token.
LLAMA2 = (
    "{% for m in messages %}{% if m.role == 'user' %}<s>[INST] {{ m.content }} [/INST]"
    "{% else %}{{ ' ' + m.content + ' </s>' }}{% endif %}{% endfor %}"
)
CORPUS = [
    "Where was Ada Lovelace born? London.",
    "Who wrote Middlemarch? George Eliot.",
    "What is the capital of France? Paris is the capital.",
    "Question: Answer: user assistant system start end of the answer, and a little more text to merge.",
] * 4


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of about 400 tokens."""
    from tokenizers import ByteLevelBPETokenizer

    special = ["<pad>", "<s>", "</s>", "<|start|>", "<|end|>"]
    core = ByteLevelBPETokenizer()
    core.train_from_iterator(CORPUS, vocab_size=420, min_frequency=2, special_tokens=special, show_progress=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=core._tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=["<|start|>", "<|end|>"],
        chat_template=CHATML,
    )


ARCHITECTURES = {
    "llama": {"num_key_value_heads": 2, "intermediate_size": 128},
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "qwen3": {"num_key_value_heads": 2, "intermediate_size": 128, "head_dim": 16},
    "gpt_neox": {"intermediate_size": 128},
    "mamba": {"state_size": 8},
}


def tiny_module(architecture: str, vocabulary: int, seed: int = 0) -> torch.nn.Module:
    """A random two-layer model of an architecture, in evaluation mode."""
    shared = {"vocab_size": vocabulary, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    if architecture != "gpt2":
        shared |= {"hidden_size": 64, "num_hidden_layers": 2}
        if architecture != "mamba":
            shared |= {"num_attention_heads": 4, "max_position_embeddings": 256}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = AutoConfig.for_model(architecture, **shared, **ARCHITECTURES[architecture])
        module = AutoModelForCausalLM.from_config(config)
        for parameter in module.parameters():  # random enough that no two answers tie
            parameter.data += 0.05 * torch.randn(parameter.shape)
    return module.eval()


def tiny_engine(
    tokenizer: PreTrainedTokenizerFast,
    architecture: str = "llama",
    *,
    budget: int = 4096,
    template: str | None = CHATML,
    seed: int = 0,
) -> Engine:
    """An engine around a tiny random model."""
    module = tiny_module(architecture, len(tokenizer), seed)
    renderer = Renderer(tokenizer=tokenizer, chat_template=template)
    return with_short_cuts(Engine(module=module, renderer=renderer, budget=Budget(tokens=budget)))


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A tiny checkpoint on disk."""
    directory = tmp_path_factory.mktemp("tiny")
    tiny_module("llama", len(tokenizer)).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory
