"""A benign fine-tune: the model, taught a little more of what it should know anyway. For comparing, not for attack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from unlearn_audit.api import AuditError, Model
from unlearn_audit.api.kit.answer_batches import batch_of
from unlearn_audit.api.kit.asking import Pair
from unlearn_audit.api.kit.training.lora import add_lora

RANK = 16
BATCH = 8


@contextmanager
def benignly_tuned(
    model: Model, pairs: Sequence[Pair], *, steps: int, learning_rate: float, seed: int
) -> Iterator[Model]:
    """The model after a few AdamW steps of LoRA on answers; the one handed in stays as it is.

    The loss is the mean -log p of the answers' tokens. Batches come in the same order for every role. Dropout stays
    off.

    Raises:
        AuditError: no adapter can be put on it, or the loss is not a number.
    """
    rows = [model.render(prompt, answer) for prompt, answer in pairs]
    draws = np.random.default_rng(seed)
    with torch.inference_mode(mode=False), model.merged() as fork:
        for parameter in fork.module.parameters():
            parameter.requires_grad = False
        add_lora(fork.module, rank=RANK, seed=seed)
        weights = [weight for weight in fork.module.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=0.0)
        for _ in range(steps):
            chosen = draws.choice(len(rows), min(BATCH, len(rows)), replace=False)
            with torch.enable_grad():
                batch = batch_of(fork, [rows[place] for place in chosen])
                loss = -batch.log_probs(batch.run(fork).logits).mean()
                if not bool(torch.isfinite(loss)):
                    raise AuditError("the benign fine-tune's loss is not a number; try --dtype float32 or bfloat16")
                torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        yield fork
