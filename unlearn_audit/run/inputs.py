"""What an audit reads must stay what it was planned with: nothing is kept once a file of it has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from unlearn_audit.errors import AuditError, IntegrityError, SpecError
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.facts.load import load_facts
from unlearn_audit.models.digests import file_digest
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.examine import check_model
from unlearn_audit.models.references import Checkpoint, check_unchanged, template_digest
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.plan import PlannedFacts, PlannedModel
from unlearn_audit.plan.provenance import check_sources
from unlearn_audit.spec.sources import parse_source

_EXAMINED: set[tuple[str, str]] = set()
"""Models that were opened in this process, with the options under which they were."""


class Inputs:
    """The files of a plan: checkpoints, judge, generator, template, facts, and the code of plug-ins and of our own."""

    def __init__(self, live: LivePlan) -> None:
        self._plan = live.plan
        self._plugins = [type(one) for found in (live.attacks, live.probes, live.comparisons) for one in found.values()]
        plan = live.plan
        others = (plan.generator, plan.base, plan.judge.checkpoint)
        self._checkpoints: list[Checkpoint] = [
            *(model.checkpoint for model in plan.loaded),
            *(found for found in others if found is not None),
        ]
        self._facts: dict[str, str | None] = {}

    def check(self, *, at_the_end: bool = False) -> None:
        """Refuses what has changed of all that a job depends on; data sets of the cache are read anew at the end.

        Raises:
            IntegrityError: naming it.
        """
        for checkpoint in self._checkpoints:
            check_unchanged(checkpoint)
        named = self._plan.spec.models.chat_template
        if _digest_now(template_digest, named) != self._plan.template:
            raise IntegrityError(f"--chat-template {named}: changed since the audit was planned; run it again")
        check_sources(self._plugins)
        for planned in self._plan.facts:
            if at_the_end or _file_of(planned.source).suffix:
                self._check_facts(planned)

    def _check_facts(self, planned: PlannedFacts) -> None:
        """Reads facts again where their file is not the one that was read before."""
        now = _digest_now(lambda source: file_digest(_file_of(source)), planned.source)
        if now is not None and self._facts.get(planned.source) == now:
            return
        try:
            reading = self._plan.spec.reading(planned.name)
            found = load_facts(planned.source, planned.name, reading).digest()
        except AuditError as error:
            raise IntegrityError(f"{planned.source}: changed since the audit was planned: {error}") from error
        if found != planned.digest:
            raise IntegrityError(f"{planned.source}: changed since the audit was planned; plan the audit again")
        self._facts[planned.source] = now


def _file_of(source: str) -> Path:
    """The file of facts that a source names, with or without a preset; a data set's id has no suffix."""
    return Path(parse_source(source).where).expanduser()


def _digest_now(digest: Callable[[str], str | None], named: str) -> str | None:
    try:
        return digest(named)
    except AuditError:  # gone, or no file any more
        return None


@contextmanager
def unchanged(live: LivePlan, store: EvidenceStore) -> Iterator[None]:
    """For as long as jobs run: evidence is kept only while all that it depends on is what was planned with.

    Raises:
        IntegrityError: naming what changed.
    """
    inputs = Inputs(live)
    store.guard = inputs.check
    try:
        yield
        inputs.check(at_the_end=True)
    finally:
        store.guard = None


def examine(live: LivePlan, model: PlannedModel, opened: Callable[[], Engine]) -> None:
    """Opens a model that has work to do, before the first job: hours are lost on what is found out last.

    Args:
        live: the plan.
        model: which one; looked at once in a process.
        opened: loads it.

    Raises:
        SpecError: it cannot be loaded, or is no model that can be audited.
    """
    key = (model.checkpoint.digest, live.plan.spec.models.model_dump_json())
    if key in _EXAMINED:
        return
    try:
        check_model(model.checkpoint.reference, opened())
    except IntegrityError:
        raise
    except AuditError as error:
        raise SpecError(f"{model.name}: {error}") from error
    _EXAMINED.add(key)
