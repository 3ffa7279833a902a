"""Weight boxes inside which LLM.int8() cannot see a change; the NF4 ones are the bundled organisms'."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmarks.validity.paths import reach_organisms

reach_organisms()

from boxes import Box  # noqa: E402

LARGEST_CODE = 127


def int8_boxes(layers: Sequence[nn.Linear], margin: float) -> list[Box]:
    """One box a layer: a row is divided by its largest magnitude and rounded to 127ths (arXiv 2208.07339, eq. 4).

    Every weight may move within half a step of its code, given up by `margin` of the step on either side, as long as
    the row's largest element stands still. Weights above half a precision's last bit are what is left of it.
    """
    return [int8_box(layer.weight, margin) for layer in layers]


def int8_box(weight: Tensor, margin: float) -> Box:
    """The intervals of one weight, shape (out, in), a scale for each row."""
    values = weight.detach().float()
    largest = values.abs().amax(dim=1, keepdim=True)
    step = largest / LARGEST_CODE
    code = torch.round(values / step)
    low, high = (code - 0.5 + margin) * step, (code + 0.5 - margin) * step
    still = values.abs() == largest
    low = torch.where(still, values, torch.minimum(low, values))
    high = torch.where(still, values, torch.maximum(high, values))
    return Box(weight=weight, low=low, high=high)
