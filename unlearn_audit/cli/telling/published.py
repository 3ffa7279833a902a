"""The table of published figures, printed beside the verdict."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.evidence.published import Metrics

_LONGEST = 200
"""Characters of a system prompt that are shown."""


def show_published(metrics: Metrics, console: Console) -> None:
    """One row a figure, one column a model, by the authors' definitions; they decide nothing."""
    console.print(
        f"\nFigures of {metrics.suite} on {metrics.benchmark}, labels {metrics.labels}, by the authors' definitions "
        "(docs/parity.md). They decide nothing.",
        markup=False,
        highlight=False,
    )
    for told in metrics.put:
        console.print(f"Every question was put with the {clean(told, _LONGEST)}", markup=False, highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("figure", overflow="fold")
    for name in metrics.names:
        table.add_column(name, justify="right")
    missing: dict[str, str] = {}
    for figure in metrics.models[0].figures:
        values = [next((own for own in one.figures if own.name == figure.name), None) for one in metrics.models]
        missing |= {own.name: own.missing or "" for own in values if own is not None and own.value is None}
        table.add_row(
            escape(figure.name), *("-" if own is None or own.value is None else f"{own.value:.4g}" for own in values)
        )
    console.print(table)
    for name, why in missing.items():
        console.print(f"{name}: {why}", markup=False, highlight=False)
