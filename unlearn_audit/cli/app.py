"""The command line: wiring and exit codes, no logic. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from unlearn_audit import __version__
from unlearn_audit.api.kit.memory import collect_rarely
from unlearn_audit.audit.telling.streams import guarded_streams
from unlearn_audit.cli.commands import (
    compare as comparing_runs,
)
from unlearn_audit.cli.commands import (
    facts,
)
from unlearn_audit.cli.commands import (
    gate as gating,
)
from unlearn_audit.cli.commands import (
    merge as merging,
)
from unlearn_audit.cli.commands import (
    verify as sealing,
)
from unlearn_audit.cli.commands import (
    watch as watching,
)
from unlearn_audit.cli.commands.run import (
    Running,
    check_part,
    interruptible,
    one_only,
    run_audit,
    run_shard,
    suite_named,
)
from unlearn_audit.cli.commands.run_several import audit_each
from unlearn_audit.cli.common import (
    ERROR,
    INTEGRITY,
    INTERRUPTED,
    USAGE,
    Address,
    Json,
    LogFile,
    LogTo,
    Quiet,
    RunDirectory,
    Telling,
    Verbose,
    WaiverFile,
    Workers,
    say,
    show_notices,
    trackers_named,
)
from unlearn_audit.cli.common import finish as _finish
from unlearn_audit.cli.common import stdout as _stdout
from unlearn_audit.cli.flags import takes_spec
from unlearn_audit.cli.network import Network
from unlearn_audit.cli.options import (
    AsShipped,
    Executing,
    FailFast,
    LeaveOneOut,
    MetricsOf,
    OfShards,
    Out,
    Overwrite,
    Sealed,
    SealKey,
    SealTo,
    Store,
    Text,
)
from unlearn_audit.errors import require
from unlearn_audit.run.executors.kinds import Kind as Where
from unlearn_audit.run.interrupts import ending_signals
from unlearn_audit.run.text_policy import KeptText

app = typer.Typer(
    name="unlearn-audit",
    help="Tests whether knowledge removed from a language model can be recovered, with an error bound.",
    epilog="Exit codes: 0 PASS, 1 FAIL, 2 usage, 3 INCONCLUSIVE, 4 ERROR, 5 integrity, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Kind(StrEnum):
    """What `list` lists."""

    ATTACKS = "attacks"
    PROBES = "probes"
    COMPARISONS = "comparisons"
    WRITERS = "writers"
    PRESETS = "presets"


class Document(StrEnum):
    """What `schema` describes."""

    RESULT = "result"
    SPEC = "spec"
    POLICY = "policy"
    WAIVERS = "waivers"


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"unlearn-audit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback acts
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,  # noqa: ARG001 - main() reads it
) -> None:
    """The options that come before a command."""
    context.obj = Network()
    show_notices()


@app.command()
@takes_spec
def run(
    spec: Any,
    out: Out = None,
    overwrite: Overwrite = False,
    fail_fast: FailFast = False,
    store: Store = None,
    leave_one_control_out: LeaveOneOut = False,
    cells: Annotated[Path | None, typer.Option("--cells", hidden=True)] = None,
    text: Text = KeptText.NONE,
    waivers: WaiverFile = None,
    sealed: Sealed = None,
    metrics: MetricsOf = None,
    as_shipped: AsShipped = False,
    shard: OfShards = None,
    executor: Executing = Where.LOCAL,
    workers: Workers = None,
    address: Address = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
    log_to: LogTo = None,
    json: Json = False,
) -> None:
    """Audit one checkpoint or several: attack them and their controls, probe what comes back, and give a verdict."""
    from unlearn_audit.plan.budget import plan_within
    from unlearn_audit.run.executors.choice import executor_of
    from unlearn_audit.spec.given import default_run
    from unlearn_audit.spec.several import requests
    from unlearn_audit.spec.spec import load_waivers

    if cells is not None:
        say("notice: --cells is now called --store; the old name still works")
    asked = requests(spec, leave_one_control_out=leave_one_control_out)
    target = out or (default_run(spec) if len(asked) == 1 else Path("runs") / "several")
    running = Running(
        telling=Telling(quiet=quiet, verbose=verbose, log_file=log_file),
        waivers=load_waivers(waivers) if waivers else None,
        text=text,
        overwrite=overwrite,
        fail_fast=fail_fast,
        crew=partial(executor_of, executor, workers, address),
        suite=suite_named(metrics, spec),
        as_shipped=as_shipped,
        trackers=trackers_named(log_to),
        seal=sealed,
        json=json,
    )
    if sealed is not None:
        one_only("--sealed", len(asked))
    running.crew()  # what cannot be is said before anything is planned
    with interruptible(target):
        check_part(spec, shard, fail_fast=fail_fast, several=len(asked) > 1)
        if len(asked) > 1:
            audit_each(asked, target, store or cells, running.audit, json=json)
        planned = plan_within(next(iter(asked.values())), target)
        if shard is not None:
            run_shard(planned, target, store or cells, shard, running)
        _finish(running.audit(planned, target, store or cells), target, json=json)


@app.command()
@takes_spec
def plan(spec: Any, seal: SealTo = None, key: SealKey = None, json: Json = False) -> None:
    """Show what `run` would do: jobs, power, time (measured on the checkpoint), and which verdicts are possible."""
    from unlearn_audit.audit.prospects import Prospects
    from unlearn_audit.cli.commands.plan import show_forecasts
    from unlearn_audit.finished.sealing import check_seal, write_seal
    from unlearn_audit.plan.budget import plan_within
    from unlearn_audit.spec.several import requests

    asked = requests(spec)
    check_seal(seal, key, spec)
    if seal is not None:
        one_only("--seal", len(asked))
    plans = {name: Prospects(live=plan_within(one)) for name, one in asked.items()}
    if seal is not None:
        (planned,) = plans.values()
        say(f"sealed: {seal}, sha256:{write_seal(planned.live.plan, seal, key)}; then `run --sealed {seal}`")
    raise typer.Exit(show_forecasts(plans, _stdout(), as_json=json))


@app.command()
def demo(
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", help="A bundled model organism; `--checkpoint list` names them.")
    ] = "nf4-masked",
    out: Out = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
    json: Json = False,
) -> None:
    """Audit a bundled model organism with the real pipeline; by default, one whose knowledge 4-bit NF4 recovers."""
    import tempfile

    from unlearn_audit.demo import MOST_WORKERS, demo_spec, organism_lines

    if checkpoint == "list":
        for line in organism_lines():
            typer.echo(line)
        return
    require("`demo`")
    from unlearn_audit.plan.make import make_plan
    from unlearn_audit.run.executors.choice import for_small_models

    telling = Telling(quiet=quiet, verbose=verbose, log_file=log_file)
    demo_plan = make_plan(demo_spec(checkpoint))
    crew = for_small_models(demo_plan.plan, MOST_WORKERS)
    if out is not None:
        with interruptible(out):
            _finish(run_audit(demo_plan, out, None, telling, executor=crew), out, json=json)
        return
    with tempfile.TemporaryDirectory(prefix="unlearn-audit-demo-") as scratch:
        _finish(run_audit(demo_plan, Path(scratch), None, telling, executor=crew), None, json=json)


app.command()(gating.gate)


@app.command()
def report(
    directory: RunDirectory,
    formats: Annotated[
        list[str],
        typer.Option("--format", "-f", help="A format from `list writers`; FORMAT=FILE writes a file. Repeatable."),
    ],
    annex: Annotated[
        list[str] | None,
        typer.Option(
            "--annex", help="Add what a text asks for beside the evidence: gdpr, ai-act, nist.", show_default=False
        ),
    ] = None,
) -> None:
    """Write reports of a finished run, to stdout or (FORMAT=FILE) to a file. Needs no torch."""
    from unlearn_audit.finished.appendix import appended
    from unlearn_audit.finished.redecide import material_of
    from unlearn_audit.report.targets import deliver

    deliver(appended(material_of(directory), directory, annex or []), formats)


app.command()(watching.watch)
app.command()(comparing_runs.compare)
app.command()(merging.merge)
app.command()(sealing.verify)
app.command()(sealing.attest)


@app.command(name="list")
def list_plugins(kind: Kind, json: Json = False) -> None:
    """List the plug-ins of a kind: what each needs, its paper, and its package if it is not ours. Loads no torch."""
    from unlearn_audit.cli.commands.list_plugins import show_plugins

    show_plugins(kind, _stdout(), as_json=json)


@app.command()
def graph(
    source: Annotated[str, typer.Argument(metavar="FACTS", help="A facts file (.jsonl, .csv, .parquet).")],
    out: Annotated[Path, typer.Option("--out", help="File to write: .graphml, or node-link JSON.")],
    run: Annotated[
        Path | None, typer.Option("--run", help="Add what the probes of this run elicited from the original.")
    ] = None,
) -> None:
    """Write facts and their hops as a knowledge graph. Needs no torch."""
    require("`graph`", ("networkx",))
    from unlearn_audit.cli.commands.graph import export_graph

    nodes, edges = export_graph(source, out, run)
    say(f"wrote {out}: {nodes} names, {edges} steps")


app.add_typer(facts.app, name="facts")


@app.command()
def init(
    directory: Annotated[
        Path | None,
        typer.Argument(help="Where to write; default: here, for --plugin a folder of that name.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    ci: Annotated[
        str | None, typer.Option("--ci", help="Also write a pipeline: github or gitlab.", show_default=False)
    ] = None,
    plugin: Annotated[
        str | None,
        typer.Option("--plugin", metavar="NAME", help="Write a plug-in package of this name instead."),
    ] = None,
    policy: Annotated[
        str,
        typer.Option("--policy", help="Which policy to start from: default, or strict (5 %, 1 in 100, all formats)."),
    ] = "default",
) -> None:
    """Write a commented audit.yaml and policy.yaml to start from, or a package with plug-ins."""
    from unlearn_audit.api.problems import did_you_mean
    from unlearn_audit.cli.commands.init import Pipeline, write_templates
    from unlearn_audit.cli.commands.init_plugin import write_plugin
    from unlearn_audit.errors import SpecError
    from unlearn_audit.spec.policy import Preset

    if policy not in list(Preset):
        raise SpecError(f"--policy: unknown policy {policy!r}{did_you_mean(policy, list(Preset))}")
    if plugin is not None:
        if ci is not None:
            raise SpecError("expected --plugin or --ci, got both; a plug-in package has no audit to run, so drop --ci")
        target = directory or Path(plugin)
        for path in write_plugin(plugin, target, force=force):
            say(f"wrote {path}")
        say(f"next: cd {target}, then `pip install -e '.[dev]'` and `pytest`")
        return
    if ci is not None and ci not in list(Pipeline):
        raise SpecError(f"--ci: unknown pipeline {ci!r}{did_you_mean(ci, list(Pipeline))}")
    pipeline = Pipeline(ci) if ci else None
    for path in write_templates(directory or Path(), force=force, pipeline=pipeline, preset=Preset(policy)):
        say(f"wrote {path}")
    say("next: fill in audit.yaml, then `unlearn-audit plan --spec audit.yaml`")


@app.command()
def doctor(
    checkpoint: Annotated[str | None, typer.Argument(help="A checkpoint to try to load.", show_default=False)] = None,
    base: Annotated[str | None, typer.Option("--base", help="Base model of an adapter.", show_default=False)] = None,
) -> None:
    """Check what is installed, which extras and devices are available, and whether a checkpoint loads."""
    from contextlib import nullcontext

    from unlearn_audit.audit.telling.libraries import quiet_libraries
    from unlearn_audit.cli.commands.doctor import examine

    if checkpoint is not None:
        require("`doctor CHECKPOINT`")
    # Only loading is noisy; without it a broken transformers can be reported.
    with nullcontext() if checkpoint is None else quiet_libraries():
        raise typer.Exit(0 if examine(_stdout(), checkpoint, base) else ERROR)


@app.command()
def schema(document: Document) -> None:
    """Print a JSON Schema: of result.json, audit.yaml, policy.yaml or waivers.yaml."""
    import json as json_module

    from pydantic import BaseModel

    from unlearn_audit.spec.policy import Policy
    from unlearn_audit.spec.spec import AuditSpec
    from unlearn_audit.spec.waivers import Waivers
    from unlearn_audit.verdict.result import Result

    models: dict[Document, type[BaseModel]] = {
        Document.RESULT: Result,
        Document.SPEC: AuditSpec,
        Document.POLICY: Policy,
        Document.WAIVERS: Waivers,
    }
    model = models[document]
    typer.echo(json_module.dumps(model.model_json_schema(), indent=2))


def main() -> None:
    """Entry point: every exit has its code, and there is no traceback without `--debug`."""
    debug = "--debug" in sys.argv[1:]
    collect_rarely()
    with guarded_streams():
        _run_app(debug=debug)


def _run_app(*, debug: bool) -> None:
    try:
        with ending_signals():
            app(prog_name="unlearn-audit")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        from unlearn_audit.errors import AuditError, IntegrityError

        if isinstance(error, AuditError):
            _say_error(str(error), debug=debug)
            sys.exit(INTEGRITY if isinstance(error, IntegrityError) else USAGE)
        # The last resort: an exit code of its own, never 0 and never FAIL.
        _say_error(f"unexpected {type(error).__name__}: {error} (--debug shows where)", debug=debug)
        sys.exit(ERROR)


def _say_error(message: str, *, debug: bool) -> None:
    if debug:
        import traceback

        traceback.print_exc()
    say(f"error: {message}")


if __name__ == "__main__":
    main()
