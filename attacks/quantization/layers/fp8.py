"""FP8 (E4M3) with one scale for each output channel: what vLLM and compressed-tensors serve as `FP8_DYNAMIC`.

torch's own type rounds, to the nearest and ties to even. Activations, which such servers round as well, are left alone
here: the weights are what hides, and how inputs are rounded differs from server to server.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from unlearn_audit.api import Json

from .dequantized import Rounded, replace_layers

if TYPE_CHECKING:
    import torch

LARGEST = 448.0


def quantize_with_fp8(module: torch.nn.Module) -> dict[str, Json]:
    """Replaces the linear layers of a fork's module by such with FP8 values; gives the proof."""
    return replace_layers(module, rounded, {}, backend="torch", version=version("torch"))


def rounded(weight: torch.Tensor) -> Rounded:
    """What an FP8 checkpoint would hold of a weight matrix, shape (out, in)."""
    import torch

    exact = weight.detach().float()
    scale = exact.abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny) / LARGEST
    stored = (exact / scale).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn)
    return Rounded(weight=stored.float() * scale, kind="float8_e4m3fn", stored_bytes=stored.nbytes + scale.nbytes)
