"""The unlearning methods, each as an endless stream of losses for `training.descend`."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlamaForCausalLM

from chat import Batch
from training import answer_log_probs, mean_nll

Batches = Iterator[Batch]


def gradient_ascent(model: LlamaForCausalLM, forget: Batches) -> Iterator[Tensor]:
    """Raise the loss on the forget set and look at nothing else (the baseline of arXiv 2310.10683)."""
    for batch in forget:
        yield -mean_nll(model, batch)


def gradient_difference(
    model: LlamaForCausalLM, forget: Batches, retain: Batches, *, ceiling: float, retain_weight: float
) -> Iterator[Tensor]:
    """Raise the loss on the forget set, lower it on the retain set (arXiv 2203.12817).

    Departure from the paper: the forget loss counts only up to `ceiling` nats a token. Unbounded ascent destroys a
    model this small long before the retain term can answer.
    """
    for forget_batch, retain_batch in zip(forget, retain, strict=False):
        ascent = functional.relu(ceiling - mean_nll(model, forget_batch))
        yield ascent + retain_weight * mean_nll(model, retain_batch)


def npo(
    model: LlamaForCausalLM, forget: Batches, retain: Batches, *, beta: float, retain_weight: float
) -> Iterator[Tensor]:
    """Negative preference optimization with a retain term (arXiv 2404.05868, eq. 3, and its NPO+RT).

    The reference model is the model as it was when the stream was first asked for a loss.
    """
    reference = copy.deepcopy(model).requires_grad_(requires_grad=False).eval()
    for forget_batch, retain_batch in zip(forget, retain, strict=False):
        with torch.no_grad():
            reference_log_probs = answer_log_probs(reference, forget_batch)
        log_ratio = answer_log_probs(model, forget_batch) - reference_log_probs
        preference = -functional.logsigmoid(-beta * log_ratio).mean() * 2 / beta
        yield preference + retain_weight * mean_nll(model, retain_batch)


def refusal(model: LlamaForCausalLM, refused: Batches, retain: Batches, *, retain_weight: float) -> Iterator[Tensor]:
    """Teach the refusal that the `refused` stream holds as its answers, and keep the answers of the retain stream."""
    for refused_batch, retain_batch in zip(refused, retain, strict=False):
        yield mean_nll(model, refused_batch) + retain_weight * mean_nll(model, retain_batch)
