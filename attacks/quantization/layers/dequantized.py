"""Linear layers that hold what a quantizer made of their weights, written out again in the model's own dtype.

The function of the quantized checkpoint, without the rounding that one kernel adds and another does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from unlearn_audit.api import Json

from ...shared.edited_weights import replace_weight
from ...shared.linear_layers import LinearLayer, block_weights, plain_model, weight_matrices
from ..proof import LayerChange, model_size, proof, squared_change

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Rounded:
    """What a quantizer made of one weight matrix.

    Attributes:
        weight: the values that the codes stand for, shape (out, in).
        kind: the library's name for the format.
        stored_bytes: of codes and scales, as the format keeps them.
        codes: the code of every weight, shape (out, in), where the format has a code for each; or None.
    """

    weight: torch.Tensor
    kind: str
    stored_bytes: int
    codes: torch.Tensor | None = None


Round = Callable[["torch.Tensor"], Rounded | None]
"""From a weight matrix, shape (out, in), to what is made of it; None where the format leaves it as it is."""


def replace_layers(
    module: torch.nn.Module,
    round_weight: Round,
    originals: Mapping[str, LinearLayer],
    *,
    backend: str,
    version: str,
) -> dict[str, Json]:
    """Replaces the linear layers of a fork's module by such with rounded weights; gives the proof.

    A checkpoint that already holds a quantizer's values (a file served as it is) comes out as it went in: the proof
    then says `already_rounded`, and its codes and bytes are the evidence.

    Args:
        module: its modules are replaced, its tensors are not written.
        round_weight: the quantizer.
        originals: the original's layers by name, for the share of weights with the same code.
        backend: the package that quantizes.
        version: the package's.
    """
    size_before, in_blocks = model_size(plain_model(module)), block_weights(module)
    changes: list[LayerChange] = []
    left_alone: list[str] = []
    for layer in tuple(weight_matrices(module)):
        rounded = round_weight(layer.weight)
        if rounded is None:
            left_alone.append(layer.name)
            continue
        changes.append(_change(layer, rounded, _same_code(layer, rounded, originals.get(layer.name), round_weight)))
        replace_weight(layer, rounded.weight.to(layer.weight))
    made = proof(backend, version, changes, size_before, in_blocks=in_blocks, needs_change=False)
    return {**made, **({"left_alone": left_alone} if left_alone else {})}


def put_back(
    module: torch.nn.Module, layer: LinearLayer, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.nn.Module:
    """Puts an `nn.Linear` with these weights, in the layer's dtype and on its device, in the layer's place."""
    import torch
    from torch import nn

    with torch.device("meta"):
        new = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    new.weight = nn.Parameter(weight.to(layer.weight.device, layer.weight.dtype), requires_grad=False)
    new.register_parameter("bias", None if bias is None else nn.Parameter(bias, requires_grad=False))
    module.set_submodule(layer.path, new.train(layer.module.training))
    return new


def _change(layer: LinearLayer, rounded: Rounded, same_code: float | None) -> LayerChange:
    error, norm = squared_change(layer.weight, rounded.weight)
    return LayerChange(
        name=layer.name,
        kind=rounded.kind,
        weights=layer.weight.numel(),
        squared_error=error,
        squared_norm=norm,
        bytes_before=layer.weight.nbytes,
        bytes_after=rounded.stored_bytes,
        same_code=same_code,
    )


def _same_code(layer: LinearLayer, rounded: Rounded, original: LinearLayer | None, round_weight: Round) -> float | None:
    """Share of a layer's weights with the code of the original's weight; None where that cannot be compared."""
    if rounded.codes is None or original is None or original.weight.shape != layer.weight.shape:
        return None
    moved = replace(original, weight=original.weight.to(layer.weight.device, layer.weight.dtype))
    reference = round_weight(moved.weight)
    if reference is None or reference.codes is None:
        return None
    same = rounded.codes == reference.codes
    return same.sum().item() / same.numel()
