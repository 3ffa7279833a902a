"""Low-rank adapters for training: on which layers, and in the coordinates of each weight's own size."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from unlearn_audit.api import NotApplicableError
from unlearn_audit.api.kit.training.lora import add_lora

from ..linear_layers import weight_matrices
from .weight_scales import adapter_scales

if TYPE_CHECKING:
    import torch
    from peft import LoraModel


EXPERT = "expert"


class Layers(StrEnum):
    """Which matrices get an adapter: all of the blocks, with experts that are stored as a stack, or attention's."""

    ALL_LINEAR = "all-linear"
    ATTENTION = "attention-only"


def add_scaled_lora(module: torch.nn.Module, *, rank: int, seed: int, layers: Layers = Layers.ALL_LINEAR) -> LoraModel:
    """Puts an adapter into `module` whose first draw goes by the sizes of the weights that it is added to.

    Raises:
        NotApplicableError: there is no such layer, or PEFT cannot wrap one.
    """
    if layers is Layers.ALL_LINEAR:
        tuner = add_lora(module, rank=rank, seed=seed, stacks=expert_stacks(module))
    else:
        tuner = add_lora(module, rank=rank, seed=seed, only=attention_layers(module))
    scale_adapter(module)
    return tuner


def scale_adapter(module: torch.nn.Module) -> None:
    """Brings the first draw of a fresh adapter to the sizes of the weights that it is added to."""
    import torch

    with torch.no_grad():
        for part in module.modules():
            for name, low, scale in adapter_scales(part):
                if name.startswith("lora_A"):
                    low.mul_(scale.column)


def expert_stacks(module: torch.nn.Module) -> list[str]:
    """Paths of the parameters that hold experts, known by that word.

    Other stacks (the gates of RecurrentGemma, by head) are left out: a module that keeps its state from call to call
    cannot be trained through a parameter that each call makes again.
    """
    return [
        f"{one.path}.{one.parameter}"
        for one in weight_matrices(module)
        if one.experts and EXPERT in f"{one.path} {type(one.module).__name__}".lower()
    ]


def attention_layers(module: torch.nn.Module) -> list[str]:
    """Paths of the linear layers inside of attention, whatever the architecture calls it.

    Raises:
        NotApplicableError: there is none.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    from unlearn_audit.api.kit.blocks import ATTENTION, PARTS  # loads torch

    found = [
        name
        for name, part in module.named_modules()
        if isinstance(part, (nn.Linear, Conv1D)) and any(word in name.lower() for word in PARTS[ATTENTION])
    ]
    if not found:
        raise NotApplicableError(f"{type(module).__name__} has no linear layer in any attention")
    return found
