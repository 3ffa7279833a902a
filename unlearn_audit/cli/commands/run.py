"""What `run` and `demo` do with a plan: the audit itself, or part of it, in a process with fixed settings."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from unlearn_audit.cli.common import ERROR, INCONCLUSIVE, INTERRUPTED, Telling, say, show_notices, stderr, stdout
from unlearn_audit.errors import SpecError
from unlearn_audit.run.text_policy import KeptText

if TYPE_CHECKING:
    from unlearn_audit.cli.telling.event_log import EventLog
    from unlearn_audit.evidence.published import Suite
    from unlearn_audit.plan.live import LivePlan
    from unlearn_audit.run.progress import Progress
    from unlearn_audit.run.runner import Executor
    from unlearn_audit.spec.spec import AuditSpec
    from unlearn_audit.spec.waivers import Waiving
    from unlearn_audit.verdict.result import Result


def run_audit(
    live: LivePlan,
    out: Path,
    shared: Path | None,
    telling: Telling,
    *,
    waivers: Waiving | None = None,
    text: KeptText = KeptText.NONE,
    overwrite: bool = False,
    fail_fast: bool = False,
    executor: Executor | None = None,
    seal: Path | None = None,
) -> Result:
    """The audit of a plan, with its progress on stderr."""
    settle_libraries()
    from unlearn_audit.audit import audit
    from unlearn_audit.cli.telling.progress import show_proofs
    from unlearn_audit.run.executors.threads import settle_threads
    from unlearn_audit.verdict.reach import cannot_be_met

    settle_threads(live.plan)
    obstacle = cannot_be_met(live.case, live.plan.spec.policy)
    _note([*live.plan.notes, *live.remarks, *([obstacle] if obstacle else [])], telling)
    with _told(telling) as (progress, log):
        result = audit(
            live,
            out,
            progress,
            shared=shared,
            command=_command(),
            waivers=waivers,
            text=text,
            overwrite=overwrite,
            fail_fast=fail_fast,
            executor=executor,
            seal=seal,
        )
        if log is not None:
            log.verdict(result)
    if telling.verbose:
        show_proofs(result.jobs, stderr())
    return result


def suite_named(name: str | None, spec: AuditSpec) -> Suite | None:
    """The suite of --metrics, whose benchmark the forget set must be.

    Raises:
        SpecError: there is no such suite, or the forget set is not its benchmark.
    """
    if name is None:
        return None
    from unlearn_audit.api.problems import did_you_mean
    from unlearn_audit.evidence.published import Suite
    from unlearn_audit.run.published.measure import check_suite

    if name not in list(Suite):
        raise SpecError(f"--metrics: no suite named {name!r}{did_you_mean(name, list(Suite))}")
    check_suite(Suite(name), spec.forget)
    return Suite(name)


def print_published(live: LivePlan, out: Path, suite: Suite, *, as_shipped: bool, json: bool) -> None:
    """Measures a suite on the models of a finished run, keeps its table there, and prints it."""
    from unlearn_audit.audit import measure_published
    from unlearn_audit.cli.telling.published import show_published
    from unlearn_audit.run.published.sequences import Labels

    metrics = measure_published(live, out, suite, Labels.AS_SHIPPED if as_shipped else Labels.ALIGNED)
    show_published(metrics, stderr() if json else stdout())


def check_part(spec: AuditSpec, shard: str | None, *, fail_fast: bool) -> None:
    """What does not go together with a part of the jobs.

    Raises:
        SpecError: one of them was asked for.
    """
    if shard is None:
        return
    if fail_fast:
        raise SpecError("expected --shard or --fail-fast, got both; a part decides nothing, so drop --fail-fast")
    if spec.budget is not None:
        raise SpecError(
            "expected --shard or --budget, got both: each part would measure its own machine; give the attacks that "
            "`unlearn-audit plan --budget` keeps with --attacks"
        )


def run_shard(
    live: LivePlan,
    out: Path,
    shared: Path | None,
    shard: str,
    telling: Telling,
    *,
    overwrite: bool = False,
    executor: Executor | None = None,
    seal: Path | None = None,
) -> NoReturn:
    """Runs part of the jobs and decides nothing: exit code 3, or 4 if one failed."""
    from unlearn_audit.run.executors.shard import Shard

    part = Shard.parse(shard)
    settle_libraries()
    from unlearn_audit.audit import audit_shard
    from unlearn_audit.run.executors.threads import settle_threads

    settle_threads(live.plan)
    _note([*live.plan.notes, *live.remarks], telling)
    with _told(telling) as (progress, _):
        record = audit_shard(
            live,
            out,
            progress,
            part,
            shared=shared,
            command=_command(),
            overwrite=overwrite,
            executor=executor,
            seal=seal,
        )
    done = sum(job.status == "done" for job in record.jobs)
    faulted = len(record.jobs) - done
    stderr().print(
        f"part {part}: {done} jobs done, {faulted} without evidence; `unlearn-audit merge` gives the verdict",
        markup=False,
        highlight=False,
    )
    raise typer.Exit(ERROR if faulted else INCONCLUSIVE)


def _note(notes: Sequence[str], telling: Telling) -> None:
    if not telling.quiet:
        for note in notes:
            stderr().print(f"note: {note}", markup=False, highlight=False)


@contextmanager
def _told(telling: Telling) -> Iterator[tuple[Progress, EventLog | None]]:
    """Where progress goes: the terminal, and the log if there is one."""
    from unlearn_audit.cli.telling.event_log import event_log
    from unlearn_audit.cli.telling.progress import Both, make_progress

    with make_progress(stderr(), quiet=telling.quiet, verbose=telling.verbose) as display, ExitStack() as stack:
        if telling.log_file is None:
            yield display, None
            return
        log = stack.enter_context(event_log(telling.log_file))
        yield Both(display, log), log


def _command() -> str:
    return shlex.join(["unlearn-audit", *sys.argv[1:]])


@contextmanager
def interruptible(out: Path) -> Iterator[None]:
    """Where Ctrl-C, SIGTERM and SIGHUP end the run with how to resume it, and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"error: interrupted; rerun with --out {out} to resume")
        raise typer.Exit(INTERRUPTED) from None


def settle_libraries() -> None:
    """For this process: no progress bars or advice from libraries between our lines."""
    import logging
    import os
    import warnings

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.simplefilter("ignore")
    show_notices()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
