"""What a model says when it is simply asked, by greedy decoding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.validity.paths import reach_organisms
from benchmarks.validity.people.kinds import Told
from benchmarks.validity.people.texts import Writer
from benchmarks.validity.people.worlds import People

reach_organisms()

from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel  # noqa: E402

BATCH_SIZE = 64
SPARE_TOKENS = 4


def measure(folder: Path, people: People, groups: Sequence[str] = ("forget", "retain")) -> dict[str, float]:
    """Share of greedy answers that hold the value, by group of people, over all forms of the question."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    writer = Writer(tokenizer=AutoTokenizer.from_pretrained(folder))
    return {split: round(hit_rate(model, writer, people.splits[split].facts), 4) for split in groups}


def hit_rate(model: PreTrainedModel, writer: Writer, facts: Sequence[Told]) -> float:
    """The share of questions whose greedy answer holds the value in whole words."""
    asked = [(fact, question) for fact in facts for question in fact.questions]
    longest = max(len(ids) for ids in writer.tokenizer([fact.answer for fact in facts])["input_ids"])
    answers = greedy_answers(model, writer, [question for _, question in asked], longest + SPARE_TOKENS)
    return sum(fact.is_held_by(answer) for (fact, _), answer in zip(asked, answers, strict=True)) / len(asked)


def greedy_answers(model: PreTrainedModel, writer: Writer, questions: Sequence[str], new_tokens: int) -> list[str]:
    """What the model says to each question, whatever its own generation settings are."""
    tokenizer, answers = writer.tokenizer, []
    for start in range(0, len(questions), BATCH_SIZE):
        ids = writer.prompts(questions[start : start + BATCH_SIZE])
        padded = tokenizer.pad({"input_ids": ids}, return_tensors="pt", padding_side="left")
        with torch.inference_mode():
            output = model.generate(**padded, do_sample=False, max_new_tokens=new_tokens)
        answers += tokenizer.batch_decode(output[:, padded["input_ids"].shape[1] :], skip_special_tokens=True)
    return answers
