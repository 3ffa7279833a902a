"""Tiny random models of several architectures, on one small tokenizer: made in a moment, from nothing but a seed."""

from __future__ import annotations

import torch
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from unlearn_audit.api import Model
from unlearn_audit.models.batching import Budget
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.rendering import Renderer
from unlearn_audit.models.short_cuts import with_short_cuts
from unlearn_audit.testing.architectures import CONFIGS, USUAL

CHATML = (
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
# As Qwen3's: with thinking switched off, the answer stands behind an empty thought.
SWITCHING = CHATML.replace(
    "<|start|>assistant\n",
    "<|start|>assistant\n{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}",
)
CORPUS = [
    "Where was Ada Lovelace born? London.",
    "Who wrote Middlemarch? George Eliot.",
    "What is the capital of France? Paris is the capital.",
    "Question: Answer: user assistant system start end of the answer, and a little more text to merge.",
] * 4


def tiny_model(architecture: str = "llama", *, seed: int = 0, switches_thinking: bool = False) -> Model:
    """A random model of two layers with a chat template, as attacks and probes are given one.

    Args:
        architecture: one of `testing.architectures.CONFIGS`.
        seed: of its weights; the same seed gives the same model.
        switches_thinking: its template can ask with and without thinking.
    """
    template = SWITCHING if switches_thinking else CHATML
    return tiny_engine(tiny_tokenizer(), architecture, template=template, seed=seed)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of about 400 tokens."""
    from tokenizers import ByteLevelBPETokenizer

    special = ["<pad>", "<s>", "</s>", "<|start|>", "<|end|>"]
    core = ByteLevelBPETokenizer()
    core.train_from_iterator(CORPUS, vocab_size=420, min_frequency=2, special_tokens=special, show_progress=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=core._tokenizer,
        pad_token="<pad>",  # noqa: S106 - a token of text
        bos_token="<s>",  # noqa: S106
        eos_token="</s>",  # noqa: S106
        additional_special_tokens=["<|start|>", "<|end|>"],
        chat_template=CHATML,
    )


def tiny_module(architecture: str, vocabulary: int, seed: int = 0) -> torch.nn.Module:
    """A random two-layer model of an architecture, in evaluation mode."""
    own = CONFIGS[architecture]
    usual = {name: size for name, size in USUAL.items() if name in CONFIG_MAPPING[architecture]().to_dict()}
    ids = {"vocab_size": vocabulary, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = AutoConfig.for_model(architecture, **{**ids, **usual, **own})
        module: torch.nn.Module = AutoModelForCausalLM.from_config(config)
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
    """The engine of a run around a tiny random model."""
    module = tiny_module(architecture, len(tokenizer), seed)
    renderer = Renderer(tokenizer=tokenizer, chat_template=template)
    return with_short_cuts(Engine(module=module, renderer=renderer, budget=Budget(tokens=budget)))
