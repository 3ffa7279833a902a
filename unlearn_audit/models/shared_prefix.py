"""Many answers to one prompt: what they open with is read once, and each goes on from its key-value cache.

Twenty options a question would otherwise read the question twenty times, and the words with which all of them begin.
Used only with models on which it was seen to give the plain scores (`Engine.checked`); recurrent models, for one, keep
no such cache.
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
        shared: number of leading tokens that all rows share, below the length of the shortest; they are read once.
        begun: index of the first token of an answer.
    """

    places: tuple[int, ...]
    rows: tuple[Rendered, ...]
    shared: int
    begun: int

    @property
    def tokens(self) -> int:
        """Memory that the group takes, in cached tokens."""
        return len(self.rows) * max(len(row.token_ids) for row in self.rows)

    @property
    def rests(self) -> list[tuple[int, ...]]:
        """What each row reads by itself: all behind the opening but its last token, which predicts nothing."""
        return [row.token_ids[self.shared : -1] for row in self.rows]

    @property
    def read(self) -> int:
        """Tokens that go through the model, without padding."""
        return self.shared + sum(map(len, self.rests))


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
            groups.append(_group(tuple(chosen), tuple(rows[place] for place in chosen)))
    return groups


def _group(places: tuple[int, ...], rows: tuple[Rendered, ...]) -> Group:
    ids, begun = [row.token_ids for row in rows], min(row.is_answer.index(True) for row in rows)
    shared = min(shared_length(*ids), min(map(len, ids)) - 1) if begun else 0  # nothing predicts a row's first token
    return Group(places=places, rows=rows, shared=shared, begun=begun)


def by_width(groups: Sequence[Group]) -> list[list[Group]]:
    """Groups whose rows go on for about as long: what is read together is filled up to the longest, at most twice."""
    found: dict[int, list[Group]] = {}
    for group in groups:
        found.setdefault(max(map(len, group.rests)).bit_length(), []).append(group)
    return [found[size] for size in sorted(found, reverse=True)]


def in_passes(groups: Sequence[Group], context: int | None) -> list[Sequence[Group]]:
    """Groups that are read in one pass: all, or each alone where their padded length is beyond the context."""
    longest = max(group.shared for group in groups) + max(
        len(row.token_ids) - group.shared for group in groups for row in group.rows
    )
    return [groups] if context is None or longest <= context else [[group] for group in groups]


def score_groups(
    module: torch.nn.Module, groups: Sequence[Group], pad_id: int, device: torch.device
) -> list[list[AnswerScore]]:
    """Scores of every row of every group, in one pass over the openings and one over the rest of the answers."""
    width = max(group.shared for group in groups)
    opening = [[pad_id] * (width - group.shared) + list(group.rows[0].token_ids[: group.shared]) for group in groups]
    mask = torch.tensor([[0] * (width - group.shared) + [1] * group.shared for group in groups], device=device)
    keep = max(1, *(group.shared - group.begun + 1 for group in groups))
    first = module(
        input_ids=torch.tensor(opening, device=device),
        attention_mask=mask,
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
        use_cache=True,
        **({"logits_to_keep": keep} if takes_logits_to_keep(module) else {}),  # a large vocabulary makes logits dear
    )
    begun = torch.as_tensor(first.logits)[:, -keep:].float()
    rests = [rest for group in groups for rest in group.rests]
    behind: Sequence[torch.Tensor | None] = [None] * len(rests)
    if any(rests):
        owner = torch.tensor([place for place, group in enumerate(groups) for _ in group.rows], device=device)
        cache = first.past_key_values
        cache.reorder_cache(owner)
        behind = list(_continue(module, cache, rests, mask[owner], pad_id))
    scores, place = [], 0
    for group, ends in zip(groups, begun, strict=True):
        scores.append(_scores(group, ends, behind[place : place + len(group.rows)]))
        place += len(group.rows)
    return scores


def _scores(group: Group, ends: torch.Tensor, behind: Sequence[torch.Tensor | None]) -> list[AnswerScore]:
    """Scores of a group's rows.

    Args:
        group: the group.
        ends: logits of the last places of the opening, shape (places, vocabulary).
        behind: of each row behind it, shape (places, vocabulary); None where no row has any.
    """
    offset = group.shared - len(ends)
    log_probs, best = torch.log_softmax(ends, dim=-1), ends.argmax(dim=-1)
    found = []
    for row, rest in zip(group.rows, behind, strict=True):
        early = [place for place, mark in enumerate(row.is_answer) if mark and place <= group.shared]
        tokens = [row.token_ids[place] for place in early]
        at = [place - 1 - offset for place in early]
        score = AnswerScore(
            log_probs=tuple(log_probs[at, tokens].tolist()),
            greedy=tuple(int(best[spot]) == token for spot, token in zip(at, tokens, strict=True)),
        )
        if rest is not None and sum(row.is_answer) > len(early):
            late = answer_score(rest, row, group.shared)
            score = AnswerScore(log_probs=score.log_probs + late.log_probs, greedy=score.greedy + late.greedy)
        found.append(score)
    return found


def _continue(
    module: torch.nn.Module, cache: Any, rest: Sequence[Sequence[int]], prefix_mask: torch.Tensor, pad_id: int
) -> torch.Tensor:
    """Logits behind each token of the rests: float32, (rows, longest rest, vocabulary)."""
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
    """The score of the answer's tokens that are predicted by the given logits.

    Args:
        logits: (kept positions, vocabulary); position `p` predicts token `offset + p + 1`.
        row: the rendered answer.
        offset: index of the token at the first kept position.
    """
    places = [place for place, mark in enumerate(row.is_answer) if mark and place > offset]
    at = torch.tensor([place - 1 - offset for place in places], device=logits.device)
    chosen = torch.tensor([row.token_ids[place] for place in places], device=logits.device)
    selected = logits[at]
    log_probs = torch.log_softmax(selected, dim=-1).gather(1, chosen[:, None])[:, 0]
    greedy = selected.argmax(dim=-1) == chosen
    return AnswerScore(log_probs=tuple(log_probs.tolist()), greedy=tuple(greedy.tolist()))
