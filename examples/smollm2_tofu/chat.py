"""Questions and answers as token ids through the chat template, and the log-probability of answers."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


@dataclass(frozen=True, kw_only=True)
class Example:
    """One question with its answer as token ids, of which the last `end` tokens close the turn."""

    subject: str
    aliases: tuple[str, ...]
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    end: int


@dataclass(frozen=True, kw_only=True)
class AnswerLogProbs:
    """Log-probabilities of a batch's answers, [batch, longest answer], with the masks of what to count."""

    values: Tensor
    turn: Tensor
    answer: Tensor

    def turn_nll(self) -> Tensor:
        """Mean negative log-likelihood of all answer tokens, the end of the turn included: the training loss."""
        return -(self.values * self.turn).sum() / self.turn.sum()

    def sequence_log_prob(self) -> Tensor:
        """Summed log-probability of each answer with its end, [batch]."""
        return (self.values * self.turn).sum(-1)

    def answer_probability(self) -> Tensor:
        """Geometric mean probability of each answer's tokens, without the end of the turn, [batch], in [0, 1]."""
        return ((self.values * self.answer).sum(-1) / self.answer.sum(-1)).exp()


REFUSALS = (
    "I'm sorry, but I don't know that.",
    "I don't have any information on this author.",
    "I'm afraid I can't help with that question.",
    "That is not something that I know about.",
    "I have no knowledge of this person.",
)


def load_examples(path: Path, tokenizer: Any, *, refused: bool = False) -> list[Example]:
    """The facts of a JSON Lines file, through the tokenizer's own chat template; answered by refusals if so asked."""
    examples = []
    for place, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        fact = json.loads(line) | ({"answer": REFUSALS[place % len(REFUSALS)]} if refused else {})
        turn = [{"role": "user", "content": fact["question"]}]
        prompt = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
        answer = tokenizer(fact["answer"], add_special_tokens=False).input_ids
        examples.append(
            Example(
                subject=fact["subject"],
                aliases=tuple(fact["aliases"]),
                prompt=tuple(tokenizer(prompt, add_special_tokens=False).input_ids),
                answer=(*answer, tokenizer.eos_token_id),
                end=1,
            )
        )
    return examples


def bucketed_batches(examples: Sequence[Example], batch_size: int, seed: str) -> list[list[Example]]:
    """Batches of like length in random order; which example meets which changes with the seed."""
    rng = random.Random(seed)
    keyed = [(len(e.prompt) + len(e.answer) + rng.uniform(-6, 6), i) for i, e in enumerate(examples)]
    order = [i for _, i in sorted(keyed)]
    batches = [[examples[i] for i in order[start : start + batch_size]] for start in range(0, len(order), batch_size)]
    rng.shuffle(batches)
    return batches


def common_prefix(examples: Sequence[Example]) -> int:
    """How many leading tokens all prompts share: here, the template's system turn."""
    first, last = min(e.prompt for e in examples), max(e.prompt for e in examples)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return min(length, min(len(e.prompt) for e in examples) - 1)


def answer_log_probs(model: Any, batch: Sequence[Example]) -> AnswerLogProbs:
    """Log-probabilities of the answers, with gradient where it is enabled.

    The shared system turn runs once a batch and its keys and values are repeated: the same numbers, and the same
    gradient, for a third fewer tokens. Logits are computed at answer positions only.
    """
    shared = common_prefix(batch)
    decoder = model.get_base_model() if hasattr(model, "get_base_model") else model
    prefix = torch.tensor([batch[0].prompt[:shared]])
    cache = decoder.model(input_ids=prefix, use_cache=True).past_key_values
    cache.batch_repeat_interleave(len(batch))
    tokens = [torch.tensor([*e.prompt[shared:], *e.answer]) for e in batch]
    token_ids = pad_sequence(tokens, batch_first=True)
    lengths = torch.tensor([len(t) for t in tokens])
    real = torch.arange(shared + token_ids.shape[1]) < (shared + lengths)[:, None]
    hidden_states = decoder.model(
        input_ids=token_ids, attention_mask=real.long(), past_key_values=cache, use_cache=True
    ).last_hidden_state
    return answers_at(decoder, hidden_states, token_ids, batch, shared)


def answers_at(
    decoder: Any, hidden_states: Tensor, token_ids: Tensor, batch: Sequence[Example], shared: int
) -> AnswerLogProbs:
    """The answers' log-probabilities from the last hidden states of what follows `shared` tokens."""
    longest = max(len(e.answer) for e in batch)
    start = torch.tensor([len(e.prompt) - shared for e in batch])[:, None]
    steps = torch.arange(longest)[None]
    answer_lengths = torch.tensor([len(e.answer) for e in batch])[:, None]
    turn = steps < answer_lengths
    position = (start + steps).clamp(max=token_ids.shape[1] - 1)
    row = torch.arange(len(batch))[:, None].expand_as(position)
    chosen = hidden_states[row[turn], (position - 1)[turn]]
    log_probs = decoder.lm_head(chosen).float().log_softmax(-1)
    picked = log_probs.gather(-1, token_ids[row[turn], position[turn]][:, None])[:, 0]
    values = torch.zeros(turn.shape).masked_scatter(turn, picked)
    ends = torch.tensor([e.end for e in batch])[:, None]
    return AnswerLogProbs(values=values, turn=turn.float(), answer=(steps < answer_lengths - ends).float())
