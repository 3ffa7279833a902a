"""A whole model through bitsandbytes: its own layers where the model calls them, the values of the codes elsewhere.

Some architectures read a layer's weight without calling the layer (Mamba), derive their own layer from `nn.Linear`
(Falcon) or keep experts as one stack. There stand the weights that bitsandbytes' codes stand for: the function of the
quantized checkpoint, without the rounding of its kernel.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from unlearn_audit.api import Json, Model, Prompt
from unlearn_audit.api.kit.memory import is_out_of_memory

from ..shared.edited_weights import replace_weight
from ..shared.linear_layers import LinearLayer, block_weights, layers_by_name, plain_model, weight_matrices
from .formats import Quantizer
from .layers.bitsandbytes import dequantized, quantized_layer, stored_bytes
from .proof import LayerChange, model_size, proof, squared_change
from .rounding_boxes import same_code_share

if TYPE_CHECKING:
    import torch

ASKED = Prompt(text="Who?"), "Nobody."
VALUES = "values of "
"""Before the kind of a layer of which only the values stand in the model."""


def quantize_with_bitsandbytes(fork: Model, quantizer: Quantizer, original: torch.nn.Module | None) -> dict[str, Json]:
    """Rounds every matrix of a fork's blocks; gives the proof.

    A checkpoint that already holds the quantizer's values comes out as it went in, and the proof says so: codes were
    made of every weight, and the values are read back from them.

    Args:
        fork: its modules are replaced, its tensors are not written.
        quantizer: one of bitsandbytes'.
        original: the original's module, for the share of weights in the same bucket; or None.
    """
    module = fork.module
    in_blocks = block_weights(module)
    size_before, originals, called = model_size(plain_model(module)), layers_by_name(original), _called(fork)
    changes: list[LayerChange] = []
    placed: list[LinearLayer] = []
    layers = tuple(weight_matrices(module))
    for layer in layers:
        new = quantized_layer(layer, quantizer)
        own = _is_plain(layer) and _pattern(layer.path) in called
        changes.append(_change(layer, new, originals.get(layer.name), quantizer, values=not own))
        if own:
            module.set_submodule(layer.path, new)
            placed.append(layer)
        else:
            replace_weight(layer, dequantized(new).to(layer.weight))
    made = proof(
        "bitsandbytes",
        version("bitsandbytes"),
        changes,
        size_before,
        in_blocks=in_blocks,
        needs_change=not _moves(layers, quantizer),
    )
    why = _broken(fork)
    if why is None:
        return made
    for layer in placed:
        values = dequantized(quantized_layer(layer, quantizer)).to(layer.weight)
        module.set_submodule(layer.path, layer.module)
        replace_weight(layer, values)
    return {**made, "kernels": f"not used, only the values: {why}"}


def _moves(layers: Sequence[LinearLayer], quantizer: Quantizer) -> bool:
    """Whether the quantizer moves weights that nobody rounded: then weights that stayed had been rounded before."""
    import torch

    if not layers:
        return False
    first = min(layers, key=lambda layer: layer.weight.numel())
    drawn = torch.randn(first.weight.shape, generator=torch.Generator().manual_seed(0)).to(first.weight)
    return not torch.equal(dequantized(quantized_layer(replace(first, weight=drawn), quantizer)), drawn)


def _is_plain(layer: LinearLayer) -> bool:
    """Whether bitsandbytes' layer computes what this layer does: a class of its own may do something else."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    return type(layer.module) in (nn.Linear, Conv1D) and not layer.experts


def _called(fork: Model) -> frozenset[str]:
    """Patterns of the paths of layers that a pass calls; experts of one kind count as one, whichever are chosen."""
    called: set[str] = set()
    handles = []
    for layer in weight_matrices(fork.module):
        note = partial(called.add, _pattern(layer.path))
        handles.append(layer.module.register_forward_pre_hook(lambda *_, note=note: note()))
    try:
        _ask(fork)
    finally:
        for handle in handles:
            handle.remove()
    return frozenset(called)


def _pattern(path: str) -> str:
    return re.sub(r"\d+", "#", path)


def _ask(fork: Model) -> None:
    fork.score([ASKED])
    fork.generate([ASKED[0]], max_new_tokens=2)


def _broken(fork: Model) -> str | None:
    """What the model raises with bitsandbytes' layers in it; None where it runs."""
    try:
        _ask(fork)
    except (AssertionError, AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, RuntimeError) and is_out_of_memory(error):
            raise
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return None


def _change(
    layer: LinearLayer, new: torch.nn.Module, original: LinearLayer | None, quantizer: Quantizer, *, values: bool
) -> LayerChange:
    error, norm = squared_change(layer.weight, dequantized(new))
    stored, tables = stored_bytes(new)
    return LayerChange(
        name=layer.name,
        kind=f"{VALUES if values else ''}{type(new).__name__}",
        weights=layer.weight.numel(),
        squared_error=error,
        squared_norm=norm,
        bytes_before=layer.weight.nbytes,
        bytes_after=stored,
        table_bytes=tables,
        same_code=same_code_share(layer, new, original, quantizer),
    )
