"""Weight boxes inside which NF4 cannot see a change (the attack of arXiv 2405.18137, turned into a test case).

bitsandbytes splits a weight into blocks of 64, divides each by its largest magnitude and rounds to the nearest of 16
levels. Every weight may therefore move freely between the midpoints around its level, as long as the block's largest
element stands still. A model that forgets inside these boxes is its old self again once it is quantized.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from bitsandbytes.functional import get_4bit_type
from torch import Tensor, nn
from transformers import LlamaForCausalLM

BLOCK_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class Box:
    """The lowest and the highest value each element of `weight` may take."""

    weight: Tensor
    low: Tensor
    high: Tensor

    def project(self) -> None:
        """Put every element that left its interval back on its border."""
        with torch.no_grad():
            self.weight.clamp_(self.low, self.high)


def nf4_boxes(model: LlamaForCausalLM, margin: float) -> list[Box]:
    """One box for each linear layer that transformers would quantize: all of them but the output head.

    `margin` is the share of each interval given up on either side, so that rounding to half precision (which moves a
    weight by at most one part in 2048) does not carry it over a midpoint.
    """
    return [
        nf4_box(module.weight, margin)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name != "lm_head"
    ]


def nf4_box(weight: Tensor, margin: float) -> Box:
    """The intervals of one weight, whose element count must be a multiple of the block size."""
    levels = get_4bit_type("nf4", device="cpu").sort().values
    midpoints = (levels[1:] + levels[:-1]) / 2
    edges = torch.cat([levels[:1], midpoints, levels[-1:]])
    blocks = weight.detach().float().reshape(-1, BLOCK_SIZE)
    scale = blocks.abs().amax(dim=1, keepdim=True)
    code = torch.bucketize(blocks / scale, midpoints)
    low, high = edges[code] * scale, edges[code + 1] * scale
    narrowing = margin * (high - low)
    low, high = low + narrowing, high - narrowing
    still = blocks.abs() == scale
    low = torch.where(still, blocks, torch.minimum(low, blocks)).reshape(weight.shape)
    high = torch.where(still, blocks, torch.maximum(high, blocks)).reshape(weight.shape)
    return Box(weight=weight, low=low, high=high)
