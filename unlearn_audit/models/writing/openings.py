"""Prompts that begin alike: what they share is read once, and each goes on from a copy of its key-value cache.

Every prompt of a chat template opens with the same system turn, and every question in the same disguise with the same
story. Used only with models on which it was seen to give the plain answers (`Engine.checked`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from transformers import GenerationConfig

from unlearn_audit.api.kit.memory import is_out_of_memory
from unlearn_audit.api.kit.training.openings import FEWEST_SHARED, opening_cache, shared_length
from unlearn_audit.api.kit.training.trials import CANNOT
from unlearn_audit.models.writing.decoding import Decoder, Read, Seen
from unlearn_audit.models.writing.stops import Stops, line_end

FEWEST_ROWS = 8
"""Prompts that are worth a pass of their own."""
SHARES = (0.8, 0.6, 0.4, 0.2)
"""Of a prompt, what it must share with its group: of the groupings by these, the one that reads least is taken."""
A_PASS = 64
"""What a group costs for itself, in tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """Prompts with their places in the caller's list, and how many leading tokens all of them share."""

    places: tuple[int, ...]
    shared: int


def openings(rows: Sequence[Sequence[int]]) -> list[Opening]:
    """Rows of token ids in groups that open alike, every place in one; what opens like too few others comes last."""
    order = sorted(range(len(rows)), key=lambda place: tuple(rows[place]))
    return min((_grouped(rows, order, share) for share in SHARES), key=partial(_tokens_read, rows))


def _tokens_read(rows: Sequence[Sequence[int]], groups: Sequence[Opening]) -> int:
    """What a grouping costs, in tokens; nothing is shared where it would not be worth a pass."""
    cost = 0
    for group in groups:
        shared = group.shared if group.shared >= FEWEST_SHARED and len(group.places) > 1 else 0
        cost += A_PASS + shared + sum(len(rows[place]) - shared for place in group.places)
    return cost


def _grouped(rows: Sequence[Sequence[int]], order: Sequence[int], share: float) -> list[Opening]:
    groups: list[list[int]] = []
    for place in order:
        if groups and shared_length(rows[groups[-1][0]], rows[place]) >= share * len(rows[place]):
            groups[-1].append(place)
        else:
            groups.append([place])
    kept = [group for group in groups if len(group) >= FEWEST_ROWS]
    rest = [place for group in groups if len(group) < FEWEST_ROWS for place in group]
    return [_opening(rows, group) for group in (*kept, rest) if group]


def _opening(rows: Sequence[Sequence[int]], places: list[int]) -> Opening:
    return Opening(places=tuple(places), shared=shared_length(*(rows[place] for place in places)))


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """Greedy answers to prompts that open alike.

    Attributes:
        pad_id: fills up the rows, on the left or behind the opening; masked.
        leaves: rows that have ended leave the batch (`decoding`).
    """

    module: torch.nn.Module
    config: GenerationConfig
    pad_id: int
    device: torch.device
    stops: Stops
    leaves: bool = False

    def new_ids(self, rows: Sequence[Sequence[int]], shared: int) -> list[list[int]]:
        """New token ids of each row, which may have padding behind its end; `shared` 0 reads every row whole."""
        if self.leaves:
            try:
                most = [int(self.config.max_new_tokens or 1)] * len(rows)
                return self.decoder().answers(self._read(rows, shared), most)
            except CANNOT as error:  # what an attack made of the module may keep another cache
                if is_out_of_memory(error):
                    raise
        out, width = self.run(rows, shared)
        found: list[list[int]] = torch.as_tensor(out)[:, width:].tolist()
        return found

    def decoder(self, seen: Seen | None = None) -> Decoder:
        """Answers in place of `generate`."""
        return Decoder(module=self.module, stops=self.stops, seen=seen)

    def run(self, rows: Sequence[Sequence[int]], shared: int) -> tuple[Any, int]:
        """What `generate` gives for the rows, and their padded length; `shared` 0 reads every row whole."""
        read = self._read(rows, shared)
        out = self.module.generate(  # type: ignore[operator]
            input_ids=read.ids,
            attention_mask=read.mask,
            generation_config=self.config,
            **line_end(self.stops, self.device),
            **({"past_key_values": read.cache} if read.cached else {}),
        )
        return out, read.ids.shape[1]

    def _read(self, rows: Sequence[Sequence[int]], shared: int) -> Read:
        shared = min(shared, min(map(len, rows)) - 1)
        width = max(map(len, rows))
        if shared < FEWEST_SHARED or len(rows) < 2 or width + int(self.config.max_new_tokens or 1) > self._window():
            shared = 0
        ids = [[*row[:shared], *[self.pad_id] * (width - len(row)), *row[shared:]] for row in rows]
        mask = [[1] * shared + [0] * (width - len(row)) + [1] * (len(row) - shared) for row in rows]
        held = torch.tensor(ids, device=self.device)
        return Read(
            ids=held,
            mask=torch.tensor(mask, device=self.device),
            cache=opening_cache(self.module, held[:1, :shared], len(rows)) if shared else None,
            cached=shared,
        )

    def _window(self) -> float:
        """Positions that every layer sees at once: padding behind an opening takes some of them."""
        config: Any = getattr(self.module, "config", None)
        text = config.get_text_config() if hasattr(config, "get_text_config") else config
        sizes = [getattr(text, name, None) for name in ("sliding_window", "attention_chunk_size")]
        return min((size for size in sizes if isinstance(size, int) and size > 0), default=math.inf)

    def agrees(self, rows: Sequence[Sequence[int]], shared: int, tolerance: float) -> bool:
        """Whether answers begin with the same logits when the opening is shared.

        Args:
            rows: token ids of unlike length.
            shared: how many lead them all.
            tolerance: largest difference, as a share of the largest logit.
        """
        seen = replace(self, config=with_logits(self.config))
        return begin_alike(lambda: seen.run(rows, 0)[0], lambda: seen.run(rows, shared)[0], tolerance)

    def leaves_alike(self, rows: Sequence[Sequence[int]], tolerance: float) -> bool:
        """Whether answers are those of `generate` where rows leave the batch: the first row does so after a step.

        Args:
            rows: token ids of unlike length, at least two.
            tolerance: largest difference of logits, as a share of the largest.
        """
        endless = replace(self, config=with_logits(self.config), stops=Stops(ends=frozenset()))
        endless.config.eos_token_id = None
        plain = endless.run(rows, 0)[0].logits
        found: list[torch.Tensor] = []
        decoder = endless.decoder(
            seen=lambda here, logits: found.append(logits[[at for at, one in enumerate(here) if one]])
        )
        try:
            decoder.answers(self._read(rows, 0), [1, *[len(plain)] * (len(rows) - 1)])
        except CANNOT:
            return False
        return agree([step[1:] for step in plain], found, tolerance)


def with_logits(config: GenerationConfig) -> GenerationConfig:
    """The same settings, under which `generate` also gives its logits."""
    seen = copy.deepcopy(config)
    seen.output_logits, seen.return_dict_in_generate = True, True
    return seen


def begin_alike(plain: Callable[[], Any], short: Callable[[], Any], tolerance: float) -> bool:
    """Whether a short cut gives the logits of the plain way; False where the architecture has no such cache.

    Args:
        plain: gives what `generate` gives `with_logits`.
        short: the same by the short cut.
        tolerance: largest difference, as a share of the largest logit.
    """
    whole = plain()
    try:
        found = short()
    except CANNOT:
        return False
    return agree(whole.logits, found.logits, tolerance)


def agree(plain: Sequence[torch.Tensor], found: Sequence[torch.Tensor], tolerance: float) -> bool:
    """Whether two greedy runs have the same logits, (rows, vocabulary) a step, for as long as both say the same."""
    same = torch.ones(len(plain[0]), dtype=torch.bool, device=plain[0].device)
    for one, two in zip(plain, found, strict=False):
        gap = (one.float() - two.float()).abs().amax(-1)
        scale = one.float().abs().amax(-1).clamp(min=1.0)
        if bool((gap > tolerance * scale)[same].any()):
            return False
        same = same & (one.argmax(-1) == two.argmax(-1))  # what was said apart goes on apart
    return True
