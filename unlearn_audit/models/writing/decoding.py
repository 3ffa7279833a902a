"""Greedy answers of which those that have ended leave the batch, so that nobody waits for the longest.

transformers' `generate` computes every row until the last one ends. Used only with models on which it was seen to say
what `generate` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from unlearn_audit.api.kit.blocks import takes_logits_to_keep
from unlearn_audit.models.writing.stops import Stops

LEAVING = 0.25
"""Share of a batch that must have ended before it is cut: the keys and values of the others are copied then."""


@dataclass(frozen=True, kw_only=True)
class Read:
    """Rows that are to be answered.

    Attributes:
        ids: padded, shape (rows, positions); what was read before is among them.
        mask: 0 where a row is padded, same shape.
        cache: keys and values of the first positions of all rows, or None.
        cached: how many positions those are.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    cache: Any = None
    cached: int = 0


Seen = Callable[[Sequence[int], torch.Tensor], None]


class _Row:
    """The answer of one row, and whether it says something yet and has ended."""

    def __init__(self, stops: Stops, most: int) -> None:
        self.ids: list[int] = []
        self.ended = False
        self._said, self._stops, self._most = False, stops, most

    def take(self, token: int) -> None:
        self.ids.append(token)
        ended, self._said = self._stops.after(token, said=self._said)
        self.ended = ended or len(self.ids) >= self._most


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """Answers rows greedily.

    Attributes:
        seen: is told, for each step, which rows are left and their logits, shape (rows left, vocabulary).
    """

    module: torch.nn.Module
    stops: Stops
    seen: Seen | None = None

    def answers(self, read: Read, most: Sequence[int]) -> list[list[int]]:
        """New token ids of each row, its end token included; at most so many, and at least one."""
        rows = [_Row(self.stops, limit) for limit in most]
        here = list(range(len(rows)))
        mask = read.mask
        logits, cache = self._read(read.ids[:, read.cached :], mask, read.cache)
        while True:
            if self.seen is not None:
                self.seen(here, logits)
            tokens = logits.argmax(-1)
            for place, token in zip(here, tokens.tolist(), strict=True):
                if not rows[place].ended:
                    rows[place].take(token)
            left = [at for at, place in enumerate(here) if not rows[place].ended]
            if not left:
                return [row.ids for row in rows]
            if len(left) <= (1 - LEAVING) * len(here):
                at = torch.tensor(left, device=tokens.device)
                cache.batch_select_indices(at)
                tokens, mask, here = tokens[at], mask[at], [here[one] for one in left]
            mask = torch.cat([mask, mask.new_ones((len(here), 1))], dim=-1)
            logits, cache = self._read(tokens[:, None], mask, cache)

    def _read(self, ids: torch.Tensor, mask: torch.Tensor, cache: Any) -> tuple[torch.Tensor, Any]:
        """The logits behind the last of the tokens, which stand behind the cache, and the cache with them."""
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        given = {} if cache is None else {"past_key_values": cache}
        fewest = {"logits_to_keep": 1} if takes_logits_to_keep(self.module) else {}
        out = self.module(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True, **given, **fewest)
        return _of(out)


def _of(out: Any) -> tuple[torch.Tensor, Any]:
    """The logits of the last place, and the cache.

    Raises:
        AttributeError: the architecture keeps none of this form.
    """
    cache = out.past_key_values
    if cache is None:
        raise AttributeError("no keys and values came back")
    logits: torch.Tensor = out.logits[:, -1]
    return logits, cache
