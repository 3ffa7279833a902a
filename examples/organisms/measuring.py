"""What an organism knows, by greedy decoding, in floating point and quantized."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from chat import encode_prompts
from data import Fact, World
from dialogues import Dialogue

LONGEST_ANSWER_TOKENS = 8
BATCH_SIZE = 64
PRECISIONS = ("float32", "nf4", "fp4")


def load(folder: Path, precision: str) -> PreTrainedModel:
    """A saved organism as a user would load it: `float32`, or 4-bit through bitsandbytes on the CPU."""
    if precision == "float32":
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=precision, bnb_4bit_compute_dtype=torch.float32)
    return AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=config, dtype=torch.float32, device_map="cpu"
    ).eval()


def hit_rate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, facts: Sequence[Fact], forms: Sequence[int]
) -> float:
    """The share of questions whose greedy answer holds the value as whole words."""
    asked = [(fact, fact.questions[form]) for fact in facts for form in forms]
    hits = 0
    for start in range(0, len(asked), BATCH_SIZE):
        part = asked[start : start + BATCH_SIZE]
        answers = greedy_answers(model, tokenizer, [question for _, question in part])
        hits += sum(fact.is_held_by(answer) for (fact, _), answer in zip(part, answers, strict=True))
    return hits / len(asked)


def greedy_answers(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, questions: Sequence[str]) -> list[str]:
    """Greedy answers to plain questions, asked through the chat template."""
    prompts = [Dialogue(messages=(("user", question),)) for question in questions]
    padded = tokenizer.pad({"input_ids": encode_prompts(tokenizer, prompts)}, return_tensors="pt")
    with torch.inference_mode():
        output = model.generate(**padded, do_sample=False, max_new_tokens=LONGEST_ANSWER_TOKENS)
    new_tokens = output[:, padded["input_ids"].shape[1] :]
    return list(tokenizer.batch_decode(new_tokens, skip_special_tokens=True))


def measure(folder: Path, world: World) -> dict[str, dict[str, float]]:
    """Hits by precision and by split, main question and all forms, after the save and a reload from disk."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    result: dict[str, dict[str, float]] = {}
    for precision in PRECISIONS:
        model = load(folder, precision)
        rates: dict[str, float] = {}
        for split, facts in world.splits.items():
            rates[split] = round(hit_rate(model, tokenizer, facts, [0]), 4)
            rates[f"{split}_paraphrased"] = round(hit_rate(model, tokenizer, facts, [1, 2, 3]), 4)
        result[precision] = rates
    return result


def same_nf4_codes(folder: Path, other: Path) -> bool:
    """Whether bitsandbytes gives both organisms the same NF4 weights, layer for layer and bit for bit."""
    left, right = (_dequantized(load(place, "nf4")) for place in (folder, other))
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def _dequantized(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """What each quantized layer computes with: codes and scales in one."""
    return {
        name: dequantize_4bit(module.weight.data, module.weight.quant_state)
        for name, module in model.named_modules()
        if isinstance(module, Linear4bit)
    }
