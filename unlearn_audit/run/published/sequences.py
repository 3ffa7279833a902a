"""A question with its answer as the tokens that a published figure counts.

Which tokens are labelled moves a figure more than its formula. As shipped is what open-unlearning's data code makes:
the answer, what the chat template writes behind it, and an end token where there is none. Aligned is the answer alone.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from unlearn_audit.errors import AuditError, cause_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LONGEST_PLAIN = 512
"""Tokens of an exchange without a chat template, after which open-unlearning's data code cuts it."""
DAY = "%d %b %Y"
"""How Llama 3's template writes a day."""
_OTHER_ANSWER = "SomeOtherAnswer"


@dataclass(frozen=True, kw_only=True)
class Preface:
    """What a chat template is given beside the exchange; a question without a template has none of it.

    As open-unlearning's `system_prompt` and `date_string`: a system turn in front, and the day as Llama 3 writes it.

    Attributes:
        system_prompt: None or empty: no such turn, and the template writes its own, if it has one.
        date: None: the template's own.
    """

    system_prompt: str | None = None
    date: dt.date | None = None

    @property
    def turns(self) -> list[dict[str, str]]:
        """The turns before the question."""
        return [{"role": "system", "content": self.system_prompt}] if self.system_prompt else []

    @property
    def variables(self) -> dict[str, str]:
        """What the template is told beside the turns."""
        return {} if self.date is None else {"date_string": self.date.strftime(DAY)}


NOTHING = Preface()


class Labels(StrEnum):
    """Which tokens count."""

    AS_SHIPPED = "as-shipped"
    ALIGNED = "aligned"


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """Tokens with the places that count.

    Attributes:
        first: place of the first labelled token; everything before it is the prompt.
        last: place behind the last labelled token.
        drops: whether token-wise measures leave out the last labelled token, as open-unlearning does "for EOS".
        text: of the labelled tokens, without special ones.
    """

    token_ids: tuple[int, ...]
    first: int
    last: int
    drops: bool
    text: str


def question_with_answer(
    tokenizer: PreTrainedTokenizerBase,
    question: str,
    answer: str,
    labels: Labels,
    template: str | None,
    preface: Preface = NOTHING,
) -> Sequence:
    """One exchange, rendered by the chat template, or plainly ("Question: ...", "Answer: ...") where there is none.

    Args:
        tokenizer: a fast one, which says where in the text a token stands.
        question: as published.
        answer: as published.
        labels: which tokens count.
        template: of the chat, or None.
        preface: what the template is given beside them.

    Raises:
        AuditError: the template refuses them, as Gemma's does a system turn.
    """
    prompt, whole = _rendered(tokenizer, question, answer, template, preface)
    special = template is None
    shipped = labels is Labels.AS_SHIPPED
    settings: dict[str, Any] = {"add_special_tokens": special}
    if special and shipped:
        settings |= {"truncation": True, "max_length": LONGEST_PLAIN}
    encoded = tokenizer(whole, return_offsets_mapping=True, **settings)
    ids: list[int] = list(encoded["input_ids"])
    prompt_length = len(tokenizer(prompt, **settings)["input_ids"])
    if tokenizer.eos_token_id is not None and (not ids or ids[-1] != tokenizer.eos_token_id):
        ids.append(tokenizer.eos_token_id)
    first, last = min(prompt_length, len(ids)), len(ids)
    if not shipped:
        start, end = _place(tokenizer, question, answer, template, preface, (prompt, whole))
        inside = [at for at, (left, right) in enumerate(encoded["offset_mapping"]) if right > start and left < end]
        first, last = (inside[0], inside[-1] + 1) if inside else (first, first)
    text = tokenizer.decode(ids[first:last], skip_special_tokens=True)
    return Sequence(token_ids=tuple(ids), first=first, last=last, drops=shipped, text=str(text))


def _place(
    tokenizer: PreTrainedTokenizerBase,
    question: str,
    answer: str,
    template: str | None,
    preface: Preface,
    rendered: tuple[str, str],
) -> tuple[int, int]:
    """Where the answer stands in the rendered text: between what stands around another answer.

    A template may trim the answer, put an empty thought before it, or end the prompt in what it leaves out later.
    """
    prompt, whole = rendered
    other = _rendered(tokenizer, question, _OTHER_ANSWER, template, preface)[1]
    before, found, behind = other.partition(_OTHER_ANSWER)
    if found and whole.startswith(before) and whole.endswith(behind):
        return len(before), len(whole) - len(behind)
    start = whole.rfind(answer)
    return (start, start + len(answer)) if start >= 0 else (len(prompt), len(whole))


def truth_as_shipped(
    tokenizer: PreTrainedTokenizerBase, question: str, answer: str, template: str | None, preface: Preface = NOTHING
) -> str:
    """The truth that open-unlearning's ROUGE sees: the text of the exchange without the prompt's, wherever that stands.

    Args:
        tokenizer: whose tokens are decoded again.
        question: as published.
        answer: as published.
        template: of the chat, or None.
        preface: what the template is given beside them.
    """
    ids = question_with_answer(tokenizer, question, answer, Labels.AS_SHIPPED, template, preface).token_ids
    whole, prompt = (
        str(tokenizer.decode(list(one), skip_special_tokens=True, clean_up_tokenization_spaces=True))
        for one in (ids, asked(tokenizer, question, template, preface))
    )
    return whole.replace(prompt, "").strip()


def whole_text(tokenizer: PreTrainedTokenizerBase, text: str, most: int | None) -> Sequence:
    """A text of which every token but the first counts: MUSE and RWKU."""
    ids = list(tokenizer(text)["input_ids"])[:most]
    return Sequence(token_ids=tuple(ids), first=1, last=len(ids), drops=False, text=text)


def asked(
    tokenizer: PreTrainedTokenizerBase, question: str, template: str | None, preface: Preface = NOTHING
) -> list[int]:
    """The tokens of the question alone, up to where the answer begins."""
    prompt = rendered_prompt(tokenizer, question, template, preface)
    return list(tokenizer(prompt, add_special_tokens=template is None)["input_ids"])


def rendered_prompt(
    tokenizer: PreTrainedTokenizerBase, question: str, template: str | None, preface: Preface = NOTHING
) -> str:
    """The text of the question alone, up to where the answer begins."""
    if template is None:
        return f"Question: {question}\nAnswer: "
    turns = [*preface.turns, {"role": "user", "content": question}]
    return _written(tokenizer, turns, template, preface, ends_open=True)


def _rendered(
    tokenizer: PreTrainedTokenizerBase, question: str, answer: str, template: str | None, preface: Preface
) -> tuple[str, str]:
    prompt = rendered_prompt(tokenizer, question, template, preface)
    if template is None:
        return prompt, prompt + answer
    turns = [*preface.turns, {"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return prompt, _written(tokenizer, turns, template, preface, ends_open=False)


def _written(
    tokenizer: PreTrainedTokenizerBase, turns: list[dict[str, str]], template: str, preface: Preface, *, ends_open: bool
) -> str:
    try:
        text = tokenizer.apply_chat_template(
            turns, tokenize=False, chat_template=template, add_generation_prompt=ends_open, **preface.variables
        )
    except Exception as error:  # a template is a program of the checkpoint's author: anything can come out of it
        remedy = "; drop --system-prompt if it takes none" if preface.turns else ""
        raise AuditError(f"the chat template failed: {cause_of(error)}{remedy}") from error
    return str(text)
