"""LoRA relearning beside PEFT with transformers' Trainer: the same lessons, batches of eight, rank 16, AdamW.

Trainer gets the rows as `DataCollatorForSeq2Seq` pads them and computes every logit, which is what it does for anyone
who trains on answers. Our step is the one that the attacks take.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from typing import Any

from transformers import DataCollatorForSeq2Seq, Trainer, TrainerCallback, TrainingArguments
from unlearn_audit.attacks.shared.splits import Lesson
from unlearn_audit.attacks.shared.training import IGNORED_LABEL, lesson_batches, lora_student, optimize

from benchmarks.rivals.common import Asked, keep, timed
from unlearn_audit.api import Prompt
from unlearn_audit.api.kit.training.lora import lora_config
from unlearn_audit.models.engine import Engine

BATCH, RANK, RATE = 8, 16, 1e-3


def compare(asked: Asked, *, steps: int) -> None:
    """Measures the seconds of a step on both sides, after the first."""
    lessons = [Lesson(prompt=Prompt(text=question), answer=answer) for question, answer in asked.pairs()]
    engine = asked.engine()
    before, _ = _theirs(asked, engine, lessons, steps)  # before and after ours, so that other load meets both
    ours, our_losses, products = _ours(engine, lessons, steps)
    after, their_losses = _theirs(asked, engine, lessons, steps)
    keep(
        f"training, {asked.dtype}",
        {
            "ours": statistics.median(ours),
            "theirs": statistics.median([*before, *after]),
            "unit": "seconds a step",
            "our_losses": our_losses,
            "their_losses": their_losses,
            "products": products,
            "steps": steps,
            "lessons": len(lessons),
        },
    )


def _ours(engine: Engine, lessons: list[Lesson], steps: int) -> tuple[list[float], list[float], str]:
    with lora_student(engine, rank=RANK, seed=0) as student:
        batches = lesson_batches(student.model, lessons, size=BATCH, seed=0)
        losses = optimize(
            student.model, batches, learning_rate=RATE, steps=steps, fast=student.fast, opened=student.opened
        )
        found = [timed(lambda: next(losses)) for _ in range(steps)]
    products = "bfloat16" if student.fast else str(engine.module_dtype).removeprefix("torch.")
    return [seconds for seconds, _ in found[1:]], [round(loss, 4) for _, loss in found], products


class _Watch(TrainerCallback):
    """Seconds of each step and its loss, as Trainer reports it."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.losses: list[float] = []
        self._since = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._since = time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds.append(time.process_time() - self._since)

    def on_log(self, *_: Any, logs: dict[str, float] | None = None, **__: Any) -> None:
        if logs and "loss" in logs:
            self.losses.append(round(logs["loss"], 4))


def _theirs(asked: Asked, engine: Engine, lessons: list[Lesson], steps: int) -> tuple[list[float], list[float]]:
    from peft import get_peft_model

    rows = []
    for lesson in lessons:
        row = engine.render(lesson.prompt, lesson.answer, ended=True)
        labels = [t if own else IGNORED_LABEL for t, own in zip(row.token_ids, row.is_answer, strict=True)]
        rows.append({"input_ids": list(row.token_ids), "attention_mask": [1] * len(labels), "labels": labels})
    watch = _Watch()
    with tempfile.TemporaryDirectory() as folder:
        module = asked.plain()
        model = get_peft_model(module, lora_config(module, RANK))
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                per_device_train_batch_size=BATCH,
                max_steps=steps,
                learning_rate=RATE,
                lr_scheduler_type="constant",
                logging_steps=1,
                save_strategy="no",
                report_to=[],
                use_cpu=True,
                disable_tqdm=True,
            ),
            train_dataset=rows,
            data_collator=DataCollatorForSeq2Seq(engine.tokenizer, padding=True),
            callbacks=[watch],
        )
        trainer.train()
    return watch.seconds[1:], watch.losses
