"""What commands have in common: exit codes, arguments, consoles and the end of a command that has a verdict."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from unlearn_audit.result import Result

USAGE, INCONCLUSIVE, ERROR, INTEGRITY, INTERRUPTED = 2, 3, 4, 5, 130

RunDirectory = Annotated[Path, typer.Argument(metavar="RUN", help="A finished run directory.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout, nothing else there.")]
WaiverFile = Annotated[
    Path | None, typer.Option("--waivers", help="waivers.yaml: findings that somebody answers for.", show_default=False)
]


def finish(result: Result, directory: Path | None, *, json: bool) -> None:
    """The summary and the exit code. With `json`, stdout carries the result and nothing else."""
    from unlearn_audit.ci import tell_github
    from unlearn_audit.report import as_json
    from unlearn_audit.report.console import summary

    if json:
        sys.stdout.write(as_json.render(result))
    console = stderr() if json else stdout()
    summary(result, console)
    if directory is not None:
        console.print(f"Reports: {directory}/report.html, report.md, result.json", markup=False, highlight=False)
    tell_github(result)
    raise typer.Exit(result.exit_code)


def stdout() -> Console:
    """The console of results."""
    from rich.console import Console

    return Console()


def stderr() -> Console:
    """The console of everything else."""
    from rich.console import Console

    return Console(stderr=True)
