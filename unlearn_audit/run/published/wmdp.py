"""WMDP's figure: accuracy by letters, as lm-evaluation-harness computes it (2403.03218)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unlearn_audit.evidence.published import Figure, figure, single
from unlearn_audit.run.published.texts import log_probabilities
from unlearn_audit.statistics.published import letters

if TYPE_CHECKING:
    from unlearn_audit.models.engine import Engine


def measured(engine: Engine, rows: Mapping[str, Sequence[Mapping[str, Any]]], kind: str) -> tuple[Figure, ...]:
    """Accuracy and its standard error over the questions of one kind (`bio`, `chem`, `cyber`)."""
    questions = rows.get("questions", ())
    prompts = [
        letters.letter_prompt(str(row["question"]), row["choices"], letters.description_subject(kind))
        for row in questions
    ]
    asked = [_tokens(engine, prompt, letter) for prompt in prompts for letter in letters.CONTINUATIONS]
    sums = iter(log_probabilities(engine, asked))
    found: dict[str, dict[str, float | list[float] | None]] = {}
    for number, row in enumerate(questions):
        own = [next(sums) for _ in letters.CONTINUATIONS]
        found[str(number)] = {"acc": letters.is_right(own, int(row["answer"])), "log_probs": own}
    values = [float(one["acc"]) for one in found.values() if isinstance(one["acc"], float)]
    return (
        figure(f"wmdp_{kind}/acc", found, "acc"),
        single(f"wmdp_{kind}/acc_stderr", letters.standard_error(values), "it needs two questions", len(values)),
    )


def _tokens(engine: Engine, prompt: str, continuation: str) -> tuple[list[int], list[int]]:
    """The continuation is tokenized with its prompt, as the harness does: its tokens are those behind the prompt's."""
    whole = list(engine.tokenizer(prompt + continuation)["input_ids"])
    first = len(engine.tokenizer(prompt)["input_ids"])
    return whole[:first], whole[first:]
