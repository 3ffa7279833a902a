"""Models of random weights, from 10 M parameters on, and batches of random tokens to train them on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from unlearn_audit.attacks.shared.memory import Batch

from unlearn_audit.api import Rendered
from unlearn_audit.api.extent import Audited, Extent, extent_of
from unlearn_audit.models.batching import Budget
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.rendering import Renderer
from unlearn_audit.testing.models import CHATML, tiny_tokenizer

_POSITIONS = {"max_position_embeddings": 512}


def _llama(
    width: int, blocks: int, inner: int, vocabulary: int, heads: int, groups: int | None = None
) -> dict[str, Any]:
    sizes = {"hidden_size": width, "num_hidden_layers": blocks, "intermediate_size": inner, "vocab_size": vocabulary}
    return {**sizes, **_POSITIONS, "num_attention_heads": heads, "num_key_value_heads": groups or heads}


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """A model, and how many texts a batch has: the larger the one, the fewer the others, so that a CPU ends in minutes.

    Attributes:
        texts: of 64 tokens each; a sixteenth of them where the frugal way is taken, which computes in bfloat16.
    """

    kind: str
    texts: int
    sizes: Mapping[str, Any]

    @property
    def full_batch(self) -> Batch:
        """As a GPU takes it."""
        return Batch(texts=self.texts, tokens=TOKENS)

    def batch(self, way: str) -> Batch:
        """Of a training here."""
        few = way == "frugal" and not torch.cuda.is_available()
        return replace(self.full_batch, texts=max(1, self.texts // 16)) if few else self.full_batch


def _shape(kind: str, texts: int, **sizes: Any) -> Shape:
    return Shape(kind=kind, texts=texts, sizes=sizes)


TOKENS = 64


MODELS: Mapping[str, Shape] = {
    "llama 1 M": _shape("llama", 1, **_llama(128, 2, 344, 4096, 2)),
    "llama 10 M": _shape("llama", 16, **_llama(320, 7, 864, 4096, 5), tie_word_embeddings=True),
    "llama 34 M": _shape("llama", 16, **_llama(512, 8, 1408, 8192, 8)),
    "gpt2 51 M": _shape("gpt2", 8, n_embd=512, n_layer=8, n_head=8, n_positions=512, vocab_size=50257),
    "mixtral 60 M": _shape("mixtral", 8, **_llama(384, 6, 1024, 8192, 6), num_local_experts=6),
    "gpt_neox 96 M": _shape("gpt_neox", 8, **_llama(640, 12, 2560, 28672, 10)),
    "llama 135 M": _shape("llama", 8, **_llama(576, 30, 1536, 49152, 9, 3), tie_word_embeddings=True),
    "qwen2 240 M": _shape("qwen2", 4, **_llama(896, 16, 3584, 65536, 14, 2), tie_word_embeddings=True),
    "llama 362 M": _shape("llama", 4, **_llama(960, 32, 2560, 49152, 15, 5), tie_word_embeddings=True),
    "llama 1.2 B": _shape("llama", 32, **_llama(2048, 16, 8192, 128256, 32, 8), tie_word_embeddings=True),
    "llama 8.0 B": _shape("llama", 32, **_llama(4096, 32, 14336, 128256, 32, 8)),
}
"""The first warms up, the two largest are for a GPU. 135 and 362 M have the shape of SmolLM2, the billions Llama's."""
LARGEST_ON_CPU = 400_000_000
WARM_UP = "llama 1 M"


def extent_of_model(name: str) -> Extent:
    """The sizes of a model, without its weights."""
    kind, sizes = MODELS[name].kind, MODELS[name].sizes
    with torch.device("meta"):
        module = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes))
    named = module.named_parameters()  # tied weights once, as they are stored
    return extent_of((name, tuple(weight.shape), 2 * weight.numel()) for name, weight in named)


def audited(name: str) -> Audited:
    """As the plan knows it, in bfloat16."""
    return Audited(extent=extent_of_model(name), dtype="bfloat16")


def made(name: str, dtype: torch.dtype) -> Engine:
    """The model on the GPU, or on the CPU where there is none."""
    kind, sizes = MODELS[name].kind, MODELS[name].sizes
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            module = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes), dtype=dtype)
    finally:
        torch.set_default_dtype(before)
    module = module.eval().requires_grad_(requires_grad=False)
    renderer = Renderer(tokenizer=tiny_tokenizer(), chat_template=CHATML)
    return Engine(module=module, renderer=renderer, budget=Budget(tokens=4096))


def batches(batch: Batch) -> Iterator[list[Rendered]]:
    """Endless batches of texts of one length, a third of each its answer."""
    generator = torch.Generator().manual_seed(0)
    is_answer = tuple(place >= batch.tokens - batch.tokens // 3 for place in range(batch.tokens))
    while True:
        rows = torch.randint(5, 400, (batch.texts, batch.tokens), generator=generator).tolist()
        yield [Rendered(token_ids=tuple(row), is_answer=is_answer) for row in rows]
