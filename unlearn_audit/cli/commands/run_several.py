"""`run` with several checkpoints: one audit after the other, on evidence of original and controls that they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from unlearn_audit.cli.common import ERROR, INCONCLUSIVE, INTEGRITY, say, stderr, stdout
from unlearn_audit.errors import AuditError, IntegrityError, SpecError
from unlearn_audit.evidence.manifest import SPEC

if TYPE_CHECKING:
    from unlearn_audit.plan.live import LivePlan
    from unlearn_audit.spec.spec import AuditSpec
    from unlearn_audit.verdict.result import Result

STORE = "store"
"""Folder of the evidence that the audits share, next to their run directories."""

_TABLES = ("html", "md", "csv", "json")
_WORST_FIRST = (INTEGRITY, 1, ERROR, INCONCLUSIVE, 0)

Audit = Callable[["LivePlan", Path, Path], "Result"]
"""Runs a plan in a directory, on a shared store."""


def audit_each(asked: Mapping[str, AuditSpec], out: Path, store: Path | None, audit: Audit, *, json: bool) -> None:
    """Audits each in a folder of its own below `out`, then shows and writes the table of all.

    All are planned before the first runs. One that cannot be audited stops no other; the exit code is that of the most
    severe outcome: 5, 1, 4, 3, 0.

    Raises:
        SpecError: `out` is a run itself, or one of the requests cannot be planned.
    """
    from unlearn_audit.cli.telling.github import tell_github
    from unlearn_audit.plan.budget import plan_within
    from unlearn_audit.report.page import verdict_sentence

    if (out / SPEC).is_file():
        raise SpecError(f"{out}: holds one audit; give another --out for several, which get a folder each in it")
    plans = {name: plan_within(spec, out / name) for name, spec in asked.items()}
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    console, codes = stderr(), set()
    for place, (name, live) in enumerate(plans.items(), 1):
        say(f"checkpoint {place} of {len(plans)}: {name}")
        try:
            result = audit(live, out / name, store or out / STORE)
        except AuditError as error:
            say(f"error: {name}: {error}")
            codes.add(INTEGRITY if isinstance(error, IntegrityError) else ERROR)
            continue
        tell_github(result)
        codes.add(result.exit_code)
        told = f"{name}: {result.outcome} (exit code {result.exit_code}): {verdict_sentence(result)}"
        console.print(told, markup=False, highlight=False, soft_wrap=True)
    _show_table([out / name for name in plans if (out / name / "result.json").is_file()], out, json=json)
    raise typer.Exit(next(code for code in _WORST_FIRST if code in codes))


def _show_table(runs: list[Path], out: Path, *, json: bool) -> None:
    from unlearn_audit.finished.several import several
    from unlearn_audit.report.several.documents import deliver

    if not runs:
        return
    files = [f"{name}={out / f'compare.{name}'}" for name in _TABLES]
    deliver(several(runs), [*files, *(["json"] if json else [])], stdout())
    say(f"wrote {', '.join(f'compare.{name}' for name in _TABLES)} in {out}")
