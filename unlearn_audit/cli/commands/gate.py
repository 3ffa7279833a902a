"""`gate`: decide a finished run, and exit as the verdict says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unlearn_audit.cli.common import Json, LogTo, RunDirectory, WaiverFile, finish, log_to_all, trackers_named
from unlearn_audit.errors import SpecError


def gate(
    directory: RunDirectory,
    policy: Annotated[Path | None, typer.Option("--policy", help="policy.yaml; default: the run's own.")] = None,
    waivers: WaiverFile = None,
    no_waivers: Annotated[
        bool, typer.Option("--no-waivers", help="Decide as if nobody had accepted anything.", show_default=False)
    ] = False,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", help="An older run; what got worse since then fails.", show_default=False),
    ] = None,
    require_policy: Annotated[
        str | None,
        typer.Option(
            "--require-policy", help="Digest that the policy must have; otherwise exit code 5.", show_default=False
        ),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", "-f", help="Also write a report: FORMAT=FILE, or `github`.", show_default=False),
    ] = None,
    log_to: LogTo = None,
    json: Json = False,
) -> None:
    """Decide a finished run again, by its own policy or another. Needs no torch; the exit code is the verdict's."""
    from unlearn_audit.cli.telling.github import write_formats
    from unlearn_audit.finished.baseline import held_against
    from unlearn_audit.finished.redecide import material_of, redecide, require
    from unlearn_audit.spec.spec import load_policy, load_waivers
    from unlearn_audit.spec.waivers import Waiving

    if waivers is not None and no_waivers:
        raise SpecError("give --waivers or --no-waivers, not both")
    trackers = trackers_named(log_to)
    accepted = Waiving() if no_waivers else load_waivers(waivers) if waivers else None
    result = redecide(directory, load_policy(policy) if policy else None, accepted)
    if require_policy is not None:
        require(result, require_policy)
    if baseline is not None:
        result = held_against(directory, result, baseline)
    write_formats(material_of(directory, result), formats or [])
    log_to_all(trackers, directory, result)
    finish(result, directory, json=json)
