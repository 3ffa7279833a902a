"""An annex on the page."""

from __future__ import annotations

from collections.abc import Collection

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.report.parts.view import Block, Column, Limits, Listing, Section, Table, paragraph, text_columns
from unlearn_audit.verdict.result import AnnexRecord, Result

_CAUTION = (
    "Where this audit has evidence that may bear on what the text asks for. It is no statement of compliance and no "
    "legal advice: no passage is met by a report alone, and those responsible for the model decide which passages "
    "apply and what else they need. Passages are summarized, not quoted."
)


def sections(result: Result, limits: Limits, titles: Collection[str]) -> tuple[Section, ...]:
    """The annexes that were asked for; `titles` are those of the page's other sections."""
    found = () if result.appendix is None else result.appendix.annexes
    return tuple(_section(one, limits, titles) for one in found)


def _section(annex: AnnexRecord, limits: Limits, titles: Collection[str]) -> Section:
    columns = (
        *text_columns("Passage"),
        Column(title="What it asks for", wide=True),
        Column(title="Evidence in this audit", wide=True),
        Column(title="Read"),
    )
    rows = tuple(
        (
            clean(row.source, limits.text),
            clean(row.asks, limits.text),
            clean(row.evidence, 3 * limits.text),
            "; ".join(clean(each, 60) for each in row.sections if each in titles) or "–",
        )
        for row in annex.rows
    )
    title = clean(annex.title, 80)
    blocks: tuple[Block, ...] = (
        paragraph(_CAUTION),
        Table(caption=(title,), columns=columns, rows=rows),
        paragraph("Sources:"),
        Listing(items=tuple((clean(each, 2 * limits.text),) for each in annex.sources)),
    )
    return Section(id=f"annex-{clean(annex.id, 20)}", title=f"Annex: {title}", blocks=blocks)
