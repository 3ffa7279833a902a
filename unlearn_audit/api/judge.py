"""What decides whether an output contains an answer: the same for every role, attack and text probe of an audit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class JudgeKind(StrEnum):
    """How outputs are judged.

    `match`: the answer key (`api.kit.answer_key`). `rouge-l`: ROUGE-L recall of the answer.
    `entailment`: a model for natural language inference. `llm`: a causal model, asked yes or no.
    """

    MATCH = "match"
    ROUGE_L = "rouge-l"
    ENTAILMENT = "entailment"
    LLM = "llm"

    @property
    def needs_model(self) -> bool:
        """Whether a model gives the verdicts."""
        return self in (JudgeKind.ENTAILMENT, JudgeKind.LLM)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """The claim that an output gives a certain answer, which a judge model weighs.

    Attributes:
        question: what the fact asks, in its own words.
        answers: the answer that is looked for, then its aliases.
        statement: the fact with that answer, as a sentence.
        output: what the model said, without what its prompt had said already. Hostile text.
    """

    question: str
    answers: tuple[str, ...]
    statement: str
    output: str


@dataclass(frozen=True, kw_only=True)
class Judge:
    """The judge of an audit, as probes see it.

    Attributes:
        kind: how outputs are judged.
        weigh: a verdict for each claim, None if the judge cannot read it (too long); for kinds that need a model.
        twins: most twins of an output that a model judges; 0 for no twin scores.
    """

    kind: JudgeKind = JudgeKind.MATCH
    weigh: Callable[[Sequence[Claim]], Sequence[bool | None]] | None = None
    twins: int = 20

    def __post_init__(self) -> None:
        """Refuses a kind without the model that it needs."""
        if self.kind.needs_model != (self.weigh is not None):
            raise ValueError(f"the judge {self.kind} {'needs a' if self.kind.needs_model else 'takes no'} model")
