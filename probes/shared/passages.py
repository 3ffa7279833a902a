"""A passage as windows, each in two parts: what is given, and how it goes on."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from pydantic import Field

from unlearn_audit.api import AnswerScore, Fact, Model, Parameters, Prompt
from unlearn_audit.api.kit.asking import Pair, count_tokens, is_askable

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HAS_QUESTION = "the fact has a question; `recall` asks it"
NO_PASSAGE = "the fact has no text of two words or more"
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
_ROOM = 64
"""Tokens of the context that are left free: for what an attack puts before the text, and for what ends it."""


class PassageParameters(Parameters):
    """How passages are cut."""

    prompt_share: float = Field(
        0.5, gt=0, lt=1, description="Share of a passage's words that is given; a fact's `given` goes before it."
    )
    window_tokens: int = Field(
        512, ge=16, description="Longest piece of a passage that is read at a time, within what the model reads."
    )
    most_windows: int = Field(8, ge=1, description="Pieces read of a longer passage, evenly spread over it.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """A piece of a passage.

    Attributes:
        given: what the model is shown.
        rest: how it goes on; a blank between both goes with it, so that it is tokenized as it stands in the passage.
    """

    given: str
    rest: str

    @property
    def prompt(self) -> Prompt:
        """The first part, as plain text."""
        return Prompt(text=self.given, chat=False)

    @property
    def pair(self) -> Pair:
        """Both parts, to be scored."""
        return self.prompt, self.rest


def windows_of(fact: Fact, model: Model, parameters: PassageParameters) -> tuple[Window, ...] | str:
    """The pieces of a fact's text, or why there are none; the same for every model of one tokenizer and context."""
    if is_askable(fact):
        return HAS_QUESTION
    text = (fact.text or "").strip()
    limit = _limit(model, parameters.window_tokens)
    whole = as_given(fact, text) or split_passage(text, parameters.prompt_share)
    if whole is None:
        return NO_PASSAGE
    if count_tokens(model.tokenizer, text) <= limit:
        return (Window(given=whole[0], rest=whole[1]),)
    if fact.given:
        return (_shortened(whole, model.tokenizer, limit),)
    pieces = _pieces(text, model.tokenizer, limit)
    found = [split_passage(piece, parameters.prompt_share) for piece in _spread(pieces, parameters.most_windows)]
    return tuple(Window(given=one[0], rest=one[1]) for one in found if one is not None)


def split_passage(text: str, prompt_share: float) -> tuple[str, str] | None:
    """A passage cut between two words, at least one on each side; None where it has fewer than two."""
    text = text.strip()
    ends = _ends(text)
    if not ends:
        return None
    given = min(max(1, round(prompt_share * (len(ends) + 1))), len(ends))
    cut = ends[given - 1]
    return text[:cut], text[cut:]


def first_choices(score: AnswerScore) -> float | None:
    """Share of tokens that are the model's first choice given all before them; None where there is no token."""
    return sum(score.greedy) / len(score.greedy) if score.greedy else None


def pooled(scores: Sequence[AnswerScore]) -> AnswerScore:
    """The tokens of several windows, one after another."""
    return AnswerScore(
        log_probs=tuple(value for score in scores for value in score.log_probs),
        greedy=tuple(value for score in scores for value in score.greedy),
    )


def _limit(model: Model, wanted: int) -> int:
    context = model.context
    return wanted if context is None else max(2, min(wanted, context - min(_ROOM, context // 4)))


def as_given(fact: Fact, text: str) -> tuple[str, str] | None:
    """The cut that the fact asks for."""
    given = (fact.given or "").strip()
    return (given, text[len(given) :]) if given and text.startswith(given) and text[len(given) :].strip() else None


def _shortened(parts: tuple[str, str], tokenizer: PreTrainedTokenizerBase, limit: int) -> Window:
    """The end of what is given and the beginning of the rest, so much of each that both fit."""
    given = _fitting(parts[0], tokenizer, limit // 2, at_end=True)
    return Window(given=given, rest=_fitting(parts[1], tokenizer, limit - limit // 2, at_end=False))


def _fitting(text: str, tokenizer: PreTrainedTokenizerBase, room: int, *, at_end: bool) -> str:
    """The last or the first words of a text that are no more than so many tokens; one word at least."""
    while (tokens := count_tokens(tokenizer, text)) > room and (ends := _ends(text)):
        kept = min(len(ends) * room // tokens, len(ends) - 1)
        text = text[ends[-kept - 1] :].lstrip() if at_end else text[: ends[kept]]
    return text


def _pieces(text: str, tokenizer: PreTrainedTokenizerBase, limit: int) -> list[str]:
    """The text in pieces of about as many words, each within the limit where words are no longer than that."""
    ends = [0, *_ends(text), len(text)]
    count = math.ceil(count_tokens(tokenizer, text) / limit)
    while True:
        cuts = [ends[round(place * (len(ends) - 1) / count)] for place in range(count + 1)]
        pieces = [text[start:end] for start, end in pairwise(cuts)]
        if count >= len(ends) - 1 or max(count_tokens(tokenizer, piece) for piece in pieces) <= limit:
            return [piece for piece in pieces if piece.strip()]
        count += 1


def _spread(pieces: Sequence[str], most: int) -> list[str]:
    if len(pieces) <= most:
        return list(pieces)
    return [pieces[round(place * (len(pieces) - 1) / max(1, most - 1))] for place in range(most)]


def _ends(text: str) -> list[int]:
    """Where words end: before a blank, and in scripts without blanks before every character."""
    return [
        place
        for place in range(1, len(text))
        if not text[place - 1].isspace() and (text[place].isspace() or _UNSPACED.match(text[place]))
    ]
