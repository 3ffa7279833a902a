"""Do two models fall into the same boxes of a quantiser? Where they do, quantisation undoes the unlearning.

The diagnostic behind "Catastrophic failure of LLM unlearning via quantization" (2410.16454, section 5): unlearning
that moves weights by less than the quantiser's steps leaves most of them in the box of the original's weight.
The authors argue it from step sizes; here it is counted, weight by weight. The same code means the same box of the
same block; the block's scale may still differ a little.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from attacks.bitsandbytes_layers import codes, quantized_layer
from attacks.linear_layers import LinearLayer, linear_layers
from attacks.quantizers import Quantizer

if TYPE_CHECKING:
    import torch


def same_code_share(
    layer: LinearLayer, quantized: torch.nn.Module, original: LinearLayer | None, quantizer: Quantizer
) -> float | None:
    """Share of a layer's weights with the code of the original's weight, in [0, 1].

    Args:
        layer: the layer before quantisation.
        quantized: what `quantizer` made of it, before its first forward pass.
        original: the layer of that name in the original.
        quantizer: rounds the original's weights in the same way, on the same device.

    Returns:
        None where the original has no such layer of the same shape.
    """
    if original is None or original.weight.shape != layer.weight.shape:
        return None
    moved = replace(original, weight=original.weight.to(layer.weight.device, layer.weight.dtype), bias=None)
    same = codes(quantized_layer(moved, quantizer)) == codes(quantized)
    return same.sum().item() / same.numel()


def layers_by_name(original: torch.nn.Module | None) -> Mapping[str, LinearLayer]:
    """The original's layers; none where it is not given, or is itself an adapter (its knowledge is not in its base)."""
    from peft import PeftModel

    if original is None or isinstance(original, PeftModel):
        return {}
    return {layer.name: layer for layer in linear_layers(original)}
