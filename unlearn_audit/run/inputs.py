"""What an audit reads must stay what it was planned with: nothing is kept once a file of it has changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unlearn_audit.errors import AuditError, IntegrityError, SpecError
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.facts.load import load_facts
from unlearn_audit.models.digests import file_digest
from unlearn_audit.models.examine import check_model
from unlearn_audit.models.loading import loaded
from unlearn_audit.models.references import Checkpoint, check_unchanged
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.plan import PlannedModel

_EXAMINED: set[tuple[str, str]] = set()
"""Models that were opened in this process, with the options under which they were."""


class Inputs:
    """The files of a plan: checkpoints, judge, generator, template and facts."""

    def __init__(self, live: LivePlan) -> None:
        self._plan = live.plan
        plan = live.plan
        others = (plan.generator, plan.judge.checkpoint)
        self._checkpoints: list[Checkpoint] = [
            *(model.checkpoint for model in plan.loaded),
            *(found for found in others if found is not None),
        ]
        self._template = _template(plan.spec.models.chat_template)

    def check(self) -> None:
        """Refuses what is loaded into models and has changed.

        Raises:
            IntegrityError: naming it.
        """
        for checkpoint in self._checkpoints:
            check_unchanged(checkpoint)
        named = self._plan.spec.models.chat_template
        if _template(named) != self._template:
            raise IntegrityError(f"--chat-template {named}: changed while the audit ran; run it again")

    def check_all(self) -> None:
        """The same, and the facts.

        Raises:
            IntegrityError: naming what changed.
        """
        self.check()
        for planned in self._plan.facts:
            try:
                now = load_facts(planned.source, planned.name, self._plan.spec.columns).digest()
            except AuditError as error:
                raise IntegrityError(f"{planned.source}: changed while the audit ran: {error}") from error
            if now != planned.digest:
                raise IntegrityError(f"{planned.source}: changed while the audit ran; plan the audit again")


def _template(named: str) -> str | None:
    return None if named in ("auto", "none") else file_digest(Path(named))


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
        inputs.check_all()
    finally:
        store.guard = None


def open_models(live: LivePlan, waiting: list[PlannedModel]) -> None:
    """Opens every model that has work to do, before the first job: hours are lost on what is found out last.

    Raises:
        SpecError: one cannot be loaded, or is no model that can be audited.
    """
    options = live.plan.spec.models
    for model in waiting:
        key = (model.checkpoint.digest, options.model_dump_json())
        if key in _EXAMINED:
            continue
        try:
            with loaded(model.checkpoint, options) as engine:
                check_model(model.checkpoint.reference, engine)
        except IntegrityError:
            raise
        except AuditError as error:
            raise SpecError(f"{model.name}: {error}") from error
        _EXAMINED.add(key)
