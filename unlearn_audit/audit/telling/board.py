"""A scene on a terminal: how far the run is, the matrix as it fills, what leads, and the last messages."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.audit.telling.found_so_far import Leading
from unlearn_audit.audit.telling.scene import Place, Scene, State
from unlearn_audit.report.parts.numbers import count, percent, points

_ATTACK, _COLUMN, _COUNT, _GAP = 20, 13, 7, 2
_MOST_RUNNING, _MOST_SAID, _FEWEST_SAID, _FEWEST_ROWS = 4, 6, 2, 3
_OUTCOME = {"PASS": "bold green", "FAIL": "bold red", "ERROR": "bold magenta"}
WAITING, UNDER_WAY, BEYOND = "-", "...", " !"
LEGEND = (
    "checkpoint (controls): means over the facts, at the dose where the checkpoint shows most beyond its controls; "
    "! by more than the margin. No finding: the verdict goes by bounds."
)


def board(scene: Scene, width: int, height: int | None = None) -> RenderableType:
    """The display.

    Args:
        scene: what there is to see.
        width: of the terminal, in cells.
        height: lines that it may fill; None for as many as it takes.
    """
    head = [_title(scene), _bar(scene, width), *_running(scene, width)]
    foot = [Text(line, style="dim") for line in _wrapped(LEGEND, width)] + _leading(scene, width)
    attacks = len(scene.attacks())
    room = None if height is None else height - len(head) - len(foot) - 5
    rows = attacks if room is None else max(_FEWEST_ROWS, min(attacks, room - _FEWEST_SAID))
    said = _MOST_SAID if room is None else max(_FEWEST_SAID, min(_MOST_SAID, room - rows))
    return Group(*head, Text(), _matrix(scene, width, rows), *foot, *_said(scene, width, said))


def title(scene: Scene) -> str:
    """Whose audit it is, and how it stands with it."""
    return f"{'audit' if scene.about is None else scene.about.name}: {scene.outcome or scene.state.value}"


def clock(seconds: float) -> str:
    """`1:02:03`, `2:03`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def counts(scene: Scene) -> str:
    """How many jobs are done, and how many gave nothing."""
    faults = f", {scene.faults} faulted" if scene.faults else ""
    skips = f", {scene.skips} skipped" if scene.skips else ""
    return f"{len(scene.done)} of {len(scene.jobs)} jobs{faults}{skips}"


def times(scene: Scene) -> str:
    """Since when it runs, and how long it has still to go; nothing once it has ended."""
    if scene.state is not State.RUNNING:
        return ""
    left = "" if scene.left is None else f", ~{clock(scene.left)} left"
    return f"{clock(scene.now - scene.began)} elapsed{left}"


def told(place: Place, margin: float) -> tuple[str, bool]:
    """A place of the matrix in a few signs, and whether it is beyond the margin."""
    if place.shown is None:
        beside = "" if place.controls is None else f" ({percent(place.controls)})"
        return (UNDER_WAY if place.under_way else WAITING) + beside, False
    beyond = place.shown - (place.controls or 0.0) > margin
    beside = "" if place.controls is None else f" ({percent(place.controls)})"
    return percent(place.shown) + beside + (BEYOND if beyond else ""), beyond


def leading_line(found: Leading) -> str:
    """Where most has come back so far, with its bounds."""
    beside = "" if found.controls is None else f" (controls {percent(found.controls)})"
    bounds = f"{points(found.lower)} to {points(found.upper)} points beyond" if beside else "bounds"
    if not beside:
        bounds = f"{percent(found.lower)} to {percent(found.upper)}"
    return (
        f"Most so far: {found.finding} at {found.dose}: {percent(found.shown)}{beside}; {bounds}, "
        f"by {found.subjects} subjects, this cell alone."
    )


def margin_of(scene: Scene) -> float:
    """What may come back."""
    return 1.0 if scene.about is None else scene.about.margin


def _title(scene: Scene) -> Text:
    line = Text()
    name, _, state = title(scene).rpartition(": ")
    line.append(name, style="bold")
    line.append(f"  {state}", style=_OUTCOME.get(scene.outcome, "cyan"))
    line.append(f"  {times(scene)}", style="dim")
    return line


def _bar(scene: Scene, width: int) -> RenderableType:
    said = counts(scene)
    grid = Table.grid(padding=(0, 1))
    done = ProgressBar(total=max(1, len(scene.jobs)), completed=len(scene.done), width=max(10, width - len(said) - 2))
    grid.add_row(done, Text(said))
    return grid


def _running(scene: Scene, width: int) -> Iterator[Text]:
    running = list(scene.running.values())
    for job, place in running[:_MOST_RUNNING]:
        yield _cut(f"> {job.title}" + (f": {place}" if place else ""), width)
    if len(running) > _MOST_RUNNING:
        yield Text(f"> and {len(running) - _MOST_RUNNING} more")


def _matrix(scene: Scene, width: int, rows: int) -> RenderableType:
    measures = scene.measures()
    shown = measures[: max(1, (width - _ATTACK - _COUNT - 2 * _GAP) // (_COLUMN + _GAP))]
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("attack", width=_ATTACK, no_wrap=True, overflow="ellipsis")
    table.add_column("jobs", width=_COUNT, no_wrap=True, justify="right")
    for measure in shown:
        probe, _, name = clean(measure, 80).partition(".")
        table.add_column(Text(f"{probe}\n{name}"), width=_COLUMN, no_wrap=True, overflow="ellipsis", justify="right")
    for attack, done, of in scene.attacks()[:rows]:
        cells = [_cell(scene.place(attack, measure), margin_of(scene)) for measure in shown]
        table.add_row(Text(clean(attack, 80)), Text(f"{done}/{of}"), *cells)
    left = len(scene.attacks()) - rows
    more = [count(left, "more attack")] if left > 0 else []
    more += [count(len(measures) - len(shown), "more measure")] if len(measures) > len(shown) else []
    kept = scene.retained()
    retained = [f"retained knowledge: {', '.join(f'{who} {percent(share)}' for who, share in kept.items())}"]
    lines = [Text(line, style="dim") for line in (*([", ".join(more)] if more else []), *(retained if kept else []))]
    return Group(table, *lines)


def _cell(place: Place, margin: float) -> Text:
    text, beyond = told(place, margin)
    return Text(text, style="bold red" if beyond else "dim" if place.shown is None else "")


def _leading(scene: Scene, width: int) -> list[Text]:
    lines = [scene.sentence] if scene.sentence else []
    lines += [leading_line(scene.leading)] if scene.leading is not None and not scene.sentence else []
    return [Text(part, style="bold") for line in lines for part in _wrapped(clean(line, 600), width)]


def _said(scene: Scene, width: int, most: int) -> Iterator[Text]:
    for when, message in list(scene.messages)[-most:]:
        yield _cut(f"{time.strftime('%H:%M:%S', time.localtime(when))} {message}", width, "dim")


def _cut(text: str, width: int, style: str = "") -> Text:
    line = Text(clean(text, 400), style=style, no_wrap=True, overflow="ellipsis")
    line.truncate(width, overflow="ellipsis")
    return line


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, max(20, width))
