"""Verbatim: given the first part of a passage, does the model continue with the rest, word for word?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import ClassVar

from pydantic import Field

from unlearn_audit.api import (
    Access,
    AnswerScore,
    Fact,
    Generation,
    Measure,
    Model,
    Parameters,
    Probe,
    Prompt,
    Reading,
    ScoreKind,
    words_of,
)
from unlearn_audit.api.kit.answer_key import rouge_l_recall
from unlearn_audit.api.kit.asking import count_tokens, is_askable, is_readable, score_all, unreadable

from .shared.passages import split_passage

ROUGE_L = Measure(name="rouge_l", kind=ScoreKind.SOFT, passages=True)
LONGEST_RUN = Measure(name="longest_run", kind=ScoreKind.SOFT, passages=True)
EXACT = Measure(name="exact_memorization", kind=ScoreKind.SOFT, passages=True)

VARIANT = "continuation"
HAS_QUESTION = "the fact has a question; `recall` asks it"
NO_PASSAGE = "the fact has no text of two words or more"
NO_WORDS = "the rest of the passage has no words"


class VerbatimParameters(Parameters):
    """Parameters of `verbatim`."""

    prompt_share: float = Field(0.5, gt=0, lt=1, description="Share of a passage's words given as the prompt.")
    most_words: int = Field(100, ge=1, description="Words of the rest to compare the model's own with.")
    extra_tokens: int = Field(8, ge=0, description="Tokens a continuation may have beyond the longest such text.")


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A passage in two parts.

    Attributes:
        rest: all that follows what is given.
        beginning: the first part of the rest, which a continuation has time for.
        wanted: the words of that (`words_of`), which a continuation is held against.
    """

    prompt: Prompt
    rest: str
    beginning: str
    wanted: tuple[str, ...]


class Verbatim(Probe[VerbatimParameters]):
    """Continuations of passages (facts with only a text), given their first words as plain text; all advisory.

    The model continues greedily. Its continuation is cut to as many words as the text it is compared with, the first
    `most_words` of the rest, so a longer continuation gains nothing.

    - `rouge_l`: ROUGE-L recall of that text (VerbMem of MUSE, 2407.06460): words in order, with gaps.
    - `longest_run`: the longest run of words that both have in common, over the text's words: copying without gaps.
    - `exact_memorization`: share of the rest's tokens that are the model's first choice, given all before them
      (2205.10770, eq. 1); read from logits, over the whole rest. A wrong word costs one token and the recovery.

    Extraction strength decides on passages; it is a separate probe (`extraction-strength`) and is not
    computed twice.

    Departures from MUSE: there 200 tokens are given, 128 generated, and the F score taken; with equal numbers of words
    the F score is the recall. There are no twin scores: passages are not answers to one question.

    Known failures: models without a chat template stop at a line break, and so does their continuation, in every role;
    `exact_memorization` does not. Common phrases follow in any model: compare all three with a control.
    """

    name: ClassVar[str] = "verbatim"
    summary: ClassVar[str] = "Gives the beginning of a passage and compares the continuation with the rest."
    paper: ClassVar[str] = "2407.06460"
    access: ClassVar[Access] = Access.LOGITS
    measures: ClassVar[tuple[Measure, ...]] = (ROUGE_L, LONGEST_RUN, EXACT)
    Parameters: ClassVar[type[Parameters]] = VerbatimParameters

    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """Three readings a fact."""
        own = self.parameters
        found = {fact.id: self._passage(fact) for fact in facts}
        passages = {fact_id: one for fact_id, one in found.items() if isinstance(one, Passage)}
        everyone = [one for one in map(self._passage, pool) if isinstance(one, Passage)]
        longest = max((count_tokens(model.tokenizer, one.beginning) for one in everyone), default=0)
        said = _continued(model, passages, longest + max(1, own.extra_tokens))
        scores = score_all(model, [(one.prompt, one.rest) for one in passages.values()])
        for fact in facts:
            one = found[fact.id]
            if isinstance(one, str):
                yield from (_reading(fact, measure, None, one) for measure in self.measures)
                continue
            yield from _of_text(fact, one, said[fact.id])
            exact = exact_memorization(scores[one.prompt, one.rest])
            yield _reading(fact, EXACT, exact, unreadable([scores[one.prompt, one.rest]]))

    def _passage(self, fact: Fact) -> Passage | str:
        """The parts of a passage, or why there are none."""
        if is_askable(fact):
            return HAS_QUESTION
        split = split_passage(fact.text or "", self.parameters.prompt_share)
        if split is None:
            return NO_PASSAGE
        most = self.parameters.most_words
        beginning = " ".join(split[1].split()[:most])
        wanted = words_of(beginning)[:most]
        if not wanted:
            return NO_WORDS
        return Passage(prompt=Prompt(text=split[0], chat=False), rest=split[1], beginning=beginning, wanted=wanted)


def _of_text(fact: Fact, passage: Passage, said: Generation) -> Iterator[Reading]:
    """What the continuation shows as words; nothing is known where the passage was too long to be read."""
    words = words_of(said.text)[: len(passage.wanted)]
    values = {
        ROUGE_L: rouge_l_recall(" ".join(passage.wanted), " ".join(words)),
        LONGEST_RUN: longest_run(passage.wanted, words),
    }
    for measure, value in values.items():
        yield _reading(fact, measure, None if said.missing else value, said.missing)


def _continued(model: Model, passages: dict[str, Passage], limit: int) -> dict[str, Generation]:
    if not passages:
        return {}
    generations = model.generate([one.prompt for one in passages.values()], max_new_tokens=limit)
    return dict(zip(passages, generations, strict=True))


def longest_run(wanted: Sequence[str], said: Sequence[str]) -> float:
    """Words in the longest run that both share, over the words wanted; in [0, 1]."""
    match = SequenceMatcher(None, wanted, said, autojunk=False).find_longest_match()
    return match.size / len(wanted)


def exact_memorization(score: AnswerScore) -> float | None:
    """Share of tokens that are the model's first choice; None where it gives no numbers."""
    return sum(score.greedy) / len(score.greedy) if is_readable(score) else None


def _reading(fact: Fact, measure: Measure, score: float | None, missing: str | None) -> Reading:
    return Reading(
        fact_id=fact.id,
        measure=measure.name,
        variant=VARIANT,
        score=score,
        missing=missing if score is None else None,
    )
