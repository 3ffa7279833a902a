"""ROUGE as each repository takes it: the scorer, the stemmer and which of recall and F differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Rouge:
    """ROUGE of one output against the truth, each in [0, 1], higher = closer."""

    rouge1_recall: float
    rouge1_f1: float
    rouge_l_recall: float
    rouge_l_f1: float


def rouge_with_stemmer(truth: str, output: str) -> Rouge:
    """Google's rouge-score with the Porter stemmer: TOFU and open-unlearning, who report `rouge_l_recall`.

    Words are runs of a-z and 0-9. A text in Chinese or Cyrillic has none, and scores 0 against itself.
    """
    return _rouge(truth, output, stemmer=True)


def rouge_without_stemmer(truth: str, output: str) -> Rouge:
    """The same without a stemmer: MUSE, which reports `rouge_l_f1`, times 100."""
    return _rouge(truth, output, stemmer=False)


def _rouge(truth: str, output: str, *, stemmer: bool) -> Rouge:
    found = _scorer(stemmer).score(truth, output)
    one, longest = found["rouge1"], found["rougeL"]
    return Rouge(
        rouge1_recall=float(one.recall),
        rouge1_f1=float(one.fmeasure),
        rouge_l_recall=float(longest.recall),
        rouge_l_f1=float(longest.fmeasure),
    )


@lru_cache(maxsize=2)
def _scorer(stemmer: bool) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rougeL"], use_stemmer=stemmer)


def rouge_l_of_rouge(truth: str, output: str) -> tuple[float, float, float]:
    """Recall, precision and F of ROUGE-L as the package `rouge` 1.0.1 has them: RWKU reports the recall.

    Sentences end at full stops, words at blanks; case and punctuation count. Of all pairs of sentences, the words on a
    longest common subsequence are united, and the union is divided by the number of distinct words of the truth or
    of the output.

    Raises:
        ValueError: a text has no sentence (only full stops), where the package stops as well.
    """
    reference, produced = _sentences(truth), _sentences(output.strip() or "NOANSWER")
    if not reference or not produced:
        raise ValueError("expected a text with words; got full stops only")
    known, said = ({word for words in one for word in words} for one in (reference, produced))
    shared = _union_of_subsequences(reference, produced)
    recall, precision = shared / len(known), shared / len(said)
    return recall, precision, 2.0 * precision * recall / (precision + recall + 1e-8)


def _sentences(text: str) -> list[list[str]]:
    """Words by sentence; blanks between two full stops are a sentence of one empty word, as the package has it."""
    return [" ".join(part.split()).split(" ") for part in text.split(".") if part]


def _union_of_subsequences(reference: Sequence[Sequence[str]], produced: Sequence[Sequence[str]]) -> int:
    found: set[str] = set()
    for truth in reference:
        for said in produced:
            found.update(_common(truth, said))
    return len(found)


def _common(one: Sequence[str], other: Sequence[str]) -> list[str]:
    """A longest common subsequence; of several, the one that the package walks to from the end."""
    lengths = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, first in enumerate(one, 1):
        for j, second in enumerate(other, 1):
            same = first == second
            lengths[i][j] = lengths[i - 1][j - 1] + 1 if same else max(lengths[i - 1][j], lengths[i][j - 1])
    words, i, j = [], len(one), len(other)
    while i and j:
        if one[i - 1] == other[j - 1]:
            words.append(one[i - 1])
            i, j = i - 1, j - 1
        elif lengths[i - 1][j] > lengths[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return words[::-1]
