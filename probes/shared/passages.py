"""A passage in two parts: what is given, and how it goes on."""

from __future__ import annotations


def split_passage(text: str, prompt_share: float) -> tuple[str, str] | None:
    """A passage cut between two words, at least one on each side; None where it has fewer than two.

    The blank goes with the rest, so that the rest is tokenized as it stands in the passage.
    """
    text = text.strip()
    ends = [place for place in range(1, len(text)) if text[place].isspace() and not text[place - 1].isspace()]
    if not ends:
        return None
    given = min(max(1, round(prompt_share * (len(ends) + 1))), len(ends))
    cut = ends[given - 1]
    return text[:cut], text[cut:]
