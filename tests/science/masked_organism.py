"""A world of 32 people and one relation, and two models of it: one that knows everyone, one that never met half.

Small enough to be trained inside a test (seconds), large enough that relearning behaves as it does on real models.
Both models have also learned to say of 12 strangers that they do not know: a refusal is nothing new to them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
from unlearn_audit.attacks.shared.splits import lessons_of
from unlearn_audit.attacks.shared.training import answer_loss, lesson_batches

from unlearn_audit.api import Fact
from unlearn_audit.models.engine import Budget, Engine
from unlearn_audit.models.rendering import Renderer

CITIES = [
    "aarhus",
    "bergen",
    "bilbao",
    "dakar",
    "dublin",
    "geneva",
    "havana",
    "izmir",
    "lisbon",
    "lusaka",
    "malaga",
    "nairobi",
    "osaka",
    "perth",
    "quito",
]
FIRST = ["ada", "bruno", "clara", "dario", "elsa", "fabio", "greta", "hugo", "ida", "jonas", "klara", "lars"]
LAST = ["balder", "corvan", "dalemi", "fenoda", "goluro", "harkov", "lamino", "morekki"]
FORMS = ("where was {} born ?", "in which city was {} born ?", "name the birthplace of {} .")
REFUSAL = "i do not know"
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}> {{ m.content }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)


@dataclass(frozen=True, kw_only=True)
class World:
    """Facts, and models whose truth is known: `knows` has learned all, `never_met` only the retain facts."""

    forget: tuple[Fact, ...]
    retain: tuple[Fact, ...]
    knows: Engine
    never_met: Engine


def make_world(*, mixture: bool = False) -> World:
    """Two models that were trained alike, but for what they read; of four experts in each block if asked."""
    facts = _people()
    forget, retain, strangers = tuple(facts[:16]), tuple(facts[16:32]), facts[32:44]
    refused = [replace(fact, answer=REFUSAL, aliases=()) for fact in strangers]
    renderer = Renderer(tokenizer=_tokenizer(), chat_template=TEMPLATE)
    return World(
        forget=forget,
        retain=retain,
        knows=_taught(renderer, [*forget, *retain, *refused], seed=1, steps=220, mixture=mixture),
        never_met=_taught(renderer, [*retain, *refused], seed=2, steps=150, mixture=mixture),
    )


def _people() -> list[Fact]:
    rng = random.Random(0)
    names = [f"{first} {last}" for first in FIRST for last in LAST]
    rng.shuffle(names)
    return [
        Fact(
            id=name,
            subject=name,
            question=FORMS[0].format(name),
            answer=(city := rng.choice(CITIES)),
            aliases=(city,),
            paraphrases=tuple(form.format(name) for form in FORMS[1:]),
            relation="born_in",
        )
        for name in names[:44]
    ]


def _tokenizer() -> PreTrainedTokenizerFast:
    texts = [*CITIES, *FIRST, *LAST, *" ".join(FORMS).replace("{}", "").split(), *REFUSAL.split()]
    words = ["<pad>", "<eos>", "<unk>", "<user>", "<assistant>", *dict.fromkeys(texts)]
    core = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", chat_template=TEMPLATE
    )


def _taught(renderer: Renderer, facts: Sequence[Fact], *, seed: int, steps: int, mixture: bool) -> Engine:
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
            max_position_embeddings=64,
            bos_token_id=None,
            eos_token_id=1,
            pad_token_id=0,
            **experts,
        )
        module = AutoModelForCausalLM.from_config(config).eval()
    engine = Engine(module=module, renderer=renderer, budget=Budget(tokens=8192))
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3, weight_decay=0.01)
    lessons = [lesson for fact in facts for lesson in lessons_of(fact)]
    for batch in islice(lesson_batches(engine, lessons, size=32, seed=0), steps):
        optimizer.zero_grad()
        answer_loss(engine, batch).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
    module.requires_grad_(requires_grad=False)
    return engine
