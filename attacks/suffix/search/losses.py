"""Losses of many texts that differ in a token, and their gradient, without reading twice what they share.

Rows are aligned at their ends. The keys and values of the present text are kept; a candidate reads on from its first
changed token, batched with candidates of all goals that have about as much left to read, and the vocabulary is
multiplied out at the target alone. A model that keeps no such cache (a recurrent one), or that gives other numbers
with it, reads every row whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch.nn.functional import cross_entropy
from transformers import DynamicCache

from unlearn_audit.api import AttackError
from unlearn_audit.api.kit.blocks import takes_logits_to_keep
from unlearn_audit.api.kit.memory import is_out_of_memory, release_memory
from unlearn_audit.api.kit.training.trials import CANNOT

from ...shared.training import loss_scale
from .passes import (
    Layers,
    check_gradients,
    embedding_leaf,
    gradient_at,
    groups,
    layers_of,
    stacked,
)
from .tokens import Frame, Slot

CPU_TOKENS, GPU_TOKENS = 4096, 32768
"""Most tokens a batch, as in the engine."""

CPU_PASS_TOKENS, GPU_PASS_TOKENS = 48, 2048
"""What one more pass costs, in tokens: where fewer are saved, rows of unlike length share a pass."""

FLOAT32_TOLERANCE, HALF_TOLERANCE = 1e-3, 0.1
"""How far cached losses may be from plain ones, in nats, for the cache to be used."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A text to be scored in one frame; tokens before `changed` are those of the frame's present text."""

    frame: int
    slot: Slot
    changed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Slope:
    """The present text's loss in one frame, and its gradient at the slot's input embeddings, (slot, width)."""

    loss: float
    gradient: torch.Tensor


class SlotLosses:
    """Losses of the texts of some frames, by one model.

    Attributes:
        cached: keys and values are reused; else every row is read whole.
        tokens: most tokens a batch.
        events: what was adapted on the way, for the record.
    """

    def __init__(
        self, module: torch.nn.Module, frames: Sequence[Frame], slots: Sequence[Slot], device: torch.device, tokens: int
    ) -> None:
        self.events: list[str] = []
        self._module, self._frames, self._device, self.tokens = module, frames, device, tokens
        self._takes_keep = takes_logits_to_keep(module)
        # The last token of a row is only ever predicted.
        self._tails = [len(slot) + len(frame.after) - 1 for frame, slot in zip(frames, slots, strict=True)]
        self._lengths = [len(frame.before) + tail for frame, tail in zip(frames, self._tails, strict=True)]
        self._width = max(self._lengths)
        self._keep = max(len(frame.after) - frame.is_target.index(True) for frame in frames)
        self._labels, self._weights = self._targets()
        self._before: Layers = []
        self._present: Layers = []
        self.cached = False

    def begin(self, slots: Sequence[Slot]) -> list[Slope]:
        """Finds out whether this model's cache may be used, and gives the slopes of the first texts.

        It is tried once, on the rows themselves: the losses behind a cache must be the plain ones.
        """
        half = next(p.dtype for p in self._module.parameters() if p.is_floating_point()) != torch.float32
        rows = [Row(frame=place, slot=slot, changed=len(slot) // 2) for place, slot in enumerate(slots)]
        plain = self.losses(rows)
        self.cached = True
        try:
            with torch.inference_mode(mode=False), torch.no_grad():
                self._before = self._read_before(slots)
            slopes = self.slopes(slots)
            found = zip(plain, self.losses(rows), slopes, strict=True)
            gap = max(max(abs(one - two), abs(one - slope.loss)) for one, two, slope in found)
        except (*CANNOT, AttackError):
            gap = math.inf
        if gap <= (HALF_TOLERANCE if half else FLOAT32_TOLERANCE):  # false of what is not a number, too
            self.events.append("keys and values are reused")
            return slopes
        self.events.append("no cache that gives this model's plain losses: every candidate is read whole")
        self.cached, self._before, self._present = False, [], []
        return self.slopes(slots)

    def slopes(self, slots: Sequence[Slot]) -> list[Slope]:
        """Loss and gradient of each frame's present text. Candidates that follow are of these texts.

        Raises:
            AttackError: no gradient comes through, or one that is not a number.
        """
        self._present = []  # else the former texts' keys and values would stand beside the new ones
        with torch.inference_mode(mode=False), torch.enable_grad():
            places = list(range(len(slots)))
            rows = [self._frames[place].row(slots[place])[:-1] for place in places]
            found = self._batched(places, self._lengths, lambda some: self._slopes(some, [rows[at] for at in some]))
        if self.cached:
            self._present = stacked([layers for _, layers in found])
        slopes = [slope for slope, _ in found]
        check_gradients([slope.gradient for slope in slopes], [slope.loss for slope in slopes])
        return slopes

    def losses(self, rows: Sequence[Row]) -> list[float]:
        """Mean nats a target token of each row."""
        with torch.inference_mode(mode=False), torch.no_grad():
            if not self.cached:
                lengths = [self._lengths[row.frame] for row in rows]
                return self._batched(rows, lengths, self._plain)
            rests = [self._tails[row.frame] - row.changed for row in rows]
            found: dict[int, float] = {}
            for places in groups(rests, CPU_PASS_TOKENS if self._device.type == "cpu" else GPU_PASS_TOKENS):
                some = [rows[place] for place in places]
                scored = self._batched(some, [rests[place] for place in places], self._continued)
                found.update(zip(places, scored, strict=True))
        return [found[place] for place in range(len(rows))]

    def follow(self, other: SlotLosses) -> None:
        """Takes another's keys and values before the slots, in this one's type."""
        dtype = next(p.dtype for p in self._module.parameters() if p.is_floating_point())
        self._before = [(keys.to(dtype), values.to(dtype)) for keys, values in other._before]
        self.cached = other.cached

    def _slopes(self, places: list[int], rows: list[Slot]) -> list[tuple[Slope, Layers]]:
        with embedding_leaf(self._module) as leaf:
            if self.cached:
                start = self._width - max(self._tails)
                out = self._pass(rows, places, start, self._before)
                ends = [self._width - start] * len(rows)
            else:
                out, ends = self._whole(rows), [len(row) for row in rows]
            losses = self._nats(self._kept(out.logits, ends), places)
            embedded = leaf(len(rows))
            gradient = gradient_at(losses.sum() * loss_scale(self._module), embedded) / loss_scale(self._module)
        layers = [layers_of(out, place) for place in range(len(rows))] if self.cached else [[] for _ in rows]
        slopes = []
        for at, place in enumerate(places):
            first = ends[at] - self._tails[place]
            length = self._tails[place] - len(self._frames[place].after) + 1
            slopes.append(Slope(loss=float(losses[at].detach()), gradient=gradient[at, first : first + length].float()))
        return list(zip(slopes, layers, strict=True))

    def _continued(self, rows: list[Row]) -> list[float]:
        rest = max(self._tails[row.frame] - row.changed for row in rows)
        owners = [row.frame for row in rows]
        ids = [self._frames[row.frame].row(row.slot)[:-1] for row in rows]
        start = self._width - rest
        out = self._pass(ids, owners, start, self._present, first=min(start, self._width - max(map(len, ids))))
        return [float(loss) for loss in self._nats(self._kept(out.logits, [rest] * len(rows)), owners)]

    def _plain(self, rows: list[Row]) -> list[float]:
        ids = [self._frames[row.frame].row(row.slot)[:-1] for row in rows]
        logits = self._kept(self._whole(ids).logits, [len(row) for row in ids])
        return [float(loss) for loss in self._nats(logits, [row.frame for row in rows])]

    def _pass(self, rows: Sequence[Slot], owners: Sequence[int], start: int, layers: Layers, first: int = 0) -> Any:
        """Reads columns `start` and on of rows aligned at their ends, behind the owners' cached columns before it.

        Columns before `first` are padding in every row, and left out.
        """
        ids = [([0] * (self._width - len(row)) + list(row))[start:] for row in rows]
        lengths = torch.tensor([len(row) for row in rows], device=self._device)[:, None]
        columns = torch.arange(first, self._width, device=self._device)[None]
        mask = (columns >= self._width - lengths).long()
        positions = (columns - (self._width - lengths)).clamp(min=0)[:, start - first :]
        cache = DynamicCache()
        for number, (keys, values) in enumerate(layers):
            at = torch.tensor(owners, device=keys.device)
            if start > first:
                cache.update(keys[at, :, first:start], values[at, :, first:start], number)
        return self._module(
            input_ids=torch.tensor(ids, device=self._device),
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            **({"logits_to_keep": self._keep} if self._takes_keep else {}),
        )

    def _whole(self, rows: Sequence[Slot]) -> Any:
        """Reads rows whole, padded on the right, where a causal model cannot see it."""
        longest = max(map(len, rows))
        keep = longest - min(map(len, rows)) + self._keep
        ids = [list(row) + [0] * (longest - len(row)) for row in rows]
        mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
        return self._module(
            input_ids=torch.tensor(ids, device=self._device),
            attention_mask=torch.tensor(mask, device=self._device),
            use_cache=False,
            **({"logits_to_keep": keep} if self._takes_keep else {}),
        )

    def _kept(self, logits: torch.Tensor, ends: Sequence[int]) -> torch.Tensor:
        """The logits of the last positions of each row, (rows, kept, vocabulary).

        Args:
            logits: of the last columns of a pass.
            ends: how many columns of the pass each row takes, counted from the first.
        """
        longest, given = max(ends), logits.shape[1]
        if min(ends) == longest:
            return logits[:, -self._keep :]
        at = torch.tensor([end - longest + given for end in ends], device=logits.device)
        columns = (at[:, None] + torch.arange(-self._keep, 0, device=logits.device)).clamp(min=0)
        return logits[torch.arange(len(ends), device=logits.device)[:, None], columns]

    def _nats(self, logits: torch.Tensor, owners: Sequence[int]) -> torch.Tensor:
        """Mean nats a target token, (rows,); a row without so many positions has weight 0 there."""
        at = torch.tensor(owners, device=self._device)
        read = logits.shape[1]  # fewer than another frame's target has, where no such row is among these
        labels, weights = (table[at, -read:].to(logits.device) for table in (self._labels, self._weights))
        # A processor is three times as fast with a row of logits that stays in its cache.
        size = 1 if logits.device.type == "cpu" else len(at)
        parts = zip(torch.split(logits, size), torch.split(labels, size), strict=True)
        nats = torch.cat(
            [cross_entropy(some.flatten(0, 1).float(), these.flatten(), reduction="none") for some, these in parts]
        ).view(labels.shape)
        return (nats * weights).sum(-1)

    def _targets(self) -> tuple[torch.Tensor, torch.Tensor]:
        """For each frame the last tokens and what each counts: 1 / (number of target tokens), or 0."""
        labels = torch.zeros((len(self._frames), self._keep), dtype=torch.long)
        weights = torch.zeros((len(self._frames), self._keep))
        for place, frame in enumerate(self._frames):
            size = min(self._keep, len(frame.after))
            labels[place, -size:] = torch.tensor(frame.after[-size:])
            marks = torch.tensor(frame.is_target[-size:])
            weights[place, -size:] = marks / marks.sum()
        return labels.to(self._device), weights.to(self._device)

    def _read_before(self, slots: Sequence[Slot]) -> Layers:
        """Keys and values of the columns before any frame's slot."""
        rows = [frame.row(slot)[:-1] for frame, slot in zip(self._frames, slots, strict=True)]
        start = self._width - max(self._tails)
        if start == 0:
            return []
        short = [row[: max(0, start - (self._width - len(row)))] for row in rows]
        places = [place for place, row in enumerate(short)]

        def read(some: list[int]) -> list[Layers]:
            ids = [[0] * (start - len(short[at])) + list(short[at]) for at in some]
            mask = torch.tensor([[0] * (start - len(short[at])) + [1] * len(short[at]) for at in some])
            mask = mask.to(self._device)
            out = self._module(
                input_ids=torch.tensor(ids, device=self._device),
                attention_mask=mask,
                position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
                past_key_values=DynamicCache(),
                use_cache=True,
                **({"logits_to_keep": 1} if self._takes_keep else {}),
            )
            return [layers_of(out, place) for place in range(len(some))]

        return stacked(self._batched(places, [start] * len(places), read))

    def _batched(self, items: Sequence[Any], lengths: Sequence[int], run: Callable[[list[Any]], list[T]]) -> list[T]:
        """Runs items in their order in batches of at most so many tokens, halved when memory runs out."""
        done: list[T] = []
        while len(done) < len(items):
            longest = max(lengths[len(done) :])
            size = max(1, self.tokens // longest)
            try:
                done += run(list(items[len(done) : len(done) + size]))
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if min(size, len(items) - len(done)) == 1:
                    raise AttackError("out of memory on a single prompt; use a smaller dtype or device") from error
                self.tokens = max(1, min(self.tokens, longest * len(items)) // 2)
                self.events.append(f"out of memory: token budget halved to {self.tokens}")
                release_memory()
        return done
