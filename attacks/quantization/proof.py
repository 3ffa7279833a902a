"""What shows that a model was quantized: kinds of layers, share of the weights, bytes, and how far they moved."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearn_audit.api import AttackError, Json, NotApplicableError

if TYPE_CHECKING:
    import torch


LEAST_ROUNDED_SHARE = 0.95
"""Of the weights of the blocks. A model with its experts left as they were is not what anybody serves."""


@dataclass(frozen=True, kw_only=True)
class LayerChange:
    """One layer before and after.

    Attributes:
        kind: the class of the layer that came in.
        weights: number of weights in the layer's matrix.
        squared_error: squared Frobenius norm of (weight - dequantized weight).
        squared_norm: that of the weight.
        bytes_before: of the matrix; `bytes_after`: of codes, scales and tables.
        table_bytes: the tables among these, which a layer of any size has once.
        same_code: share of the weights with the same code as the original's, or None where that was not compared.
    """

    name: str
    kind: str
    weights: int
    squared_error: float
    squared_norm: float
    bytes_before: int
    bytes_after: int
    table_bytes: int = 0
    same_code: float | None = None


def squared_change(before: torch.Tensor, after: torch.Tensor) -> tuple[float, float]:
    """Squared Frobenius norms of (before - after) and of before, in float32."""
    import torch

    exact = before.to(torch.float32)
    error = torch.linalg.vector_norm(exact - after.to(exact.device, torch.float32))
    return error.item() ** 2, torch.linalg.vector_norm(exact).item() ** 2


def model_size(module: torch.nn.Module) -> tuple[int, int]:
    """Numbers and bytes of a model's parameters, tied ones counted once."""
    parameters = list(module.parameters())
    return sum(each.numel() for each in parameters), sum(each.nbytes for each in parameters)


def proof(
    backend: str,
    version: str,
    changes: Sequence[LayerChange],
    size_before: tuple[int, int],
    *,
    in_blocks: int | None = None,
    needs_change: bool = True,
) -> dict[str, Json]:
    """The proof, as it is kept with the evidence.

    Args:
        backend: what quantized.
        version: the backend's version.
        changes: every layer that was replaced.
        size_before: parameters and bytes of the whole model before.
        in_blocks: weights of all matrices of the blocks; None where nothing is known of them.
        needs_change: weights that came out as they went in are an error. A format whose codes were read back can do
            without: it then shows by them that it rounded what was rounded before.

    Raises:
        NotApplicableError: there is no layer to replace.
        AttackError: the weights are as before, fewer bits take no fewer bytes, or too much was left as it was.
    """
    if not changes:
        raise NotApplicableError(f"{backend} {version} found no linear layer in this architecture that it can round")
    parameters, bytes_before = size_before
    norm = math.fsum(change.squared_norm for change in changes)
    error = math.fsum(change.squared_error for change in changes)
    saved = sum(change.bytes_before - change.bytes_after for change in changes)
    if not (math.isfinite(error) and math.isfinite(norm)):
        raise AttackError(
            f"{backend} {version} met or made weights that are not finite; check the checkpoint's weights"
        )
    if needs_change and error <= 0.0:
        raise AttackError(
            f"{backend} {version} changed no weight: it did not quantize, or the checkpoint already holds exactly this "
            "quantizer's values; give the checkpoint as it was before quantization"
        )
    share = _share_of_blocks(changes, in_blocks, f"{backend} {version}")
    if saved <= 0:
        raise AttackError(f"{backend} {version} saved no bytes over {len(changes)} layers: it did not quantize")
    return {
        "backend": backend,
        "version": version,
        "layers": len(changes),
        "layer_types": dict(Counter(change.kind for change in changes)),
        "share_of_block_weights": round(share, 4),
        "share_of_parameters": round(sum(change.weights for change in changes) / parameters, 4),
        "bytes_before": bytes_before,
        "bytes_after": bytes_before - saved,
        "bits_per_weight": bits_per_weight(changes),
        "relative_weight_change": float(f"{math.sqrt(error / norm):.6g}"),
        **({} if error > 0.0 else {"already_rounded": True}),
        **_same_bucket(changes),
    }


def _share_of_blocks(changes: Sequence[LayerChange], in_blocks: int | None, title: str) -> float:
    """The share of the weights of the blocks that was rounded.

    Raises:
        AttackError: too small a share to call the model quantized.
    """
    share = sum(change.weights for change in changes) / in_blocks if in_blocks else 1.0
    if share < LEAST_ROUNDED_SHARE:
        raise AttackError(
            f"{title} rounded {share:.1%} of the weights of the blocks; at least {LEAST_ROUNDED_SHARE:.0%} are needed "
            "to call the model quantized. What was left as it was fits no block of this format, or is stored in a way "
            "that is not known here: choose another format"
        )
    return share


def bits_per_weight(changes: Sequence[LayerChange]) -> float:
    """Bits that the rounded layers take for each of their weights, scales included: the dose of a quantizer.

    Tables that every layer has once are left out, so that a small model has the dose of a large one.
    """
    stored = sum(change.bytes_after - change.table_bytes for change in changes)
    return round(8 * stored / sum(change.weights for change in changes), 3)


def _same_bucket(changes: Sequence[LayerChange]) -> Mapping[str, Json]:
    """The share of weights that round to the original's code: overall (by weights) and for each layer."""
    compared = {change.name: (change.same_code, change.weights) for change in changes if change.same_code is not None}
    if not compared:
        return {}
    weights = sum(count for _, count in compared.values())
    same = math.fsum(share * count for share, count in compared.values())
    return {
        "same_bucket": {
            "overall": round(same / weights, 4),
            "layers_compared": len(compared),
            "layers": {name: round(share, 4) for name, (share, _) in compared.items()},
        }
    }
