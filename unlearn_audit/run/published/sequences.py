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
    encoded = tokenizer(whole, add_special_tokens=special, return_offsets_mapping=True)
    ids: list[int] = list(encoded["input_ids"])
    first = len(tokenizer(prompt, add_special_tokens=special)["input_ids"])
    end = whole.index(answer, len(prompt)) + len(answer) if answer in whole[len(prompt) :] else len(whole)
    inside = [place for place, (start, _) in enumerate(encoded["offset_mapping"]) if place >= first and start < end]
    answer_end = inside[-1] + 1 if inside else first
    if tokenizer.eos_token_id is not None and (not ids or ids[-1] != tokenizer.eos_token_id):
        ids.append(tokenizer.eos_token_id)
    last = len(ids) if labels is Labels.AS_SHIPPED else answer_end
    text = tokenizer.decode(ids[first:last], skip_special_tokens=True)
    return Sequence(token_ids=tuple(ids), first=first, last=last, drops=labels is Labels.AS_SHIPPED, text=str(text))


def whole_text(tokenizer: PreTrainedTokenizerBase, text: str, most: int | None) -> Sequence:
    """A text of which every token but the first counts: MUSE and RWKU."""
    ids = list(tokenizer(text)["input_ids"])[:most]
    return Sequence(token_ids=tuple(ids), first=1, last=len(ids), drops=False, text=text)


def asked(tokenizer: PreTrainedTokenizerBase, question: str, template: str | None) -> list[int]:
    """The tokens of the question alone, up to where the answer begins."""
    prompt, _ = _rendered(tokenizer, question, "", template)
    return list(tokenizer(prompt, add_special_tokens=template is None)["input_ids"])


def _rendered(tokenizer: PreTrainedTokenizerBase, question: str, answer: str, template: str | None) -> tuple[str, str]:
    if template is None:
        prompt = f"Question: {question}\nAnswer: "
        return prompt, prompt + answer
    turns: list[dict[str, str]] = [{"role": "user", "content": question}]
    settings: dict[str, Any] = {"tokenize": False, "chat_template": template}
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, **settings)
    whole = tokenizer.apply_chat_template([*turns, {"role": "assistant", "content": answer}], **settings)
    return str(prompt), str(whole)
