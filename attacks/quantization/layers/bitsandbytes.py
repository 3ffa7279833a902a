"""bitsandbytes' layers in the place of a model's linear layers, built in memory from its weights.

The result computes what `from_pretrained(..., quantization_config=BitsAndBytesConfig(...))` would after a round trip
through disk, with two choices made: 4-bit layers compute in the dtype of the weights that they replace, and on every
CPU in that dtype.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from unlearn_audit.api import AttackError

from ...shared.linear_layers import LinearLayer
from ..formats import Quantizer

if TYPE_CHECKING:
    import torch

# The outlier threshold of LLM.int8() (2208.07339, section 3.2), on activations; transformers' default too.
INT8_OUTLIER_THRESHOLD = 6.0


def quantized_layer(layer: LinearLayer, quantizer: Quantizer) -> torch.nn.Module:
    """The layer that bitsandbytes makes of a linear layer, on the same device and in the same mode.

    Reads the layer's tensors and writes into none of them.
    """
    from torch import nn

    new = _int8(layer) if quantizer is Quantizer.INT8 else _four_bit(layer, quantizer)
    # A parameter of its own: bitsandbytes casts `bias.data` of the parameter that it holds in every forward pass.
    new.register_parameter("bias", None if layer.bias is None else nn.Parameter(layer.bias, requires_grad=False))
    new.requires_grad_(False)
    return new.train(layer.module.training)


def codes(layer: torch.nn.Module) -> torch.Tensor:
    """The code of every weight of a fresh quantized layer: uint8 (0 to 15) or int8, shape (out, in).

    Before the layer's first forward pass only: LLM.int8()'s moves them.
    """
    import torch

    weight: Any = layer.weight
    stored: torch.Tensor = weight.data
    if stored.dtype == torch.int8:
        return stored
    packed = stored.reshape(-1).view(torch.uint8)
    # Two codes a byte, the first in the high half.
    unpacked = torch.stack((packed >> 4, packed & 0x0F), dim=1).reshape(-1)
    shape = weight.quant_state.shape
    return unpacked[: shape.numel()].reshape(shape)


def dequantized(layer: torch.nn.Module) -> torch.Tensor:
    """The weights that a quantized layer stands for, shape (out, in)."""
    import bitsandbytes
    import torch

    weight: Any = layer.weight
    if weight.dtype == torch.int8:
        scales = getattr(layer, "state").SCB if weight.SCB is None else weight.SCB  # noqa: B009 - a pass moves them
        values: torch.Tensor = bitsandbytes.functional.int8_vectorwise_dequant(weight.data, scales)
    else:
        values = bitsandbytes.functional.dequantize_4bit(weight.data, weight.quant_state)
    return values


def stored_bytes(layer: torch.nn.Module) -> tuple[int, int]:
    """Bytes of a fresh quantized layer's codes, scales and tables; and of the tables alone."""
    import torch

    weight: Any = layer.weight
    if weight.dtype == torch.int8:
        return int(weight.data.nbytes + weight.SCB.nbytes), 0
    state = weight.quant_state.as_dict(packed=False)
    sizes = {name: value.nbytes for name, value in state.items() if isinstance(value, torch.Tensor)}
    tables = sum(size for name, size in sizes.items() if name.endswith("quant_map"))
    return int(weight.data.nbytes) + sum(sizes.values()), tables


def _four_bit(layer: LinearLayer, quantizer: Quantizer) -> torch.nn.Module:
    """QLoRA's block-wise 4-bit layer (2305.14314): blocks of 64, absolute maximum as the scale."""
    import bitsandbytes
    import torch

    out_features, in_features = layer.weight.shape
    with torch.device("meta"):
        new: Any = bitsandbytes.nn.Linear4bit(in_features, out_features, bias=False, compute_dtype=layer.weight.dtype)
    new.weight = bitsandbytes.nn.Params4bit(
        layer.weight,
        requires_grad=False,
        compress_statistics=quantizer is Quantizer.NF4_DQ,
        quant_type="fp4" if quantizer is Quantizer.FP4 else "nf4",
        module=new,
    ).to(layer.weight.device)
    if new.weight.dtype != torch.uint8:
        raise _not_quantized(layer, new)
    # On CPUs with AVX-512 BF16 bitsandbytes would compute in bfloat16 whatever the dtype, and stop with an assertion
    # at widths that are not a multiple of 32 or 64: the same checkpoint would get other scores on another machine.
    new.support_avx512bf16_for_cpu = False
    made: torch.nn.Module = new
    return made


def _int8(layer: LinearLayer) -> torch.nn.Module:
    """LLM.int8()'s layer: a scale for every row, outlier columns of the activations in full precision."""
    import bitsandbytes
    import torch

    out_features, in_features = layer.weight.shape
    with torch.device("meta"):
        new: torch.nn.Module = bitsandbytes.nn.Linear8bitLt(
            in_features, out_features, bias=False, has_fp16_weights=False, threshold=INT8_OUTLIER_THRESHOLD
        )
    # bitsandbytes quantizes on the way from the CPU to the device, and only then.
    weight = bitsandbytes.nn.Int8Params(layer.weight.to("cpu"), requires_grad=False, has_fp16_weights=False)
    new.weight = weight.to(layer.weight.device)
    if new.weight.dtype != torch.int8:
        raise _not_quantized(layer, new)
    new.register_forward_pre_hook(_without_cast_warning)
    new.register_forward_hook(_with_cast_warning, always_call=True)
    return new


class _CastWarning(logging.Filter):
    """Drops the line that bitsandbytes logs in every pass of every layer whose inputs are not in float16."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is kept."""
        return not str(record.msg).startswith("MatMul8bitLt: inputs will be cast from")


_CAST_WARNING = _CastWarning()
_LOGGER = logging.getLogger("bitsandbytes.autograd._functions")


def _without_cast_warning(*_: object) -> None:
    _LOGGER.addFilter(_CAST_WARNING)


def _with_cast_warning(*_: object) -> None:
    _LOGGER.removeFilter(_CAST_WARNING)


def _not_quantized(layer: LinearLayer, new: torch.nn.Module) -> AttackError:
    return AttackError(
        f"bitsandbytes left {layer.name} in {new.weight.dtype} on {layer.weight.device}; "
        "check that its version supports this device"
    )
