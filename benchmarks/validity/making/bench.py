"""What every method works with: a world on disk, the settings of one organism, and streams of batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.validity.making.modelling import fresh_model
from benchmarks.validity.paths import reach_organisms
from benchmarks.validity.people.texts import Text, Writer, endless_batches
from benchmarks.validity.people.worlds import People, World, load_tokenizer, populate

reach_organisms()

from chat import Batch  # noqa: E402
from data import derive_seed  # noqa: E402
from dialogues import Target  # noqa: E402
from training import descend  # noqa: E402
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast  # noqa: E402

BATCH_SIZE = 32
HALF_BATCH_SIZE = 16


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The making of one organism. Every seed is derived from the world's and from `name`."""

    name: str
    world: World
    settings: Mapping[str, float]
    folder: Path

    @cached_property
    def people(self) -> People:
        """Who lives in the world."""
        return populate(self.world)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer of the world."""
        return load_tokenizer(self.folder)

    @cached_property
    def writer(self) -> Writer:
        """Writes texts for the tokenizer."""
        return Writer(tokenizer=self.tokenizer)

    def seed(self, *labels: str) -> int:
        """A seed for one use within the making of this organism."""
        return derive_seed(self.world.seed, self.world.name, self.name, *labels)

    def seed_of(self, *labels: str) -> int:
        """A seed that organisms share which have no setting between them, such as a model and its control."""
        return derive_seed(self.world.seed, self.world.name, *labels)

    def fresh(self) -> PreTrainedModel:
        """New weights."""
        return fresh_model(self.world.architecture, self.tokenizer, self.seed("weights")).train()

    def load(self, name: str) -> PreTrainedModel:
        """Another organism as it lies on disk, half precision and all, in float32."""
        return AutoModelForCausalLM.from_pretrained(self.folder / name, dtype=torch.float32).train()

    def original(self) -> PreTrainedModel:
        """The model that is unlearned."""
        return self.load("original")

    def forget(self, target: Target = Target.ANSWER) -> tuple[Text, ...]:
        """What must go, as training texts."""
        return self.writer.texts(self.people.forget, target)

    def retain(self) -> tuple[Text, ...]:
        """What must stay, as training texts."""
        return self.writer.texts(self.people.retain)

    def batches(self, label: str, texts: Sequence[Text], size: int) -> Iterator[Batch]:
        """Endless batches, in an order of their own."""
        return endless_batches(texts, size, int(self.tokenizer.pad_token_id), self.seed(label, "order"))

    def both(self, target: Target = Target.VALUE) -> tuple[Iterator[Batch], Iterator[Batch]]:
        """Forget and retain batches for a loss with two terms."""
        forget = self.batches("forget", self.forget(target), HALF_BATCH_SIZE)
        return forget, self.batches("retain", self.retain(), HALF_BATCH_SIZE)

    def follow(
        self, parameters: Sequence[Tensor], losses: Iterator[Tensor], after_step: Callable[[], None] = lambda: None
    ) -> None:
        """Descends the losses with the steps and the rate of the settings."""
        steps, rate = int(self.settings["steps"]), self.settings["rate"]
        descend(parameters, losses, steps=steps, peak_rate=rate, after_step=after_step)


def frozen(model: PreTrainedModel) -> PreTrainedModel:
    """A copy that does not train."""
    return copy.deepcopy(model).requires_grad_(requires_grad=False).eval()
