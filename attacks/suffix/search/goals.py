"""What a search over tokens is given and gives back: the goal, its limits, the text that was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from unlearn_audit.api import Prompt, derive_seed


class Position(StrEnum):
    """Where in the user's message the adversarial text stands."""

    PREFIX = "prefix"
    SUFFIX = "suffix"


class Allowed(StrEnum):
    """Tokens that the text may hold: printable ASCII, or printable text of any script. Never special ones."""

    ASCII = "ascii"
    ANY = "any"


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """What the adversarial text is to bring about.

    Attributes:
        prompt: the question, without the adversarial text.
        target: what the answer should begin with.
    """

    prompt: Prompt
    target: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSettings:
    """How hard to search; the defaults are the authors' (500 steps, 512 candidates a step, top 256, 20 tokens).

    Attributes:
        width: candidates that are scored at each step.
        length: tokens of the text, where `initial` is None.
        initial: the text to begin with, `x x x ...` where None.
        drafted: take gradients and score candidates by a bfloat16 copy where the device has fast units for that, and
            only the text that was chosen by the model itself.
        merged: further candidates a step that take the best changes together, two of them, three, and so on (the
            multi-coordinate update of arXiv 2405.21018; the authors of GCG change one token a step).
        starts: texts that a search begins from (`attacks/suffix/starts.py`); all go a third of the way, and the best
            goes on alone.
        batch_tokens: most tokens a batch, padding included; by device where None. Halved when memory runs out.
    """

    steps: int = 500
    width: int = 512
    top_k: int = 256
    length: int = 20
    position: Position = Position.SUFFIX
    initial: str | None = None
    allowed: Allowed = Allowed.ASCII
    drafted: bool = True
    merged: int = 4
    starts: int = 1
    batch_tokens: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The best text so far.

    Attributes:
        text: as a user would type it.
        loss: mean over the goals of the mean nats a target token.
        step: the step that found it; 0 is the initial text.
        losses: the curve: of the initial text, then of the text that each step went on with.
        tokens: number of tokens of the text.
        scored: candidates scored so far; `unstable` and `refused` are those that were drawn and thrown away.
        notes: how the model was read (reused keys and values, a draft, batches halved for memory).
    """

    text: str
    loss: float
    step: int
    losses: tuple[float, ...]
    tokens: int = 0
    scored: int = 0
    unstable: int = 0
    refused: int = 0
    notes: tuple[str, ...] = ()


def worded(text: str, position: Position) -> Callable[[Prompt], Prompt]:
    """Puts the text before or after the user's message; before it where there is no chat: the answer goes on there."""

    def put(prompt: Prompt) -> Prompt:
        if position is Position.PREFIX or not prompt.chat:
            return replace(prompt, text=f"{text} {prompt.text.lstrip()}")
        return replace(prompt, text=f"{prompt.text.rstrip()} {text}")

    return put


def refuse_nothing(_text: str) -> bool:
    """Every text will do."""
    return False


def goal_seed(seed: int, place: int) -> int:
    """The seed with which `search` finds for one goal what `search_each` finds for it."""
    return derive_seed(seed, "goal", place)
