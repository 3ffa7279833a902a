"""What `run` and `demo` do with a plan: the audit itself, or part of it, in a process with fixed settings."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from unlearn_audit.cli.common import ERROR, INCONCLUSIVE, INTERRUPTED, Telling, log_to_all, say, stderr, stdout
from unlearn_audit.errors import SpecError
from unlearn_audit.run.text_policy import KeptText

if TYPE_CHECKING:
    from unlearn_audit.cli.telling.event_log import EventLog
    from unlearn_audit.evidence.published import Suite
    from unlearn_audit.finished.trackers import Tracker
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
    from unlearn_audit.audit.hops import audit
    from unlearn_audit.audit.prospects import warnings_of
    from unlearn_audit.audit.telling.libraries import quiet_libraries
    from unlearn_audit.audit.telling.progress import show_proofs
    from unlearn_audit.audit.telling.streams import tell_notes
    from unlearn_audit.run.executors.threads import settle_threads

    settle_threads(live.plan)
    tell_notes(stderr(), () if telling.quiet else warnings_of(live))
    with quiet_libraries(), _told(telling, live, out) as (progress, log):
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


@dataclass(frozen=True, kw_only=True)
class Running:
    """How audits are run: what `run` was told besides what to audit and where.

    Attributes:
        crew: makes the executor of one audit, which ends with it; None for this process.
        suite: whose published figures are measured as well.
        trackers: who else is told each result.
        seal: of the plan that the run should keep to.
    """

    telling: Telling
    waivers: Waiving | None
    text: KeptText
    overwrite: bool
    fail_fast: bool
    crew: Callable[[], Executor | None]
    suite: Suite | None
    as_shipped: bool
    trackers: tuple[Tracker, ...]
    seal: Path | None
    json: bool

    def audit(self, live: LivePlan, out: Path, shared: Path | None) -> Result:
        """One audit, with all that was asked for."""
        result = run_audit(
            live,
            out,
            shared,
            self.telling,
            waivers=self.waivers,
            text=self.text,
            overwrite=self.overwrite,
            fail_fast=self.fail_fast,
            executor=self.crew(),
            seal=self.seal,
        )
        if self.suite is not None:
            print_published(live, out, self.suite, as_shipped=self.as_shipped, json=self.json)
        log_to_all(self.trackers, out, result)
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
    from unlearn_audit.audit.hops import measure_published
    from unlearn_audit.audit.telling.libraries import quiet_libraries
    from unlearn_audit.cli.telling.published import show_published
    from unlearn_audit.run.published.sequences import Labels

    with quiet_libraries():
        metrics = measure_published(live, out, suite, Labels.AS_SHIPPED if as_shipped else Labels.ALIGNED)
    show_published(metrics, stderr() if json else stdout())


def one_only(flag: str, checkpoints: int) -> None:
    """What is about one plan alone.

    Raises:
        SpecError: there are several checkpoints.
    """
    if checkpoints > 1:
        raise SpecError(f"{flag}: is about one plan, got {checkpoints} checkpoints; give one to each command")


def check_part(spec: AuditSpec, shard: str | None, *, fail_fast: bool, several: bool) -> None:
    """What does not go together with a part of the jobs.

    Raises:
        SpecError: one of them was asked for.
    """
    if shard is None:
        return
    if several:
        raise SpecError("expected --shard or several checkpoints, got both; give one checkpoint to each command")
    if fail_fast:
        raise SpecError("expected --shard or --fail-fast, got both; a part decides nothing, so drop --fail-fast")
    if spec.budget is not None:
        raise SpecError(
            "expected --shard or --budget, got both: each part would measure its own machine; give the attacks that "
            "`unlearn-audit plan --budget` keeps with --attacks"
        )


def run_shard(live: LivePlan, out: Path, shared: Path | None, shard: str, running: Running) -> NoReturn:
    """Runs part of the jobs and decides nothing: exit code 3, or 4 if one failed."""
    from unlearn_audit.run.executors.shard import Shard

    part = Shard.parse(shard)
    from unlearn_audit.audit.hops import audit_shard
    from unlearn_audit.audit.prospects import notes_of
    from unlearn_audit.audit.telling.libraries import quiet_libraries
    from unlearn_audit.audit.telling.streams import tell_notes
    from unlearn_audit.run.executors.threads import settle_threads

    settle_threads(live.plan)
    tell_notes(stderr(), () if running.telling.quiet else notes_of(live))
    with quiet_libraries(), _told(running.telling, live, out) as (progress, _):
        record = audit_shard(
            live,
            out,
            progress,
            part,
            shared=shared,
            command=_command(),
            overwrite=running.overwrite,
            executor=running.crew(),
            seal=running.seal,
        )
    done = sum(job.status == "done" for job in record.jobs)
    faulted = len(record.jobs) - done
    stderr().print(
        f"part {part}: {done} jobs done, {faulted} without evidence; `unlearn-audit merge` gives the verdict",
        markup=False,
        highlight=False,
    )
    raise typer.Exit(ERROR if faulted else INCONCLUSIVE)


@contextmanager
def _told(telling: Telling, live: LivePlan, out: Path) -> Iterator[tuple[Progress, EventLog | None]]:
    """Where progress goes: the terminal, the run directory, and the log if there is one."""
    from unlearn_audit.audit.telling.progress import Both, Live, make_progress
    from unlearn_audit.audit.telling.scene import About
    from unlearn_audit.cli.telling.event_log import EventLog, event_log, journal
    from unlearn_audit.cli.telling.leading import Leader

    about = About.of(live.plan, live.case)
    with ExitStack() as stack:
        display = stack.enter_context(make_progress(stderr(), about, quiet=telling.quiet, verbose=telling.verbose))
        kept = stack.enter_context(journal(out))
        log = None if telling.log_file is None else stack.enter_context(event_log(telling.log_file))
        told = [one.leading for one in (display, kept, log) if isinstance(one, Live | EventLog)]
        progress: Progress = Both(Both(display, kept), Leader(live, out, told))
        yield (progress if log is None else Both(progress, log)), log


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
