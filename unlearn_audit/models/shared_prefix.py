"""Many answers to one prompt: the prompt is read once, and each answer goes on from its key-value cache.

Twenty options a question would otherwise read the question twenty times. Used only with models on which it was seen
to give the plain scores (`Engine.checked`); recurrent models, for one, keep no such cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from unlearn_audit.api import AnswerScore, Rendered
from unlearn_audit.api.kit.blocks import takes_logits_to_keep
from unlearn_audit.api.kit.training.openings import shared_length


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rendered answers that begin with the same tokens.

    Attributes:
        places: where each row belongs in the caller's list.
        shared: number of leading tokens that all rows share, at least 1, none of them an answer's predecessor: the
            token before an answer is read again, so that all predictions come from one pass.
    """

    places: tuple[int, ...]
    rows: tuple[Rendered, ...]
    shared: int

    @property
    def tokens(self) -> int:
        """Memory that the group takes, in cached tokens."""
        return len(self.rows) * max(len(row.token_ids) for row in self.rows)


def group_rows(prompts: Sequence[object], rows: Sequence[Rendered], most_tokens: int) -> list[Group]:
    """Rows grouped by prompt, groups cut so that each fits `most_tokens`; a row alone shares nothing with itself."""
    by_prompt: dict[object, list[int]] = {}
    for place, prompt in enumerate(prompts):
        by_prompt.setdefault(prompt, []).append(place)
    groups = []
    for places in by_prompt.values():
        longest = max(len(rows[place].token_ids) for place in places)
        size = max(1, most_tokens // longest)
        for start in range(0, len(places), size):
            chosen = places[start : start + size]
            shared = _shared_length([rows[place] for place in chosen])
            groups.append(Group(places=tuple(chosen), rows=tuple(rows[place] for place in chosen), shared=shared))
    return groups


def in_passes(groups: Sequence[Group], context: int | None) -> list[Sequence[Group]]:
    """Groups that are read in one pass: all, or each alone where their padded length is beyond the context."""
    longest = max(group.shared for group in groups) + max(
        len(row.token_ids) - group.shared for group in groups for row in group.rows
    )
    return [groups] if context is None or longest <= context else [[group] for group in groups]


def _shared_length(rows: Sequence[Rendered]) -> int:
    limit = min(row.is_answer.index(True) for row in rows) - 1
    return max(0, min(limit, shared_length(*(row.token_ids for row in rows))))


def score_groups(
    module: torch.nn.Module, groups: Sequence[Group], pad_id: int, device: torch.device
) -> list[list[AnswerScore]]:
    """Scores of every row of every group, in one pass over the prompts and one over the answers."""
    width = max(group.shared for group in groups)
    prefix = [[pad_id] * (width - group.shared) + list(group.rows[0].token_ids[: group.shared]) for group in groups]
    prefix_mask = torch.tensor([[0] * (width - group.shared) + [1] * group.shared for group in groups], device=device)
    positions = (prefix_mask.cumsum(-1) - 1).clamp(min=0)
    # Only the cache is wanted of this pass, and a large vocabulary makes logits dear.
    fewest = {"logits_to_keep": 1} if takes_logits_to_keep(module) else {}
    first = module(
        input_ids=torch.tensor(prefix, device=device),
        attention_mask=prefix_mask,
        position_ids=positions,
        use_cache=True,
        **fewest,
    )
    owner = torch.tensor([place for place, group in enumerate(groups) for _ in group.rows], device=device)
    cache = first.past_key_values
    cache.reorder_cache(owner)
    rest = [row.token_ids[group.shared :] for group in groups for row in group.rows]
    logits = _continue(module, cache, rest, prefix_mask[owner], pad_id)
    scores = []
    place = 0
    for group in groups:
        found = []
        for row in group.rows:
            found.append(answer_score(logits[place], row, group.shared))
            place += 1
        scores.append(found)
    return scores


def _continue(
    module: torch.nn.Module, cache: Any, rest: Sequence[Sequence[int]], prefix_mask: torch.Tensor, pad_id: int
) -> torch.Tensor:
    """Logits of the answers' tokens: float32, (rows, longest rest, vocabulary)."""
    device = prefix_mask.device
    width = max(map(len, rest))
    ids = torch.tensor([[*row, *[pad_id] * (width - len(row))] for row in rest], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rest], device=device)
    # Padding stands where its row ended: a position of its own might lie beyond the context.
    positions = prefix_mask.sum(-1, keepdim=True) + mask.cumsum(-1) - 1
    out = module(
        input_ids=ids,
        attention_mask=torch.cat([prefix_mask, mask], dim=-1),
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
    )
    return torch.as_tensor(out.logits).float()


def answer_score(logits: torch.Tensor, row: Rendered, offset: int) -> AnswerScore:
    """The score of one row.

    Args:
        logits: (kept positions, vocabulary); position `p` predicts token `offset + p + 1`.
        row: the rendered answer.
        offset: index of the token at the first kept position.
    """
    places = [place for place, mark in enumerate(row.is_answer) if mark]
    at = torch.tensor([place - 1 - offset for place in places], device=logits.device)
    chosen = torch.tensor([row.token_ids[place] for place in places], device=logits.device)
    selected = logits[at]
    log_probs = torch.log_softmax(selected, dim=-1).gather(1, chosen[:, None])[:, 0]
    greedy = selected.argmax(dim=-1) == chosen
    return AnswerScore(log_probs=tuple(log_probs.tolist()), greedy=tuple(greedy.tolist()))
