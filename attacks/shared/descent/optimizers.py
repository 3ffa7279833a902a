"""Optimizers in the coordinates of each weight's own size (`weight_scales`), so that no way of writing a model matters.

With W = size * V they train V and write W: for AdamW that multiplies each step by the size, for descent along the
gradient by its square. Between two checkpoints that compute the same, V and its gradients are the same.

A large tensor is moved some rows at a time, so that a step needs little room beside what is kept.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import EllipsisType
from typing import TYPE_CHECKING

from .moments import Moment, moment_of
from .weight_scales import Scale

if TYPE_CHECKING:
    import torch

FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-8
MUON_DECAY, MUON_ROUNDS = 0.95, 5
MUON_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
PIECE = 2**22
"""Values that are moved at a time, about."""


class Optimizer(StrEnum):
    """How gradients become steps.

    `adamw`: AdamW (1711.05101) with its default betas and no weight decay. `sgd`: momentum whose whole step has a
    fixed length (normalized SGD, 2002.03305): as long as if every weight moved by the rate, so that one grid of rates
    serves all. `muon`: momentum of each matrix made orthogonal (2409.20325; five rounds of Newton and Schulz with the
    usual coefficients) and as long as if every weight moved by the rate; tables and vectors by AdamW, as is usual.
    """

    ADAMW = "adamw"
    SGD = "sgd"
    MUON = "muon"


@dataclass(frozen=True, eq=False, slots=True)
class _Piece:
    """Some rows of a weight, and what is remembered of their gradients.

    Attributes:
        first: the mean, or its sum under `muon`.
        second: root of the mean square; None but for AdamW.
    """

    weight: torch.nn.Parameter
    rows: slice | EllipsisType
    scale: Scale | None
    first: Moment
    second: Moment | None

    def gradient(self) -> torch.Tensor:
        """In the coordinates of the weights' sizes, in float32."""
        gradient: torch.Tensor = self.weight.grad[self.rows].float()  # type: ignore[index]
        return gradient if self.scale is None else self.scale.times(gradient)


class Descent:
    """Steps of an optimizer over some weights.

    Attributes:
        weights: what it moves.
    """

    def __init__(
        self,
        weights: Mapping[torch.nn.Parameter, Scale | None],
        kind: Optimizer,
        *,
        tables: Collection[torch.Tensor] = frozenset(),
        packed: bool = False,
    ) -> None:
        """Of weights with their scales.

        Args:
            weights: each with its scale.
            kind: of optimizer.
            tables: embeddings and heads, which `muon` leaves to AdamW.
            packed: keep moments in eight bits a value.
        """
        self.weights = tuple(weights)
        self._kind = kind
        self._packed = packed
        self._pieces = {
            weight: [*self._cut(weight, scale, is_table=weight in tables)] for weight, scale in weights.items()
        }
        self._generators: dict[torch.device, torch.Generator] = {}
        self._step, self._rate, self._square, self._moved = 0, 0.0, 0.0, list[_Piece]()

    def clear(self) -> None:
        """Forgets the gradients."""
        for weight in self.weights:
            weight.grad = None

    def square(self, weight: torch.nn.Parameter) -> torch.Tensor:
        """Sum of squares of a weight's gradient, in the coordinates of its size; a scalar in float32."""
        import torch

        with torch.no_grad():
            return torch.stack([piece.gradient().square().sum() for piece in self._pieces[weight]]).sum()

    def begin(self, rate: float) -> None:
        """A step: every weight that has a gradient is given to `take`, then it ends with `finish`."""
        self._step, self._rate = self._step + 1, rate
        self._square, self._moved = 0.0, []

    def take(self, weight: torch.nn.Parameter, factor: float) -> None:
        """Takes in a weight's gradient times a factor, and moves the weight where that needs no other's gradient.

        A `rate` of 1e-3 moves a weight of usual size by about that.
        """
        import torch

        with torch.no_grad():
            for piece in self._pieces[weight]:
                gradient = piece.gradient().mul(factor)
                if self._kind is Optimizer.SGD:
                    first = _mean(piece.first, gradient)
                    self._square += float(first.square().sum())
                    self._moved.append(piece)
                elif piece.second is None:
                    self._move(piece, _orthogonal_move(piece.first, gradient), self._rate)
                else:
                    self._move(piece, _adam_move(piece.first, piece.second, gradient, self._step), self._rate)

    def finish(self) -> None:
        """Moves what waits for all gradients."""
        import torch

        count = sum(piece.weight[piece.rows].numel() for piece in self._moved)
        with torch.no_grad():
            for piece in self._moved:
                rate = self._rate * math.sqrt(count) / (math.sqrt(self._square) + EPSILON)
                self._move(piece, piece.first.read(), rate)
        self._moved = []

    def _cut(self, weight: torch.nn.Parameter, scale: Scale | None, *, is_table: bool) -> Iterator[_Piece]:
        matrix = weight.ndim > 1 and not is_table
        kind = self._kind if self._kind is not Optimizer.MUON or matrix else Optimizer.ADAMW
        for rows in _rows_of(weight, whole=kind is Optimizer.MUON):
            part = weight.detach()[rows]
            yield _Piece(
                weight=weight,
                rows=rows,
                scale=None if scale is None else _rows_in(scale, rows, weight),
                first=moment_of(part, packed=self._packed, signed=True),
                second=moment_of(part, packed=self._packed, signed=False) if kind is Optimizer.ADAMW else None,
            )

    def _move(self, piece: _Piece, move: torch.Tensor, rate: float) -> None:
        import torch

        values = piece.weight.detach()[piece.rows]
        change = (move.clone() if piece.scale is None else piece.scale.times(move)).mul_(-rate)
        if values.dtype == torch.bfloat16:
            values.copy_(rounded_at_random(change.add_(values), self._generator(values.device)))
        else:
            values.add_(change.to(values.dtype))

    def _generator(self, device: torch.device) -> torch.Generator:
        import torch

        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(0)
        return self._generators[device]


def rounded_at_random(values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Float32 in bfloat16, up or down with the odds of how near each is (2010.06192): steps are not lost to rounding.

    To the nearest, a weight stays where it is unless a step is a four-hundredth of it; so the mean step is right.
    """
    import torch

    noise = torch.randint(0, 2**16, values.shape, generator=generator, device=values.device, dtype=torch.int32)
    bits = noise.add_(values.view(torch.int32)).bitwise_and_(-(2**16))
    return bits.view(torch.float32).bfloat16()


def _mean(first: Moment, gradient: torch.Tensor) -> torch.Tensor:
    mean = first.read().mul_(FIRST_DECAY).add_(gradient, alpha=1 - FIRST_DECAY)
    first.write(mean)
    return mean


def _adam_move(first: Moment, second: Moment, gradient: torch.Tensor, step: int) -> torch.Tensor:
    mean = _mean(first, gradient)
    root = second.read().square_().mul_(SECOND_DECAY).addcmul_(gradient, gradient, value=1 - SECOND_DECAY).sqrt_()
    second.write(root)
    return (mean / (1 - FIRST_DECAY**step)).div_((root / math.sqrt(1 - SECOND_DECAY**step)).add_(EPSILON))


def _orthogonal_move(first: Moment, gradient: torch.Tensor) -> torch.Tensor:
    total = first.read().mul_(MUON_DECAY).add_(gradient)
    first.write(total)
    whole = orthogonalized(gradient.add_(total, alpha=MUON_DECAY))
    return whole.div_(whole.square().mean(dim=(-2, -1), keepdim=True).sqrt_().add_(EPSILON))


def orthogonalized(matrix: torch.Tensor) -> torch.Tensor:
    """A matrix with about the same singular vectors and singular values near 1; of each one in a stack."""
    a, b, c = MUON_COEFFICIENTS
    tall = matrix.shape[-2] > matrix.shape[-1]
    found = matrix.mT if tall else matrix
    found = found / (found.square().sum(dim=(-2, -1), keepdim=True).sqrt() + 1e-30)
    for _ in range(MUON_ROUNDS):
        inner = found @ found.mT
        found = a * found + (b * inner + c * inner @ inner) @ found
    return found.mT if tall else found


def _rows_of(weight: torch.nn.Parameter, *, whole: bool) -> Iterator[slice | EllipsisType]:
    if whole or weight.ndim == 0 or weight.numel() <= PIECE:
        yield ...
        return
    step = max(1, PIECE * len(weight) // weight.numel())
    for first in range(0, len(weight), step):
        yield slice(first, first + step)


def _rows_in(scale: Scale, rows: slice | EllipsisType, weight: torch.Tensor) -> Scale:
    def of(part: torch.Tensor) -> torch.Tensor:
        return part[rows] if part.ndim == weight.ndim and len(part) > 1 else part

    return scale if rows is ... else Scale(row=of(scale.row), column=of(scale.column))
