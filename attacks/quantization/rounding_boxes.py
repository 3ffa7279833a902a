"""Do two models fall into the same boxes of a quantizer? If they do, quantization undoes the unlearning.

The diagnostic behind "Catastrophic failure of LLM unlearning via quantization" (2410.16454, section 5): unlearning
that moves weights by less than the quantizer's steps leaves most of them in the box of the original's weight.
The authors argue it from step sizes; here it is counted, weight by weight. The same code means the same box of the
same block; the block's scale may still differ a little.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from unlearn_audit.api import AttackError

from ..shared.linear_layers import LinearLayer
from .formats import Backend, Quantizer
from .layers import fp8, gguf, torchao
from .layers.bitsandbytes import codes, dequantized, quantized_layer

if TYPE_CHECKING:
    import torch


def same_code_share(
    layer: LinearLayer, quantized: torch.nn.Module, original: LinearLayer | None, quantizer: Quantizer
) -> float | None:
    """Share of a layer's weights with the code of the original's weight, in [0, 1].

    Args:
        layer: the layer before quantization.
        quantized: what `quantizer` made of it, before its first forward pass.
        original: the layer of that name in the original.
        quantizer: rounds the original's weights in the same way, on the same device.

    Returns:
        None where the original has no such layer of the same shape.
    """
    if original is None or original.weight.shape != layer.weight.shape:
        return None
    moved = replace(original, weight=original.weight.to(layer.weight.device, layer.weight.dtype), bias=None)
    same = codes_of(moved, quantizer) == codes(quantized)
    return same.sum().item() / same.numel()


def codes_of(layer: LinearLayer, quantizer: Quantizer) -> torch.Tensor:
    """The code that a quantizer of bitsandbytes' or `gguf`'s gives to every weight of a layer, shape (out, in).

    Raises:
        AttackError: where it does not round the layer, or its codes are not known here.
    """
    if quantizer.backend is Backend.BITSANDBYTES:
        return codes(quantized_layer(layer, quantizer))
    made = gguf.rounded(layer.weight, quantizer) if quantizer.backend is Backend.GGUF else None
    if made is None or made.codes is None:
        raise AttackError(f"{quantizer.value} gives no codes for the weights of {layer.name}")
    return made.codes


def rounded_values(layer: LinearLayer, quantizer: Quantizer) -> torch.Tensor:
    """The values that a quantizer gives to the weights of a layer, shape (out, in).

    Raises:
        AttackError: where it does not round the layer, or by more than these weights alone.
    """
    match quantizer.backend:
        case Backend.BITSANDBYTES:
            return dequantized(quantized_layer(layer, quantizer))
        case Backend.GGUF:
            made = gguf.rounded(layer.weight, quantizer)
        case Backend.TORCHAO:
            made = torchao.rounded(layer.weight, quantizer)
        case Backend.TORCH:
            made = fp8.rounded(layer.weight)
        case Backend.GPTQMODEL | Backend.HQQ | Backend.LLAMA_CPP:
            made = None
    if made is None:
        raise AttackError(f"{quantizer.value} gives no values for the weights of {layer.name} alone")
    return made.weight
