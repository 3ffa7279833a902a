"""The command line: wiring and exit codes, no logic. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unlearn_audit import __version__
from unlearn_audit.kept_text import KeptText
from unlearn_audit.spec_options import takes_spec

if TYPE_CHECKING:
    from rich.console import Console

    from unlearn_audit.planned import Plan
    from unlearn_audit.result import Result

app = typer.Typer(
    name="unlearn-audit",
    help="Finds out whether knowledge removed from a language model can be got back, with an error bound.",
    epilog="Exit codes: 0 PASS, 1 FAIL, 2 usage, 3 INCONCLUSIVE, 4 ERROR, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

USAGE, ERROR, INTERRUPTED = 2, 4, 130
SMALL_MODEL = 10_000_000  # parameters


class Kind(StrEnum):
    """What `list` lists."""

    ATTACKS = "attacks"
    PROBES = "probes"
    COMPARISONS = "comparisons"
    WRITERS = "writers"


class Document(StrEnum):
    """What `schema` describes."""

    RESULT = "result"
    SPEC = "spec"
    POLICY = "policy"


Out = Annotated[
    Path | None, typer.Option("--out", help="Run directory; run again on it to resume.", show_default=False)
]
Cells = Annotated[
    Path | None, typer.Option("--cells", help="Store of finished cells, shared between runs.", show_default=False)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but the verdict and errors.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout, nothing else there.")]
RunDirectory = Annotated[Path, typer.Argument(metavar="RUN", help="A finished run directory.")]


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,  # noqa: ARG001 - main() reads it
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
@takes_spec
def run(
    spec: Any,
    out: Out = None,
    cells: Cells = None,
    text: Annotated[
        KeptText,
        typer.Option("--text", help="What outputs.jsonl keeps of models' answers; none: salted digests."),
    ] = KeptText.NONE,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Audit a checkpoint: attack it and its controls, probe what comes back, give a verdict."""
    from unlearn_audit.plan import make_plan

    target = out or Path("runs") / (Path(spec.checkpoint).name.replace("@", "-") or "audit")
    _finish(_audit(make_plan(spec), target, cells, quiet=quiet, text=text), target, json=json)


@app.command()
@takes_spec
def plan(spec: Any, json: Json = False) -> None:
    """Say what `run` would do: cells, power, time, and what the verdict can reach. Loads no model."""
    from unlearn_audit.forecast import show_forecast
    from unlearn_audit.plan import make_plan

    raise typer.Exit(show_forecast(make_plan(spec), _stdout(), as_json=json))


@app.command()
def demo(
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", help="A bundled model organism; `--checkpoint list` names them.")
    ] = "nf4-masked",
    out: Out = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Audit a bundled model organism with the real pipeline: by default one that 4-bit NF4 brings back."""
    import tempfile

    from unlearn_audit.demo import demo_spec, organism_lines
    from unlearn_audit.plan import make_plan

    if checkpoint == "list":
        for line in organism_lines():
            typer.echo(line)
        return
    demo_plan = make_plan(demo_spec(checkpoint))
    if out is not None:
        _finish(_audit(demo_plan, out, None, quiet=quiet), out, json=json)
        return
    with tempfile.TemporaryDirectory(prefix="unlearn-audit-demo-") as scratch:
        _finish(_audit(demo_plan, Path(scratch), None, quiet=quiet), None, json=json)


@app.command()
def gate(
    directory: RunDirectory,
    policy: Annotated[Path | None, typer.Option("--policy", help="policy.yaml; default: the run's own.")] = None,
    json: Json = False,
) -> None:
    """Judge a finished run, by its own policy or by another. Needs no torch; exits as the verdict says."""
    from unlearn_audit.judging import judge_again
    from unlearn_audit.spec import load_policy

    _finish(judge_again(directory, load_policy(policy) if policy else None), directory, json=json)


@app.command()
def report(
    directory: RunDirectory,
    formats: Annotated[
        list[str],
        typer.Option("--format", "-f", help="As `list writers` names them; FORMAT=FILE writes a file. May repeat."),
    ],
) -> None:
    """Write reports of a finished run: to stdout, or with FORMAT=FILE to a file. Needs no torch."""
    from unlearn_audit.judging import material_of
    from unlearn_audit.report import write_to
    from unlearn_audit.report.targets import parse_targets

    targets = parse_targets(formats)
    material = material_of(directory)
    shown = None if targets.screen is None else targets.screen.render(material)
    write_to(material, targets.files)
    if isinstance(shown, str):
        sys.stdout.write(shown)


@app.command(name="list")
def list_plugins(kind: Kind, json: Json = False) -> None:
    """List attacks, probes, comparisons or writers: what each needs, and its paper. Loads no torch."""
    from unlearn_audit.listing import show_attacks, show_comparisons, show_probes, show_writers

    shows = {
        Kind.ATTACKS: show_attacks,
        Kind.PROBES: show_probes,
        Kind.COMPARISONS: show_comparisons,
        Kind.WRITERS: show_writers,
    }
    shows[kind](_stdout(), as_json=json)


@app.command()
def graph(
    facts: Annotated[str, typer.Argument(metavar="FACTS", help="A facts file (.jsonl, .csv, .parquet).")],
    out: Annotated[Path, typer.Option("--out", help="Where to write: .graphml, or node-link JSON.")],
    run: Annotated[
        Path | None, typer.Option("--run", help="Add what probes elicited from the original in this run.")
    ] = None,
) -> None:
    """Write facts and their hops as a knowledge graph. Needs no torch."""
    from unlearn_audit.graph_export import export_graph

    nodes, edges = export_graph(facts, out, run)
    typer.echo(f"wrote {out}: {nodes} names, {edges} steps", err=True)


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Where to write audit.yaml and policy.yaml.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Write a commented audit.yaml and policy.yaml to start from."""
    from unlearn_audit.scaffold import write_templates

    for path in write_templates(directory, force=force):
        typer.echo(f"wrote {path}", err=True)
    typer.echo("next: fill in audit.yaml, then `unlearn-audit plan --spec audit.yaml`", err=True)


@app.command()
def doctor(
    checkpoint: Annotated[str | None, typer.Argument(help="A checkpoint to try to load.", show_default=False)] = None,
    base: Annotated[str | None, typer.Option("--base", help="Base model of an adapter.", show_default=False)] = None,
) -> None:
    """Say what is installed, which extras and devices there are, and whether a checkpoint loads."""
    from unlearn_audit.doctor import examine

    if checkpoint is not None:  # only loading is noisy, and without it a broken transformers can still be reported
        _settle_libraries(network=False)
    raise typer.Exit(0 if examine(_stdout(), checkpoint, base) else ERROR)


@app.command()
def schema(document: Document) -> None:
    """Print a JSON Schema: of result.json, audit.yaml or policy.yaml."""
    import json as json_module

    from pydantic import BaseModel

    from unlearn_audit.policy import Policy
    from unlearn_audit.result import Result
    from unlearn_audit.spec import AuditSpec

    models: dict[Document, type[BaseModel]] = {
        Document.RESULT: Result,
        Document.SPEC: AuditSpec,
        Document.POLICY: Policy,
    }
    model = models[document]
    typer.echo(json_module.dumps(model.model_json_schema(), indent=2))


def _audit(plan: Plan, out: Path, cells: Path | None, *, quiet: bool, text: KeptText = KeptText.NONE) -> Result:
    _settle_libraries(network=plan.spec.models.download)
    _settle_threads([model.checkpoint.parameters for model in plan.models])
    from unlearn_audit.audit import audit
    from unlearn_audit.power import cannot_be_met
    from unlearn_audit.progress import make_progress

    obstacle = cannot_be_met(plan.case, plan.spec.policy)
    if obstacle and not quiet:
        _stderr().print(f"note: {obstacle}", markup=False, highlight=False)
    command = shlex.join(["unlearn-audit", *sys.argv[1:]])
    try:
        with make_progress(_stderr(), quiet=quiet) as progress:
            return audit(plan, out, progress, cells=cells, command=command, text=text)
    except KeyboardInterrupt:
        _say_error(f"interrupted; run again with --out {out} to go on", debug=False)
        raise typer.Exit(INTERRUPTED) from None


def _settle_libraries(*, network: bool) -> None:
    """For this process: no network unless asked, and no libraries' bars and advice between our lines."""
    import logging
    import os
    import warnings

    if not network:
        os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.simplefilter("ignore")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def _settle_threads(parameters: list[int]) -> None:
    """One thread for models so small that a second only waits for the first (for minutes, on a busy machine)."""
    import torch

    if 0 < min(parameters) <= max(parameters) < SMALL_MODEL:
        torch.set_num_threads(1)


def _finish(result: Result, directory: Path | None, *, json: bool) -> None:
    """The summary and the exit code. With `--json`, stdout carries the result and nothing else."""
    from unlearn_audit.report import as_json
    from unlearn_audit.report.console import summary

    if json:
        sys.stdout.write(as_json.render(result))
    console = _stderr() if json else _stdout()
    summary(result, console)
    if directory is not None:
        console.print(f"Reports: {directory}/report.html, report.md, result.json", markup=False, highlight=False)
    raise typer.Exit(result.exit_code)


def _stdout() -> Console:
    from rich.console import Console

    return Console()


def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def main() -> None:
    """Entry point: every way out has its exit code, and no traceback unless `--debug`."""
    debug = "--debug" in sys.argv[1:]
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        from unlearn_audit.api import AuditError

        if isinstance(error, AuditError):
            _say_error(str(error), debug=debug)
            sys.exit(USAGE)
        # The last resort: an exit code of its own, never 0 and never FAIL.
        _say_error(f"unexpected {type(error).__name__}: {error} (--debug shows where)", debug=debug)
        sys.exit(ERROR)


def _say_error(message: str, *, debug: bool) -> None:
    if debug:
        import traceback

        traceback.print_exc()
    typer.echo(f"error: {message}", err=True)


if __name__ == "__main__":
    main()
