"""Answers drawn at random, each from noise of its own: no batch, padding or other answer changes what is drawn.

The Gumbel-max trick: of logits l and independent standard Gumbel noise g, argmax(l / T + g) is drawn from
softmax(l / T). So sampling is greedy search on disturbed logits. The noise is a function of (seed, prompt, number of
the sample, step) alone: every model is disturbed in the same way (common random numbers), and two models with equal
probabilities say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList

from unlearn_audit.api import Prompt, derive_seed
from unlearn_audit.api.kit.blocks import takes_logits_to_keep
from unlearn_audit.models.writing.openings import begin_alike, with_logits
from unlearn_audit.models.writing.stops import Stops, line_end


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How answers are drawn; what `Model.sample` was asked for."""

    count: int
    max_new_tokens: int
    seed: int
    temperature: float

    def draws(self, prompt: Prompt, ids: Sequence[int]) -> list[Draw]:
        """The samples of one prompt; the first of many are those of few."""
        named = (prompt.text, prompt.system, prompt.prefix, prompt.chat, *prompt.earlier)
        return [Draw(ids=tuple(ids), seed=derive_seed(self.seed, *named, number)) for number in range(self.count)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """One answer to draw: the prompt's token ids, and the seed of its noise."""

    ids: tuple[int, ...]
    seed: int


class GumbelNoise:
    """A logits processor that adds T * g to the logits of each row: then the likeliest token is a draw."""

    def __init__(self, seeds: Sequence[int], temperature: float) -> None:
        self._seeds = tuple(seeds)
        self._temperature = temperature
        self._step = 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Disturbed logits of one step, shape (rows, vocabulary)."""
        # In single precision no g exceeds 17, and a long tail of unlikely tokens would never be drawn.
        precision = torch.float32 if scores.device.type == "mps" else torch.float64
        uniform = torch.empty(scores.shape, dtype=precision, device=scores.device)
        source = torch.Generator(device=scores.device)
        for row, seed in zip(uniform, self._seeds, strict=True):
            row.uniform_(generator=source.manual_seed(derive_seed(seed, self._step)))
        self._step += 1
        gumbel = -torch.log(-torch.log(uniform))
        return scores + self._temperature * gumbel.to(scores.dtype)


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Draws answers for rows of token ids, padded on the left.

    Attributes:
        shares_prompts: the prompt of several samples is read once, and its cache repeated.
    """

    module: torch.nn.Module
    config: GenerationConfig
    pad_id: int
    device: torch.device
    temperature: float
    shares_prompts: bool
    stops: Stops

    def draw(self, draws: Sequence[Draw]) -> list[list[int]]:
        """New token ids of each draw, padded to the longest behind its end."""
        noise = LogitsProcessorList([GumbelNoise([one.seed for one in draws], self.temperature)])
        out, width = self.run(draws, logits_processor=noise)
        return torch.as_tensor(out)[:, width:].tolist()

    def run(self, draws: Sequence[Draw], **options: Any) -> tuple[Any, int]:
        """What `generate` gives for the prompts, and their padded length."""
        prompts = list(dict.fromkeys(one.ids for one in draws))
        width = max(map(len, prompts))
        ids = torch.tensor([[self.pad_id] * (width - len(row)) + list(row) for row in prompts], device=self.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts], device=self.device)
        places = {row: place for place, row in enumerate(prompts)}
        owner = torch.tensor([places[one.ids] for one in draws], device=self.device)
        if self.shares_prompts and width > 1 and len(prompts) < len(draws):
            options["past_key_values"] = self._cache(ids, mask, owner)
        options |= line_end(self.stops, self.device)
        out = self.module.generate(  # type: ignore[operator]
            input_ids=ids[owner], attention_mask=mask[owner], generation_config=self.config, **options
        )
        return out, width

    def _cache(self, ids: torch.Tensor, mask: torch.Tensor, owner: torch.Tensor) -> Any:
        """The cache of all but each prompt's last token, read once a prompt and repeated for its samples."""
        fewest = {"logits_to_keep": 1} if takes_logits_to_keep(self.module) else {}
        out = self.module(
            input_ids=ids[:, :-1],
            attention_mask=mask[:, :-1],
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0)[:, :-1],
            use_cache=True,
            **fewest,
        )
        out.past_key_values.reorder_cache(owner)
        return out.past_key_values

    def agrees(self, prompts: Sequence[Sequence[int]], tolerance: float) -> bool:
        """Whether answers behind a repeated cache begin with the logits that they have behind the prompt itself.

        Args:
            prompts: token ids.
            tolerance: largest difference, as a share of the largest logit.
        """
        draws = [Draw(ids=tuple(row), seed=0) for row in prompts for _ in range(2)]
        seen = replace(self, config=with_logits(self.config))
        plain, short = (replace(seen, shares_prompts=shares) for shares in (False, True))
        return begin_alike(lambda: plain.run(draws)[0], lambda: short.run(draws)[0], tolerance)
