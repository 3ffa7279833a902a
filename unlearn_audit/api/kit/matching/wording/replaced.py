"""Whether a text says a sentence again with something else in the place of what it tells.

"Her father is a baker" repeats "Her father is a civil engineer" but for what makes it the answer. A name, or most of
the words, that both share do not make it one: what stands in the same place contradicts it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

REPEATED = 0.8
"""Share of a sentence's words, in their order, from which a text says it again."""

LEAST, ALL_ELSE = 0.4, 0.95
"""The same where a long part is exchanged: the share of all its words, and of those outside that part."""


def replaced(
    sentence: Sequence[str], text: Sequence[str], *, tells: Callable[[str], bool], is_new: Callable[[str], bool]
) -> bool:
    """Whether a text repeats a sentence and puts other words where it tells something.

    Args:
        sentence: its words, folded.
        text: those of a text.
        tells: whether a word of the sentence tells something.
        is_new: whether a word of the text tells something that the sentence does not say.
    """
    from rapidfuzz.distance import Indel  # of the extra `run`; probes are listed without it

    blocks = Indel.opcodes(sentence, text)
    kept = sum(block.src_end - block.src_start for block in blocks if block.tag == "equal")
    spans = [(one.tag, one.src_start, one.src_end, one.dest_start, one.dest_end) for one in blocks]
    for lost, put in _exchanged(spans):
        left = len(sentence) - (lost[1] - lost[0])
        whole = kept >= REPEATED * len(sentence) or kept >= max(LEAST * len(sentence), ALL_ELSE * left)
        if whole and any(map(tells, sentence[lost[0] : lost[1]])) and any(map(is_new, text[put[0] : put[1]])):
            return True
    return False


def _exchanged(blocks: Sequence[tuple[str, int, int, int, int]]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """What a text leaves out and what it puts in its place, between words that both have."""
    found: list[tuple[tuple[int, int], tuple[int, int]]] = []
    lost: tuple[int, int] | None = None
    put: tuple[int, int] | None = None
    for tag, low, high, its_low, its_high in (*blocks, ("equal", 0, 0, 0, 0)):
        if tag == "equal":
            if lost and put:
                found.append((lost, put))
            lost = put = None
            continue
        if tag in ("delete", "replace"):
            lost = (lost[0] if lost else low, high)
        if tag in ("insert", "replace"):
            put = (put[0] if put else its_low, its_high)
    return found
