"""Whether an output holds an answer, as the judge of the audit sees it.

For every judge: what a prompt itself says is not evidence. If it names the whole answer, nothing can be shown, and
the fact is missing in that way of asking, under every judge alike. Else `match` and `rouge-l` look for what the prompt
does not say, and a judge that is a model reads only those sentences that say something new: with a word that the
prompt does not have, or with a phrase of the answer key. An output without such a sentence is not a hit, and no
model sees it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, assert_never

from unlearn_audit.api.facts import Fact
from unlearn_audit.api.judge import Claim, Judge, JudgeKind
from unlearn_audit.api.kit.answer_key import (
    QUESTION_HOLDS_ANSWER,
    AnswerKey,
    Output,
    is_short,
    normalize,
    untold_recall,
)
from unlearn_audit.api.kit.statements import Statement, short_answer, statement_of
from unlearn_audit.api.kit.twins import Entry

Verdict: TypeAlias = "bool | str"
"""Whether it is a hit, or why that is unknown."""

UNREADABLE = "the output is longer than the judge can read"
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One output, and one answer that it may hold.

    Attributes:
        fact: what was asked.
        prompt: all that was said to the model.
        told: whose answer is looked for: the fact's own, or a twin's.
        key: the answer key of `told` without what the prompt says.
        output: what the model said.
    """

    fact: Fact
    prompt: Output
    told: Entry
    key: AnswerKey
    output: Output

    @property
    def answers(self) -> tuple[str, ...]:
        """The answer and its aliases."""
        return tuple(text for text in (self.told.fact.answer or "", *self.told.fact.aliases) if normalize(text))


def verdicts(judge: Judge, cases: Sequence[Case]) -> list[Verdict]:
    """The judge's verdicts, in the order of the cases."""
    match judge.kind:
        case JudgeKind.MATCH:
            return _matched(cases)
        case JudgeKind.ROUGE_L:
            return [_overlapping(one) for one in cases]
        case JudgeKind.ENTAILMENT | JudgeKind.LLM:
            return _weighed(judge, cases)
    assert_never(judge.kind)


def matched(case: Case) -> Verdict:
    """Whether the output holds the answer key."""
    return case.key.hit(case.output) if case.key.missing is None else case.key.missing


def _matched(cases: Sequence[Case]) -> list[Verdict]:
    """Verdicts of `matched`: what several subjects share as an answer is looked for once in each output."""
    known: dict[tuple[object, ...], Verdict] = {}
    found = []
    for one in cases:
        sought = (id(one.output), one.key.missing, id(one.key.told), *map(id, one.key.wanted))
        if sought not in known:
            known[sought] = matched(one)
        found.append(known[sought])
    return found


def _overlapping(case: Case) -> Verdict:
    """Whether ROUGE-L recall of the answer or an alias, over the words that the prompt lacks, meets the threshold."""
    if case.key.missing is not None:
        return case.key.missing
    found = [untold_recall(answer, case.output, prompt=case.prompt) for answer in case.answers]
    recalls = [recall for recall in found if recall is not None]
    return max(recalls) >= case.key.rouge_threshold if recalls else QUESTION_HOLDS_ANSWER


def _weighed(judge: Judge, cases: Sequence[Case]) -> list[Verdict]:
    """A model's verdicts; equal claims are weighed once."""
    news = [untold(one) if one.key.missing is None else "" for one in cases]
    claims = [_claim(one, new) if new else None for one, new in zip(cases, news, strict=True)]
    wanted = list(dict.fromkeys(claim for claim in claims if claim is not None))
    found = dict(zip(wanted, judge.weigh(wanted), strict=True)) if wanted and judge.weigh is not None else {}
    return [
        one.key.missing if one.key.missing is not None else _read(False if claim is None else found[claim])
        for one, claim in zip(cases, claims, strict=True)
    ]


def _read(found: bool | None) -> Verdict:
    return UNREADABLE if found is None else found


def untold(case: Case) -> str:
    """The sentences of an output that say what the prompt does not; empty where there are none."""
    known = set(case.prompt.normal.split())
    return " ".join(
        sentence.strip()
        for sentence in _SENTENCE_END.split(case.output.text)
        if not known.issuperset(normalize(sentence).split()) or case.key.held(Output(sentence))
    )


def _claim(case: Case, new: str) -> Claim:
    return Claim(
        question=case.fact.question or "", answers=case.answers, statement=stated(case.fact, case.told.fact), output=new
    )


def stated(fact: Fact, told: Fact) -> str:
    """A fact with the answer of another (or its own), as a sentence."""
    answer = (told.answer or "").strip()
    if not is_short(answer):
        return answer
    statement, short = statement_of(fact, {}), short_answer(told) or answer
    if isinstance(statement, Statement):
        return statement.with_answer(short)
    return f'The answer to "{(fact.question or "").strip()}" is {short}.'


def drawn(judge: Judge, twins: Sequence[tuple[Entry, T]], fact: Fact) -> Sequence[tuple[Entry, T]]:
    """The twins that are judged: all by rule, a few where a model judges; drawn by the fact, so alike for all models.

    A twin's chance to be drawn is its frequency in the pool, so that the mean over those drawn is that over all.
    """
    if not judge.kind.needs_model:
        return twins
    ranked = sorted(twins, key=lambda pair: hashlib.sha256(f"{fact.id}\x1f{pair[0].fact.id}".encode()).digest())
    return ranked[: judge.twins]
