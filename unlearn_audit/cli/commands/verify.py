"""`verify` and `attest`: whether a run is unchanged, and a signature that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unlearn_audit.cli.common import INTEGRITY, RunDirectory, say, stdout

Checkpoint = Annotated[
    Path | None, typer.Option("--checkpoint", help="Where the audited model is now, if it moved.", show_default=False)
]


def verify(
    directory: RunDirectory,
    key: Annotated[
        Path | None, typer.Option("--key", help="Public key (PEM) of the attestation.", show_default=False)
    ] = None,
    seal_key: Annotated[
        Path | None, typer.Option("--seal-key", help="Public key (PEM) of the plan's seal.", show_default=False)
    ] = None,
    checkpoint: Checkpoint = None,
    no_checkpoint: Annotated[bool, typer.Option("--no-checkpoint", help="Do not read the models' files.")] = False,
) -> None:
    """Check a run's files, evidence, verdict, models and signature against their digests; exit 5 if one differs."""
    from unlearn_audit.api.kit.printable import clean
    from unlearn_audit.finished.verify import Request
    from unlearn_audit.finished.verify import verify as checks_of

    console, failed = stdout(), 0
    request = Request(run=directory, key=key, seal_key=seal_key, checkpoint=checkpoint, with_models=not no_checkpoint)
    for check in checks_of(request):
        sign = {True: "ok ", False: "BAD", None: "-- "}[check.holds]
        failed += check.holds is False
        console.print(f"{sign} {clean(check.line)}", markup=False, highlight=False, soft_wrap=True)
    last = f"{failed} checks failed (exit code {INTEGRITY})." if failed else "Nothing that was checked has changed."
    console.print(last, markup=False, highlight=False)
    raise typer.Exit(INTEGRITY if failed else 0)


def attest(
    directory: RunDirectory,
    key: Annotated[Path, typer.Option("--key", help="Private key (PEM: Ed25519, ECDSA or RSA).")],
    checkpoint: Checkpoint = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Default: attestation.json in the run.", show_default=False)
    ] = None,
) -> None:
    """Sign what the audit says about the model: an in-toto statement in a DSSE envelope. Needs the extra `sign`."""
    from unlearn_audit.finished.attest import attest as signed

    path = signed(directory, key, checkpoint, out)
    say(f"wrote {path}")
