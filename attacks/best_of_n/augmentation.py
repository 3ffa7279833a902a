"""Random augmentations of a question's spelling: scrambled words, random capitals, noise on characters.

The text augmentations of Best-of-N Jailbreaking (arXiv 2412.03556, appendix A.1), in the authors' order. As in their
code one strength sigma gives all probabilities; its default 0.4 gives the 0.6, 0.6 and 0.06 of the paper.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import replace

from unlearn_audit.api import Prompt, derive_seed

SHORTEST_SCRAMBLED = 4
PRINTABLE = range(32, 127)


def augmented(text: str, sigma: float, *, seed: int) -> str:
    """The text, augmented once; the same for the same seed. Blanks and line breaks between words stay.

    Args:
        text: a question, or text to be continued.
        sigma: strength in [0, 1]. A word of four characters or more has its inner ones shuffled with probability
            sqrt(sigma), a letter changes its case with sqrt(sigma), and a printable ASCII character becomes its
            neighbour in the code with sigma ** 3.
        seed: of the draws.
    """
    draw = random.Random(seed)  # noqa: S311 - an augmentation, not a secret
    often, seldom = sigma**0.5, sigma**3
    text = re.sub(r"\S+", lambda word: _scrambled(word[0], often, draw), text)
    text = "".join(_recased(character, often, draw) for character in text)
    return "".join(_noised(character, seldom, draw) for character in text)


def ways_of(count: int, sigma: float, *, seed: int) -> tuple[Callable[[Prompt], Prompt], ...]:
    """The first `count` of one endless list of ways to ask; each draws from the seed and the prompt's text alone.

    Text to be continued (no chat) is augmented like a question; a system message and the answer's prefix are not.
    """
    return tuple(_way(number, sigma, seed) for number in range(count))


def _way(number: int, sigma: float, seed: int) -> Callable[[Prompt], Prompt]:
    def ask(prompt: Prompt) -> Prompt:
        own = derive_seed(seed, "augmentation", number, prompt.text)
        return replace(prompt, text=augmented(prompt.text, sigma, seed=own))

    return ask


def _scrambled(word: str, probability: float, draw: random.Random) -> str:
    if len(word) < SHORTEST_SCRAMBLED or draw.random() >= probability:
        return word
    inner = list(word[1:-1])
    draw.shuffle(inner)
    return f"{word[0]}{''.join(inner)}{word[-1]}"


def _recased(character: str, probability: float, draw: random.Random) -> str:
    return character.swapcase() if character.isalpha() and draw.random() < probability else character


def _noised(character: str, probability: float, draw: random.Random) -> str:
    if ord(character) not in PRINTABLE or draw.random() >= probability:
        return character
    moved = ord(character) + draw.choice((-1, 1))
    return chr(moved) if moved in PRINTABLE else character
