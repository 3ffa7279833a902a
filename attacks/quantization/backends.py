"""Which package each quantizer needs, and its work on a fork."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, assert_never

from unlearn_audit.api import AttackContext, Json, Model

from ..shared.linear_layers import layers_by_name, linear_layers, plain_model
from .formats import Backend, Quantizer
from .layers.bitsandbytes import dequantized, quantized_layer, stored_bytes
from .layers.gguf import quantize_with_gguf
from .layers.gptq import GptqSettings, quantize_with_gptq
from .layers.hqq import quantize_with_hqq
from .layers.torchao import quantize_with_torchao
from .proof import LayerChange, model_size, proof, squared_change
from .rounding_boxes import same_code_share

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_EXTRAS = {Backend.HQQ: "hqq", Backend.TORCHAO: "torchao", Backend.GPTQMODEL: "gptq"}


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
        calibration: for GPTQModel's.
    """
    match quantizer.backend:
        case Backend.BITSANDBYTES:
            return quantize_with_bitsandbytes(fork.module, quantizer, _original(context))
        case Backend.GGUF:
            return quantize_with_gguf(fork.module, quantizer, _original(context))
        case Backend.HQQ:
            return quantize_with_hqq(fork.module, quantizer)
        case Backend.TORCHAO:
            return quantize_with_torchao(fork.module, quantizer)
        case Backend.GPTQMODEL:
            return quantize_with_gptq(fork, whole, context, calibration)
    assert_never(quantizer.backend)


def _original(context: AttackContext) -> torch.nn.Module | None:
    return context.original() if context.has_original else None


def quantize_with_bitsandbytes(
    module: torch.nn.Module, quantizer: Quantizer, original: torch.nn.Module | None
) -> dict[str, Json]:
    """Replaces the linear layers of a fork's module by quantized ones; gives the proof.

    Args:
        module: its modules are replaced, its tensors are not written.
        quantizer: one of bitsandbytes'.
        original: the original's module, for the share of weights in the same bucket; or None.
    """
    size_before = model_size(plain_model(module))
    originals = layers_by_name(original)
    changes = []
    for layer in tuple(linear_layers(module)):
        new = quantized_layer(layer, quantizer)
        error, norm = squared_change(layer.weight, dequantized(new))
        stored, tables = stored_bytes(new)
        changes.append(
            LayerChange(
                name=layer.name,
                kind=type(new).__name__,
                weights=layer.weight.numel(),
                squared_error=error,
                squared_norm=norm,
                bytes_before=layer.weight.nbytes,
                bytes_after=stored,
                table_bytes=tables,
                same_code=same_code_share(layer, new, originals.get(layer.name), quantizer),
            )
        )
        module.set_submodule(layer.path, new)
    return proof("bitsandbytes", version("bitsandbytes"), changes, size_before)
