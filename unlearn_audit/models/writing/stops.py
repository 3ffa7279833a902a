"""Where an answer ends: at an end token, and without a chat template at the end of its first line that says something.

A model may break the line before it answers. Leading white space therefore ends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import StoppingCriteriaList


@dataclass(frozen=True, kw_only=True)
class Stops:
    """The tokens that end an answer.

    Attributes:
        ends: end of text and end of turn: they always end it.
        line_breaks: tokens with a line break in them; they end a line that says something. Empty with a chat template.
        silent: tokens whose text before their line break, if they have one, is white space.
        blank: tokens that are white space as a whole, or no text at all.
    """

    ends: frozenset[int]
    line_breaks: frozenset[int] = frozenset()
    silent: frozenset[int] = frozenset()
    blank: frozenset[int] = frozenset()

    def place(self, token_ids: Iterable[int]) -> int | None:
        """Where an answer ends, or None where it does not."""
        said = False
        for place, token in enumerate(token_ids):
            ended, said = self.after(token, said=said)
            if ended:
                return place
        return None

    def after(self, token: int, *, said: bool) -> tuple[bool, bool]:
        """Whether a token ends an answer that has `said` something before or not, and whether it has then."""
        ended = token in self.ends or (token in self.line_breaks and (said or token not in self.silent))
        return ended, said or token not in self.blank


def line_stops(texts: Sequence[str], ends: frozenset[int], special: frozenset[int]) -> Stops:
    """The stops of the plain form.

    Args:
        texts: what each token of the vocabulary says.
        ends: the tokens that always end an answer.
        special: tokens that are no text.
    """
    breaks = {token for token, text in enumerate(texts) if "\n" in text}
    return Stops(
        ends=ends,
        line_breaks=frozenset(breaks),
        silent=frozenset(token for token in breaks if not texts[token].partition("\n")[0].strip()),
        blank=special | {token for token, text in enumerate(texts) if not text.strip()},
    )


class LineEnd:
    """Stops each row of one call of `generate` where its answer's line ends; a new one for every call."""

    def __init__(self, stops: Stops, device: torch.device) -> None:
        size = 1 + max(stops.line_breaks | stops.blank | stops.ends, default=0)
        self._breaks, self._silent, self._blank = (
            _table(tokens, size, device) for tokens in (stops.line_breaks, stops.silent, stops.blank)
        )
        self._last = size - 1
        self._said: torch.Tensor | None = None
        self._done: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
        """Which rows are done, by the token that each has just got."""
        token = input_ids[:, -1]
        known, token = token <= self._last, token.clamp(max=self._last)
        said = torch.zeros_like(known) if self._said is None else self._said
        ended = known & self._breaks[token] & (said | ~self._silent[token])
        self._said = said | ~(known & self._blank[token])
        self._done = ended if self._done is None else self._done | ended
        return self._done


def line_end(stops: Stops, device: torch.device) -> dict[str, Any]:
    """What `generate` is told beside its settings, so that it stops there."""
    return {"stopping_criteria": StoppingCriteriaList([LineEnd(stops, device)])} if stops.line_breaks else {}


def _table(tokens: frozenset[int], size: int, device: torch.device) -> torch.Tensor:
    table = torch.zeros(size, dtype=torch.bool, device=device)
    table[sorted(tokens)] = True
    return table
