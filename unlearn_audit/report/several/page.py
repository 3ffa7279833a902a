"""The table of checkpoints as a page: who passed, what came back by attack, who keeps most and leaks least."""

from __future__ import annotations

from markupsafe import Markup

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.report.several import changes, figure
from unlearn_audit.report.several.markup import document, notes, scrolled, table
from unlearn_audit.report.several.shown import (
    DIFFERENCES,
    FRONT_KEY,
    STANDING,
    TITLE,
    Tile,
    difference,
    legend,
    number_of,
    proven,
    standing,
    summary,
    tested,
    tile,
)
from unlearn_audit.verdict.several import SeveralRecord

_STYLE = """
.heat { display: inline-block; min-width: 7ch; padding: 4px 8px; border-radius: 4px; text-align: right;
  white-space: nowrap; background: color-mix(in srgb, var(--failed) var(--heat), var(--surface));
  font-variant-numeric: tabular-nums; }
h1 + p { font-size: 18px; }
"""


def page(record: SeveralRecord) -> str:
    """One file, for light and dark screens and for paper."""
    parts = [
        Markup("<h1>{}</h1><p>{}</p>").format(TITLE, summary(record)),
        scrolled(table(STANDING[1:], [_standing(cells) for cells in standing(record)], numeric=(2, 4))),
        Markup("<h2>By attack: {}</h2>").format(clean(record.measure)),
        scrolled(_matrix(record)),
        notes(legend(record)),
        Markup("<h2>What is kept against what comes back</h2>"),
        figure.front(record),
        Markup('<p class="muted">{}</p>').format(FRONT_KEY),
        Markup("<h2>Differences</h2><p>{}</p>").format(tested(record)),
    ]
    if found := proven(record):
        parts.append(scrolled(table(DIFFERENCES, [difference(one) for one in found], numeric=(4, 6, 7))))
    if record.notes:
        parts += [Markup("<h2>Notes</h2>"), notes(record.notes)]
    for place, (name, change) in enumerate(record.changes.items()):
        parts.append(Markup("<h2>{} since {}</h2>").format(clean(name), clean(record.baseline or "")))
        parts.append(changes.section(change, place))
    return document(TITLE, Markup("").join(parts), style=_STYLE)


def _standing(cells: tuple[str, ...]) -> list[str | Markup]:
    number, name, outcome, *rest = cells
    colored = Markup('<strong class="{0}" style="color: var(--outcome)">{0}</strong>').format(outcome)
    return [f"{number} {name}", colored, *rest]


def _matrix(record: SeveralRecord) -> Markup:
    head = [record.measure, *(f"{number_of(record, row)} {clean(row.name, 40)}" for row in record.rows)]
    rows = [
        [clean(attack, 80), *(_heat(tile(record, row, attack)) for row in record.rows)] for attack in record.attacks
    ]
    return table(head, rows)


def _heat(one: Tile) -> Markup:
    share = min(1.0, max(0.0, one.share or 0.0))
    return Markup('<span class="heat" style="--heat: {}%" title="{}">{}{}</span>').format(
        f"{60 * share:.0f}", one.said, one.text, one.sign
    )
