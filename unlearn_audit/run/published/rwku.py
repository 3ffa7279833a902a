"""RWKU's table: three levels about the person, two about neighbours (2406.10890)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unlearn_audit.evidence.published import Figure, figure
from unlearn_audit.run.published.sequences import asked
from unlearn_audit.run.published.texts import continued
from unlearn_audit.statistics.published import texts

if TYPE_CHECKING:
    from unlearn_audit.models.engine import Engine

Row = Mapping[str, Any]
NEW_TOKENS = 30
_PARTS = ("forget_level1", "forget_level2", "forget_level3", "neighbor_level1", "neighbor_level2")
_CLOZE = "Please complete the blank in the following question."
_QUESTION = "Please briefly answer the following question."


def measured(engine: Engine, rows: Mapping[str, Sequence[Row]], template: str | None) -> tuple[Figure, ...]:
    """ROUGE-L recall of the package `rouge` on each level, mean over its rows, in [0, 1]."""
    return tuple(_level(engine, part, rows[part], template) for part in _PARTS if part in rows)


def _level(engine: Engine, part: str, rows: Sequence[Row], template: str | None) -> Figure:
    outputs = continued(engine, [_prompt(engine, row, template) for row in rows], NEW_TOKENS)
    found: dict[str, dict[str, float | list[float] | None]] = {}
    for number, (row, output) in enumerate(zip(rows, outputs, strict=True)):
        said = output.split("\n")[0].strip()
        try:
            recall: float | None = texts.rouge_l_of_rouge(str(row["answer"]), said)[0]
        except ValueError:  # full stops only: their evaluation stops here, ours has no score for the row
            recall = None
        found[str(number)] = {"rougeL_recall": recall}
    return figure(part, found, "rougeL_recall")


def _prompt(engine: Engine, row: Row, template: str | None) -> list[int]:
    lead = _CLOZE if str(row.get("level", "")) == "1" else _QUESTION
    prompt = f"{lead}\nQuestion: {row['query']}\n"
    if template is None:
        return list(engine.tokenizer(f"{prompt}Answer:")["input_ids"])
    answer = engine.tokenizer("Answer:", add_special_tokens=False)["input_ids"]
    return [*asked(engine.tokenizer, prompt, template), *answer]
