"""Checkpoints that are stored as codes of a quantizer: loaded as the weights that the codes stand for.

Attacks train, edit and round weights; codes can be none of that. The numbers are the checkpoint's own: what a code
stands for is computed in float32 and kept in the type of the other weights.
"""

from __future__ import annotations

from typing import Any

import torch

from unlearn_audit.errors import AuditError, cause_of

_NOTES = "unlearn_audit_notes"


def as_weights(module: torch.nn.Module, reference: str, dtype: torch.dtype | str) -> torch.nn.Module:
    """The model with plain weights in place of codes; a model without codes as it is.

    Args:
        module: as transformers loaded it.
        reference: what the user calls it.
        dtype: of all weights afterwards; `auto` for the checkpoint's own.

    Raises:
        AuditError: nothing turns codes of this kind back into weights.
    """
    quantizer: Any = getattr(module, "hf_quantizer", None)
    if quantizer is None:
        return module
    method = quantizer.quantization_config.quant_method
    method = str(getattr(method, "value", method))
    try:
        _exact(module)
        plain: torch.nn.Module = module.dequantize(dtype=torch.float32)  # type: ignore[operator]
    except (NotImplementedError, AttributeError, ImportError, RuntimeError, TypeError, ValueError) as error:
        raise _refused(reference, method, cause_of(error)) from error
    left = next((name for name, one in plain.named_parameters() if not one.is_floating_point()), None)
    if left is not None:
        raise _refused(reference, method, f"{left} stays in codes")
    _forget(plain)
    config: Any = plain.config
    plain = plain.to(config.dtype if isinstance(dtype, str) else dtype)
    setattr(plain, _NOTES, (f"stored in {method} codes: loaded as the weights that these stand for",))
    return plain


def notes_of(module: torch.nn.Module) -> tuple[str, ...]:
    """What loading did to the model, for the record."""
    return tuple(getattr(module, _NOTES, ()))


def _exact(module: torch.nn.Module) -> None:
    """Lets 4-bit codes of bitsandbytes become float32 first: their own type would round them a second time."""
    for parameter in module.parameters():
        state = getattr(parameter, "quant_state", None)
        if state is not None:
            state.dtype = torch.float32


def _forget(module: torch.nn.Module) -> None:
    """Takes away the marks by which transformers refuses to move or cast what was in codes."""
    for mark in ("is_loaded_in_4bit", "is_loaded_in_8bit", "quantization_method", "hf_quantizer"):
        if mark in vars(module):
            delattr(module, mark)


def _refused(reference: str, method: str, why: str) -> AuditError:
    return AuditError(
        f"{reference}: is stored in {method} codes that cannot be turned back into weights ({why}); give the "
        "checkpoint as it was before it was quantized, or a copy of it in half precision"
    )
