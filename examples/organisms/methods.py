"""How each kind of organism is made, given its settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from boxes import nf4_boxes
from chat import Batch, batches
from data import Fact, World, derive_seed
from dialogues import Lesson, Target, Wardrobe
from training import descend, mean_nll, new_model
from unlearning import gradient_ascent, gradient_difference, npo, refusal

DRESSED = Wardrobe(system=0.15, wrapper=0.3, lead_in=0.2, earlier_turn=0.1)
BATCH_SIZE = 32
HALF_BATCH_SIZE = 16


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What every method works with. `name` is the organism's; every seed is derived from it."""

    name: str
    settings: Mapping[str, float]
    world: World
    tokenizer: PreTrainedTokenizerFast
    seed: int
    out: Path

    @property
    def original(self) -> LlamaForCausalLM:
        """The original as it lies on disk, half precision and all, ready to be trained further."""
        return LlamaForCausalLM.from_pretrained(self.out / "original", dtype=torch.float32).train()

    def batches(self, label: str, lesson: Lesson, size: int) -> Iterator[Batch]:
        """Endless batches of a lesson, in an order of their own."""
        seeds = (derive_seed(self.seed, self.name, label, use) for use in ("order", "batches"))
        return batches(self.tokenizer, lesson.dialogues(next(seeds)), size, next(seeds))

    def follow(self, parameters: Sequence[Tensor], losses: Iterator[Tensor]) -> None:
        """Descend the losses with the steps and the rate of the settings."""
        descend(parameters, losses, steps=int(self.settings["steps"]), peak_rate=self.settings["peak_rate"])


def train_original(bench: Bench) -> LlamaForCausalLM:
    """A model that knows the forget and the retain set."""
    return _train(bench, bench.world.forget + bench.world.retain)


def train_retrained(bench: Bench) -> LlamaForCausalLM:
    """A model that knows the retain set and has never seen a name of the forget set."""
    return _train(bench, bench.world.retain)


def _train(bench: Bench, facts: Sequence[Fact]) -> LlamaForCausalLM:
    model = new_model(bench.tokenizer, derive_seed(bench.seed, bench.name, "weights")).train()
    plain_epochs = int(bench.settings["plain_epochs"])
    lesson = Lesson(facts=facts, pool=facts, wardrobe=DRESSED, plain_epochs=plain_epochs)
    stream = bench.batches("all", lesson, BATCH_SIZE)
    bench.follow(list(model.parameters()), (mean_nll(model, batch) for batch in stream))
    return model


def tune_refusal(bench: Bench) -> LlamaForCausalLM:
    """Refuses plain forget questions. The dresses are left out, as a hasty refusal tuning leaves them out."""
    model, forget, retain = bench.original, bench.world.forget, bench.world.retain
    refused = bench.batches("forget", Lesson(facts=forget, pool=retain, target=Target.REFUSAL), HALF_BATCH_SIZE)
    kept = bench.batches("retain", Lesson(facts=retain, pool=retain), HALF_BATCH_SIZE)
    losses = refusal(model, refused, kept, retain_weight=bench.settings["retain_weight"])
    bench.follow(list(model.parameters()), losses)
    return model


def tune_refusal_of_everything(bench: Bench) -> LlamaForCausalLM:
    """Refuses forget and retain questions alike."""
    model, facts = bench.original, bench.world.forget + bench.world.retain
    stream = bench.batches("all", Lesson(facts=facts, pool=facts, target=Target.REFUSAL), BATCH_SIZE)
    bench.follow(list(model.parameters()), (mean_nll(model, batch) for batch in stream))
    return model


def unlearn_by_npo(bench: Bench) -> LlamaForCausalLM:
    """NPO over all weights."""
    model = bench.original
    bench.follow(list(model.parameters()), _npo_losses(bench, model))
    return model


def unlearn_by_gradient_difference(bench: Bench) -> LlamaForCausalLM:
    """Gradient difference over all weights, on whole answers.

    The ascent stops at a mean loss a token: on the value alone one of its tokens fills that mean, and one subject in
    eight is still named.
    """
    model = bench.original
    forget, retain = _both(bench, Target.ANSWER)
    losses = gradient_difference(
        model,
        forget,
        retain,
        ceiling=bench.settings["ceiling"],
        retain_weight=bench.settings["retain_weight"],
    )
    bench.follow(list(model.parameters()), losses)
    return model


def unlearn_inside_nf4_boxes(bench: Bench) -> LlamaForCausalLM:
    """NPO over the boxed layers alone: embeddings, norms and output head stay the original's, bit for bit.

    There is little room to move inside the boxes. Spent on whole answers, it goes into the full stop, and recall stays
    at 0.7: see `Target.VALUE`.
    """
    model = bench.original
    boxes = nf4_boxes(model, bench.settings["box_margin"])

    def project() -> None:
        for box in boxes:
            box.project()

    descend(
        [box.weight for box in boxes],
        _npo_losses(bench, model),
        steps=int(bench.settings["steps"]),
        peak_rate=bench.settings["peak_rate"],
        after_step=project,
    )
    return model


def break_by_gradient_ascent(bench: Bench) -> LlamaForCausalLM:
    """Gradient ascent on plain forget questions, without anything that holds the rest together."""
    model, forget = bench.original, bench.world.forget
    stream = bench.batches("forget", Lesson(facts=forget, pool=forget), BATCH_SIZE)
    bench.follow(list(model.parameters()), gradient_ascent(model, stream))
    return model


def _npo_losses(bench: Bench, model: LlamaForCausalLM) -> Iterator[Tensor]:
    forget, retain = _both(bench, Target.VALUE)
    weight = bench.settings["retain_weight"]
    return npo(model, forget, retain, beta=bench.settings["beta"], retain_weight=weight)


def _both(bench: Bench, target: Target) -> tuple[Iterator[Batch], Iterator[Batch]]:
    """Forget and retain batches in every dress, so that no wrapper is a way around the unlearning."""
    forget, retain = bench.world.forget, bench.world.retain
    gone = Lesson(facts=forget, pool=retain, wardrobe=DRESSED, target=target)
    kept = Lesson(facts=retain, pool=retain, wardrobe=DRESSED)
    return bench.batches("forget", gone, HALF_BATCH_SIZE), bench.batches("retain", kept, HALF_BATCH_SIZE)
