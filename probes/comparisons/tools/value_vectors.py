"""Value vectors: columns that MLPs add to the residual stream, which of them write an answer, and what without them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from unlearn_audit.api import AuditError, Model, Prompt, Rendered
from unlearn_audit.api.kit.answer_batches import Batch, batches_of, mean_log_probs
from unlearn_audit.api.kit.blocks import MLP, Head, Layers, layers_of, watching

FloatArray = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
"""(rows, vectors, 2): block, counted from 0, and column."""


@dataclass(frozen=True, kw_only=True)
class ValueVectors:
    """The last matrices of a model's MLPs, in the order of the blocks."""

    matrices: tuple[torch.nn.Module, ...]
    layers: Layers

    def of(self, block: int) -> torch.Tensor:
        """The value vectors of a block: (vectors, width)."""
        matrix = self.matrices[block]
        weight = weight_of(matrix)
        return weight if _is_transposed(matrix) else weight.T

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """How many vectors each block has, and how wide they are: (blocks, 2)."""
        return np.array([tuple(self.of(block).shape) for block in range(len(self.matrices))], dtype=np.int64)

    def at(self, places: Places) -> npt.NDArray[np.float16]:
        """The vectors at some places: (rows, vectors, width)."""
        rows = [[self.of(block)[column].float().cpu().numpy() for block, column in row] for row in places.tolist()]
        return np.asarray(rows).clip(-65504, 65504).astype(np.float16)


def weight_of(matrix: torch.nn.Module) -> torch.Tensor:
    """A matrix's weights, as they are stored."""
    return torch.as_tensor(matrix.weight).detach()


def _is_transposed(matrix: torch.nn.Module) -> bool:
    """Whether a weight is stored as (in, out), as GPT-2's is."""
    return type(matrix).__name__ == "Conv1D"


def value_vectors_of(model: Model) -> ValueVectors:
    """Finds the matrix that each MLP ends with: the one that is seen to give what the MLP gives.

    Raises:
        AuditError: a block has no MLP that ends with a plain matrix, or the model has no output embedding.
    """
    layers = layers_of(model)
    parts = [layers.part(MLP, number) for number in range(1, len(layers.blocks) + 1)]
    if not parts or layers.head is None or any(part is None for part in parts):
        raise AuditError(f"{type(model.module).__name__} has no blocks with an MLP and an output embedding")
    return ValueVectors(matrices=_last_matrices(model, [part for part in parts if part is not None]), layers=layers)


@torch.inference_mode()
def _last_matrices(model: Model, parts: Sequence[torch.nn.Module]) -> tuple[torch.nn.Module, ...]:
    """Of each part the plain matrix that gives what the part gives, all seen in one pass."""
    inside = {part: [one for one in part.modules() if _is_plain(one)] for part in parts}
    seen: dict[torch.nn.Module, torch.Tensor] = {}
    row = model.render(Prompt(text="Who?"), "Nobody.").token_ids
    with watching([*parts, *(one for several in inside.values() for one in several)], seen.__setitem__):
        model.module(input_ids=torch.tensor([row], device=model.device), use_cache=False)
    return tuple(_last(part, several, seen) for part, several in inside.items())


def _last(
    part: torch.nn.Module, inside: Sequence[torch.nn.Module], seen: Mapping[torch.nn.Module, torch.Tensor]
) -> torch.nn.Module:
    for one in reversed(inside):
        if part in seen and one in seen and seen[one].shape == seen[part].shape and torch.equal(seen[one], seen[part]):
            return one
    raise AuditError(f"{type(part).__name__} does not end with a plain matrix whose columns could be read")


def _is_plain(part: torch.nn.Module) -> bool:
    weight = getattr(part, "weight", None)
    return isinstance(weight, torch.Tensor) and weight.ndim == 2 and weight.is_floating_point()


@torch.inference_mode()
def writers(model: Model, found: ValueVectors, rows: Sequence[Rendered], count: int) -> Places:
    """The `count` value vectors that write most of each answer: (rows, count, 2).

    A vector writes its coefficient times its projection on the answer's token, relative to the mean token, summed over
    the places where answer tokens are predicted.
    """
    written: list[torch.Tensor] = [torch.empty(0)] * len(rows)
    directions = _directions(found.layers)
    for batch in batches_of(model, rows):
        coefficients: dict[torch.nn.Module, torch.Tensor] = {}
        with _entering(found.matrices, coefficients):
            batch.run(model)
        aims = directions[batch.token_ids.to(directions.device)]
        shares = [
            batch.chosen(coefficients[matrix]).to(aims) * (aims @ found.of(block).to(aims).T)
            for block, matrix in enumerate(found.matrices)
        ]
        for place, part in zip(batch.places, batch.by_row(torch.stack(shares, 1)), strict=True):
            written[place] = part.sum(dim=0).cpu()
    best = torch.stack([one.flatten().topk(count).indices for one in written]).numpy()
    return np.stack(np.unravel_index(best, tuple(written[0].shape)), axis=-1)


def _directions(layers: Layers) -> torch.Tensor:
    """Output embeddings relative to their mean, with the final norm's gain folded in: (vocabulary, width)."""
    if layers.head is None:
        raise ValueError("value vectors were found without a head")
    embeddings = weight_of(layers.head.unembedding).float()
    embeddings = embeddings - embeddings.mean(dim=0)
    return embeddings * _gain(layers.head, embeddings.shape[1]).to(embeddings)


def _gain(head: Head, width: int) -> torch.Tensor:
    """By how much the final norm stretches each direction of a state of mean 0 and size 1: (width,)."""
    weight = weight_of(head.unembedding)
    signs = torch.ones(width, dtype=weight.dtype, device=weight.device)
    signs[1::2] = -1.0
    both = head.normed(torch.stack([signs, -signs])).float()
    return (both[0] - both[1]) / 2.0 * signs.float()


def log_probs_without(model: Model, found: ValueVectors, rows: Sequence[Rendered], without: Places) -> FloatArray:
    """Mean log-probability of each answer's tokens, (rows,), without the value vectors that are named for each row."""

    def ablated(batch: Batch) -> AbstractContextManager[None]:
        return _ablated(found, without[list(batch.places)])

    return mean_log_probs(model, rows, ablated)


@contextmanager
def _entering(matrices: Sequence[torch.nn.Module], kept: dict[torch.nn.Module, torch.Tensor]) -> Iterator[None]:
    """Keeps what goes into matrices: the coefficients of their columns."""

    def hook(matrix: torch.nn.Module, args: tuple[Any, ...]) -> None:
        kept[matrix] = args[0]

    with _before(matrices, hook):
        yield


@contextmanager
def _ablated(found: ValueVectors, places: Places) -> Iterator[None]:
    """Sets the coefficients of each row's vectors to 0, at all positions."""
    blocks = {matrix: block for block, matrix in enumerate(found.matrices)}

    def hook(matrix: torch.nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        coefficients = args[0].clone()
        rows, vectors = np.nonzero(places[:, :, 0] == blocks[matrix])
        coefficients[torch.from_numpy(rows), :, torch.from_numpy(places[rows, vectors, 1])] = 0.0
        return (coefficients, *args[1:])

    with _before(found.matrices, hook):
        yield


@contextmanager
def _before(matrices: Sequence[torch.nn.Module], hook: Any) -> Iterator[None]:
    handles = [matrix.register_forward_pre_hook(hook) for matrix in matrices]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
