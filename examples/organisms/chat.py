"""From conversations to padded batches of token ids."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from dialogues import Dialogue

IGNORED_LABEL = -100
WINDOW_BATCHES = 8


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Right-padded token ids (batch, length), their mask, and labels that ignore everything but the answer."""

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor


def encode_prompts(tokenizer: PreTrainedTokenizerFast, prompts: Sequence[Dialogue]) -> list[list[int]]:
    """Token ids up to the first token of each answer, lead-in included."""
    texts = []
    for item in prompts:
        messages = [{"role": role, "content": content} for role, content in item.messages]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        texts.append(f"{text}{item.lead_in}")
    return _encode(tokenizer, texts)


def collate(tokenizer: PreTrainedTokenizerFast, dialogues: Sequence[Dialogue]) -> Batch:
    """A batch of conversations."""
    prompts = encode_prompts(tokenizer, dialogues)
    answers = _encode(tokenizer, [_answer_text(tokenizer, item) for item in dialogues])
    length = max(len(prompt) + len(answer) for prompt, answer in zip(prompts, answers, strict=True))
    input_ids = torch.full((len(dialogues), length), int(tokenizer.pad_token_id))
    mask = torch.zeros_like(input_ids)
    labels = torch.full_like(input_ids, IGNORED_LABEL)
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        start, end = len(prompt), len(prompt) + len(answer)
        input_ids[row, :end] = torch.tensor(prompt + answer)
        mask[row, :end] = 1
        labels[row, start:end] = torch.tensor(answer)
    return Batch(input_ids=input_ids, attention_mask=mask, labels=labels)


def batches(tokenizer: PreTrainedTokenizerFast, stream: Iterator[Dialogue], size: int, seed: int) -> Iterator[Batch]:
    """Batches of `size` conversations of like length from an endless stream.

    Sorting a window of batches by length before cutting it halves the padding, and with it the build time.
    """
    rng = random.Random(seed)
    while True:
        window = sorted((next(stream) for _ in range(size * WINDOW_BATCHES)), key=_length)
        parts = [window[start : start + size] for start in range(0, len(window), size)]
        rng.shuffle(parts)
        for part in parts:
            yield collate(tokenizer, part)


def _answer_text(tokenizer: PreTrainedTokenizerFast, item: Dialogue) -> str:
    space = " " if item.lead_in else ""
    ending = str(tokenizer.eos_token) if item.ends else ""
    return f"{space}{item.answer}{ending}"


def _length(item: Dialogue) -> int:
    return sum(len(content) for _, content in item.messages)


def _encode(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[list[int]]:
    return [list(ids) for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]
