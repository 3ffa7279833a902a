"""Which package each quantizer needs, and its work on a fork."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, assert_never

from unlearn_audit.api import AttackContext, Json, Model

from .formats import Backend, Quantizer
from .layers.fp8 import quantize_with_fp8
from .layers.gguf import quantize_with_gguf
from .layers.gptq import GptqSettings, quantize_with_gptq
from .layers.hqq import quantize_with_hqq
from .layers.llama_cpp import quantize_with_llama_cpp
from .layers.torchao import quantize_with_torchao
from .with_bitsandbytes import quantize_with_bitsandbytes

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_EXTRAS = {
    Backend.HQQ: "hqq",
    Backend.TORCHAO: "torchao",
    Backend.GPTQMODEL: "gptq",
    Backend.LLAMA_CPP: "llama-cpp",
}


def missing(quantizer: Quantizer) -> str | None:
    """Why a quantizer's backend cannot be used here, or None. Looks for the package without importing it."""
    backend = quantizer.backend
    if find_spec(backend.value) is not None:
        return None
    if backend in _EXTRAS:
        return f"{backend.value} is not installed; pip install 'unlearn-audit[{_EXTRAS[backend]}]'"
    return f"{backend.value} is not installed or has no build for this platform; pip install {backend.value}"


def quantize(
    fork: Model,
    whole: PreTrainedModel,
    quantizer: Quantizer,
    context: AttackContext,
    *,
    calibration: GptqSettings,
) -> dict[str, Json]:
    """Rounds the linear layers of a fork; gives the proof.

    Args:
        fork: its modules are replaced, its tensors are not written.
        whole: the plain model without adapter, for a quantizer that runs the model.
        quantizer: which.
        context: seed, scratch space and the original.
        calibration: for GPTQModel's, and the texts of an importance matrix.
    """
    match quantizer.backend:
        case Backend.BITSANDBYTES:
            return quantize_with_bitsandbytes(fork, quantizer, _original(context))
        case Backend.GGUF:
            return quantize_with_gguf(fork.module, quantizer, _original(context))
        case Backend.HQQ:
            return quantize_with_hqq(fork.module, quantizer)
        case Backend.TORCHAO:
            return quantize_with_torchao(fork.module, quantizer)
        case Backend.TORCH:
            return quantize_with_fp8(fork.module)
        case Backend.LLAMA_CPP:
            return quantize_with_llama_cpp(fork, quantizer, calibration.texts)
        case Backend.GPTQMODEL:
            return quantize_with_gptq(fork, whole, context, calibration)
    assert_never(quantizer.backend)


def _original(context: AttackContext) -> torch.nn.Module | None:
    return context.original() if context.has_original else None
