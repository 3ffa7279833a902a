"""The depth score as its authors' code computes it: states of another model, patched into the original (2605.24614).

A row asks plainly (`Question: ...`, `Answer: ...`) with the words before the entity given. After one block of the
original, the states at the places that predict the entity are replaced by another model's; what that costs is the drop
of the mean log-probability of the entity's tokens. `aggregates.depth_score` makes a score of the drops.

As theirs, the state behind the last block is `hidden_states[-1]`, which most architectures list behind the final norm.
The comparison `unlearning-depth` reads it before the norm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unlearn_audit.api.kit.blocks import Change, changed, layers_of
from unlearn_audit.errors import AuditError
from unlearn_audit.evidence.published import Figure, figure, single
from unlearn_audit.statistics.published.aggregates import depth_score

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from unlearn_audit.models.engine import Engine

Row = Mapping[str, Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Span:
    """Tokens, and which of them are the entity's: those from `first` up to, but not with, `last`."""

    token_ids: tuple[int, ...]
    first: int
    last: int


def spans(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row]) -> dict[int, Span]:
    """Where the entity of each row stands, by the row's number; rows whose answer does not hold it are left out.

    Args:
        tokenizer: a fast one, which says where in the text a token stands.
        rows: with `question`, `answer`, `prefix` (how the answer begins) and `gt_entity` or `entity`, as published.
    """
    found = {number: _span(tokenizer, row) for number, row in enumerate(rows)}
    return {number: span for number, span in found.items() if span is not None}


def _span(tokenizer: PreTrainedTokenizerBase, row: Row) -> Span | None:
    prefix, entity = str(row.get("prefix") or ""), str(row.get("gt_entity", row.get("entity")) or "")
    prompt = f"Question: {row['question']}\nAnswer: {prefix}"
    rest = str(row["answer"]).removeprefix(prefix)
    if rest and not rest[0].isspace() and not prompt[-1].isspace():
        rest = f" {rest}"
    if entity not in rest:
        entity = entity.strip()
    start = rest.find(entity) if entity else -1
    if start < 0:
        return None
    before = list(tokenizer(prompt)["input_ids"])
    coded = tokenizer(rest, add_special_tokens=False, return_offsets_mapping=True)
    end = start + len(entity)
    inside = [at for at, (left, right) in enumerate(coded["offset_mapping"]) if right > start and left < end]
    if not inside:
        return None
    ids = (*before, *coded["input_ids"])
    return Span(token_ids=ids, first=len(before) + inside[0], last=len(before) + inside[-1] + 1)


def states_of(engine: Engine, span: Span) -> torch.Tensor:
    """What comes out of every block where the entity is predicted, shape (blocks, tokens, width), on the CPU."""
    import torch

    ids = torch.tensor([span.token_ids], device=engine.device)
    with torch.inference_mode():
        out = engine.module(input_ids=ids, output_hidden_states=True, use_cache=False)
        return torch.stack([one[0, span.first - 1 : span.last - 1].cpu() for one in out.hidden_states[1:]])


def depths(
    original: Engine, blocks: Sequence[torch.nn.Module], span: Span, states: Sequence[torch.Tensor]
) -> list[float | None]:
    """The depth of one row under each model: 1 = erased as in the first one, 0 = intact; None where nothing holds it.

    Args:
        original: into which the states are patched.
        blocks: its own.
        span: the row.
        states: of each model (`states_of`), the retrained one's first.

    Raises:
        AuditError: a model has not as many blocks as the original.
    """
    (whole,) = _log_probs(original, span)
    retrained, *others = [_log_probs(original, span, blocks, list(own)) for own in states]
    return [depth_score(float(whole), retrained, own) for own in (retrained, *others)]


def _log_probs(
    engine: Engine, span: Span, blocks: Sequence[torch.nn.Module] = (), states: Sequence[torch.Tensor] = ()
) -> Floats:
    """Mean log-probability of the entity, as it is; with blocks: for each of them with the states behind it replaced.

    All blocks are patched in one pass, each in a copy of the row.
    """
    import torch

    if len(states) != len(blocks):
        raise AuditError(f"the depth score needs models of one depth, got {len(states)} and {len(blocks)} blocks")
    rows = max(1, len(blocks))
    with torch.inference_mode(), ExitStack() as stack:
        for number, block in enumerate(blocks):
            stack.enter_context(changed(block, _put(number, span, states[number])))
        logits = engine.last_logits([span.token_ids] * rows, len(span.token_ids) - span.first + 1)
        logits = logits[:, : span.last - span.first].double().log_softmax(dim=-1)
        wanted = torch.tensor(span.token_ids[span.first : span.last], device=logits.device)
        chosen = logits.gather(-1, wanted.expand(rows, -1)[:, :, None])[:, :, 0]
        means: Floats = chosen.mean(dim=-1).cpu().numpy()
    return means


def _put(number: int, span: Span, states: torch.Tensor) -> Change:
    """In the copy of a block's own number, the other model's states where the entity is predicted."""

    def change(output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        output[number, span.first - 1 : span.last - 1] = states.to(output.device, output.dtype)
        return output

    return change


class Depth:
    """The depth scores of the models of an audit, which are loaded one after the other and the original once more.

    Args:
        rows: of the part `entities`.
        roles: of the models, in their order.
    """

    def __init__(self, *, rows: Sequence[Row], roles: Sequence[str]) -> None:
        self._rows, self._roles = rows, roles
        self._control = roles.index("retrained") if "retrained" in roles else None
        self._seen: dict[int, tuple[dict[int, Span], dict[int, torch.Tensor]]] = {}
        self._found: dict[int, dict[int, float | None]] = {}
        self._why = "it needs the file FORGET_entities of the benchmark" if not rows else None
        if self._why is None and (self._control is None or "original" not in roles):
            self._why = "it needs --original and --retrained"

    @property
    def can_be_taken(self) -> bool:
        """Whether there is what it needs."""
        return self._why is None

    def look(self, place: int, engine: Engine) -> None:
        """Keeps a model's states, but for the original's."""
        if self.can_be_taken and self._roles[place] != "original":
            asked = spans(engine.tokenizer, self._rows)
            self._seen[place] = asked, {number: states_of(engine, span) for number, span in asked.items()}

    def take(self, original: Engine) -> None:
        """Patches what was seen into the original; a model that reads other tokens has no score."""
        asked = spans(original.tokenizer, self._rows)
        order = sorted(self._seen, key=lambda place: place != self._control)
        alike = [place for place in order if self._seen[place][0] == asked]
        if not alike or alike[0] != self._control:
            self._why = "the retrained model reads other tokens than the original"
            return
        self._found = {place: {} for place in alike}
        try:
            blocks = layers_of(original).blocks
            if not blocks:
                raise AuditError("it needs blocks that write the model's hidden states, and none were found")
            for number, span in asked.items():
                found = depths(original, blocks, span, [self._seen[place][1][number] for place in alike])
                for place, score in zip(alike, found, strict=True):
                    self._found[place][number] = score
        except AuditError as error:
            self._why = str(error)

    def figure(self, place: int) -> Figure:
        """`uds` of a model: the mean over the rows that have one."""
        if self._why is not None:
            return single("uds", None, self._why)
        if self._roles[place] == "original":
            return single("uds", None, "the others are patched into the original, and this is it")
        if place == self._control:
            return single("uds", None, "it compares with a retrained model, and this is it")
        if place not in self._found:
            return single("uds", None, "it reads other tokens than the original")
        by_row = {str(number): {"uds": score} for number, score in self._found[place].items()}
        return figure("uds", by_row, "uds")
