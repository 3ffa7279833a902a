"""`compare`: several finished runs in one table and one figure, or a whole folder of them as a leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unlearn_audit.cli.common import stdout


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Finished run directories; or a folder of them, which is ranked."),
    ],
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", help="An older run: also show what changed since then.", show_default=False),
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option(
            "--measure",
            help="Compare attacks by this measure, e.g. recall.hit; default: the one by hits that most runs have.",
            show_default=False,
        ),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            help="terminal (default), html, md, csv, json or svg; FORMAT=FILE writes a file. Repeatable.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Put several audited checkpoints in one table: verdicts, recovery by attack, utility, and proven differences."""
    from unlearn_audit.finished.several import several
    from unlearn_audit.report.several.documents import deliver

    deliver(several(runs, measure=measure, baseline=baseline), formats or [], stdout())
