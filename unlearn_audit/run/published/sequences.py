"""A question with its answer as the tokens that a published figure counts.

Which tokens are labelled moves a figure more than its formula. As shipped is what open-unlearning's data code makes:
the answer, what the chat template writes behind it, and an end token where there is none. Aligned is the answer alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LONGEST_PLAIN = 512
"""Tokens of an exchange without a chat template, after which open-unlearning's data code cuts it."""
_OTHER_ANSWER = "SomeOtherAnswer"


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
    tokenizer: PreTrainedTokenizerBase, question: str, answer: str, labels: Labels, template: str | None
) -> Sequence:
    """One exchange, rendered by the chat template, or plainly ("Question: ...", "Answer: ...") where there is none.

    Args:
        tokenizer: a fast one, which says where in the text a token stands.
        question: as published.
        answer: as published.
        labels: which tokens count.
        template: of the chat, or None.
    """
    prompt, whole = _rendered(tokenizer, question, answer, template)
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
        start, end = _place(tokenizer, question, answer, template, (prompt, whole))
        inside = [at for at, (left, right) in enumerate(encoded["offset_mapping"]) if right > start and left < end]
        first, last = (inside[0], inside[-1] + 1) if inside else (first, first)
    text = tokenizer.decode(ids[first:last], skip_special_tokens=True)
    return Sequence(token_ids=tuple(ids), first=first, last=last, drops=shipped, text=str(text))


def _place(
    tokenizer: PreTrainedTokenizerBase, question: str, answer: str, template: str | None, rendered: tuple[str, str]
) -> tuple[int, int]:
    """Where the answer stands in the rendered text: between what stands around another answer.

    A template may trim the answer, put an empty thought before it, or end the prompt in what it leaves out later.
    """
    prompt, whole = rendered
    before, found, behind = _rendered(tokenizer, question, _OTHER_ANSWER, template)[1].partition(_OTHER_ANSWER)
    if found and whole.startswith(before) and whole.endswith(behind):
        return len(before), len(whole) - len(behind)
    start = whole.rfind(answer)
    return (start, start + len(answer)) if start >= 0 else (len(prompt), len(whole))


def truth_as_shipped(tokenizer: PreTrainedTokenizerBase, question: str, answer: str, template: str | None) -> str:
    """The truth that open-unlearning's ROUGE sees: the text of the exchange without the prompt's, wherever that stands.

    Args:
        tokenizer: whose tokens are decoded again.
        question: as published.
        answer: as published.
        template: of the chat, or None.
    """
    ids = question_with_answer(tokenizer, question, answer, Labels.AS_SHIPPED, template).token_ids
    whole, prompt = (
        str(tokenizer.decode(list(one), skip_special_tokens=True, clean_up_tokenization_spaces=True))
        for one in (ids, asked(tokenizer, question, template))
    )
    return whole.replace(prompt, "").strip()


def whole_text(tokenizer: PreTrainedTokenizerBase, text: str, most: int | None) -> Sequence:
    """A text of which every token but the first counts: MUSE and RWKU."""
    ids = list(tokenizer(text)["input_ids"])[:most]
    return Sequence(token_ids=tuple(ids), first=1, last=len(ids), drops=False, text=text)


def asked(tokenizer: PreTrainedTokenizerBase, question: str, template: str | None) -> list[int]:
    """The tokens of the question alone, up to where the answer begins."""
    prompt = rendered_prompt(tokenizer, question, template)
    return list(tokenizer(prompt, add_special_tokens=template is None)["input_ids"])


def rendered_prompt(tokenizer: PreTrainedTokenizerBase, question: str, template: str | None) -> str:
    """The text of the question alone, up to where the answer begins."""
    if template is None:
        return f"Question: {question}\nAnswer: "
    turns = [{"role": "user", "content": question}]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, chat_template=template, add_generation_prompt=True))


def _rendered(tokenizer: PreTrainedTokenizerBase, question: str, answer: str, template: str | None) -> tuple[str, str]:
    prompt = rendered_prompt(tokenizer, question, template)
    if template is None:
        return prompt, prompt + answer
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return prompt, str(tokenizer.apply_chat_template(turns, tokenize=False, chat_template=template))
