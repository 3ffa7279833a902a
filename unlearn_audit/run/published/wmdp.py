"""WMDP's figure: accuracy by letters, as lm-evaluation-harness computes it (2403.03218)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unlearn_audit.evidence.published import Figure, figure, single
from unlearn_audit.run.published.texts import log_probability
from unlearn_audit.statistics.published import letters

if TYPE_CHECKING:
    from unlearn_audit.models.engine import Engine


def measured(engine: Engine, rows: Mapping[str, Sequence[Mapping[str, Any]]], kind: str) -> tuple[Figure, ...]:
    """Accuracy and its standard error over the questions of one kind (`bio`, `chem`, `cyber`)."""
    found: dict[str, dict[str, float | list[float] | None]] = {}
    for number, row in enumerate(rows.get("questions", ())):
        prompt = letters.letter_prompt(str(row["question"]), row["choices"], letters.description_subject(kind))
        sums = [_sum(engine, prompt, letter) for letter in letters.CONTINUATIONS]
        found[str(number)] = {"acc": letters.is_right(sums, int(row["answer"])), "log_probs": sums}
    values = [float(one["acc"]) for one in found.values() if isinstance(one["acc"], float)]
    return (
        figure(f"wmdp_{kind}/acc", found, "acc"),
        single(f"wmdp_{kind}/acc_stderr", letters.standard_error(values), "it needs two questions", len(values)),
    )


def _sum(engine: Engine, prompt: str, continuation: str) -> float:
    """The continuation is tokenized with its prompt, as the harness does: its tokens are those behind the prompt's."""
    whole = list(engine.tokenizer(prompt + continuation)["input_ids"])
    first = len(engine.tokenizer(prompt)["input_ids"])
    return log_probability(engine, whole[:first], whole[first:])
