"""MUSE's prompts and cuts (2407.06460): what is asked for KnowMem and VerbMem, and which text counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

NEW_TOKENS_OF_KNOWMEM = 32
NEW_TOKENS_OF_VERBMEM = 128
MIN_K_OF_PRIVLEAK = 0.4
_STOPS = ("\n\n", "\nQuestion", "Question:")


def knowmem_prompt(question: str, examples: Sequence[tuple[str, str]]) -> str:
    """Examples and the question; it ends with "Answer: " and a blank, and the tokenizer adds its special tokens."""
    shown = "".join(f"Question: {asked}\nAnswer: {answer}\n\n" for asked, answer in examples)
    return f"{shown}Question: {question}\nAnswer: "


def knowmem_answer(output: str) -> str:
    """The output up to a blank line, then up to a line that begins with Question, then up to "Question:"."""
    for stop in _STOPS:
        output = output.split(stop)[0]
    return output


def verbmem_truth(truth: str, encode: Callable[[str], Sequence[int]], decode: Callable[[Sequence[int]], str]) -> str:
    """The first 128 tokens of the true continuation.

    Args:
        truth: as published.
        encode: with special tokens, so that a beginning-of-sequence token is one of the 128.
        decode: without special tokens.
    """
    return decode(list(encode(truth))[:NEW_TOKENS_OF_VERBMEM])
