"""Which layers of a model a quantizer rounds, and their weights in one orientation."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unlearn_audit.api import AttackError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

SMALLEST_EXPERT = 8
"""Rows and columns that a stacked matrix has at least; smaller stacks are tables of something else."""

SMALLEST_LONE_MATRIX = 32
"""Rows and columns of a matrix that a module holds without being a linear layer; smaller ones are tables (Mamba's)."""


@dataclass(frozen=True, kw_only=True)
class LinearLayer:
    """One layer that a quantizer rounds.

    Attributes:
        path: where it stands in the module that was searched.
        name: its name in the plain model, the same with an adapter around it and without.
        weight: shape (out, in), a view that shares the module's storage (Conv1D, as in GPT-2, stores the transpose); a
            copy where `turned`.
        bias: shape (out,), or None.
        parameter: which parameter of the module it is.
        experts: matrices that are stored as one stack, (experts, ., .); `weight` has them below each other, each row
            of one. 0 for a single matrix.
        turned: the stack's matrices are stored as (in, out).
    """

    path: str
    name: str
    module: torch.nn.Module
    weight: torch.Tensor
    bias: torch.Tensor | None
    parameter: str = "weight"
    experts: int = 0
    turned: bool = False


def weight_matrices(module: torch.nn.Module) -> Iterator[LinearLayer]:
    """All matrices of the blocks: the linear layers, and matrices that are stored as one stack (experts, heads).

    Raises:
        AttackError: as `linear_layers`.
    """
    from torch.nn.modules.conv import _ConvNd

    yield from linear_layers(module)
    base = plain_model(module)
    prefix = next(name for name, child in module.named_modules() if child is base)
    adapter_parts = tuple(_adapter_parts(base))
    for name, part in base.named_modules():
        if isinstance(part, _ConvNd) or name.startswith(adapter_parts):
            continue
        turned = _is_turned(part, base)
        for own, stack in part.named_parameters(recurse=False):
            if not _is_stack(part, own, stack):
                continue
            if stack.is_meta:
                raise AttackError(f"{name}.{own} holds no weights here (offloaded); load the model onto one device")
            yield LinearLayer(
                path=f"{prefix}.{name}" if prefix else name,
                name=f"{name}.{own}".replace(".base_layer", ""),
                module=part,
                weight=_rows(stack.detach(), turned=turned),
                bias=None,
                parameter=own,
                experts=len(stack) if stack.ndim == 3 else 1,
                turned=turned and stack.ndim == 3,
            )


def block_weights(module: torch.nn.Module) -> int:
    """How many weights the matrices of the blocks hold: all but embeddings, output layer, routers and small tables.

    Counted by shape, not by kind of layer, so that what a quantizer knows nothing of is counted.
    """
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    base = plain_model(module)
    adapter_parts, outer = tuple(_adapter_parts(base)), base.get_output_embeddings()
    seen: dict[int, int] = {}
    for name, part in base.named_modules():
        if isinstance(part, (nn.Embedding, _ConvNd)) or part is outer or name.startswith(adapter_parts):
            continue
        for own, weight in part.named_parameters(recurse=False):
            if weight.ndim > 1 and ((own == "weight" and not _is_router(name)) or _is_stack(part, own, weight)):
                seen[id(weight)] = weight.numel()
    return sum(seen.values())


def _is_stack(part: torch.nn.Module, name: str, weight: torch.Tensor) -> bool:
    """Whether a parameter holds matrices that tokens are multiplied with, of a module that is no linear layer.

    Three dimensions are a stack. Two may be one below the other (DBRX), told from tables by their size.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    if isinstance(part, (nn.Linear, Conv1D, nn.Embedding)) or not weight.is_floating_point():
        return False
    if weight.ndim == 3:
        return min(weight.shape[1:]) >= SMALLEST_EXPERT
    return weight.ndim == 2 and min(weight.shape) >= SMALLEST_LONE_MATRIX and name != "weight"


def _is_router(path: str) -> bool:
    """Whether a module chooses experts: every server keeps it in full precision."""
    return path.rpartition(".")[2].endswith(("router", "gate"))


def _is_turned(part: torch.nn.Module, base: PreTrainedModel) -> bool:
    """Whether a module's stacks are stored as (experts, in, out), as gpt-oss and Llama 4 do.

    By what the library notes of the class; else by which side has the width of the model: what leads down to it ends
    there, and everything else begins there.
    """
    noted = getattr(part, "is_transposed", None)
    if isinstance(noted, bool):
        return noted
    width = getattr(base.config.get_text_config(), "hidden_size", None)
    for name, stack in part.named_parameters(recurse=False):
        if stack.ndim == 3 and (stack.shape[1] == width) != (stack.shape[2] == width):
            return bool((stack.shape[2] == width) is leads_down(name))
    return False


def leads_down(name: str) -> bool:
    """Whether a stack of matrices ends at the width of the model, by its name."""
    return "down" in name or name.endswith(("w2", "output_linear"))


def _rows(stack: torch.Tensor, *, turned: bool) -> torch.Tensor:
    if stack.ndim == 2:
        return stack
    return (stack.mT if turned else stack).flatten(0, 1)


def linear_layers(module: torch.nn.Module) -> Iterator[LinearLayer]:
    """Every linear layer but the output layer: `nn.Linear`, what derives from it (Falcon's), and Conv1D.

    Stacked experts are none of them (`weight_matrices`).

    Of an adapter's model, the base's layers alone: the adapter's own matrices, and modules that it trained whole,
    stay as they are, as they do when an adapter is loaded onto a quantized base.

    Raises:
        AttackError: the module is not a transformers model, or its weights are not in memory.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D
    from transformers.quantizers.quantizers_utils import should_convert_module

    base = plain_model(module)
    kept = _kept_in_full_precision(base)
    prefix = next(name for name, child in module.named_modules() if child is base)
    adapter_parts = tuple(_adapter_parts(base))
    for name, layer in base.named_modules():
        plain_name = name.replace(".base_layer", "")
        if not isinstance(layer, (Conv1D, nn.Linear)) or name.startswith(adapter_parts):
            continue
        if not should_convert_module(plain_name, kept):
            continue
        if layer.weight.is_meta:
            raise AttackError(f"{name} holds no weights here (offloaded); load the model whole onto one device")
        weight = layer.weight.detach()
        yield LinearLayer(
            path=f"{prefix}.{name}" if prefix else name,
            name=plain_name,
            module=layer,
            weight=weight.T if isinstance(layer, Conv1D) else weight,
            bias=None if layer.bias is None else layer.bias.detach(),
        )


def layers_by_name(original: torch.nn.Module | None) -> Mapping[str, LinearLayer]:
    """The original's layers; none where it is not given, or is itself an adapter (its knowledge is not in its base)."""
    if original is None or _adapted(original):
        return {}
    return {layer.name: layer for layer in weight_matrices(original)}


def plain_model(module: torch.nn.Module) -> PreTrainedModel:
    """The transformers model itself: within the adapter's wrapper, if there is one."""
    from transformers import PreTrainedModel

    base: Any = module
    if _adapted(module):
        base = base.get_base_model()
    if not isinstance(base, PreTrainedModel):
        raise AttackError(f"expected a transformers model to quantize, got {type(base).__name__}")
    return base


def _adapted(module: torch.nn.Module) -> bool:
    """Whether an adapter is around the model. If so, its library is loaded; to load it takes seconds."""
    return "peft" in sys.modules and isinstance(module, sys.modules["peft"].PeftModel)


def _kept_in_full_precision(base: torch.nn.Module) -> list[str]:
    """Name patterns that transformers leaves alone: the output embeddings and whatever is tied to others."""
    from transformers.quantizers.base import HfQuantizer

    kept: list[str] = HfQuantizer.get_modules_to_not_convert(base, None, getattr(base, "_keep_in_fp32_modules", None))
    return kept


def _adapter_parts(base: torch.nn.Module) -> Iterator[str]:
    """Name prefixes of everything that an adapter put into the model."""
    if "peft" not in sys.modules:
        return
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    for name, module in base.named_modules():
        if isinstance(module, AuxiliaryTrainingWrapper):
            yield f"{name}."
        elif isinstance(module, BaseTunerLayer):
            yield from (f"{name}.{child}." for child, _ in module.named_children() if child != "base_layer")
