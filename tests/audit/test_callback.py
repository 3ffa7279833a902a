"""A tiny model is unlearned under a Trainer, and audited while it is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import Dataset
from transformers import AutoModelForCausalLM, TrainerControl, TrainerState

import unlearn_audit as ua
from tests.audit.test_session import settings as settings  # the fixture
from tests.golden import sample
from unlearn_audit.api.terms import Status
from unlearn_audit.audit.callback import settled
from unlearn_audit.errors import Notice, SpecError


class Rows(Dataset):
    """The same short text again and again."""

    def __init__(self, tokenizer):
        ids = tokenizer("Who is Ada Mann?")["input_ids"]
        self.row = {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": ids}

    def __len__(self):
        return 4

    def __getitem__(self, place):
        return {name: torch.tensor(values) for name, values in self.row.items()}


@pytest.fixture
def request_of(settings):
    return {name: value for name, value in settings.items() if name not in ("checkpoint", "attacks")}


def trainer(callback, model, tokenizer, out):
    from transformers import Trainer, TrainingArguments

    class Ascent(Trainer):
        """Gradient ascent, the plainest way to unlearn."""

        def compute_loss(self, model, inputs, return_outputs=False, **more):
            loss = -model(**inputs).loss
            return (loss, {}) if return_outputs else loss

    arguments = TrainingArguments(
        output_dir=str(out),
        max_steps=4,
        per_device_train_batch_size=1,
        learning_rate=1e-3,
        save_steps=1,
        save_only_model=True,
        logging_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    made = AutoModelForCausalLM.from_pretrained(model)
    return Ascent(
        model=made, args=arguments, train_dataset=Rows(tokenizer), processing_class=tokenizer, callbacks=[callback]
    )


@pytest.mark.slow  # the Trainer alone takes seconds to import
def test_each_saved_checkpoint_is_audited_and_the_training_ends_when_asked(
    request_of, saved_model, tokenizer, tmp_path
):
    callback = ua.AuditCallback(**request_of, attacks=["as-is"], stop=lambda found: "step-2" in str(found.run))
    run = trainer(callback, saved_model, tokenizer, tmp_path)
    run.train()
    assert list(callback.audits) == [1, 2] and run.state.global_step == 2
    first, second = (callback.audits[step].result for step in (1, 2))
    unlearned = [next(one.digest for one in each.models if one.role == "unlearned") for each in (first, second)]
    assert unlearned[0] != unlearned[1]  # what was saved then, not what is trained now
    originals = [{job.key for job in each.jobs if job.role == "original"} for each in (first, second)]
    assert originals[0] == originals[1]  # run once, from the store
    assert {job.attack for job in first.jobs} == {"as-is"}
    logged = [entry for entry in run.state.log_history if "audit/outcome" in entry]
    assert [entry["step"] for entry in logged] == [1, 2] and "audit/as-is/recall.hit" in logged[0]


@pytest.mark.slow
def test_an_audit_that_cannot_be_made_does_not_cost_the_training(request_of, saved_model, tokenizer, tmp_path):
    callback = ua.AuditCallback(**{**request_of, "original": tmp_path / "nowhere"})
    with pytest.warns(Notice, match="step 1 was not audited"):
        run = trainer(callback, saved_model, tokenizer, tmp_path / "out")
        run.args.max_steps = 1
        run.train()
    assert run.state.global_step == 1 and callback.audits == {}


def test_a_wrong_request_is_refused_before_the_first_step(request_of, tmp_path):
    with pytest.raises(SpecError, match="each saved checkpoint is audited"):
        ua.AuditCallback(checkpoint="x")
    arguments, state, control = SimpleNamespace(output_dir=str(tmp_path)), TrainerState(), TrainerControl()
    ua.AuditCallback(**request_of).on_train_begin(arguments, state, control)
    with pytest.raises(SpecError, match="seed"):
        ua.AuditCallback(**request_of, seed=-1).on_train_begin(arguments, state, control)


def test_by_itself_it_ends_once_all_pass_or_the_model_is_broken():

    def audit_of(result):
        return ua.Audit(run=Path(), result=result)

    failed = sample.failed()
    assert settled(audit_of(sample.passed())) and not settled(audit_of(failed))
    verdict = failed.verdict
    broken = verdict.model_copy(update={"utility": verdict.utility.model_copy(update={"status": Status.FAILED})})
    assert settled(audit_of(failed.model_copy(update={"verdict": broken})))
    empty = verdict.model_copy(update={"findings": ()})
    assert not settled(audit_of(failed.model_copy(update={"verdict": empty})))  # nothing measured is not clean
