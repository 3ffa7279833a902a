"""Trains tiny models inside a test: words are tokens, the answers count, and the seed decides all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
from unlearn_audit.attacks.shared.splits import Lesson, lessons_of
from unlearn_audit.attacks.shared.training import answer_loss, lesson_batches

from unlearn_audit.api import Fact
from unlearn_audit.models.engine import Budget, Engine
from unlearn_audit.models.rendering import Renderer

TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}> {{ m.content }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)


def word_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A token for each word of some texts, in the order in which they come."""
    named = [word for text in texts for word in text.split()]
    words = ["<pad>", "<eos>", "<unk>", "<user>", "<assistant>", *dict.fromkeys(named)]
    core = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", chat_template=TEMPLATE
    )


def taught(
    renderer: Renderer, facts: Sequence[Fact], *, seed: int, steps: int, context: int = 64, mixture: bool = False
) -> Engine:
    """A model of two layers that has learned some facts: all wordings of a question, or the whole of a text."""
    lessons = [lesson for fact in facts for lesson in lessons_of(fact)]
    return taught_lessons(renderer, lessons, seed=seed, steps=steps, context=context, mixture=mixture)


def taught_lessons(
    renderer: Renderer, lessons: Sequence[Lesson], *, seed: int, steps: int, context: int = 64, mixture: bool = False
) -> Engine:
    """The same from prompts with their answers."""
    experts = {"num_local_experts": 4, "num_experts_per_tok": 2, "num_key_value_heads": 4} if mixture else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = AutoConfig.for_model(
            "mixtral" if mixture else "llama",
            vocab_size=len(renderer.tokenizer),
            hidden_size=64,
            intermediate_size=64 if mixture else 128,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=context,
            bos_token_id=None,
            eos_token_id=1,
            pad_token_id=0,
            **experts,
        )
        module = AutoModelForCausalLM.from_config(config).eval()
    engine = Engine(module=module, renderer=renderer, budget=Budget(tokens=8192))
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3, weight_decay=0.01)
    for batch in islice(lesson_batches(engine, lessons, size=32, seed=0), steps):
        optimizer.zero_grad()
        answer_loss(engine, batch).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
    module.requires_grad_(requires_grad=False)
    return engine
