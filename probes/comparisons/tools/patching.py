"""Activation patching: the states of one model where an answer is predicted, put into another at the same depth."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
import numpy.typing as npt
import torch

from unlearn_audit.api import AuditError, Model, Rendered
from unlearn_audit.api.kit.answer_batches import Batch, answer_places, batches_of, mean_log_probs
from unlearn_audit.api.kit.blocks import NO_BLOCKS, Layers, changed, layers_of, watching
from unlearn_audit.api.kit.blocks import depths_of as depths_of

FloatArray = npt.NDArray[np.float64]
HALF = 65504
"""Largest number in half precision."""


def shortened(row: Rendered, tokens: int) -> Rendered:
    """A row cut off behind the first so many tokens of its answer."""
    end = answer_places(row)[:tokens][-1] + 1
    return Rendered(token_ids=row.token_ids[:end], is_answer=row.is_answer[:end])


def answer_lengths(rows: Sequence[Rendered]) -> list[int]:
    """How many tokens each row's answer has."""
    return [len(answer_places(row)) for row in rows]


def blocks_of(model: Model) -> Layers:
    """The layers of a model whose blocks can be patched.

    Raises:
        AuditError: they cannot be found.
    """
    found = layers_of(model)
    if not found.blocks:
        raise AuditError(f"{type(model.module).__name__}: {NO_BLOCKS}, so that there is nothing to patch")
    return found


@torch.inference_mode()
def states_behind(
    model: Model, layers: Layers, depths: Sequence[int], rows: Sequence[Rendered]
) -> npt.NDArray[np.float16]:
    """What stands behind blocks where answer tokens are predicted: (positions, depths, width), rows in order."""
    blocks = [layers.blocks[depth - 1] for depth in depths]
    found: list[npt.NDArray[np.float16]] = [np.empty(0, dtype=np.float16)] * len(rows)
    for batch in batches_of(model, rows):
        kept: dict[torch.nn.Module, torch.Tensor] = {}
        with watching(blocks, kept.__setitem__):
            batch.run(model)
        chosen = [batch.chosen(kept[block]).float().cpu() for block in blocks]
        both = torch.stack(chosen, dim=1).clamp(-HALF, HALF).half()
        for place, part in zip(batch.places, batch.by_row(both), strict=True):
            found[place] = part.numpy()
    return np.concatenate(found)


def states_of(
    states: npt.NDArray[np.generic], lengths: npt.NDArray[np.generic], chosen: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float16]:
    """The states of some facts, (positions, depths, width), out of those of all, whose numbers are `lengths`."""
    kept = np.repeat(chosen, np.asarray(lengths, dtype=np.int64))
    return np.asarray(states, dtype=np.float16)[kept]


def patched_log_probs(
    model: Model, rows: Sequence[Rendered], block: torch.nn.Module, states: npt.NDArray[np.float16]
) -> FloatArray:
    """Mean log-probability of each answer's tokens, (rows,), behind a block that gives other states there.

    Args:
        model: what answers.
        rows: questions with answers.
        block: the block that is patched.
        states: what it gives instead, (positions, width), rows in order.
    """
    starts = np.cumsum([0, *answer_lengths(rows)])

    def patched(batch: Batch) -> AbstractContextManager[None]:
        own = np.concatenate([states[starts[place] : starts[place + 1]] for place in batch.places])
        return changed(block, _Patch(batch, torch.from_numpy(own)))

    return mean_log_probs(model, rows, patched)


class _Patch:
    """Puts states into those of a batch where its answer tokens are predicted."""

    def __init__(self, batch: Batch, states: torch.Tensor) -> None:
        self._batch = batch
        self._states = states

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        rows, places = (index.to(states.device) for index in self._batch.at)
        patched = states.clone()
        patched[rows, places] = self._states.to(states)
        return patched
