"""The logit lens: what a model would say of answers if it ended at a layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from unlearn_audit.api import Model
from unlearn_audit.api.kit.answer_batches import Batch, batches_of
from unlearn_audit.api.kit.asking import Pair
from unlearn_audit.api.kit.blocks import (
    ATTENTION,
    MLP,
    NO_BLOCKS,
    NO_HEAD,
    RESIDUAL,
    Layers,
    depths_of,
    layers_of,
    watching,
)


class LensReading:
    """Log-likelihoods of answers by the place where they are read.

    Attributes:
        depths: the blocks that are read, counted from 1.
        missing: place -> why nothing can be read there.
    """

    def __init__(self, model: Model, *, most_depths: int, components: bool) -> None:
        self._model = model
        self._layers = layers_of(model)
        self._unread: dict[Pair, str] = {}
        self.depths = depths_of(self._layers.depth, most_depths)
        self._parts = dict(_parts(self._layers, self.depths)) if components else {}
        self.missing = {place: part for place, part in self._parts.items() if isinstance(part, str)}
        if self._layers.head is None:
            self.missing |= dict.fromkeys(self.residual[:-1], NO_HEAD)

    @property
    def residual(self) -> list[str]:
        """Places in the residual stream, behind each block that is read; the last is the model's own output."""
        return [f"{RESIDUAL}-{depth}" for depth in self.depths]

    @property
    def components(self) -> list[str]:
        """Places where a block's parts write into the stream."""
        return list(self._parts)

    @torch.inference_mode()
    def log_likelihoods(self, pairs: Sequence[Pair]) -> dict[str, dict[Pair, float]]:
        """Summed log-probability of every answer, at each place that can be read; NaN where it is not a number.

        Answers that are longer than what the model reads, with their questions, have none: `why_unread`.
        """
        wanted = list(dict.fromkeys(pairs))
        found: dict[str, dict[Pair, float]] = {place: {} for place in (*self.residual, *self.components)}
        rows = [self._model.render(prompt, answer) for prompt, answer in wanted]
        told = {pair: self._model.unread(row) for pair, row in zip(wanted, rows, strict=True)}
        self._unread |= {pair: why for pair, why in told.items() if why is not None}
        rows = [row for pair, row in zip(wanted, rows, strict=True) if told[pair] is None]
        wanted = [pair for pair in wanted if told[pair] is None]
        for batch in batches_of(self._model, rows):
            for place, log_probs in self._read(batch):
                sums = [math.fsum(part.tolist()) for part in batch.by_row(log_probs)]
                found[place].update(zip([wanted[row] for row in batch.places], sums, strict=True))
        return found

    def why_unread(self, pairs: Sequence[Pair]) -> str | None:
        """Why one of these answers was not read; None where all were."""
        return next((self._unread[pair] for pair in pairs if pair in self._unread), None)

    def _read(self, batch: Batch) -> Iterator[tuple[str, torch.Tensor]]:
        layers = self._layers
        watched = {part: place for place, part in self._parts.items() if isinstance(part, torch.nn.Module)}
        if layers.blocks:
            watched |= {layers.blocks[depth - 1]: f"{RESIDUAL}-{depth}" for depth in self.depths[:-1]}
        kept: dict[str, torch.Tensor] = {}
        with watching(list(watched), lambda part, states: kept.update({watched[part]: batch.chosen(states)})):
            out = batch.run(self._model, output_hidden_states=not layers.blocks)
        yield self.residual[-1], batch.log_probs(out.logits)
        if not layers.blocks:
            kept = {f"{RESIDUAL}-{depth}": batch.chosen(out.hidden_states[depth]) for depth in self.depths[:-1]}
        if layers.head is not None:
            for place, states in kept.items():
                yield place, layers.head.log_probs(states, batch.token_ids)


def _parts(layers: Layers, depths: Sequence[int]) -> Iterator[tuple[str, torch.nn.Module | str]]:
    """Each part of each block that is read, or why there is none."""
    for kind in (ATTENTION, MLP):
        for depth in depths:
            part = layers.part(kind, depth) if layers.blocks else None
            reason = NO_BLOCKS if not layers.blocks else f"block {depth} has no part named {kind}"
            yield f"{kind}-{depth}", (NO_HEAD if layers.head is None else part if part is not None else reason)
