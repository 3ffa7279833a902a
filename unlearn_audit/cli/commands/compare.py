"""`compare`: what changed from one finished run to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unlearn_audit.cli.common import stdout


def compare(
    older: Annotated[Path, typer.Argument(metavar="A", help="The older run.")],
    newer: Annotated[Path, typer.Argument(metavar="B", help="The newer run.")],
    out: Annotated[
        list[Path] | None,
        typer.Option("--out", help="Also write .html, .svg or .md; repeatable.", show_default=False),
    ] = None,
) -> None:
    """Show what changed between two audits: per finding, paired by subject. Needs no torch; decides nothing."""
    from unlearn_audit.errors import AuditError
    from unlearn_audit.evidence.files import write_text
    from unlearn_audit.finished.baseline import compared
    from unlearn_audit.finished.redecide import finished, observations_of
    from unlearn_audit.report.formats import changes as changes_report

    writers = {".html": changes_report.page, ".svg": changes_report.svg, ".md": changes_report.markdown}
    for path in out or []:
        if path.suffix not in writers:
            raise AuditError(f"{path}: expected a name that ends in {', '.join(writers)}; rename the file")
    old, new = finished(older), finished(newer)
    record = compared(observations_of(newer, new), new, observations_of(older, old), old)
    for path in out or []:
        write_text(path, writers[path.suffix](record))
    changes_report.show(record, stdout())
