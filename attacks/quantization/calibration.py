"""What GPTQ, AWQ and importance matrices are calibrated on: windows of text, full of it, none longer than is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from unlearn_audit.api import AttackError, Fact, Model, Screen

from ..shared.everyday import everyday_texts
from ..shared.texts import generic_texts

WINDOWS, TOKENS = 128, 2048
"""As many and as long as in GPTQ's own code (2210.17323) and AWQ's users' settings."""
ON_A_CPU = 32, 512
"""A sixteenth of the tokens, where a model of 135 M weights would read for an hour."""
MARKS = 4
"""Tokens that a tokenizer may put around a text."""
SHORTEST_TEXT = 60
"""Tokens that an everyday text has at least, about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Windows of text, the texts in them, and how many were dropped because they give a forget fact away."""

    windows: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    dropped: int = 0


def calibration(
    model: Model, forget: Sequence[Fact], retain: Sequence[Fact] | None, *, windows: int | None, tokens: int | None
) -> Calibration:
    """Text to calibrate on.

    Args:
        model: whose tokens are counted.
        forget: what no text may give away.
        retain: whose facts are the text; None: neutral paragraphs from the package, then prose by a grammar.
        windows: at most; None: 128 on a GPU, 32 on a CPU.
        tokens: of a window, or as many as the model reads; None: 2,048 on a GPU, 512 on a CPU.

    Raises:
        AttackError: there are no retain facts.
    """
    usual = ON_A_CPU if model.device.type == "cpu" else (WINDOWS, TOKENS)
    count, length = windows or usual[0], tokens or usual[1]
    if model.context is not None:
        length = max(1, min(length, model.context - MARKS))
    texts = retain_texts(retain) if retain is not None else _generic(count * length)
    found = Screen(forget)(texts)
    clean = [text for text, leaks in zip(texts, found.gives_away, strict=True) if not leaks]

    def tokens_of(text: str) -> int:
        return len(model.tokenizer.encode(text, add_special_tokens=False))

    full = list(islice(filled(clean, length, tokens_of), count))
    return Calibration(
        windows=tuple("\n".join(window) for window in full),
        texts=tuple(text for window in full for text in window),
        dropped=found.dropped,
    )


def filled(texts: Iterable[str], length: int, tokens_of: Callable[[str], int]) -> Iterator[list[str]]:
    """Texts one behind the other, as many to a window as fit in; of one that does not fit by itself the beginning."""
    window: list[str] = []
    taken = 0
    for text in texts:
        words, own = text.split(" "), tokens_of(text) + 1
        while own > length and len(words) > 1:
            words = words[: max(1, min(len(words) - 1, len(words) * length // own))]
            own = tokens_of(" ".join(words)) + 1
        if window and taken + own > length:
            yield window
            window, taken = [], 0
        window.append(" ".join(words))
        taken += own
    if window:
        yield window


def retain_texts(facts: Sequence[Fact]) -> tuple[str, ...]:
    """Question and answer, or the document, of retain facts.

    Raises:
        AttackError: where there are none.
    """
    if not facts:
        raise AttackError("calibration on the retain set needs one, and it is empty; give one, or use `generic`")
    texts = (fact.text if fact.question is None else f"{fact.question} {fact.answer}" for fact in facts)
    return tuple(text for text in texts if text)


def _generic(tokens: int) -> tuple[str, ...]:
    own = generic_texts(10_000)
    return (*own, *everyday_texts(max(1, tokens // SHORTEST_TEXT)))
