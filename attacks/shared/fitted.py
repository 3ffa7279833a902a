"""Texts to train on, cut to what a model reads: pieces of a passage, the beginning of an answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from unlearn_audit.api import AttackError, Model, Prompt, Rendered


def fitted(model: Model, pairs: Sequence[tuple[Prompt, str]], *, ended: bool = True) -> list[Rendered]:
    """Prompts with their answers to train on, none of them longer than what the model reads.

    An answer is taught with its end (`ended`), as fine-tuning does: taught without it, a model forgets to end what it
    says.

    A passage becomes pieces of the context's length; of a conversation the beginning is left where it holds a part of
    the answer, else nothing.

    Raises:
        AttackError: nothing is left.
    """
    rendered = [(prompt, model.render(prompt, answer, ended=ended)) for prompt, answer in pairs]
    found = [piece for prompt, row in rendered for piece in _pieces(row, model.context, whole=prompt.chat)]
    if rendered and not found:
        raise AttackError(f"no text is left to train on: each has more than {model.context} tokens before its answer")
    return found


def longer_than_context(model: Model, pairs: Sequence[tuple[Prompt, str]]) -> int:
    """How many prompts with their answers are longer than what the model reads."""
    return sum(model.unread(model.render(prompt, answer, ended=True)) is not None for prompt, answer in pairs)


def _pieces(row: Rendered, context: int | None, *, whole: bool) -> Iterator[Rendered]:
    """The row, or its parts that fit; those in which a token of the answer is predicted."""
    if context is None or len(row.token_ids) <= context:
        yield row
        return
    for start in [0] if whole else range(0, len(row.token_ids), context):
        part = slice(start, start + context)
        if any(row.is_answer[part][1:]):
            yield Rendered(token_ids=row.token_ids[part], is_answer=row.is_answer[part])
