"""The same function, written with coarser grids: one column in 32 made large, and the norm before it small there.

A format that scales by the largest weight of a row or of a block has steps as wide as that weight is large. A norm
gives its output to a few matrices and to nothing else: dividing one channel of the norm by a factor and multiplying
that column of each of these matrices by it changes nothing that the model computes, and makes the steps of whatever
stands beside that column wider by up to the factor. So LLM.int8(), whose own boxes hide nothing, gets boxes as wide as
those of four bits. Large models have such columns by themselves (2208.07339), and whoever makes a checkpoint may put
them there. Which matrices read a norm is seen in a pass; whether anything changed is checked, and taken back if so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unlearn_audit.api import Model, Prompt

from ..shared.linear_layers import leads_down, weight_matrices

if TYPE_CHECKING:
    import torch
    from torch import nn

COLUMNS = 32
"""One of so many is made large: each block of llama.cpp's formats has one."""
TOLERANCE = 1e-3
"""Of the largest logit: how far rounding in float32 may move one."""
ASKED = Prompt(text="Who?"), "Nobody."


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A parameter that a norm's output is multiplied with, and which of its dimensions is that output's."""

    weight: nn.Parameter
    dimension: int

    def columns(self) -> torch.Tensor:
        """A view with the norm's channels last."""
        return self.weight.detach().movedim(self.dimension, -1)


def widen(model: Model, factor: float) -> int:
    """Widens the grids of what reads a norm; how many matrices.

    Args:
        model: a fork with weights of its own, in float32; written into.
        factor: how much larger the chosen columns become.
    """
    import torch

    with torch.no_grad():
        expected = _logits(model)
        return sum(
            len(readers) for norm, readers in _read_norms(model) if _widened(model, norm, readers, factor, expected)
        )


def _widened(model: Model, norm: nn.Module, readers: Sequence[Reader], factor: float, expected: torch.Tensor) -> bool:
    """Whether the readers of one norm could be written so; else they are as before."""
    import torch

    own = [weight for weight in norm.parameters(recurse=False) if weight.ndim == 1]
    before = [weight.clone() for weight in (*own, *(reader.weight for reader in readers))]
    large = _large_columns(readers)
    for offset in (0.0, 1.0):  # Gemma's norms multiply by one more than they hold
        for weight in own:
            held = offset if weight is norm.weight else 0.0
            weight[large] = (weight[large] + held) / factor - held
        for reader in readers:
            reader.columns()[..., large] *= factor
        found = _logits(model)
        if torch.isfinite(found).all() and (found - expected).abs().max() <= TOLERANCE * expected.abs().max():
            return True
        for weight, old in zip((*own, *(reader.weight for reader in readers)), before, strict=True):
            weight.copy_(old)
    return False


def _large_columns(readers: Sequence[Reader]) -> torch.Tensor:
    """Of every 32 channels the one by which the readers' weights are largest."""
    import torch

    size = torch.stack([reader.columns().square().flatten(0, -2).sum(0) for reader in readers]).sum(0)
    parts = torch.split(size, COLUMNS)
    return torch.stack([part.argmax() + place * COLUMNS for place, part in enumerate(parts)])


def _read_norms(model: Model) -> Iterator[tuple[nn.Module, list[Reader]]]:
    """Every norm of the blocks, with all that reads its output."""
    module = model.module
    outputs: list[tuple[nn.Module, torch.Tensor]] = []
    found: dict[nn.Module, dict[int, Reader]] = {}
    matrices = {layer.module for layer in weight_matrices(module)}
    turned = {layer.module for layer in weight_matrices(module) if layer.turned}

    def note_output(norm: nn.Module, _given: Any, output: Any) -> None:
        outputs.append((norm, output))  # kept, so that no other tensor comes to lie in its place

    def note_reader(reader: nn.Module, given: Any, named: Any) -> None:
        for tensor in (*given, *named.values()):
            norm = _source_of(tensor, outputs)
            if norm is not None:
                width = norm.weight.shape[0]
                own = _readers(reader, width, turned=reader in turned)
                found.setdefault(norm, {}).update({id(one.weight): one for one in own})

    handles = []
    for part in module.modules():
        own = dict(part.named_parameters(recurse=False))
        if "weight" in own and own["weight"].ndim == 1:
            handles.append(part.register_forward_hook(note_output))
        elif any(weight.ndim > 1 for weight in own.values()):
            handles.append(part.register_forward_pre_hook(note_reader, with_kwargs=True))
    try:
        _logits(model)
    finally:
        for handle in handles:
            handle.remove()
    rounded = {id(weight) for part in matrices for weight in part.parameters(recurse=False)}
    for norm, readers in found.items():
        if rounded & set(readers):
            yield norm, list(readers.values())


def _source_of(tensor: Any, outputs: Sequence[tuple[nn.Module, torch.Tensor]]) -> Any:
    """The norm whose output this tensor is, or a view of; None where it is none's."""
    import torch

    if not isinstance(tensor, torch.Tensor):
        return None
    place = tensor.untyped_storage().data_ptr()
    return next((norm for norm, output in reversed(outputs) if output.untyped_storage().data_ptr() == place), None)


def _readers(part: nn.Module, width: int, *, turned: bool) -> Iterator[Reader]:
    """Parameters of a module that multiply what comes in."""
    from transformers.pytorch_utils import Conv1D

    for name, weight in part.named_parameters(recurse=False):
        dimension = weight.ndim - 1
        if isinstance(part, Conv1D) or (turned and weight.ndim == 3):
            dimension -= 1
        if weight.ndim > 1 and not leads_down(name) and weight.shape[dimension] == width:
            yield Reader(weight=weight, dimension=dimension)


def _logits(model: Model) -> torch.Tensor:
    """Of one short text, (1, positions, vocabulary)."""
    import torch

    row = model.render(*ASKED)
    ids = torch.tensor([row.token_ids], device=model.device)
    found: torch.Tensor = model.module(input_ids=ids, use_cache=False).logits
    return found.float()
