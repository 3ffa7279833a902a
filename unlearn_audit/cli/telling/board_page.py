"""A scene as a page that loads itself again until the run has ended."""

from __future__ import annotations

import time

from markupsafe import Markup

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.audit.telling.board import LEGEND, counts, leading_line, margin_of, times, title, told
from unlearn_audit.audit.telling.scene import Scene
from unlearn_audit.report.parts.numbers import percent
from unlearn_audit.report.several.markup import document, notes, scrolled, table

_MOST_SAID = 12
_STYLE = """
progress { width: 100%; max-width: 720px; height: 12px; accent-color: var(--checkpoint); }
.beyond { color: var(--failed); font-weight: 650; }
h1 { margin-bottom: 8px; }
"""


def page(scene: Scene, seconds: int) -> str:
    """One file; a browser loads it again every so many seconds while the run goes on."""
    measures = [clean(measure, 80) for measure in scene.measures()]
    rows = [
        [clean(attack, 80), f"{done}/{of}", *(_cell(scene, attack, measure) for measure in scene.measures())]
        for attack, done, of in scene.attacks()
    ]
    kept = ", ".join(f"{who} {percent(share)}" for who, share in scene.retained().items())
    outcome = clean(scene.outcome, 40)
    parts = [
        Markup('<h1 class="{}">{}</h1><p>{}{}</p>').format(
            outcome, title(scene), counts(scene), f"; {times(scene)}" if times(scene) else ""
        ),
        Markup('<p><progress max="{}" value="{}"></progress></p>').format(max(1, len(scene.jobs)), len(scene.done)),
        notes([f"{job.title}: {place}" if place else job.title for job, place in scene.running.values()]),
        Markup("<p><strong>{}</strong></p>").format(clean(_leads(scene), 600)),
        scrolled(table(["attack", "jobs", *measures], rows, numeric=range(1, len(measures) + 2))),
        Markup('<p class="muted">{}</p>').format(LEGEND),
        Markup("<p>Retained knowledge: {}</p>").format(kept) if kept else Markup(""),
        notes([f"{time.strftime('%H:%M:%S', time.localtime(when))} {said}" for when, said in _last(scene)]),
    ]
    over = scene.state.is_over
    return document(title(scene), Markup("").join(parts), refresh=None if over else seconds, style=_STYLE)


def _leads(scene: Scene) -> str:
    if scene.sentence:
        return scene.sentence
    return "" if scene.leading is None else leading_line(scene.leading)


def _last(scene: Scene) -> list[tuple[float, str]]:
    return list(reversed(scene.messages))[:_MOST_SAID]


def _cell(scene: Scene, attack: str, measure: str) -> Markup:
    text, beyond = told(scene.place(attack, measure), margin_of(scene))
    return Markup('<span class="{}">{}</span>').format("beyond" if beyond else "", text)
