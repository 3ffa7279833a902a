"""`merge`: joins the parts of one plan, run in several places, into one audit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unlearn_audit.cli.common import INCONCLUSIVE, Json, WaiverFile, finish, stderr


def merge(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The new run directory.")],
    parts: Annotated[list[Path], typer.Argument(metavar="PART...", help="Directories of `run --shard`.")],
    waivers: WaiverFile = None,
    json: Json = False,
) -> None:
    """Join the parts of one plan and decide. Needs no torch; the exit code is the verdict's, 3 if jobs are missing."""
    from unlearn_audit.evidence.directory import run_directory
    from unlearn_audit.evidence.manifest import write_manifest
    from unlearn_audit.finished.merge import IncompleteError, merged, refuse_taken
    from unlearn_audit.report import write as write_reports
    from unlearn_audit.spec.spec import load_waivers
    from unlearn_audit.verdict.conclude import concluded

    refuse_taken(out)
    try:
        with run_directory(out):
            record, store = merged(parts, out)
            result = concluded(record, store, load_waivers(waivers) if waivers else None)
            write_reports(result, out, ("json", "md", "html"))
            write_manifest(out)
    except IncompleteError as error:
        stderr().print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(INCONCLUSIVE) from None
    finish(result, out, json=json)
