"""A Trainer callback that audits each saved checkpoint while a model is being unlearned, and can end the training."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Unpack

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from unlearn_audit.api.terms import Status
from unlearn_audit.audit.session import audit
from unlearn_audit.errors import AuditError, Notice, SpecError, cause_of
from unlearn_audit.finished.handle import Audit
from unlearn_audit.spec.given import Place, Settings, spec_given
from unlearn_audit.spec.spec import AuditSpec

CHEAP: Mapping[str, Any] = {
    "profile": "quick",
    "attacks": ["as-is"],
    "probes": ["recall", "forced-choice", "utility"],
    "comparisons": [],
}
"""The battery of a checkpoint in training where no other is named: it is asked and nothing more."""


def settled(found: Audit) -> bool:
    """Whether more training cannot help: all findings that decide pass, or the checkpoint is proven broken."""
    deciding = [finding for finding in found.verdict.findings if finding.gates]
    clean = bool(deciding) and all(finding.status is Status.PASSED for finding in deciding)
    return clean or found.verdict.utility.status is Status.FAILED


class AuditCallback(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Audits every checkpoint that a `transformers.Trainer` saves.

    It audits the files that were saved, so `save_steps` says how often, and the Trainer needs its `processing_class`
    (the tokenizer), or the tokenizer must be next to the weights otherwise. The model in training stays in memory; a
    second one is loaded next to it. Jobs of the original and of the controls run once. A cheap battery cannot vouch
    for a release: audit the last checkpoint in full.

    Attributes:
        audits: optimizer step -> audit, in their order. The shares shown are in the state's `log_history` as well, as
            `audit/<finding>` with `audit/outcome`.

    Args:
        spec: as for `unlearn_audit.audit`.
        out: a directory for the runs; by default `audits` in the Trainer's output directory.
        stop: given an audit, whether the training ends; None: never. By default once all findings that decide pass, or
            the checkpoint is proven broken.
        **settings: as for `unlearn_audit.audit`, without `checkpoint`. Attacks and probes that nobody names are a cheap
            battery: no attack, `recall`, `forced-choice` and `utility`.

    Raises:
        SpecError: the request is wrong; when training begins, before its first step.
    """

    def __init__(
        self,
        spec: AuditSpec | Place | None = None,
        *,
        out: Place | None = None,
        stop: Callable[[Audit], bool] | None = settled,
        **settings: Unpack[Settings],
    ) -> None:
        if "checkpoint" in settings:
            raise SpecError("'checkpoint': expected none, since each saved checkpoint is audited; leave it out")
        self._spec, self._out, self._stop = spec, out, stop
        self._settings: dict[str, Any] = {**(CHEAP if spec is None else {}), **settings}
        self.audits: dict[int, Audit] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: object
    ) -> None:
        """Refuses a wrong request before the first step."""
        spec_given(self._spec, {**self._settings, "checkpoint": args.output_dir})

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: object) -> None:
        """Audits what was saved. An audit that cannot be made is a warning: it must not cost the training."""
        home = Path(args.output_dir) / "audits" if self._out is None else Path(self._out)
        step = state.global_step
        try:
            found = audit(
                self._spec,
                out=home / f"step-{step}",
                store=home / "store",
                progress=False,
                **{**self._settings, "checkpoint": Path(args.output_dir) / f"checkpoint-{step}"},
            )
        except AuditError as error:
            warnings.warn(f"step {step} was not audited: {cause_of(error)}", Notice, stacklevel=2)
            return
        self.audits[step] = found
        deciding = (finding for finding in found.verdict.findings if finding.gates)
        shown = {f"audit/{one.id}": one.worst.unlearned for one in deciding if one.worst is not None}
        state.log_history.append({**shown, "audit/outcome": found.outcome.value, "step": step})
        if self._stop is not None and self._stop(found):
            control.should_training_stop = True
