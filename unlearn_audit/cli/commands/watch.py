"""`watch`: a running or finished audit from another terminal, by what its directory tells."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unlearn_audit.cli.common import INCONCLUSIVE, INTERRUPTED, say, stdout
from unlearn_audit.errors import AuditError, SpecError

if TYPE_CHECKING:
    from rich.console import Console

    from unlearn_audit.audit.telling.scene import Scene
    from unlearn_audit.cli.telling.watching import Watched


def watch(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory; its audit may be running or ended.")],
    once: Annotated[bool, typer.Option("--once", help="Show how it stands now, and stop.")] = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Also write a page that reloads itself; not into RUN.", show_default=False),
    ] = None,
    every: Annotated[float, typer.Option("--every", min=0.2, help="Seconds between two looks.")] = 2.0,
) -> None:
    """Show a running or finished audit. Writes nothing into RUN and ends with it; needs no torch.

    The exit code is the verdict's, and 3 while there is none: running, interrupted, or a part of an audit.
    """
    from unlearn_audit.cli.telling.watching import Watched

    if html is not None and html.resolve().is_relative_to(run.resolve()):
        raise SpecError(f"--html {html}: lies in the run directory, into which nothing is written; name another place")
    watched, console = Watched(run), stdout()
    try:
        if once:
            _show(watched.look(), console, html, every)
        elif console.is_terminal:
            _follow(watched, console, html, every)
        else:
            _tell(watched, console, html, every)
    except KeyboardInterrupt:
        say(f"stopped watching; the audit in {run} goes on as it was")
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(INCONCLUSIVE if watched.exit_code is None else watched.exit_code)


def _show(scene: Scene, console: Console, html: Path | None, every: float) -> None:
    from unlearn_audit.audit.telling.board import board

    _write(scene, html, every)
    console.print(board(scene, console.width))


def _follow(watched: Watched, console: Console, html: Path | None, every: float) -> None:
    """In place, as long as the run goes on; what there is at its end stays."""
    from rich.live import Live

    from unlearn_audit.audit.telling.board import board

    with Live(console=console, auto_refresh=False, transient=True) as live:
        while not (scene := watched.look()).state.is_over:
            _write(scene, html, every)
            live.update(board(scene, console.width, console.height), refresh=True)
            time.sleep(every)
    _show(scene, console, html, every)


def _tell(watched: Watched, console: Console, html: Path | None, every: float) -> None:
    """Each message on a line, where nobody looks at a screen."""
    told: tuple[float, str] | None = None
    while True:
        scene = watched.look()
        _write(scene, html, every)
        messages = list(scene.messages)
        new = messages[messages.index(told) + 1 :] if told in messages else messages
        for when, message in new:
            line = f"{time.strftime('%H:%M:%S', time.localtime(when))} {message}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        told = messages[-1] if messages else None
        if scene.state.is_over:
            break
        time.sleep(every)
    console.print(f"{scene.outcome or scene.state.value} {scene.sentence}", markup=False, highlight=False)


def _write(scene: Scene, html: Path | None, every: float) -> None:
    """The page, whole or not at all.

    Raises:
        AuditError: it cannot be written.
    """
    from unlearn_audit.cli.telling.board_page import page
    from unlearn_audit.evidence.files import write_text

    if html is None:
        return
    try:
        write_text(html, page(scene, max(1, round(every))))
    except OSError as error:
        raise AuditError(f"--html {html}: cannot be written ({error.strerror})") from error
