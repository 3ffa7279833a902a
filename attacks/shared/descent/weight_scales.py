"""The size that each weight has in its tensor: what a learning rate, noise or a threshold is relative to.

A checkpoint can be written in many ways that compute the same: norm scales folded into the matrices behind them,
queries against keys, values against what reads them, gated units against theirs, the whole residual stream. An
absolute learning rate acts on each of them by another factor (a thousandfold is easy to write), and would make an
attack that finds everything in one find nothing in the other. So a rate here is a share of a weight's own size.

The size is a rank-one fit of the logarithms: row mean plus column mean less the mean of all. If rows and columns of a
matrix are multiplied with any factors, the sizes are multiplied with the same factors, exactly. It needs no data and
knows no architecture. Where a weight is of the usual size, 1 / sqrt(inputs), the numbers keep their usual meaning.

What this does not do: a tensor that somebody made small to switch it off stays small, and takes longer to grow back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

GEOMETRIC_MEAN_OF_NORMAL = 0.5298
"""exp(E log |z|) of a standard normal z: from a geometric mean to a root mean square."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Sizes of a tensor's weights, `row * column`, each of which broadcasts to the tensor's shape."""

    row: torch.Tensor
    column: torch.Tensor

    def times(self, values: torch.Tensor) -> torch.Tensor:
        """Values of the tensor's shape, each times the size of its weight."""
        return values.mul(self.row).mul_(self.column)


def matrix_scale(weight: torch.Tensor, *, inputs: int | None = None) -> Scale:
    """Sizes of a matrix' weights (out, in), or of each matrix in a stack (experts, out, in), in usual sizes.

    Weights that are exactly zero say nothing. A row without any other has the size of the rest, and so has a matrix
    of zeros in a stack; in a tensor of zeros every size is 1.

    Args:
        weight: of two dimensions or more.
        inputs: how many inputs a weight's usual size goes by; the last dimension where None.
    """
    import torch

    logs = weight.detach().float().abs().log()
    known = torch.isfinite(logs)
    logs = torch.where(known, logs, torch.zeros_like(logs))
    every = _mean(logs, known, tuple(range(logs.ndim)), torch.zeros((), device=logs.device))
    whole = _mean(logs, known, (-2, -1), every)
    rows, columns = _mean(logs, known, (-1,), whole), _mean(logs, known, (-2,), whole)
    usual = math.sqrt(inputs or weight.shape[-1]) / GEOMETRIC_MEAN_OF_NORMAL if bool(known.any()) else 1.0
    return Scale(row=(rows - whole / 2).exp() * math.sqrt(usual), column=(columns - whole / 2).exp() * math.sqrt(usual))


def _mean(logs: torch.Tensor, known: torch.Tensor, over: tuple[int, ...], otherwise: torch.Tensor) -> torch.Tensor:
    import torch

    count = known.sum(dim=over, keepdim=True)
    return torch.where(count > 0, logs.sum(dim=over, keepdim=True) / count.clamp_min(1), otherwise)


def sizes_in(weight: torch.Tensor, *, experts: int = 0) -> torch.Tensor:
    """The size of each weight of a matrix (out, in), or of so many below each other, as a root mean square."""
    import torch

    whole = weight.reshape(max(1, experts), -1, weight.shape[-1]).float()
    return matrix_scale(whole, inputs=1).times(torch.ones_like(whole)).reshape(weight.shape)


def scales_of(module: torch.nn.Module) -> Mapping[torch.nn.Parameter, Scale]:
    """The scale of every parameter of a model that trains; an adapter's matrices take theirs from its layer.

    A parameter that several modules share has the scale that it has in the first. Sizes of an adapter on codes of a
    quantized base are not known: they are left out, and count as usual.
    """
    found: dict[torch.nn.Parameter, Scale] = {}
    for part in module.modules():
        for parameter, scale in _own_scales(part):
            if parameter.requires_grad and parameter not in found and _fits(scale, parameter):
                found[parameter] = scale
    return found


def _fits(scale: Scale, parameter: torch.Tensor) -> bool:
    wanted = tuple(reversed(parameter.shape))
    parts = (tuple(reversed(part.shape)) for part in (scale.row, scale.column))
    return all(
        len(part) <= len(wanted) and all(size in (1, whole) for size, whole in zip(part, wanted, strict=False))
        for part in parts
    )


def _own_scales(part: torch.nn.Module) -> Iterator[tuple[torch.nn.Parameter, Scale]]:
    """Parameters and scales of what a module holds itself, and of the adapter matrices that it carries."""
    for _, parameter, scale in adapter_scales(part):
        yield parameter, scale
    for name, parameter in part.named_parameters(recurse=False):
        if parameter.requires_grad and parameter.is_floating_point():
            yield parameter, _scale_in(part, name, parameter)


def adapter_scales(part: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Parameter, Scale]]:
    """The low-rank matrices on a layer: A (rank, in) goes by the sizes of its columns, B (out, rank) of its rows.

    Those of a stack of experts stand side by side: A (experts x rank, in), B (out, rank x experts).
    """
    import torch

    if not hasattr(part, "lora_A"):
        return
    weight = _adapted_weight(part)
    if weight is None or not weight.is_floating_point():
        return
    scale = matrix_scale(weight)
    one = torch.ones((), device=weight.device)
    lows: Any = part.lora_A
    highs: Any = part.lora_B
    for name, low in lows.items():
        column = scale.column
        if weight.ndim == 3:
            column = column.flatten(0, 1).repeat_interleave(len(low.weight) // len(weight), dim=0)
        yield f"lora_A.{name}", low.weight, Scale(row=one, column=column)
    for name, high in highs.items():
        row = scale.row
        if weight.ndim == 3:
            row = row.flatten(1).mT.repeat(1, high.weight.shape[1] // len(weight))
        yield f"lora_B.{name}", high.weight, Scale(row=row, column=one)


def _adapted_weight(part: torch.nn.Module) -> torch.Tensor | None:
    """What an adapter's layer adds to, as (out, in), or (experts, out, in); None where it is not known."""
    base: Any = getattr(part, "base_layer", None)
    named: Any = getattr(part, "parameter_name", None)
    if named is None:
        weight = getattr(base, "weight", None)
        return None if weight is None or base is None else _oriented(base, weight)
    stack: torch.Tensor = part.get_param().detach()  # type: ignore[operator]
    # PEFT takes a stack for (experts, out, in) unless the library notes otherwise, whatever it is.
    return stack.mT if stack.ndim == 3 and getattr(part.get_base_layer(), "is_transposed", False) else stack  # type: ignore[operator]


def _scale_in(part: torch.nn.Module, name: str, parameter: torch.nn.Parameter) -> Scale:
    import torch

    weight: Any = getattr(part, "weight", None)
    has_matrix = isinstance(weight, torch.Tensor) and weight.ndim > 1 and weight.is_floating_point()
    one = torch.ones((), device=parameter.device)
    if parameter.ndim > 1:
        scale = matrix_scale(_oriented(part, parameter))
        turned = _is_turned(part)
        return Scale(row=scale.row.mT, column=scale.column.mT) if turned else scale
    if name == "bias" and has_matrix:
        rows = _outputs(matrix_scale(_oriented(part, weight)))
        if rows.shape == parameter.shape:
            return Scale(row=rows, column=one)
    gains = norm_gains(part) if isinstance(weight, torch.Tensor) and weight.ndim == 1 else None
    values = parameter if gains is None or gains.shape != parameter.shape else gains
    return Scale(row=_sizes(values), column=one)


def _outputs(scale: Scale) -> torch.Tensor:
    """The size of each output where the inputs have their usual ones, of shape (out,)."""
    rows: torch.Tensor = scale.row.flatten() * scale.column.log().mean().exp()
    return rows


def _sizes(values: torch.Tensor) -> torch.Tensor:
    """Magnitudes of a vector; zeros have the geometric mean of the rest, or 1."""
    import torch

    sizes = values.detach().float().abs()
    known = sizes[sizes > 0]
    rest = known.log().mean().exp() if len(known) else torch.ones((), device=sizes.device)
    return torch.where(sizes > 0, sizes, rest)


def norm_gains(norm: torch.nn.Module) -> torch.Tensor | None:
    """What a norm multiplies each of its inputs with: its weight, or 1 + weight where zero stands for one (Gemma).

    None for a module that is no norm.
    """
    import torch
    from torch.func import functional_call

    weight: torch.Tensor | None = getattr(norm, "weight", None)
    if weight is None or weight.ndim != 1 or "norm" not in type(norm).__name__.lower():
        return None
    own = {name: torch.zeros_like(value) for name, value in norm.named_parameters(recurse=False)}
    probe = torch.linspace(-1.0, 1.0, len(weight), device=weight.device, dtype=weight.dtype)
    try:
        with torch.no_grad():
            silent = functional_call(norm, own, (probe[None, None],))
    except (RuntimeError, TypeError, ValueError):  # a gated norm takes more than its input
        return weight.detach()
    shifted = isinstance(silent, torch.Tensor) and bool(silent.abs().max() > 0)
    return weight.detach() + 1.0 if shifted else weight.detach()


def _is_turned(part: torch.nn.Module) -> bool:
    from transformers.pytorch_utils import Conv1D

    return isinstance(part, Conv1D)


def _oriented(part: torch.nn.Module, weight: torch.Tensor) -> torch.Tensor:
    return weight.mT if _is_turned(part) else weight
