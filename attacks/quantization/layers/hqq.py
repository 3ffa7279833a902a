"""HQQ, half-quadratic quantization without calibration: groups of 64 along the rows, rounded by the package `hqq`.

The package's own layer rounds; the model then computes with the weights that this layer stands for, as its reference
forward pass does (`HQQLinear` multiplies by its dequantized weights). Codes, scales and zero points are kept as the
package keeps them: in half precision, unquantized. Grouping along the rows (`axis=1`) is transformers' default and the
one that fast kernels read.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from unlearn_audit.api import Json

from ..formats import Quantizer
from .dequantized import Rounded, replace_layers

if TYPE_CHECKING:
    import torch

GROUP_SIZE = 64
_GROUPS_TOGETHER = 4
"""Groups whose codes the package packs into the same bytes, at two bits."""


def quantize_with_hqq(module: torch.nn.Module, quantizer: Quantizer) -> dict[str, Json]:
    """Replaces the linear layers of a fork's module by such with HQQ's values; gives the proof."""
    made = replace_layers(
        module, lambda weight: rounded(weight, quantizer.code_bits), {}, backend="hqq", version=version("hqq")
    )
    return {**made, "group_size": GROUP_SIZE}


def rounded(weight: torch.Tensor, bits: int) -> Rounded | None:
    """What HQQ makes of a weight matrix, shape (out, in); None if it is not a whole number of packed groups."""
    import torch
    from hqq.core.quantize import BaseQuantizeConfig, HQQLinear

    if weight.numel() % (GROUP_SIZE * _GROUPS_TOGETHER):
        return None
    with torch.device("meta"):
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.weight = torch.nn.Parameter(weight.detach(), requires_grad=False)
    config = BaseQuantizeConfig(nbits=bits, group_size=GROUP_SIZE, axis=1)
    layer: Any = HQQLinear(
        linear, config, compute_dtype=torch.float16, device=str(weight.device), del_orig=False, initialize=True
    )
    scales = (layer.meta["scale"], layer.meta["zero"])
    return Rounded(
        weight=layer.dequantize().detach(),
        kind="HQQLinear",
        stored_bytes=layer.W_q.nbytes + sum(each.nbytes for each in scales),
    )
