"""An audit and a plan asked for from Python, as the command line asks for them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from unlearn_audit.api.problems import one_of
from unlearn_audit.errors import require
from unlearn_audit.evidence.manifest import SPEC
from unlearn_audit.finished.handle import Audit
from unlearn_audit.run.executors.kinds import Kind
from unlearn_audit.run.text_policy import KeptText
from unlearn_audit.spec.given import Place, Settings, default_run, spec_given
from unlearn_audit.spec.several import only
from unlearn_audit.spec.spec import AuditSpec, load_waivers

if TYPE_CHECKING:
    from unlearn_audit.audit.prospects import Prospects
    from unlearn_audit.plan.live import LivePlan
    from unlearn_audit.plan.plan import Plan
    from unlearn_audit.run.progress import Progress


def audit(
    spec: AuditSpec | Place | None = None,
    *,
    out: Place | None = None,
    store: Place | None = None,
    waivers: Place | None = None,
    sealed: Place | None = None,
    text: str = "none",
    overwrite: bool = False,
    fail_fast: bool = False,
    executor: str = "local",
    workers: int | None = None,
    address: str | None = None,
    progress: Progress | bool = True,
    **settings: Unpack[Settings],
) -> Audit:
    """Audits a checkpoint: what `unlearn-audit run` does, with the same names. Needs the extra `run`.

    An interrupted run continues with the same `out`. A FAIL is no exception: the audit is returned, whatever it says.

    Args:
        spec: an `audit.yaml` or an `AuditSpec`; None where the settings say everything.
        out: the run directory; by default `runs/` and the checkpoint's name.
        store: finished jobs, shared between runs.
        waivers: a `waivers.yaml`: findings that somebody has accepted.
        sealed: what `plan --seal` wrote: the result says whether the run kept to it.
        text: what `outputs.jsonl` keeps of the models' answers: `none`, `redacted` or `full`.
        overwrite: replace the result of another request in `out`; jobs that are still valid are kept.
        fail_fast: stop once a leak is proven; never changes a PASS.
        executor: `local`, or `ray` for a cluster (extra `ray`), whose `address` may be given.
        workers: processes that share the jobs; a script keeps its own code behind `if __name__ == "__main__":`.
        address: of the Ray cluster.
        progress: on stderr; live in a notebook with ipywidgets; False: faults alone; or an object that is told.
        **settings: by the names of the flags: `checkpoint`, `original`, `forget`, ...; they go before the spec.

    Raises:
        SpecError: the request is wrong; it says what to change.
        IntegrityError: files that the request names have changed since `out` was begun.
    """
    require("`audit`")
    from unlearn_audit.audit.hops import audit as audited
    from unlearn_audit.run.executors.choice import executor_of

    kept, crew = one_of(KeptText, text, "text"), executor_of(one_of(Kind, executor, "executor"), workers, address)
    with _settled(only(spec_given(spec, settings)), out, progress) as (live, directory, told):
        result = audited(
            live,
            directory,
            told,
            shared=None if store is None else Path(store),
            command=shlex.join(["unlearn-audit", "run", "--spec", f"{directory / SPEC}", "--out", f"{directory}"]),
            text=kept,
            waivers=None if waivers is None else load_waivers(Path(waivers)),
            overwrite=overwrite,
            fail_fast=fail_fast,
            executor=crew,
            seal=None if sealed is None else Path(sealed),
        )
    return Audit(run=directory, result=result)


def plan(spec: AuditSpec | Place | None = None, **settings: Unpack[Settings]) -> Prospects:
    """What `audit` would do: its jobs, its time on this machine, and whether it can pass at all. Runs no attack.

    Args:
        spec: as for `audit`.
        **settings: as for `audit`.

    Raises:
        SpecError: the request is wrong; it says what to change.
    """
    require("`plan`")
    from unlearn_audit.audit.prospects import Prospects
    from unlearn_audit.audit.telling.libraries import quiet_libraries
    from unlearn_audit.plan.budget import plan_within

    with quiet_libraries():
        return Prospects(live=plan_within(only(spec_given(spec, settings))))


@contextmanager
def _settled(
    asked: AuditSpec, out: Place | None, progress: Progress | bool
) -> Iterator[tuple[LivePlan, Path, Progress]]:
    """The plan, the run directory and who is told, in a process that is afterwards as it was."""
    from unlearn_audit.audit.prospects import warnings_of
    from unlearn_audit.audit.telling.libraries import quiet_libraries
    from unlearn_audit.plan.budget import plan_within

    directory = default_run(asked) if out is None else Path(out)
    with quiet_libraries():
        live = plan_within(asked, directory)
        with _threads_held(live.plan), _shown(progress, warnings_of(live)) as told:
            yield live, directory, told


@contextmanager
def _shown(progress: Progress | bool, notes: Sequence[str]) -> Iterator[Progress]:
    """Who is told how far the run is."""
    from unlearn_audit.audit.telling.progress import Live, make_progress
    from unlearn_audit.audit.telling.streams import console, tell_notes

    if not isinstance(progress, bool):
        yield progress
        return
    screen = console(stderr=True)
    live_in_notebook = progress and screen.is_jupyter and find_spec("ipywidgets") is not None
    tell_notes(screen, notes if progress else ())
    with Live(screen) if live_in_notebook else make_progress(screen, quiet=not progress) as told:
        yield told


@contextmanager
def _threads_held(plan: Plan) -> Iterator[None]:
    """As few threads as the models are worth, and afterwards as many as before."""
    import torch

    from unlearn_audit.run.executors.threads import settle_threads

    before = torch.get_num_threads()
    settle_threads(plan)
    try:
        yield
    finally:
        torch.set_num_threads(before)
