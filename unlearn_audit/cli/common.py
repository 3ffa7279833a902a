"""What commands share: exit codes, arguments, consoles, and how a command with a verdict ends."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unlearn_audit.errors import Notice

if TYPE_CHECKING:
    from rich.console import Console

    from unlearn_audit.finished.trackers import Tracker
    from unlearn_audit.verdict.result import Result

USAGE, INCONCLUSIVE, ERROR, INTEGRITY, INTERRUPTED = 2, 3, 4, 5, 130

RunDirectory = Annotated[Path, typer.Argument(metavar="RUN", help="A finished run directory.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout, and nothing else.")]
WaiverFile = Annotated[
    Path | None, typer.Option("--waivers", help="waivers.yaml: findings that someone has accepted.", show_default=False)
]
LogTo = Annotated[
    list[str] | None,
    typer.Option("--log-to", help="Also log to a tracker: mlflow or wandb (extras). Repeatable.", show_default=False),
]


@dataclass(frozen=True, kw_only=True)
class Telling:
    """How much a run prints while it works, and where else that is logged.

    Raises:
        SpecError: both --quiet and --verbose were given.
    """

    quiet: bool = False
    verbose: bool = False
    log_file: Path | None = None

    def __post_init__(self) -> None:
        if self.quiet and self.verbose:
            from unlearn_audit.errors import SpecError

            raise SpecError("expected --quiet or --verbose, got both; drop one")


Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        help="Processes that share the jobs: on the CPU each has its cores, else a device.",
        show_default=False,
    ),
]
Address = Annotated[
    str | None, typer.Option("--address", help="Of the Ray cluster, or auto (default).", show_default=False)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only the verdict and errors.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print every dose with its scores, and the proof of each attack.")
]
LogFile = Annotated[
    Path | None, typer.Option("--log-file", help="Append each event as a line of JSON.", show_default=False)
]


def finish(result: Result, directory: Path | None, *, json: bool) -> None:
    """The summary and the exit code. With `json`, stdout has the result and nothing else."""
    from unlearn_audit.cli.telling.github import tell_github
    from unlearn_audit.report.formats import json as as_json
    from unlearn_audit.report.formats.console import summary

    if json:
        sys.stdout.write(as_json.render(result))
    console = stderr() if json else stdout()
    summary(result, console, directory)
    tell_github(result)
    raise typer.Exit(result.exit_code)


def trackers_named(names: list[str] | None) -> tuple[Tracker, ...]:
    """The trackers of --log-to, each of which is installed.

    Raises:
        SpecError: there is no such tracker, or its library is not installed.
    """
    if not names:
        return ()
    from unlearn_audit.api.problems import one_of
    from unlearn_audit.finished.trackers import Tracker, check

    trackers = tuple(one_of(Tracker, name, "--log-to") for name in dict.fromkeys(names))
    for tracker in trackers:
        check(tracker)
    return trackers


def log_to_all(trackers: tuple[Tracker, ...], run: Path, result: Result) -> None:
    """Logs a finished run to each."""
    for tracker in trackers:
        from unlearn_audit.finished.trackers import log_to

        log_to(tracker, run, result)
        say(f"logged to {tracker}")


def stdout() -> Console:
    """The console of results."""
    from unlearn_audit.audit.telling.streams import console

    return console()


def stderr() -> Console:
    """The console of everything else."""
    from unlearn_audit.audit.telling.streams import console

    return console(stderr=True)


def say(text: str) -> None:
    """One line on stderr, whatever the text holds."""
    from unlearn_audit.api.kit.printable import broken_commands, one_line

    print(broken_commands(one_line(text)), file=sys.stderr)


def show_notices() -> None:
    """Shows notices, of old names in use or of damaged jobs: one line each, once, on stderr."""
    usual = warnings.showwarning
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, Notice) and str(message) in shown:
            return
        if issubclass(category, Notice):
            shown.add(str(message))
            say(f"notice: {message}")
        else:
            usual(message, category, *where, **more)

    if getattr(usual, "__qualname__", "") != show.__qualname__:
        warnings.showwarning = show
    warnings.filterwarnings("always", category=Notice)
