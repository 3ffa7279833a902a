"""The section on the judge: what decided whether outputs contain answers, and how far `match` agrees."""

from __future__ import annotations

from collections.abc import Iterator

from unlearn_audit.api.judge import JudgeKind
from unlearn_audit.api.kit.printable import clean
from unlearn_audit.evidence.records import AgreementRecord, JudgeRecord
from unlearn_audit.report.parts.numbers import percent
from unlearn_audit.report.parts.view import (
    Block,
    Code,
    Inline,
    Limits,
    Number,
    Section,
    Table,
    number_columns,
    paragraph,
    text_columns,
)
from unlearn_audit.verdict.result import Result

_HOW = {
    JudgeKind.MATCH: "match: the answer key, in whole words.",
    JudgeKind.ROUGE_L: "rouge-l: ROUGE-L recall of the answer, ignoring words of the prompt.",
    JudgeKind.ENTAILMENT: "entailment: whether question and output entail the fact, by the model ",
    JudgeKind.LLM: "llm: whether Yes is likelier than No when asked, by the model ",
}


def sections(result: Result, limits: Limits) -> Iterator[Section]:
    """One section if a judge other than `match` was chosen, otherwise none."""
    judge = result.judge
    if judge.kind is JudgeKind.MATCH:
        return
    blocks: list[Block] = [_who(judge, limits)]
    if judge.agreement:
        blocks.append(
            paragraph(
                "The table compares it with match on the same outputs, over all models, attacks and doses. If the "
                "two differ much, read some outputs before trusting either."
            )
        )
        blocks.append(_table(judge, limits))
    else:
        blocks.append(paragraph("No output was judged by both this judge and match."))
    yield Section(id="judge", title="Judge", blocks=tuple(blocks))


def _who(judge: JudgeRecord, limits: Limits) -> Block:
    if judge.digest is None:
        return paragraph(_HOW[judge.kind])
    reference = clean(judge.reference or "", limits.text)
    return paragraph(
        _HOW[judge.kind], Code(reference), ", digest ", Code(clean(judge.digest, 16)), f", {judge.twins} twins at most."
    )


def _table(judge: JudgeRecord, limits: Limits) -> Table:
    columns = (
        *text_columns("Probe"),
        *number_columns("Outputs", "Equal", "Kappa", "Both hit", "Judge only", "Match only"),
    )
    rows = tuple(_row(one, limits) for one in judge.agreement[: limits.entries])
    return Table(caption=("Agreement of the judge with match",), columns=columns, rows=rows)


def _row(one: AgreementRecord, limits: Limits) -> tuple[Inline, ...]:
    outputs = one.both + one.judge_alone + one.match_alone + one.neither
    kappa = "-" if one.kappa is None else f"{one.kappa:.2f}"
    shown = (str(outputs), percent(one.equal), kappa, *map(str, (one.both, one.judge_alone, one.match_alone)))
    return (clean(one.probe, limits.text), *map(Number, shown))
