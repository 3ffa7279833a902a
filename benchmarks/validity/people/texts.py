"""From facts and passages to padded batches of token ids; every text is tokenized once."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from benchmarks.validity.paths import reach_organisms
from benchmarks.validity.people.kinds import Told
from benchmarks.validity.people.worlds import Split

reach_organisms()

from chat import IGNORED_LABEL, WINDOW_BATCHES, Batch, encode_prompts  # noqa: E402
from dialogues import Dialogue, Target  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402
from words import REFUSAL  # noqa: E402

PLAIN_FORM = "Question: {question}\nAnswer:"
"""How a base model is asked: as the audit asks one that has no template."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """One training text as token ids; the loss counts the answer alone."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    @property
    def length(self) -> int:
        """Tokens in all."""
        return len(self.prompt) + len(self.answer)


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Writes what is to be learned, or unlearned, for one tokenizer."""

    tokenizer: PreTrainedTokenizerFast

    def texts(self, split: Split, target: Target = Target.ANSWER) -> tuple[Text, ...]:
        """Every passage, and every fact in every form.

        A refused passage is left out: a refusal answers a question.
        """
        questions = self.asked(split.facts, target)
        return questions if target is Target.REFUSAL else (*self._passages(split), *questions)

    def asked(self, facts: Sequence[Told], target: Target = Target.ANSWER) -> tuple[Text, ...]:
        """Every fact in every form."""
        pairs = [(fact, question) for fact in facts for question in fact.questions]
        said = {
            Target.ANSWER: [f"{fact.answer}{self.ending}" for fact, _ in pairs],
            Target.VALUE: [fact.answer.removesuffix(".") for fact, _ in pairs],
            Target.REFUSAL: [f"{REFUSAL}{self.ending}"] * len(pairs),
        }
        return self.answered([question for _, question in pairs], said[target])

    def answered(self, questions: Sequence[str], answers: Sequence[str]) -> tuple[Text, ...]:
        """Questions through the chat template, or in the plain form, each with its answer as it stands."""
        begun = answers if self.tokenizer.chat_template else [f" {answer}" for answer in answers]
        return tuple(
            Text(prompt=tuple(prompt), answer=answer)
            for prompt, answer in zip(self.prompts(questions), self._encode(begun), strict=True)
        )

    def prompts(self, questions: Sequence[str]) -> list[list[int]]:
        """Questions up to where the model answers."""
        if self.tokenizer.chat_template:
            return encode_prompts(self.tokenizer, [Dialogue(messages=(("user", question),)) for question in questions])
        return [list(ids) for ids in self._encode([PLAIN_FORM.format(question=one) for one in questions])]

    @property
    def ending(self) -> str:
        """What stands behind a whole answer."""
        return f"{'' if self.tokenizer.chat_template else chr(10)}{self.tokenizer.eos_token}"

    def _passages(self, split: Split) -> tuple[Text, ...]:
        prompts = self._encode([one.subject for one in split.passages])
        rests = self._encode([f"{one.rest}{self.ending}" for one in split.passages])
        return tuple(Text(prompt=prompt, answer=rest) for prompt, rest in zip(prompts, rests, strict=True))

    def _encode(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        if not texts:
            return []
        return [tuple(ids) for ids in self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]]


def collate(texts: Sequence[Text], pad: int) -> Batch:
    """A right-padded batch."""
    length = max(text.length for text in texts)
    input_ids = torch.full((len(texts), length), pad)
    mask = torch.zeros_like(input_ids)
    labels = torch.full_like(input_ids, IGNORED_LABEL)
    for row, text in enumerate(texts):
        start, end = len(text.prompt), text.length
        input_ids[row, :end] = torch.tensor(text.prompt + text.answer)
        mask[row, :end] = 1
        labels[row, start:end] = torch.tensor(text.answer)
    return Batch(input_ids=input_ids, attention_mask=mask, labels=labels)


def endless_batches(texts: Sequence[Text], size: int, pad: int, seed: int) -> Iterator[Batch]:
    """Endless epochs in batches of texts of like length, which halves the padding."""
    for part in endless_groups(texts, size, seed):
        yield collate([texts[place] for place in part], pad)


def endless_groups(texts: Sequence[Text], size: int, seed: int) -> Iterator[list[int]]:
    """The places of the texts of each batch."""
    rng = random.Random(seed)
    waiting: list[int] = []
    while True:
        while len(waiting) < size * WINDOW_BATCHES:
            waiting += rng.sample(range(len(texts)), len(texts))
        window = sorted(waiting[: size * WINDOW_BATCHES], key=lambda place: texts[place].length)
        del waiting[: size * WINDOW_BATCHES]
        parts = [window[start : start + size] for start in range(0, len(window), size)]
        rng.shuffle(parts)
        yield from parts
