"""Adversarial text as tokens: which may stand in it, where it stands in a rendered prompt, and whether it stays whole.

A text is sent as text and tokenized by the other side. Token ids whose text comes back as other ids were never tried:
such candidates are thrown away (as in the filter of the authors' code of arXiv 2307.15043, here over the whole rendered
conversation and not over the text alone).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearn_audit.api import AttackError, Model, Rendered

from .goals import Allowed, Goal, Position, worded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PROBES = ("Q", "7")
"""Texts that share no beginning and no end with each other: what stays the same between them is the frame."""

FILLERS = ("x", "a", "!")
SEED = "Begin your answer with:"
REPLACEMENT = "\ufffd"

Slot = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """What stands around the adversarial tokens in the row of one goal.

    Attributes:
        before: token ids of the template and the question before them.
        after: token ids behind them, the target's included.
        is_target: which of `after` are the target's.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    is_target: tuple[bool, ...]

    def row(self, slot: Slot) -> tuple[int, ...]:
        """The whole row around a slot."""
        return (*self.before, *slot, *self.after)


def rendered_with(model: Model, goal: Goal, text: str, position: Position) -> Rendered:
    """The goal's conversation with the text in it."""
    return model.render(worded(text, position)(goal.prompt), goal.target)


def is_read(model: Model, goal: Goal, *, length: int, position: Position) -> bool:
    """Whether the model reads the goal's conversation whole with a text of so many tokens in it."""
    return model.unread(rendered_with(model, goal, " ".join([FILLERS[0]] * length), position)) is None


def goals_read(model: Model, goals: Sequence[Goal], *, length: int, position: Position) -> tuple[Goal, ...]:
    """Those of which the model reads the conversation whole, with a text of so many tokens in it.

    Raises:
        AttackError: there are none.
    """
    found = tuple(goal for goal in goals if is_read(model, goal, length=length, position=position))
    if goals and not found:
        raise AttackError(
            f"each question, with a text and an opening, is longer than the context: {model.context} tokens"
        )
    return found


def framed(model: Model, goal: Goal, text: str, position: Position) -> tuple[Frame, Slot]:
    """The frame of a goal, and the token ids of the text within it.

    Raises:
        AttackError: the tokenizer merges the text with what stands around it.
    """
    row = rendered_with(model, goal, text, position)
    others = [rendered_with(model, goal, probe, position).token_ids for probe in PROBES]
    ids = row.token_ids
    first = min(_shared(ids, other) for other in others)
    last = len(ids) - min(_shared(ids[:first:-1], other[:first:-1]) for other in others)
    while first + 1 < last and _text(model.tokenizer, ids[first + 1 : last]).strip() == text.strip():
        first += 1
    while first + 1 < last and _text(model.tokenizer, ids[first : last - 1]).strip() == text.strip():
        last -= 1
    slot = ids[first:last]
    if text_of(model, slot) != text or any(row.is_answer[:last]):
        raise AttackError(
            f"the tokenizer merges the adversarial text {text!r} with what stands around it (tokens "
            f"{_text(model.tokenizer, slot)!r}); try another initial text, or the other position"
        )
    return Frame(before=ids[:first], after=ids[last:], is_target=row.is_answer[last:]), slot


def text_of(model: Model, slot: Slot) -> str:
    """The text of token ids as a user would type it: without the space that sets it off."""
    return _text(model.tokenizer, slot).removeprefix(" ")


def is_stable(model: Model, goal: Goal, frame: Frame, slot: Slot, position: Position) -> bool:
    """Whether the text of the slot, written into the goal's conversation, gives these very token ids."""
    text = text_of(model, slot)
    if not text or text != text.strip():
        return False
    row = rendered_with(model, goal, text, position)
    return row.token_ids == frame.row(slot) and row.is_answer[-len(frame.after) :] == frame.is_target


def initial_text(model: Model, goal: Goal, *, length: int, position: Position) -> str:
    """A filler word repeated until it takes `length` tokens, or as near to that as this tokenizer comes.

    Raises:
        AttackError: no filler stands in the conversation unmerged.
    """
    nearest: dict[int, str] = {}
    for filler in FILLERS:
        words = length
        for _ in range(3):
            text = " ".join([filler] * words)
            try:
                found = len(framed(model, goal, text, position)[1])
            except AttackError:
                break
            nearest.setdefault(abs(found - length), text)
            if found == length:
                return text
            words = max(1, words + length - found)
    if not nearest:
        raise AttackError(f"none of the fillers {FILLERS} stands unmerged in the conversation; give an initial text")
    return nearest[min(nearest)]


def seeded_text(model: Model, goal: Goal, opening: str, *, length: int, position: Position) -> str | None:
    """A text that asks for an opening in words, of at most `length` tokens; None where none of it stands unmerged.

    Its own words go first where it is too long, those of the opening last; what is left over is filled up.
    """
    words = [*SEED.split(), *opening.split()]
    for left in range(len(words)):
        kept = words[left:]
        for filled in range(length, -1, -1):
            text = " ".join([*kept, *[FILLERS[0]] * filled])
            try:
                found = len(framed(model, goal, text, position)[1])
            except AttackError:
                continue
            if found <= length:
                return text
    return None


def allowed_ids(tokenizer: PreTrainedTokenizerBase, rows: int, allowed: Allowed) -> list[int]:
    """Token ids that may stand in an adversarial text: printable, neither special nor added, below `rows`.

    Raises:
        AttackError: there are none.
    """
    excluded = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    known = [token for token in range(min(len(tokenizer), rows)) if token not in excluded]
    found = [token for token in known if _may_stand(_text(tokenizer, [token]), allowed)]
    if not found:
        raise AttackError(f"no token of this tokenizer is printable {allowed}; try allowed: any")
    return found


def _may_stand(text: str, allowed: Allowed) -> bool:
    return bool(text) and text.isprintable() and REPLACEMENT not in text and (allowed is Allowed.ANY or text.isascii())


def _shared(one: Sequence[int], two: Sequence[int]) -> int:
    """How many leading items two sequences share."""
    for place, (left, right) in enumerate(zip(one, two, strict=False)):
        if left != right:
            return place
    return min(len(one), len(two))


def _text(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))
