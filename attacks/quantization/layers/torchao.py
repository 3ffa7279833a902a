"""torchao's weight-only formats that run without CUDA: int8 with a scale for each row, int4 with one for each 32.

The library's `quantize_` rounds a layer; the model then computes with the weights that the resulting tensor stands
for. `torchao-int4` is its `IntxWeightOnlyConfig` (symmetric, the values kept one a byte until export: counted here at
four bits); the packed `Int4WeightOnlyConfig` needs CUDA and kernels of other packages, and is not used.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from unlearn_audit.api import Json

from ..formats import Quantizer
from .dequantized import Rounded, replace_layers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

GROUP_SIZE = 32


def quantize_with_torchao(module: torch.nn.Module, quantizer: Quantizer) -> dict[str, Json]:
    """Replaces the linear layers of a fork's module by such with torchao's values; gives the proof."""
    return replace_layers(
        module, lambda weight: rounded(weight, quantizer), {}, backend="torchao", version=version("torchao")
    )


def rounded(weight: torch.Tensor, quantizer: Quantizer) -> Rounded | None:
    """What torchao makes of a weight matrix, shape (out, in); None where no group of four-bit codes fits a row."""
    import torch

    if quantizer is Quantizer.TORCHAO_INT4 and weight.shape[1] % GROUP_SIZE:
        return None
    with _quiet():
        from torchao.quantization import quantize_
    holder = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False, device="meta"))
    linear: Any = holder[0]
    exact = weight.detach().to(torch.float32, memory_format=torch.contiguous_format, copy=True)
    linear.weight = torch.nn.Parameter(exact, requires_grad=False)
    quantize_(holder, _config(quantizer))
    made = linear.weight
    return Rounded(
        weight=made.dequantize().detach(),
        kind=type(made).__name__,
        stored_bytes=made.qdata.numel() * quantizer.code_bits // 8 + made.scale.nbytes + made.zero_point.nbytes,
    )


def _config(quantizer: Quantizer) -> Any:
    import torch
    from torchao.quantization import Int8WeightOnlyConfig, IntxWeightOnlyConfig
    from torchao.quantization.granularity import PerGroup

    if quantizer is Quantizer.TORCHAO_INT4:
        dtypes: Any = torch  # int4 is there, and in no stub
        return IntxWeightOnlyConfig(weight_dtype=dtypes.int4, granularity=PerGroup(GROUP_SIZE))
    return Int8WeightOnlyConfig(set_inductor_config=False)  # else it sets options of torch's compiler for everybody


@contextmanager
def _quiet() -> Iterator[None]:
    """For the first import of torchao, which logs which of its CUDA libraries it cannot load."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
